"""What the scripts share: bad input ends in one clear line, never in a traceback."""

import os
import sys
from collections.abc import Callable


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit: with its return value, or with 2 and one line that says what was wrong with the input."""
    try:
        status = main()
    except (ValueError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        status = 2
    except KeyboardInterrupt as stop:
        if os.environ.get("RANK", "0") == "0":  # it reaches all processes of `torchrun`; an error may be one's alone
            print(": ".join(["interrupted", *map(str, stop.args)]), file=sys.stderr)
        status = 130
    sys.exit(status)

"""What all commands share: they read options, and end in one clear line for bad input, never in a traceback."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NoReturn


def run_command(command: ModuleType, prog: str | None = None, arguments: Sequence[str] | None = None) -> NoReturn:
    """Read the options of a module of this folder, call its `main` with them, and exit as `run` does.

    command: has `add_options(parser)`, `main(options)` and a docstring, which `--help` prints.
    prog: what the user typed, for usage and errors; None: the name of the script that runs.
    arguments: what follows it; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_options(parser)
    options = parser.parse_args(arguments)
    run(lambda: command.main(options))


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and exit: with its return value, or with 2 and one line that says what was wrong with the input."""
    try:
        status = main()
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            from minibert.training.distributed import Processes  # needs PyTorch, which takes a second to import

            Processes.join().leave()
    except (ValueError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        status = 2
    except KeyboardInterrupt as stop:
        if os.environ.get("RANK", "0") == "0":  # it reaches all processes of `torchrun`; an error may be one's alone
            print(": ".join(["interrupted", *map(str, stop.args)]), file=sys.stderr)
        status = 130
    sys.exit(status)

"""`minibert prepare` in a checkout: the same options, the same code."""

from minibert.commands import prepare
from minibert.commands.run import run_command

if __name__ == "__main__":
    run_command(prepare)

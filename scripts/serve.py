"""`minibert serve` in a checkout: the same options, the same code."""

from minibert.commands import serve
from minibert.commands.run import run_command

if __name__ == "__main__":
    run_command(serve)

"""`minibert grade` in a checkout: the same options, the same code."""

from minibert.commands import grade
from minibert.commands.run import run_command

if __name__ == "__main__":
    run_command(grade)

"""`minibert COMMAND ...`, or `python -m minibert COMMAND ...`: which file of `commands/` is meant."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import minibert
from minibert import commands
from minibert.commands.run import run_command

# In the order of a checkpoint's life.
COMMANDS = ("prepare", "pretrain", "evaluate", "finetune", "predict", "serve", "export", "fill-mask", "parity", "grade")


def main() -> None:
    """Run the command that was typed, and import no other: a start takes long enough."""
    prog = "minibert" if Path(sys.argv[0]).stem == "minibert" else "python -m minibert"
    parser = argparse.ArgumentParser(prog=prog, description=minibert.__doc__)
    parser.add_argument("--version", action="version", version=f"minibert {minibert.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, title="commands, each with a --help of its own")
    for name in COMMANDS:
        subparsers.add_parser(name, help=summary(name), add_help=False)
    command = parser.parse_args(sys.argv[1:2]).command
    run_command(import_module(module_name(command)), f"{prog} {command}", sys.argv[2:])


def module_name(command: str) -> str:
    """Of "fill-mask", `minibert.commands.fill_mask`."""
    return f"{commands.__name__}.{command.replace('-', '_')}"


def summary(command: str) -> str:
    """The first line of a command's docstring, which is the first of its file: quicker read than imported."""
    path = Path(commands.__path__[0], f"{command.replace('-', '_')}.py")
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().strip('"')


if __name__ == "__main__":
    main()

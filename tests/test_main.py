"""`minibert COMMAND ...`: what it lists, which file answers, and what it calls itself."""

import subprocess
import sys
from importlib import import_module

import pytest
import script_runs

import minibert
from minibert.__main__ import COMMANDS, main, module_name

TYPED = {"/usr/local/bin/minibert": "minibert", "/site-packages/minibert/__main__.py": "python -m minibert"}


@pytest.fixture
def call(capsys, monkeypatch):
    """Run `main` as if it had been typed: exit code, standard output, standard error."""

    def call(*arguments: str, program: str = "/usr/local/bin/minibert") -> script_runs.Ending:
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return script_runs.Ending(stop.value.code or 0, *capsys.readouterr())

    return call


def test_every_command_is_listed_and_has_its_script():
    files = {path.stem for path in (script_runs.ROOT / "minibert" / "commands").glob("*.py")} - {"__init__", "run"}
    scripts = {path.stem for path in (script_runs.ROOT / "scripts").glob("*.py")} - {"benchmark"}
    assert {command.replace("-", "_") for command in COMMANDS} == files == scripts


def test_help_has_a_line_for_each(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    ending = call("--help")
    assert ending.code == 0 and not ending.err
    listed = dict(line.split(maxsplit=1) for line in ending.out.partition("--help of its own:")[2].splitlines()[2:])
    docstrings = {command: import_module(module_name(command)).__doc__ for command in COMMANDS}
    assert listed == {command: docstring.splitlines()[0] for command, docstring in docstrings.items()}
    assert all(line.endswith((".", "?")) for line in listed.values()), "the first line of a docstring is a sentence"


def test_version(call):
    assert call("--version").out == f"minibert {minibert.__version__}\n"


@pytest.mark.parametrize(("program", "typed"), TYPED.items())
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_calls_itself_what_was_typed(call, command, program, typed):
    ending = call(command, "--help", program=program)
    assert ending.code == 0 and ending.out.startswith(f"usage: {typed} {command} [-h]")
    ending = call(command, "--no-such-option", program=program)
    assert ending.code == 2 and f"\n{typed} {command}: error: " in ending.err


def test_a_script_calls_itself_by_its_name(capsys):
    assert script_runs.call(capsys, "pretrain", "--help").out.startswith("usage: pretrain.py [-h]")


@pytest.mark.parametrize(("arguments", "said"), [([], "required: command"), (["fil-mask", "x"], "'fil-mask' (choose")])
def test_no_command(call, arguments, said):
    ending = call(*arguments)
    assert ending.code == 2 and said in ending.err and "Traceback" not in ending.err


def test_bad_input_is_one_line(call):
    assert "no [MASK]" in call("fill-mask", "nothing hidden").only_error


def test_only_the_command_that_was_typed_is_imported():
    """In a process of its own, because this one has them all."""
    program = (
        "import atexit, runpy, sys\n"
        "sys.argv[1:] = ['fill-mask', '--help']\n"
        "jobs = ('minibert.commands.', 'minibert.pretraining', 'minibert.finetuning')\n"
        "atexit.register(lambda: print(sorted(name for name in sys.modules if name.startswith(jobs))))\n"
        "runpy.run_module('minibert', run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script_runs.ROOT).stdout
    assert out.splitlines()[-1] == str([module_name("fill-mask"), "minibert.commands.run"])

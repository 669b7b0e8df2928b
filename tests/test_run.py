"""Exit codes, and the one line that bad input ends in."""

import pytest

from minibert.commands.run import run


def ending(capsys, main):
    """(exit code, what stood on stderr)."""
    with pytest.raises(SystemExit) as stop:
        run(main)
    return stop.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("returned", "code"), [(None, None), (0, 0), (1, 1)])
def test_the_return_value_is_the_exit_code(capsys, returned, code):
    assert ending(capsys, lambda: returned) == (code, "")


@pytest.mark.parametrize("error", [ValueError("bad number"), FileNotFoundError(2, "No such file", "a.txt")])
def test_bad_input_is_one_line(capsys, error):
    assert ending(capsys, raising(error)) == (2, f"error: {error}\n")


def test_a_long_message_is_one_line_too(capsys):
    assert ending(capsys, raising(ValueError("two tensors:\n  a: (2,)\n  b: (3,)"))) == (
        2,
        "error: two tensors: a: (2,) b: (3,)\n",
    )


def test_ctrl_c(capsys):
    code, said = ending(capsys, raising(KeyboardInterrupt()))
    assert code == 130 and said.count("\n") == 1 and "interrupted" in said


def test_ctrl_c_is_told_once(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert ending(capsys, raising(KeyboardInterrupt("saved"))) == (130, "")
    assert ending(capsys, raising(ValueError("too large here"))) == (2, "error: too large here\n")


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(KeyError):
        run(raising(KeyError("a bug")))

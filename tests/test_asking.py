"""What a learner calls in a notebook: check, task, hint and solution."""

import pytest

from minibert.course import check, hint, solution, task
from minibert.course.all_exercises import EXERCISES
from minibert.course.verdict import with_mistakes


def test_a_right_answer_is_called_right(capsys):
    check("bits", 6)
    assert capsys.readouterr().out == "bits: right\n"


def test_each_fault_has_a_line_of_its_own(capsys):
    mistake = EXERCISES["embed"].mistakes[0]
    wrong = with_mistakes(EXERCISES["embed"], mistake)

    def answer(*given):
        given[0][0] = 1
        return wrong(*given)

    check("embed", answer)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("embed: one sentence: wrong values") and all(
        line.startswith("    ") for line in lines[1:]
    )
    assert lines[1].startswith("    overwrites its argument `token_ids`")


def test_nothing_is_not_an_error(capsys):
    check("layer_norm", None)
    assert capsys.readouterr().out == "layer_norm: not written yet\n"


@pytest.mark.parametrize("ask", [task, hint, solution])
def test_what_is_asked_for_is_printed(ask, capsys):
    exercise = EXERCISES["embed"]
    expected = {task: exercise.sheet, hint: exercise.hint, solution: exercise.solution_code}
    ask("embed")
    assert capsys.readouterr().out == f"{expected[ask]}\n"


@pytest.mark.parametrize("ask", [task, hint, solution, lambda name: check(name, 1)])
def test_a_wrong_name_gets_a_right_one(ask):
    with pytest.raises(ValueError, match="no exercise 'layernorm'; did you mean .*'layer_norm'"):
        ask("layernorm")
    with pytest.raises(ValueError, match="no exercise 'zzz'; did you mean one of bits, "):
        ask("zzz")
    with pytest.raises(ValueError, match="no exercise None"):
        ask(None)

"""The engine: an exercise and an answer -> what is wrong with it, and which typical mistake it looks like."""

import ast
import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

from minibert.course.comparison import find_fault, kind, returned_fault
from minibert.course.exercise import Case, Exercise, Mistake
from minibert.course.finished import find_finished
from minibert.course.phrases import Phrase, say

RIGHT, WRONG, OPEN, MISSING = Phrase("right"), Phrase("wrong"), Phrase("not written yet"), Phrase("not in the file")
STATUSES = {str(status): status for status in (RIGHT, WRONG, OPEN, MISSING)}


@dataclass(frozen=True)
class Verdict:
    """What the engine says of an answer.

    status: RIGHT, WRONG, OPEN, or MISSING from the file; in English in any language, so that programs can ask for it.
    faults: what is wrong, a sentence each.
    mistakes: those that it knows and that give just these values.
    note: what could not be looked at.
    language: of faults, mistakes and note.
    """

    exercise: str
    status: str
    points: int
    of: int
    faults: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    note: str = ""
    language: str = "en"

    @property
    def lines(self) -> list[str]:
        """What a learner reads."""
        first = [STATUSES[self.status]] if self.status != WRONG else []
        mistakes = [Phrase("mistake: {says}", says=says) for says in self.mistakes]
        notes = [Phrase("note: {note}", note=self.note)] if self.note else []
        return [say(line, self.language) for line in [*first, *self.faults, *mistakes, *notes]]


def examine(exercise: Exercise, answer: Any) -> Verdict:
    """Try an answer, a function or a number, on all cases of its exercise. Whatever it does, this returns.

    The verdict is in the language of the exercise.
    """
    if answer is None:
        return judged(exercise, OPEN)
    if exercise.is_number:
        return judged(exercise, **examine_number(exercise, answer))
    if not callable(answer):
        return judged(exercise, WRONG, faults=[Phrase("expected a function, found {found}", found=kind(answer))])
    trials = [try_out(exercise, number, answer) for number in range(len(exercise.cases()))]
    if isinstance(trials[0].error, NotImplementedError) or trials[0].found is None and is_stub(answer):
        return judged(exercise, OPEN)
    faults: list[str] = [trial.fault for trial in trials if trial.fault][:1]
    if overwritten := sorted({name for trial in trials for name in trial.overwritten}):
        names = ", ".join(overwritten)
        faults.append(Phrase("overwrites its argument {names}: compute in a new tensor or list instead", names=names))
    finished, note = find_finished(answer, exercise.finished) if exercise.finished else [], ""
    if finished is None:
        note = Phrase("the code of this function cannot be read, so nobody looked whether it uses finished layers")
    elif finished:
        faults.append(Phrase("uses {names}, which is to be written here", names=", ".join(finished)))
    mistakes = recognise(exercise, trials) if any(trial.fault for trial in trials) else []
    return judged(exercise, WRONG if faults else RIGHT, faults, mistakes, note)


def no_such(exercise: Exercise) -> Verdict:
    """Of an answer that is nowhere."""
    return judged(exercise, MISSING)


def judged(
    exercise: Exercise, status: str, faults: list[str] | None = None, mistakes: list[str] | None = None, note: str = ""
) -> Verdict:
    """A verdict, in the language of the exercise."""
    points, language = exercise.difficulty if status == RIGHT else 0, exercise.remarks.language
    faults, mistakes = ([say(text, language) for text in texts or ()] for texts in (faults, mistakes))
    note = say(note, language)
    return Verdict(exercise.name, str(status), points, exercise.difficulty, faults, mistakes, note, language)


def examine_number(exercise: Exercise, answer: Any) -> dict[str, Any]:
    """Without the right number in it."""
    fault = find_fault(answer, exercise.right_answer)
    if fault is None:
        return {"status": RIGHT}
    if "wrong value" not in fault:
        return {"status": WRONG, "faults": [fault]}
    mistakes = [m.says for m in exercise.mistakes if find_fault(answer, m.answer) is None][:1]
    return {
        "status": WRONG,
        "faults": [Phrase("{answer} is not the number", answer=f"{float(answer):.6g}")],
        "mistakes": mistakes,
    }


@dataclass
class Trial:
    """What became of one case."""

    found: Any = None
    error: BaseException | None = None
    fault: str = ""
    overwritten: tuple[str, ...] = ()


def try_out(exercise: Exercise, number: int, answer: Callable) -> Trial:
    """Call an answer with the arguments of one case, and compare with what the solution gives."""
    case, untouched = exercise.cases()[number], exercise.cases()[number]
    expected = exercise.right_answer(*exercise.cases()[number].arguments.values())
    try:
        found = answer(*case.arguments.values())
        fault = returned_fault(found, expected, exercise.parts)
    except (Exception, SystemExit) as error:  # whatever a learner's function may do
        return Trial(error=error, fault=in_case(case, raised(error, answer)))
    return Trial(found, None, in_case(case, fault) if fault else "", overwritten(case, untouched))


def in_case(case: Case, fault: Phrase) -> Phrase:
    return Phrase("{case}: {fault}", case=case.name, fault=fault)


def raised(error: BaseException, answer: Callable) -> Phrase:
    """What a learner's function raises, and where: the last lines of a traceback may be PyTorch's."""
    values = {"kind": type(error).__name__, "error": str(error)}
    if line := line_of(error, answer):
        return Phrase("raises {kind} in line {line}: {error}", line=line, **values)
    return Phrase("raises {kind}: {error}", **values)


def overwritten(case: Case, untouched: Case) -> tuple[str, ...]:
    """The names of the arguments that are no longer what they were."""
    return tuple(
        f"`{name}`"
        for name, value in case.arguments.items()
        if not callable(value) and changed(value, untouched.arguments[name])
    )


def changed(value: Any, before: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() != before.keys() or any(changed(value[key], before[key]) for key in before)
    return find_fault(value, before) is not None


def line_of(error: BaseException, answer: Callable) -> int | None:
    """The line of the learner's code."""
    file = getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def is_stub(answer: Callable) -> bool:
    """Nothing but a docstring, `...` and `pass`."""
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(answer))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    return isinstance(function, ast.FunctionDef) and all(
        isinstance(line, ast.Pass) or isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
        for line in function.body
    )


def recognise(exercise: Exercise, trials: list[Trial]) -> list[str]:
    """The mistake, or else the two mistakes at once, with which the solution would have given just these values."""
    if any(trial.error for trial in trials):
        return []
    for answer, says in wrong_answers(exercise):
        if all(
            is_like(trial.found, answer, case, exercise) for trial, case in zip(trials, exercise.cases(), strict=True)
        ):
            return says
    return []


def wrong_answers(exercise: Exercise) -> Iterator[tuple[Callable, list[str]]]:
    """Functions with one mistake, then functions with two."""
    for mistake in exercise.mistakes:
        yield with_mistakes(exercise, mistake), [mistake.says]
    for one, other in combinations([mistake for mistake in exercise.mistakes if mistake.changes], 2):
        if not one.changes.keys() & other.changes.keys():
            yield with_mistakes(exercise, one, other), [one.says, other.says]


def with_mistakes(exercise: Exercise, *mistakes: Mistake) -> Callable:
    """The function that makes these mistakes."""
    if exercise.variant is None or not mistakes[0].changes:
        return mistakes[0].answer
    return partial(exercise.variant, **{key: value for mistake in mistakes for key, value in mistake.changes.items()})


def is_like(found: Any, answer: Callable, case: Case, exercise: Exercise) -> bool:
    """Does a wrong answer give what was found?"""
    try:
        return returned_fault(found, answer(*case.arguments.values()), exercise.parts) is None
    except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError):  # it breaks on this case
        return False

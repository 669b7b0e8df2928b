"""The course: exercises that answer. `check` an answer, or ask for the `task`, a `hint` or the `solution`."""

from minibert.course.asking import check, hint, solution, task

__all__ = ["check", "hint", "solution", "task"]

"""A file with the tasks of exercises, to write the answers into."""

from collections.abc import Sequence

from minibert.course.all_exercises import EXERCISES

# With all that the solutions use.
HEAD = '''"""Exercises of the course. Write your answers, and have them graded as often as you like:

    minibert grade {file}

The letters in the shapes: B sequences, S positions, T tokens, D hidden size, H heads, K = D / H, F feed-forward size,
V vocabulary, C classes, L layers. The dots say how hard an exercise is, and how many points it gives.
"""

import json
import math
import struct

import torch
import torch.nn.functional as F
from torch import nn
'''


def sheet(names: Sequence[str], file: str) -> str:
    """Python code with a stub for each exercise."""
    parts, notebook = [HEAD.format(file=file)], ""
    for exercise in (EXERCISES[name] for name in names):
        if exercise.notebook != notebook:
            notebook = exercise.notebook
            parts.append(f"# --- Notebook {notebook}\n")
        parts.append(f"{exercise.sheet}\n")
    return "\n\n".join(parts)


def solutions(names: Sequence[str]) -> str:
    """Python code with the solution of each exercise: what a teacher compares with, and has full points."""
    parts = [HEAD.format(file="solutions.py")]
    return "\n\n".join([*parts, *(f"{EXERCISES[name].solution_code}\n" for name in names)])

"""A file with the tasks of exercises, to write the answers into."""

import re
from collections.abc import Sequence
from pathlib import Path

from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import LANGUAGES, in_language

WORDS = {
    "en": """Exercises of the course. Write your answers, and have them graded as often as you like:

    minibert grade {file}

The letters in the shapes: B sequences, S positions, T tokens, D hidden size, H heads, K = D / H, F feed-forward size,
V vocabulary, C classes, L layers. The dots say how hard an exercise is, and how many points it gives.
""",
    "zh": """课程的习题。写好答案，随时可以批改，想批改几次都行：

    minibert grade {file}

形状里的字母：B 是序列数，S 是位置数，T 是词元数，D 是隐藏维度，H 是头数，K = D / H，F 是前馈网络的宽度，
V 是词表大小，C 是类别数，L 是层数。圆点表示难度，有几个实心的，就得几分。
""",
}
NOTEBOOK = {"en": "Notebook {}", "zh": "第 {} 课"}
# A line of a file, which says in what language its answers are spoken of.
LANGUAGE = re.compile(rf"^# language: ({'|'.join(LANGUAGES)})\s*$", re.MULTILINE)
# All that the solutions use.
IMPORTS = """
import json
import math
import struct

import torch
import torch.nn.functional as F
from torch import nn
"""


def sheet(names: Sequence[str], file: str, language: str = "en") -> str:
    """Python code with a stub for each exercise; its words are in "en" or "zh"."""
    parts, notebook = [head(file, language)], ""
    for exercise in (in_language(EXERCISES[name], language) for name in names):
        if exercise.notebook != notebook:
            notebook = exercise.notebook
            parts.append(f"# --- {NOTEBOOK[language].format(notebook)}\n")
        parts.append(f"{exercise.sheet}\n")
    return "\n\n".join(parts)


def head(file: str, language: str) -> str:
    """What a file begins with."""
    return f'"""{WORDS[language].format(file=file)}"""\n# language: {language}\n{IMPORTS}'


def language_of(path: Path) -> str:
    """The language that a file says it is in, "en" if it says none."""
    line = LANGUAGE.search(path.read_text(encoding="utf-8", errors="replace"))
    return line[1] if line else "en"


def solutions(names: Sequence[str]) -> str:
    """Python code with the solution of each exercise: what a teacher compares with, and has full points."""
    parts = [head("solutions.py", "en")]
    return "\n\n".join([*parts, *(f"{EXERCISES[name].solution_code}\n" for name in names)])

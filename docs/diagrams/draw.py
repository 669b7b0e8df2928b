"""Draw all diagrams, in both languages: `python docs/diagrams/draw.py` writes docs/images/diagrams/*.svg.

The words are in words.py, the shapes in model.py and data.py, what they are made of in canvas.py.
"""

from collections.abc import Iterator
from pathlib import Path

import data
import model
from canvas import Canvas
from words import LANGUAGES

FOLDER = Path(__file__).parent.parent / "images" / "diagrams"
DIAGRAMS = (
    model.architecture,
    model.embedding_sum,
    model.attention_heads,
    model.residual_stream,
    data.pairs_and_masking,
    data.pretrain_finetune,
    data.padded_packed,
    data.parameters,
)


def drawn() -> Iterator[tuple[str, Canvas]]:
    """The name of every file, and what is on it."""
    for diagram in DIAGRAMS:
        for suffix, words in LANGUAGES.items():
            yield f"{diagram.__name__.replace('_', '-')}{suffix}.svg", diagram(words)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, canvas in drawn():
        (FOLDER / name).write_text(canvas.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The diagrams in docs/images/diagrams are what docs/diagrams/draw.py draws, and their words stand clear of each other.

`python docs/diagrams/draw.py` draws them anew.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs" / "diagrams"))

import draw  # noqa: E402
import words  # noqa: E402
from canvas import Canvas  # noqa: E402

DRAWN = dict(draw.drawn())


def test_every_diagram_is_there_in_both_languages_and_nothing_else():
    assert len(DRAWN) == 2 * len(draw.DIAGRAMS)
    assert {path.name for path in draw.FOLDER.iterdir()} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_drawing_again_gives_the_same_file(name):
    assert (draw.FOLDER / name).read_bytes() == DRAWN[name].svg().encode(), "run docs/diagrams/draw.py"


@pytest.mark.parametrize("name", DRAWN)
def test_text_is_text(name):
    texts = ElementTree.fromstring(DRAWN[name].svg()).findall("{*}text")
    assert len(texts) == len(DRAWN[name].labels) >= 15


@pytest.mark.parametrize("name", DRAWN)
def test_no_word_touches_another_or_the_edge(name):
    assert touching(DRAWN[name]) == []


def touching(canvas: Canvas) -> list[tuple[str, str]]:
    """Pairs of labels of which one lies over the other, or over the edge of the card."""
    found = []
    for i, (left, top, right, bottom, label) in enumerate(canvas.labels):
        if left < 4 or top < 4 or right > canvas.width - 4 or bottom > canvas.height - 4:
            found.append((label, "the edge"))
        for x0, y0, x1, y1, other in canvas.labels[:i]:
            if left < x1 and x0 < right and top < y1 and y0 < bottom:
                found.append((label, other))
    return found


def test_what_touches_is_found():
    canvas = Canvas(200, 100, "title")
    canvas.text(100, 50, "below")
    canvas.text(110, 55, "above")
    canvas.text(198, 20, "outside")
    assert touching(canvas) == [("above", "below"), ("outside", "the edge")]


def test_a_label_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'much too long for this' is .* pixels wide, and has 34"):
        Canvas(200, 100, "title").box(10, 10, 40, 20, "much too long for this")


def test_every_word_of_the_table_is_used():
    used = set()

    def record(key: str) -> str:
        used.add(key)
        return key

    for diagram in draw.DIAGRAMS:
        diagram(record)
    assert used == set(words.CHINESE)


@pytest.mark.parametrize("suffix", words.LANGUAGES)
def test_a_word_that_the_table_lacks_is_refused(suffix):
    with pytest.raises(KeyError):
        words.LANGUAGES[suffix]("not in the table")


def test_the_parameters_are_those_of_the_model():
    from minibert import BertConfig, BertForPreTraining
    from minibert.model.skeleton import skeleton

    with skeleton():
        total = BertForPreTraining(BertConfig()).num_parameters()
    assert f"BERT-base: {total:,} parameters" in [label for *_, label in DRAWN["parameters.svg"].labels]

"""Sentences: where one ends, what is too long for one, and that no text takes more than a look at each character."""

import pytest

from minibert.text import sentences
from minibert.text.sentences import LONGEST_SENTENCE, PIECE_LENGTH, split_sentences

# Each case is written with a bar where a sentence ends.
SENTENCES = [
    "One ends here. | Another begins.",
    "Really? | Yes! | Well... | So be it.",
    "He waited… | Nothing came.",
    'He said "stop." | She did (at last.) | It was over.',
    "“Is it?” | “It is.”",
    "The price rose to 3.14 dollars. | Version 2.0.1 came out.",
    "Mr. Smith met Dr. J. R. Jones in St. Louis. | They talked.",
    "Tools, e.g. Python or i.e. this one, are free. | Take them.",
    "The U.S. Congress met.",
    "So did I. | He left.",
    "See Fig. 3 and No. 5 on pp. 7 and 8. | He said no. | Then he left.",
    "It was... strange. | What? no way.",
    "In 1999. | The end.",
    "1. The first item of a list.",
    "the end . | The next one , too .",
    "no capitals here. | still two sentences! | or three",
    "¿Qué es? | ¡Nada! | «Bien.» | Así es.",
    "今天很好。| 明天呢？| “不知道！” | 好。",
    "今日は晴れ。| 気温は３．５度｡| 「本当？」| （はい。）| そうです．| 次",
    "यह एक वाक्य है। | यह दूसरा है॥ | तीसरा",
    "هل هذا صحيح؟ | نعم.",
    "ይህ ነው።| ያ ነው፧ | አዎ",
    "no stop at all",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_split_sentences(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    text = marked.replace("| ", "").replace("|", "")
    assert split_sentences(f"  {text}\n") == expected


def test_split_sentences_of_nothing():
    assert split_sentences("") == split_sentences(" \t\n") == []


def test_split_sentences_loses_no_character():
    text = "A. B! C? (D.) 'E.' F... G. h. 1.5 i.e. J... 好。K. " * 50
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


# --- what is too long, and what is long to read


def test_text_without_stops_is_cut_into_pieces():
    words = [f"word{i}" for i in range(2000)]
    pieces = split_sentences(" ".join(words))
    assert [word for piece in pieces for word in piece.split()] == words
    assert all(PIECE_LENGTH - 10 < len(piece) <= PIECE_LENGTH for piece in pieces[:-1])
    longest = "A " * (LONGEST_SENTENCE // 2 - 2) + "BBB."
    assert split_sentences(f"{longest} More.") == [longest, "More."]
    assert len(split_sentences(f"A{longest} More.")) > LONGEST_SENTENCE // PIECE_LENGTH
    assert split_sentences(f"A b.{' ' * LONGEST_SENTENCE}More.") == ["A b.", "More."]  # blanks are no text


@pytest.mark.parametrize("letter", ["字", "ก", "x"])
def test_text_without_blanks_is_cut_as_well(letter):
    pieces = split_sentences(f" {letter * (10 * PIECE_LENGTH + 7)}。end")
    assert [len(piece) for piece in pieces] == [PIECE_LENGTH] * 10 + [8, 3]


def test_no_character_of_long_text_is_lost():
    for text in ("ab cd\t" * 1500, "x" * 9000 + " y" * 900, "  " * 3000 + "a " * 3000, "...a" * 2000):
        pieces = split_sentences(text)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert max(map(len, pieces)) <= LONGEST_SENTENCE and pieces == [piece.strip() for piece in pieces]


@pytest.mark.parametrize("run", [".", "?!", "…", "。", ".'", ". ", ".)))", ".   ", "a.", ".。"])
def test_every_stop_is_looked_at_once(run):
    """What the pattern has begun, it takes: its matches lie side by side, so the text's length bounds the work."""
    text = run * 1000
    spans = [match.span() for match in sentences._STOP.finditer(text)]
    assert sum(end - start for start, end in spans) == len(text.replace("a", ""))


def test_a_run_of_stops_takes_one_look(monkeypatch):
    looks = []
    monkeypatch.setattr(sentences, "_ends_sentence", lambda *arguments: looks.append(1))
    for text in ("." * 30_000, "x" + "." * 30_000 + "x", "?" * 30_000 + " X"):
        looks.clear()
        split_sentences(text)
        assert len(looks) == 1

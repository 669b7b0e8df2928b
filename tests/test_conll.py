"""CoNLL's files: columns, comments that are no words, and words that look like comments."""

import pytest

from minibert.finetuning.conll import read_conll

CONLL = """-DOCSTART- -X- O

The DT B-NP
interpreter NN I-NP
reads VBZ B-VP

It PRP B-NP
stops\tVBZ\tB-VP
. . O
"""


def read(path, text, *columns):
    path.write_text(text, encoding="utf-8")
    return read_conll(path, *columns)


def words_of(tagged):
    return [sentence.words for sentence in tagged.sentences]


def test_columns(tmp_path):
    found = read(tmp_path / "a.txt", CONLL)
    first, second = found.sentences
    assert (first.words, first.tags, first.lines) == (
        ["The", "interpreter", "reads"],
        ["B-NP", "I-NP", "B-VP"],
        [3, 4, 5],
    )
    assert second.words == ["It", "stops", "."]
    assert (found.word_column, found.tag_column, found.n_columns, found.n_passed_over) == (1, 3, 3, 0)
    assert found.tags == ["B-NP", "B-VP", "I-NP", "O"]
    found = read(tmp_path / "a.txt", CONLL, 3, 2)
    assert found.sentences[0].words == ["B-NP", "I-NP", "B-VP"] and found.sentences[0].tags == ["DT", "NN", "VBZ"]


COMMENTS = {
    "before sentences": ("# a comment\nThe O\n\n# one more, and\n# another\nlist B-X\n", 3),
    "with as many columns": ("# sent_id = 1\nThe _ _ O\n\n# sent_id = 2\nlist _ _ B-X\n", 2),
    "with as many columns and a sign": ("# id 5239 domain=en\nThe _ _ O\n\n# id 17 domain=en\nlist _ _ B-X\n", 2),
    "alone": ("# a licence\n# of two lines\n\nThe O\n\nlist B-X\n\n# the end\n", 3),
    "without a blank": ("#id\nThe O\n\n#id\nlist B-X\n", 2),
    "none": ("The O\n\nlist B-X\n", 0),
}


@pytest.mark.parametrize("name", COMMENTS)
def test_comments_are_passed_over(tmp_path, name):
    text, count = COMMENTS[name]
    found = read(tmp_path / "a.txt", text)
    assert words_of(found) == [["The"], ["list"]] and found.tags == ["B-X", "O"] and found.n_passed_over == count


def test_a_word_may_be_the_sign_of_a_comment(tmp_path):
    """As in the Wall Street Journal, where it stands for pounds, also at the beginning of a sentence."""
    text = "about IN B-PP\n# # B-NP\n5 CD I-NP\n\n# # B-NP\n7 CD I-NP\n#tags NNS I-NP\n"
    assert words_of(read(tmp_path / "a.txt", text)) == [["about", "#", "5"], ["#", "7", "#tags"]]


def test_other_white_space_is_a_word(tmp_path):
    found = read(tmp_path / "a.txt", "The\tO\r\n\u00a0\tO\r\n\u2009 B-X\r\n \t\r\nlist\tO\r\n")
    assert words_of(found) == [["The", "\u00a0", "\u2009"], ["list"]]


CONLL_U = """# text = Vámonos al mar
1-2\tVámonos\t_\t_
1\tVamos\tir\tVERB
2\tnos\tnosotros\tPRON
"""


def test_numbers_are_no_words(tmp_path):
    with pytest.raises(ValueError, match=r"a\.txt: column 1 holds numbers, not words;.* Pass --text-column .* 1 to 4"):
        read(tmp_path / "a.txt", CONLL_U)
    assert words_of(read(tmp_path / "a.txt", CONLL_U, 2, 4)) == [["Vamos", "nos"]]
    assert words_of(read(tmp_path / "a.txt", "1 O\n2 B-X\n", 1)) == [["1", "2"]]  # whoever says so, has numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("The DT B-NP\nlist NN\n", "line 2: expected 3 columns as in line 1, found 2: list NN"),
        ("# a\nThe DT B-NP\n# b\nlist NN O\n", "line 3: expected 3 columns as in line 2, found 2: # b"),
        ("The\nlist\n", "line 1: expected at least 2 columns, found 1: The"),
        ("\n\n", "no sentence in this file"),
        ("# only\n# comments\n", "no sentence in this file"),
    ],
)
def test_files_that_cannot_be(tmp_path, text, message):
    with pytest.raises(ValueError) as error:
        read(tmp_path / "a.txt", text)
    assert str(error.value).startswith(str(tmp_path / "a.txt")) and message in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.txt: no such file"):
        read_conll(tmp_path / "nowhere.txt")

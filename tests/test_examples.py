"""Labelled files in: columns found by their names, and errors that name file and line."""

import gzip
import json

import pytest

from minibert.finetuning.examples import Columns, read_examples


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path, **options):
    return [(e.text, e.pair, e.label) for e in read_examples(path, Columns(), **options)]


# --- forms


def test_tsv_knows_no_quotes(tmp_path):
    file = write(tmp_path / "a.tsv", "label\ttext\r\n1\t\"Not closed\r\n0\tit 's, fine\r\n")
    assert read(file) == [('"Not closed', None, "1"), ("it 's, fine", None, "0")]


def test_csv_knows_quotes(tmp_path):
    file = write(tmp_path / "a.csv", 'text,label\n"One, ""two""\nand three",yes\nfour,no\n')
    assert read(file) == [('One, "two"\nand three', None, "yes"), ("four", None, "no")]
    assert [e.place for e in read_examples(file, Columns())] == [f"{file}, line {n}" for n in (3, 4)]


def test_jsonl_has_numbers_and_lists(tmp_path):
    rows = [{"text": "a", "label": 3}, {"text": "b", "label": ["x", "y"]}, {"text": "c", "label": []}]
    file = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    assert read(file) == [("a", None, "3"), ("b", None, ["x", "y"]), ("c", None, [])]


def test_gzip_and_byte_order_mark(tmp_path):
    file = write(tmp_path / "a.tsv.gz", gzip.compress("\ufefftext\tlabel\na\tb\n".encode()))
    assert read(file) == [("a", None, "b")]


def test_plain_text_without_labels(tmp_path):
    file = write(tmp_path / "a.txt", "One sentence.\n\nAnother one.\n")
    assert read(file, labelled=False) == [("One sentence.", None, None), ("Another one.", None, None)]
    with pytest.raises(ValueError, match=r"a\.txt: expected a \.tsv, \.csv or \.jsonl file"):
        read(file)


def test_long_fields(tmp_path):
    """Longer than the 131,072 characters that the library allows by itself."""
    article = "a word " * 30_000
    for name, separator in (("a.tsv", "\t"), ("a.csv", ",")):
        file = write(tmp_path / name, f"text{separator}label\n{article}{separator}x\n")
        assert read(file) == [(article.strip(), None, "x")]


def test_blanks_around_names_and_fields(tmp_path):
    file = write(tmp_path / "a.csv", ' label , "text",\tother\nx, "One, two", y\n z , three,4\n')
    assert read(file) == [("One, two", None, "x"), ("three", None, "z")]
    file = write(tmp_path / "a.tsv", " label \ttext\t text_pair\nx\tone\ttwo\n")
    assert read(file) == [("one", "two", "x")]


def test_a_pair_that_the_first_line_lacks(tmp_path):
    """What a line of JSON lacks is missed there, and not in all that follow."""
    rows = [{"text": "a", "label": 1}, {"text": "b", "text_pair": "c", "label": 2}]
    file = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1: expected a text in the column text_pair, found None"):
        read(file)
    file = write(tmp_path / "b.jsonl", "\n".join(json.dumps(row) for row in (rows[1], {**rows[0], "text_pair": "d"})))
    assert read(file) == [("b", "c", "2"), ("a", "d", "1")]


@pytest.mark.parametrize("name", ["a.txt", "a.json"])
def test_json_is_not_taken_for_text(tmp_path, name):
    file = write(tmp_path / name, '{"text": "One."}\n{"text": "Two."}\n')
    with pytest.raises(
        ValueError, match=r"expected (lines of )?text, found a (JSON object|\.json file)\. Make it a \.jsonl"
    ):
        read(file, labelled=False)


def test_nan_is_a_word_in_a_table_and_nothing_in_json(tmp_path):
    assert read(write(tmp_path / "a.tsv", "text\tlabel\na\tNaN\nb\t1\n")) == [("a", None, "NaN"), ("b", None, "1")]
    file = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1.0}\n{"text": "b", "label": NaN}\n')
    with pytest.raises(ValueError, match=r"line 2: expected a label in the column label, found nan"):
        read(file)


# --- columns


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("label text", ("t", None, "l")),
        ("label text text_pair", ("t", "p", "l")),
        ("score sentence1 sentence2", ("t", "p", "l")),
        ("question1 question2 label", ("t", "p", "l")),
        ("premise hypothesis label", ("t", "p", "l")),
        ("question sentence label", ("t", "p", "l")),
        ("question label", ("t", None, "l")),
        ("idx sentence label", ("t", None, "l")),
    ],
)
def test_columns_are_found(tmp_path, header, expected):
    names = header.split()
    kinds = {"label": "l", "score": "l", "idx": "i"}
    texts = iter("tp")
    kinds |= {name: next(texts) for name in names if name not in kinds}
    file = write(tmp_path / "a.tsv", "\t".join(names) + "\n" + "\t".join(kinds[n] for n in names) + "\n")
    assert read(file) == [expected]


def test_chosen_columns_win(tmp_path):
    file = write(tmp_path / "a.tsv", "text\ttext_pair\tlabel\tbody\ttopic\na\tb\tc\td\te\n")
    (example,) = read_examples(file, Columns(text="body", label="topic"))
    assert (example.text, example.pair, example.label) == ("d", None, "e")
    (example,) = read_examples(file, Columns(text="body", pair="text"))
    assert (example.text, example.pair, example.label) == ("d", "a", "c")


def test_separated_labels(tmp_path):
    file = write(tmp_path / "a.tsv", "text\tlabels\na\tx, y\nb\t\nc\ty\n")
    examples = read_examples(file, Columns(label_separator=","))
    assert [e.label for e in examples] == [["x", "y"], [], ["y"]]
    file = write(tmp_path / "a.jsonl", "".join(f'{{"text": "a", "label": {x}}}\n' for x in ('"x,y"', 0, "null", '" "')))
    examples = read_examples(file, Columns(label_separator=","))
    assert [e.label for e in examples] == [["x", "y"], ["0"], [], []]
    file = write(tmp_path / "a.jsonl", '{"text": "a", "label": NaN}\n')
    with pytest.raises(ValueError, match="line 1: expected a label in the column label, found nan"):
        read_examples(file, Columns(label_separator=","))


# --- errors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "no examples in this file"),
        ("a.tsv", "text\tlabel\n", "no examples in this file"),
        ("a.csv", "text,label, text \na,b,c\n", "line 1: two columns are called text; rename one of them"),
        ("a.tsv", "text\tlabel\tlabel\na\tb\tc\n", "line 1: two columns are called label; rename one of them"),
        ("a.tsv", "text\tlabel\na\tb\nc\n", "line 3: expected 2 fields as in the header (text, label), found 1"),
        ("a.tsv", "text\tlabel\na\tb\tc\n", "line 2: expected 2 fields as in the header (text, label), found 3"),
        ("a.tsv", "text\tlabel\na\tb\n \tc\n", "line 3: the text in the column text is empty"),
        ("a.tsv", "text\tlabel\na\t\n", "line 2: expected a label in the column label, found ''"),
        ("a.tsv", "body\tlabel\na\tb\n", "which column is the text? Pass --text-column with one of body, label"),
        ("a.tsv", "text\ttopic\na\tb\n", "which column is the label? Pass --label-column with one of text, topic"),
        ("a.tsv", b"text\tlabel\na\tb\n\xff\tc\n", "line 3: not UTF-8"),
        ("a.csv", 'text,label\na,b\n"c,d\n', "line 3: unexpected end of data; is a quote not closed?"),
        ("a.csv", "text,label\na\rb,c\n", "line 2: a carriage return in a line; remove it"),
        ("a.csv", "text;label\na;b\n", "line 1: expected commas between the columns of a .csv file, found none: text;"),
        ("a.tsv", "text,label\na,b\n", "line 1: expected tabs between the columns of a .tsv file, found none: text,"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', "line 2: not JSON"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"label": 1}\n',
            "line 2: expected a text in the column text, found None",
        ),
        ("a.jsonl", '{"text": "a", "label": null}\n', "line 1: expected a label in the column label, found None"),
        ("a.jsonl", '{"text": 5, "label": 1}\n', "line 1: expected a text in the column text, found 5"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    file = write(tmp_path / name, content)
    with pytest.raises(ValueError) as error:
        read(file)
    assert str(error.value).startswith(str(file)) and message in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.tsv: no such file"):
        read(tmp_path / "nowhere.tsv")


@pytest.mark.parametrize("option", ["text", "pair", "label"])
def test_a_column_that_is_not_there(tmp_path, option):
    file = write(tmp_path / "a.tsv", "text\tlabel\na\tb\n")
    with pytest.raises(ValueError, match=f"--{option}-column body: no such column, only text, label"):
        read_examples(file, Columns(**{option: "body"}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(pair="text"), "the column text would be both the text and the pair; pass --text-column and"),
        (Columns(label="text"), "the column text would be both the text and the label"),
        (Columns(text="label"), "the column label would be both the text and the label"),
        (Columns(pair="label"), "the column label would be both the pair and the label"),
    ],
)
def test_a_column_has_one_meaning(tmp_path, columns, message):
    file = write(tmp_path / "a.tsv", "text\tlabel\tbody\na\tb\tc\n")
    with pytest.raises(ValueError, match=message):
        read_examples(file, columns)


def test_options_without_a_meaning():
    Columns(text="a").refuse("questions", "pair", "label", "label_separator")
    with pytest.raises(ValueError, match="^--text-column: has no meaning for questions; leave it out$"):
        Columns(text="a").refuse("questions", "pair", "text")
    with pytest.raises(ValueError, match="^--label-separator: has no meaning for tagging; leave it out$"):
        Columns(label_separator=",").refuse("tagging", "label_separator")


def test_json_is_not_taken_for_texts(tmp_path):
    file = write(tmp_path / "a.txt", '\n{"text": "a"}\n')
    with pytest.raises(
        ValueError, match=r"a\.txt, line 2: expected text, found a JSON object\. Make it a \.jsonl file"
    ):
        read(file, labelled=False)


def test_a_pair_that_must_be_there(tmp_path):
    file = write(tmp_path / "a.tsv", "text\tscore\na\t1\n")
    with pytest.raises(ValueError, match="which column is the pair"):
        read(file, paired=True)

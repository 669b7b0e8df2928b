"""Lines: no advice about an encoding loses a character, long lines come in parts, and JSON is told from text."""

import codecs
import gzip
import json
import subprocess

import pytest

from minibert.text.lines import (
    CorpusError,
    decoded_lines,
    is_jsonl,
    numbered_lines,
    parse_record,
    refuse_structured,
)

TEXT = "“Café” – 5 €…"  # what Windows-1252 has and Latin-1 has not


def read(path, content, **options):
    path.write_bytes(content)
    return list(numbered_lines(path, **options))


# --- encodings


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_utf8(tmp_path, mark, end):
    content = mark + f"{TEXT}{end}two{end}".encode()
    expected = [(1, TEXT + end), (2, f"two{end}")]
    assert read(tmp_path / "a.txt", content) == read(tmp_path / "a.gz", gzip.compress(content)) == expected


@pytest.mark.parametrize(
    ("encoding", "converter"),
    [
        ("cp1252", "WINDOWS-1252"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
    ],
)
def test_the_advice_loses_no_character(tmp_path, encoding, converter):
    text = f"first\n{TEXT}\n"
    old, new = tmp_path / "old.txt", tmp_path / "utf8-old.txt"
    with pytest.raises(CorpusError, match=f"not UTF-8 .*iconv -f {converter} -t UTF-8 < {old} > {new}"):
        read(old, text.encode(encoding))
    converted = (tmp_path / "old.txt").read_bytes().decode(converter).encode()  # as iconv does
    assert [line for _, line in read(tmp_path / "new.txt", converted)] == ["first\n", f"{TEXT}\n"]


@pytest.mark.parametrize("content", ["é\n".encode() + b"\xe9\n", "é ".encode() + b"\xe9\n"])
def test_a_broken_place_in_utf8_is_not_to_be_converted(tmp_path, content):
    with pytest.raises(CorpusError, match=r"line [12]: not UTF-8 .* mend this place alone") as error:
        read(tmp_path / "a.txt", content)
    assert "iconv" not in str(error.value)


def test_the_advice_can_be_typed(tmp_path):
    file = tmp_path / "it's old.txt.gz"
    with pytest.raises(CorpusError) as error:
        read(file, gzip.compress(TEXT.encode("cp1252")))
    command = str(error.value).partition("Windows: ")[2].partition("; other")[0]
    subprocess.run(command, shell=True, check=True)
    assert list(numbered_lines(tmp_path / "utf8-it's old.txt")) == [(1, TEXT)]
    with pytest.raises(CorpusError, match=r"standard input, line 1: .* iconv -f WINDOWS-1252 -t UTF-8; other"):
        list(decoded_lines("standard input", [(1, b"\xe9")]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\n\xe9\n", r"line 2: not UTF-8 \(byte 0xe9 at its beginning\)\. Convert it first\. Western .*GB18030"),
        (b"\xef\xbb\xbfgood \xff\n", r"line 1: not UTF-8 \(byte 0xff after 'good '\)"),
        (gzip.compress(b"good", mtime=0), r"line 1: not UTF-8 .*It is compressed: give it a name that ends in \.gz"),
        (b"%PDF\0\xff\n", r"line 1: not UTF-8 .*If it is text at all"),
        (b"g\0o\0\n\0", r"line 1: not UTF-8 \(zero bytes\)"),
        (b"one\rtwo\r", r"line 1: lines end in CR alone.*tr '\\r' '\\n'"),
    ],
)
def test_what_is_no_utf8_is_named(tmp_path, content, message):
    with pytest.raises(CorpusError, match=rf"a\.txt, {message}"):
        read(tmp_path / "a.txt", content)


def test_a_lone_carriage_return_is_a_blank(tmp_path):
    assert read(tmp_path / "a.txt", b"one\rtwo\nthree\r\r\n") == [(1, "one\rtwo\n"), (2, "three\r\r\n")]


def test_a_missing_file_is_named_once(tmp_path):
    with pytest.raises(CorpusError, match=r"^[^\[]*nowhere\.txt: cannot be read \(No such file or directory\)\.$"):
        list(numbered_lines(tmp_path / "nowhere.txt"))


# --- long lines


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("longest", [5, 8, 11, 64])
def test_long_lines_come_in_parts(tmp_path, longest, end):
    lines = ["short", "a longer line of words", "字" * 20, "", "é" * 7 + " " + "𝄞" * 9]
    found = read(tmp_path / "a.txt", "\n".join(lines).encode() + end, longest=longest)
    for number, line in enumerate(lines, start=1):
        parts = [text for n, text in found if n == number]
        assert "".join(parts).rstrip("\n") == line
        assert all(len(part.encode()) < 2 * longest for part in parts)
    words = [part for n, part in found if n == 2]
    assert longest < 11 or all(part.endswith((" ", "words", "\n")) for part in words)  # cut between words


# --- JSON


def test_names_of_json_lines():
    assert all(map(is_jsonl, ("a.jsonl", "b/A.JSONL.gz"))) and not any(map(is_jsonl, ("a.jsonl/b.txt", "a.json")))


@pytest.mark.parametrize("line", ["{", "[" * 100_000, '{"a": 1} {', "text"])
def test_what_is_no_json(line):
    with pytest.raises(CorpusError, match=r"file, line 3: not JSON"):
        parse_record("file", 3, line)


@pytest.mark.parametrize("line", [r'{"a": "Nice \ud83d."}', r'{"a": ["\\n", {"\udc00": 1}]}'])
def test_half_of_a_character(line):
    with pytest.raises(CorpusError, match=r"file, line 3: \\ud[8c]3?[d0]0? is half of a character.*Remove it"):
        parse_record("file", 3, line)


def test_a_whole_character_in_two_escapes():
    assert parse_record("file", 3, r'{"a": "\ud83d\ude00 \u00e9"}') == {"a": "😀 é"}


@pytest.mark.parametrize("line", ['{"a": 1, "b": 2, "a": 1}', '{"b": {"a": 1, "a": 2}}'])
def test_a_field_that_is_there_twice(line):
    with pytest.raises(CorpusError, match=r"file, line 3: not JSON \(two fields are called 'a'; rename one of them\)"):
        parse_record("file", 3, line)


@pytest.mark.parametrize("line", [' {"text": "a"}\n', "{}", json.dumps({"text": "é"})])
def test_json_is_not_taken_for_text(line):
    with pytest.raises(CorpusError, match=r"^a\.txt, line 1: expected text, found a JSON object\. Do so\.$"):
        refuse_structured("a.txt", 1, line, "Do so.")


@pytest.mark.parametrize("name", ["a.json", "A.CSV", "a.tsv.gz"])
def test_tables_are_not_taken_for_text(name):
    with pytest.raises(CorpusError, match=r"expected lines of text, found a \.(json|csv|tsv) file\. Do so\."):
        refuse_structured(name, 1, "text", "Do so.")


@pytest.mark.parametrize("line", ["{3}", "{'a': 1}", '["a"]', "{" * 100_000, "", "A {set}."])
def test_text_may_look_like_json(line):
    refuse_structured("a.txt", 1, line, "Do so.")

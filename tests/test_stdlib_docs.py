"""Python's own documentation: complete, clean, deterministic, and never imported."""

import sysconfig

import pytest

from minibert.text import stdlib_docs
from minibert.text.stdlib_docs import prose_paragraphs, python_documentation


@pytest.fixture(scope="module")
def documents(stdlib_modules):
    return list(python_documentation(stdlib_modules))


def test_size(documents):
    words = sum(len(sentence.split()) for document in documents for sentence in document)
    assert 200_000 < words < 450_000
    assert len(documents) > 400


def test_both_sources_are_there(documents):
    sentences = {sentence for document in documents for sentence in document}
    assert "The raise statement is used to raise an exception." in sentences or any(
        sentence.startswith("A list comprehension") for sentence in sentences
    )
    assert "Wrap a single paragraph of text, returning a list of wrapped lines." in sentences  # textwrap.wrap


def test_it_is_english(documents):
    sentences = [sentence for document in documents for sentence in document]
    for noise in [">>>", "::=", "====", "----", "``", "\n"]:
        assert not any(noise in sentence for sentence in sentences), noise
    words = " ".join(sentences).lower().split()
    assert words.count("the") > 0.04 * len(words)
    assert sum(word.strip(".,;:()").isalpha() for word in words) > 0.85 * len(words)


PAGE = """
The "raise" statement
*********************

   raise_stmt ::= "raise" [expression ["from" expression]]

If no expressions are present, "raise" re-raises the exception
that is *currently* being handled.

* The first item of a list
  goes over two lines.

* The **second** one has ``code`` and :class:`~module.Name` in it.

   for x in f(range(10)):
       print("this is an example", x)

   object.__init__(self[, ...])

      Called after the instance has been created [1].

   >>> this is the example of a prompt
"""


def test_prose_paragraphs():
    assert prose_paragraphs(PAGE) == [
        "If no expressions are present, raise re-raises the exception that is currently being handled.",
        "The first item of a list goes over two lines.",
        "The second one has code and module.Name in it.",
        "Called after the instance has been created.",
    ]


def test_modules_are_parsed_not_imported(tmp_path, monkeypatch):
    files = {
        "b.py": '"""The last module of them all."""\nraise SystemExit("imported")\n',
        "a.py": (
            '"""The text of the first module.\n\nIt has two paragraphs, and this is one. And more."""\n'
            "class A:\n    '''This is the class of it.'''\n"
            "    async def f(self):\n        '''This is the method of it.'''\n"
            "try:\n    pass\nexcept ImportError:\n    def g():\n        '''The text of the first module.'''\n"
        ),
        "broken.py": '"""This is the text of a broken file."""\ndef',
        "bytes.py": b'"""This is not in UTF-8: \xe9."""\n',
        "test/c.py": '"""This is a test and not of interest."""\n',
        "site-packages/d.py": '"""This is the package of another."""\n',
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(stdlib_docs, "_topics", lambda: iter(["This is the page of a topic."]))
    assert list(python_documentation()) == [
        ["This is the page of a topic."],
        [
            "The text of the first module.",
            "It has two paragraphs, and this is one.",
            "And more.",
            "This is the class of it.",
            "This is the method of it.",
        ],
        ["The last module of them all."],
    ]

"""Exercises of notebook 0."""

from minibert.course.exercise import Case, Exercise, Mistake


def mark(a, b):
    return ["[CLS]", *a, "[SEP]", *b, "[SEP]"]


def hide(text, word):
    words = text.split(" ")
    words[words.index(word)] = "[MASK]"
    return " ".join(words)


def _pairs() -> list[Case]:
    return [
        Case("two short sentences", {"a": ["it", "is", "."], "b": ["is", "it", "?"]}),
        Case("an empty second one", {"a": ["it"], "b": []}),
    ]


def _texts() -> list[Case]:
    return [
        Case("once", {"text": "The file is opened", "word": "file"}),
        Case("inside of another word first", {"text": "a profile of a file", "word": "file"}),
        Case("twice", {"text": "no is no", "word": "no"}),
    ]


def _hide_all(text, word):
    return " ".join("[MASK]" if other == word else other for other in text.split(" "))


EXERCISES = (
    Exercise(
        name="bits",
        notebook="0",
        difficulty=1,
        minutes=2,
        task="A model gives the right word a probability of 1/64. By how many bits is it surprised?",
        hint="How often must 1 be halved until it is 1/64?",
        solution="6",
        mistakes=(
            Mistake("that is in the unit of the natural logarithm; bits need the logarithm to the base 2", 4.1588831),
            Mistake("surprise is minus the logarithm: it is never negative", -6),
        ),
    ),
    Exercise(
        name="mark",
        notebook="0",
        difficulty=1,
        minutes=4,
        task="Put the marks into two lists of tokens, and return one list: `[CLS]`, the tokens of `a`, `[SEP]`, "
        "the tokens of `b`, `[SEP]`.",
        hint="Lists are added with `+`, or put into another one with a star: `[1, *others]`.",
        solution=mark,
        cases=_pairs,
        mistakes=(
            Mistake("the last [SEP] is missing", lambda a, b: mark(a, b)[:-1]),
            Mistake("[CLS] is missing", lambda a, b: mark(a, b)[1:]),
            Mistake(
                "[CLS] stands in front of the whole, only once", lambda a, b: [*mark(a, [])[:-1], *mark(b, [])[:-1]]
            ),
            Mistake("the two lists are put in as lists; put in their tokens", lambda a, b: mark([a], [b])),
        ),
    ),
    Exercise(
        name="hide",
        notebook="0",
        difficulty=2,
        minutes=6,
        task="Hide the first occurrence of a word in a text: *The file is opened* and *file* give *The [MASK] "
        "is opened*. Words are separated by spaces. *profile* is another word than *file*.",
        hint='`text.split(" ")` gives a list of words, and a list has the method `index`.',
        solution=hide,
        cases=_texts,
        mistakes=(
            Mistake("the word is found inside of another one", lambda text, word: text.replace(word, "[MASK]", 1)),
            Mistake("the word is found inside of another one", lambda text, word: text.replace(word, "[MASK]")),
            Mistake("only the first occurrence is to be hidden", _hide_all),
        ),
    ),
)

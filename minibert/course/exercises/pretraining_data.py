"""Exercises of notebook 5."""

from minibert.course.exercise import Case, Exercise, Mistake


def words_of(tokens):
    starts = [i for i, token in enumerate(tokens) if not token.startswith("##")]
    return [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]


def truncate(a, b, limit):
    a, b = list(a), list(b)
    while len(a) + len(b) > limit:
        (a if len(a) > len(b) else b).pop()
    return a, b


def _truncate(a, b, limit, *, ties=0, end=-1):
    a, b = list(a), list(b)
    while len(a) + len(b) > limit:
        (a if len(a) + ties > len(b) else b).pop(end)
    return a, b


def _sentences() -> list[Case]:
    return [
        Case("whole words", {"tokens": ["the", "file", "."]}),
        Case("with pieces", {"tokens": ["un", "##open", "##able", "file", "##s", "."]}),
    ]


def _pieces(tokens):
    return [[tokens[i] for i in word] for word in words_of(tokens)]


def _pairs() -> list[Case]:
    pairs = {
        "a is longer": ([1, 2, 3], [4], 3),
        "equally long": ([1, 2], [3, 4], 3),
        "b is longer": ([1], [2, 3, 4, 5], 2),
    }
    pairs["nothing to do"] = ([1], [2], 2)
    return [Case(name, {"a": list(a), "b": list(b), "limit": limit}) for name, (a, b, limit) in pairs.items()]


EXERCISES = (
    Exercise(
        name="masked_tokens",
        notebook="5",
        difficulty=1,
        minutes=3,
        task="How many tokens of a sequence of 512 tokens become `[MASK]`, on average? (`round(0.15 * 512)` are "
        "chosen.)",
        hint="Not every chosen token becomes `[MASK]`.",
        solution="round(0.15 * 512) * 0.8",
        mistakes=(
            Mistake("so many are chosen; of these, 80 % become [MASK]", answer=77),
            Mistake("so many are chosen; of these, 80 % become [MASK]", answer=76.8),
            Mistake("the number of chosen tokens is rounded first", answer=61.44),
        ),
    ),
    Exercise(
        name="words_of",
        notebook="5",
        difficulty=2,
        minutes=8,
        task='Group pieces into words: `["un", "##open", "file"]` gives `[[0, 1], [2]]`. (Hiding whole words is '
        "harder and teaches more: `whole_word_masking=True` does it.)",
        hint="A word begins at each token that does not start with `##`.",
        solution=words_of,
        cases=_sentences,
        mistakes=(
            Mistake("these are the pieces; return their positions", _pieces),
            Mistake("every piece is a word of its own here", lambda tokens: [[i] for i in range(len(tokens))]),
            Mistake("the last word is missing", lambda tokens: words_of(tokens)[:-1]),
        ),
    ),
    Exercise(
        name="truncate",
        notebook="5",
        difficulty=2,
        minutes=8,
        task="Truncate a pair of lists as the released code does: as long as both together have more than "
        "`limit` tokens, drop one from the longer list (from `b` if they are equally long), here always at "
        "its end. Return both.",
        hint="A `while` loop. Copy the lists first (`list(a)`): who called you may need them.",
        solution=truncate,
        cases=_pairs,
        variant=_truncate,
        parts=("a", "b"),
        mistakes=(
            Mistake("if both are equally long, b loses a token", changes={"ties": 1}),
            Mistake("tokens are dropped at the end", changes={"end": 0}),
            Mistake("only one of the lists is cut", lambda a, b, limit: (a[: max(0, limit - len(b))], b)),
            Mistake("only one of the lists is cut", lambda a, b, limit: (a, b[: max(0, limit - len(a))])),
            Mistake("each list is cut to half of the limit", lambda a, b, limit: (a[: limit // 2], b[: limit // 2])),
        ),
    ),
)

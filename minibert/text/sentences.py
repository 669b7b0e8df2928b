"""A paragraph becomes sentences: by a rule that needs no model, and in time that grows with the text alone."""

import re

# Characters. What is longer and holds no stop is no sentence but text without stops, a table, a list of words: nothing
# that is worth keeping together. Of such text, pieces as long as long sentences are made, about 50 tokens of English.
LONGEST_SENTENCE = 2_000
PIECE_LENGTH = 250

# Stops, what may close after them, and white space. Nothing here can fail once it has begun (`++` and `*+` give nothing
# back), so a run of stops is read once, however long it is. The second kind never stands inside a sentence, and often
# without white space after it: the stops of Chinese and Japanese, and of other scripts of Asia and Africa.
_STOP = re.compile(
    r"""(?P<stop>[.!?…]++) ["'”’»)\]]*+ (?P<space>\s*+)
    | (?:[。｡！？؟۔।॥։።፧။។៕]|．(?!\d))++ [」』”’）》】)\]]*+ \s*+""",
    re.VERBOSE,
)

_OPENERS = "\"'“‘«([¿¡ "

# Words whose full stop belongs to them and after which a capital is common: initials ("J. Smith", but not
# "I"), dotted letters ("U.S.", "e.g."), titles, names of months.
_ABBREVIATION = re.compile(
    r"""[a-hj-z] | (?:\w\.)+\w | mr | mrs | ms | dr | prof | st | gen | sen | rep | gov | capt | col | lt
    | sgt | adm | maj | rev | hon | pres | messrs | mme | mlle | jr | sr | vs | cf | viz | al | eds? | dept
    | univ | mt | ft | jan | feb | mar | apr | aug | sept? | oct | nov | dec""",
    re.VERBOSE | re.IGNORECASE,
)
# Words that are abbreviations only before a number ("No. 5", but "He said no. Then ...").
_BEFORE_NUMBER = re.compile(r"nos?|vols?|pp?|figs?|ch|chap|sec|art|eq", re.IGNORECASE)

# As many characters as are allowed, up to white space; of a longer word, a part.
_PIECE = re.compile(rf"\S(?:.{{0,{PIECE_LENGTH - 1}}}(?!\S)|\S{{0,{PIECE_LENGTH - 1}}})", re.DOTALL)


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph into its sentences, without the white space around them.

    The rule: a sentence ends at `.`, `!`, `?` or an ellipsis (with closing quotes or brackets) before white
    space, unless what follows begins in lower case, or the full stop belongs to an abbreviation, an initial,
    or the number of a list item. In a paragraph without any capital letter, lower case may begin a sentence.
    The stops of Chinese, Japanese, Hindi, Amharic and others always end one. It is wrong now and then ("at 5 p.m. He
    left" stays whole): the recipe only needs sentences, not perfect ones. More than `LONGEST_SENTENCE` characters
    without a stop are cut into pieces of `PIECE_LENGTH`.
    """
    lowercase_begins = paragraph.islower()
    sentences: list[str] = []
    start = 0
    for match in _STOP.finditer(paragraph):
        if match["stop"] and not _ends_sentence(paragraph, start, match, lowercase_begins):
            continue
        _add(sentences, paragraph[start : match.end()])
        start = match.end()
    _add(sentences, paragraph[start:])
    return sentences


def _add(sentences: list[str], text: str) -> None:
    """Append what stands between two stops: one sentence, none if it is blank, or several pieces."""
    text = text.strip()
    if len(text) > LONGEST_SENTENCE:
        sentences += [piece.rstrip() for piece in _PIECE.findall(text)]
    elif text:
        sentences.append(text)


def _ends_sentence(paragraph: str, start: int, match: re.Match, lowercase_begins: bool) -> bool:
    """Whether stops that may also stand inside a sentence, which began at `start`, end it."""
    if not match["space"]:  # a number, a name of a file; or the end of the paragraph, where all ends
        return False
    following = paragraph[match.end() : match.end() + 8].lstrip(_OPENERS)[:1]
    if following.islower() and not lowercase_begins:
        return False
    before = paragraph[max(start, match.start() - 40) : match.start()]  # enough for the last word
    return not (match["stop"] == "." and _belongs_to_word(before, following))


def _belongs_to_word(before: str, following: str) -> bool:
    """Whether the full stop after `before` is part of its last word rather than the end of a sentence."""
    words = before.rsplit(maxsplit=1)
    if not words or before[-1].isspace():  # tokenized text ("the end . The next"): the stop stands alone
        return False
    word = words[-1].lstrip(_OPENERS)
    is_list_number = len(words) == 1 and word.isdigit()
    if is_list_number or _ABBREVIATION.fullmatch(word):
        return True
    return following.isdigit() and _BEFORE_NUMBER.fullmatch(word) is not None

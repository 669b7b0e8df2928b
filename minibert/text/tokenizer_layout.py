"""How long the rows of a call become, and a backend that makes them so.

The `tokenizers` library keeps truncation and padding as settings of a tokenizer, not as arguments of a call: of two
threads that share one, each would get rows as the other wants them. So the shared one has no such settings. They are
those of copies, one for each layout that was asked for, and a copy is never changed once it is made.
"""

import warnings
from numbers import Integral
from typing import Any, NamedTuple

from tokenizers import Tokenizer

# "No limit", in the number that the reference writes into its files.
NO_LIMIT = int(1e30)

PADDING = {False: None, "do_not_pad": None, True: "longest", "longest": "longest", "max_length": "max_length"}
TRUNCATION = {
    None: None,
    False: None,
    "do_not_truncate": None,
    True: "longest_first",
    "longest_first": "longest_first",
    "only_first": "only_first",
    "only_second": "only_second",
}
SIDES = ("left", "right")

# So many copies are kept: a copy takes a kilobyte or two, for it shares the vocabulary.
KEPT_COPIES = 64


class Layout(NamedTuple):
    """How long the rows become: strategies of padding and truncation, or None, and what they need to know."""

    padding: str | None
    truncation: str | None
    max_length: int | None
    stride: int
    pad_to_multiple_of: int | None
    padding_side: str
    truncation_side: str
    pad_token: str
    pad_token_id: int

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        padding: Any,
        truncation: Any,
        max_length: int | None,
        stride: int,
        pad_to_multiple_of: int | None,
        padding_side: str | None,
        verbose: bool,
    ) -> "Layout":
        """Resolve the arguments of a call to `tokenizer`. Raises `ValueError` naming the one that cannot be.

        Where an argument has no effect there is a warning, unless `verbose` is False.
        """
        if max_length is not None and padding is False and truncation is None:
            truncation = True
        padding = _look_up("padding", padding, PADDING)
        truncation = _look_up("truncation", truncation, TRUNCATION)
        limit = max_length
        if limit is None and tokenizer.model_max_length < NO_LIMIT:
            limit = tokenizer.model_max_length
        layout = cls(
            *(padding, truncation, limit, stride, pad_to_multiple_of),
            tokenizer.padding_side if padding_side is None else padding_side,
            *(tokenizer.truncation_side, tokenizer.pad_token, tokenizer.pad_token_id),
        )
        layout._check()
        if verbose:
            for message in layout._without_effect(max_length):
                warnings.warn(message, stacklevel=3)
        if limit is None:
            layout = layout._replace(truncation=None, padding=None if padding == "max_length" else padding)
        return layout

    def _without_effect(self, max_length: int | None) -> list[str]:
        """What was asked for and changes nothing; `max_length` is the caller's own."""
        messages = []
        if max_length is not None and self.padding == "longest" and not self.truncation:
            messages.append("max_length has no effect: pass truncation=True, or padding='max_length' to fill up to it")
        if self.stride and not self.truncation:
            messages.append("stride has no effect: pass truncation=True")
        if self.pad_to_multiple_of is not None and not self.padding:
            messages.append("pad_to_multiple_of has no effect: pass padding=True")
        if self.max_length is None and (self.truncation or self.padding == "max_length"):
            messages.append("rows keep their length: pass max_length, or set the tokenizer's model_max_length")
        return messages

    def _check(self) -> None:
        limit, multiple = self.max_length, self.pad_to_multiple_of
        if limit is not None and (not isinstance(limit, Integral) or limit < 0):
            raise ValueError(f"max_length: expected a number of tokens, found {limit!r}")
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in SIDES:
                raise ValueError(f"{name}: expected 'left' or 'right', found {getattr(self, name)!r}")
        if multiple is not None and (not isinstance(multiple, Integral) or multiple < 1):
            raise ValueError(f"pad_to_multiple_of: expected a positive number, found {multiple!r}")
        if multiple and self.padding and self.truncation and limit and limit % multiple:
            raise ValueError(
                f"max_length: rows cut to {limit} tokens cannot be filled up to a multiple of"
                f" pad_to_multiple_of={multiple}; pass a max_length that is one"
            )

    def width(self, longest: int) -> int:
        """To how many tokens rows are filled up, the longest of which has so many."""
        limit = self.max_length if self.padding == "max_length" else None
        width = longest if limit is None else limit
        multiple = self.pad_to_multiple_of or 1
        return -(-width // multiple) * multiple


def _look_up(argument: str, value: Any, table: dict) -> str | None:
    if not isinstance(value, bool | str | None) or value not in table:
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, table))}, found {value!r}")
    return table[value]


class Backends:
    """A `tokenizers.Tokenizer`, and its copies that truncate and pad.

    original: read by all threads, and changed by none while others read; `forget_copies` after a change.
    """

    def __init__(self, original: Tokenizer) -> None:
        self.original = original
        self._copies: dict[Layout, Tokenizer] = {}
        self._is_handed_out = False

    def hand_out(self) -> Tokenizer:
        """The original, for one who may change it at any time: from now on no copy is used twice."""
        self._is_handed_out = True
        return self.original

    def forget_copies(self) -> None:
        """To be called when the original was changed."""
        self._copies = {}

    def copy_for(self, layout: Layout) -> Tokenizer:
        """A tokenizer like the original that truncates and pads according to `layout`; not to be changed."""
        copies = self._copies  # another thread may put a new dict there
        copy = None if self._is_handed_out else copies.get(layout)
        if copy is None:
            copy = _copy(self.original, layout)
            if len(copies) >= KEPT_COPIES:
                copies.clear()
            copies[layout] = copy
        return copy

    def __reduce__(self) -> tuple:
        """Pickled and copied without the copies, each of which would carry the vocabulary along."""
        return Backends, (self.original,)


def _copy(original: Tokenizer, layout: Layout) -> Tokenizer:
    """Shares the parts of the original; the tokens that are added to a vocabulary can only be added again."""
    copy = Tokenizer(original.model)
    copy.normalizer = original.normalizer
    copy.pre_tokenizer = original.pre_tokenizer
    copy.post_processor = original.post_processor
    copy.encode_special_tokens = original.encode_special_tokens
    copy.add_tokens(list(original.get_added_tokens_decoder().values()))
    if layout.truncation and layout.max_length is not None:
        copy.enable_truncation(
            layout.max_length,
            stride=layout.stride,
            strategy=layout.truncation,
            direction=layout.truncation_side,
        )
    if layout.padding:
        copy.enable_padding(
            length=layout.max_length if layout.padding == "max_length" else None,
            pad_to_multiple_of=layout.pad_to_multiple_of,
            direction=layout.padding_side,
            pad_id=layout.pad_token_id,
            pad_token=layout.pad_token,
        )
    return copy

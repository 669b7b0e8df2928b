"""What a visitor of the explorer looks at: a text, what is masked in it, and what of the model is switched off."""

from dataclasses import dataclass, field

from minibert.model.config import BertConfig
from minibert.text.tokenizer import BertTokenizer

# Of the pieces of a text. A map of attention has as many rows, and there are L * H of them on a page.
MOST_PIECES = 64
MOST_CHARACTERS = 1000  # of each text; refused before the tokenizer sees it


@dataclass(frozen=True)
class View:
    """One picture. Positions count all pieces from 0, the [CLS] at the start being one."""

    text: str
    pair: str | None = None  # a second sentence
    masked: list[int] = field(default_factory=list)  # positions that [MASK] is put in the place of
    flipped: list[int] = field(default_factory=list)  # positions that are given the other segment
    heads_off: list[tuple[int, int]] = field(default_factory=list)  # (layer, head), both from 0
    layers_off: list[int] = field(default_factory=list)
    position: int | None = None  # whose prediction is followed through the layers; None: the first mask


@dataclass(frozen=True)
class Pieces:
    """The word pieces of a view, S of them: the columns of what the model reads, and where they come from."""

    tokens: list[str]  # with [MASK] where there is one now
    ids: list[int]
    original_ids: list[int]  # before anything was masked
    segments: list[int]
    words: list[str | None]  # (sequence).(word), the same for all pieces of a word; None: [CLS] and [SEP]
    characters: list[tuple[int, int] | None]  # where in its text a piece stands
    position: int | None  # of the followed mask; None where nothing is masked


def read_pieces(view: View, tokenizer: BertTokenizer, config: BertConfig) -> Pieces:
    """Tokenize the text of `view`, then mask and flip what it says.

    Raises: `ValueError` for a text without words or with too many, and for what is not there: a position, a head.
    """
    _check_texts(view)
    encoded = tokenizer(view.text, view.pair, return_offsets_mapping=True, return_token_type_ids=True)
    ids, size = encoded["input_ids"], len(encoded["input_ids"])
    words, sequences = encoded.word_ids(), encoded.sequence_ids()
    most = min(MOST_PIECES, config.max_position_embeddings)
    if size > most:
        raise ValueError(f"text: at most {most} word pieces can be shown, these are {size}; shorten it")
    if all(word is None for word in words):
        raise ValueError("text: expected at least one word, found none")
    _check_switches(view, size, config)
    inside = [None if word is None else f"{side}.{word}" for word, side in zip(words, sequences, strict=True)]
    masked_ids = [tokenizer.mask_token_id if i in view.masked else token for i, token in enumerate(ids)]
    segments = [segment ^ (i in view.flipped) for i, segment in enumerate(encoded["token_type_ids"])]
    return Pieces(
        tokens=tokenizer.convert_ids_to_tokens(masked_ids),
        ids=masked_ids,
        original_ids=ids,
        segments=segments,
        words=inside,
        characters=[
            None if word is None else span for word, span in zip(inside, encoded["offset_mapping"], strict=True)
        ],
        position=_followed(view, masked_ids, tokenizer.mask_token_id),
    )


def _check_texts(view: View) -> None:
    for name, text in (("text", view.text), ("pair", view.pair or "")):
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"{name}: expected at most {MOST_CHARACTERS:,} characters, found {len(text):,}")


def _check_switches(view: View, size: int, config: BertConfig) -> None:
    """Raise `ValueError` for a position, layer or head that is not there, and for segments a model does not have."""
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    followed = [] if view.position is None else [view.position]
    for name, numbers, limit in (
        ("masked", view.masked, size),
        ("flipped", view.flipped, size),
        ("position", followed, size),
        ("layers_off", view.layers_off, layers),
        ("heads_off: layer", [layer for layer, _ in view.heads_off], layers),
        ("heads_off: head", [head for _, head in view.heads_off], heads),
    ):
        if wrong := [number for number in numbers if not 0 <= number < limit]:
            raise ValueError(f"{name} must lie in [0, {limit}), got {wrong[0]}")
    if view.flipped and config.type_vocab_size < 2:
        raise ValueError("flipped: this model has one segment only (type_vocab_size=1)")


def _followed(view: View, ids: list[int], mask: int) -> int | None:
    """The position of the mask that is followed. Raises `ValueError` if `view.position` is none."""
    masks = [position for position, token in enumerate(ids) if token == mask]
    if view.position is not None and view.position not in masks:
        raise ValueError(f"position: expected that of a mask (there are {masks or 'none'}), got {view.position}")
    return view.position if view.position is not None else next(iter(masks), None)

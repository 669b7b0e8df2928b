"""`Pipeline`: what the pipelines of all tasks share. Texts in, plain Python values out."""

import contextlib
import copy
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import torch
from torch import Tensor, nn

from minibert.inference.batching import run_in_batches
from minibert.inference.fast_layers import FastLayers
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer

logger = logging.getLogger(__name__)

READ_AHEAD = 512  # inputs that a generator is asked for at once, to sort them by length; more would gain little

# What `encode` may be told about texts that are too long; a `run` with `**cut` passes it on.
CUT_OPTIONS = ("truncation", "max_length", "padding")

# Options of the reference that have no meaning here.
WITHOUT_MEANING = {
    "num_workers": "texts are tokenized in threads already",
    "is_split_into_words": "join the words with blanks",
    "delimiter": "join the words with blanks",
    "offset_mapping": "the tokenizer knows where its tokens stand",
    "ignore_subwords": 'aggregation_strategy="first" gives whole words',
    "max_question_len": "a question is never cut",
}


class InputError(ValueError):
    """An input that a task cannot work on; `index` is its place in the list that the pipeline was called with."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class Pipeline:
    """A model and its tokenizer, to be called with one input or with many. A subclass says in `run` what a result is.

    Args:
        model: any model with the task's head. It runs in eval mode, and is not changed.
        layers_dtype: what the encoder's layers are computed in (`FastLayers`), perhaps `torch.int8`; None: what the
            model is in.
        batch_size: how many texts are computed at once, at most. (How many it is depends on how long they are.)
        options: of `run`, used in every call that does not set them.

    Raises: `TypeError` for an unknown option.
    """

    def __init__(
        self,
        model: BertPreTrainedModel,
        tokenizer: BertTokenizer,
        *,
        layers_dtype: torch.dtype | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.layers_dtype = layers_dtype
        self.batch_size = batch_size if batch_size is None else at_least_one("batch_size", batch_size)
        self.options = self._known(options)
        self._fast_layers = None if layers_dtype is None else FastLayers(layers_dtype)
        self._run_batches: Callable[..., list] = run_in_batches

    def __call__(self, inputs: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """The result for `inputs`; for a list, the list of results in the same order, however they are batched.

        Anything else that can be iterated over (a generator, a data set) gives an iterator, which computes results as
        they are asked for, `batch_size` or else `READ_AHEAD` of them at a time.

        batch_size, options: as for the constructor, whose values they override.
        Raises `InputError` for an input that the task cannot work on, `TypeError` for an unknown option.
        """
        if batch_size is not None:
            return self._with_batch_size(batch_size)(inputs, **options)
        options = self.options | self._known(options)
        if isinstance(inputs, list):
            return self.run(inputs, **options) if inputs else []
        if _is_many(inputs):
            return self._stream(iter(inputs) if isinstance(inputs, Iterable) else _items(inputs), options)
        return self.run([inputs], **options)[0]

    def run(self, inputs: list, *args: Any, **options: Any) -> list:
        """One result for each of the inputs, of which there is at least one."""
        raise NotImplementedError

    def _stream(self, inputs: Iterator, options: dict[str, Any]) -> Iterator:
        done = 0
        while chunk := list(islice(inputs, self.batch_size or READ_AHEAD)):
            try:
                yield from self.run(chunk, **options)
            except InputError as error:
                raise InputError(done + error.index, str(error)) from error
            done += len(chunk)

    def _with_batch_size(self, batch_size: int) -> Self:
        other = copy.copy(self)
        other.batch_size = at_least_one("batch_size", batch_size)
        return other

    def computed_by(self, run_batches: Callable[..., list]) -> Self:
        """The same pipeline, with something else in place of `batching.run_in_batches`: a queue, for example."""
        other = copy.copy(self)
        other._run_batches = run_batches
        return other

    def _known(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of `run` among which there is none that is unknown."""
        for name in ("tokenizer_kwargs", "tokenize_kwargs"):  # the reference has one for each of two tasks
            if name in options:
                options = {key: value for key, value in options.items() if key != name} | (options[name] or {})
        names = [*inspect.signature(self.run).parameters][1:]
        known = [*names[:-1], *CUT_OPTIONS] if names[-1:] == ["cut"] else names
        if unknown := [name for name in options if name not in known]:
            takes = f"the options {', '.join(known)}" if known else "no options"
            why = "".join(f"; {name}: {WITHOUT_MEANING[name]}" for name in unknown if name in WITHOUT_MEANING)
            raise TypeError(f"{type(self).__name__} takes {takes}; got {', '.join(unknown)}{why}")
        return options

    # --- what the tasks need

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def max_length(self) -> int:
        """How many tokens are read at once, with [CLS] and [SEP]: as many as model and tokenizer allow.

        Raises `ValueError` if that leaves no room for a text.
        """
        limit = min(self.model.config.max_position_embeddings, self.tokenizer.model_max_length)
        if limit < 3:
            raise ValueError(
                f"model_max_length of the tokenizer: expected at least [CLS], a token and [SEP], got {limit}"
            )
        return limit

    def compute(self, batch: dict[str, Tensor], **options: Any) -> Any:
        """The model's outputs for a batch."""
        if self._fast_layers is None or self.model.dtype == self.layers_dtype:
            return self.model(**batch, **options, return_dict=True)
        return self._fast_layers(self.model, **batch, **options, return_dict=True)

    def batched(self, texts: BatchEncoding, compute: Callable[[dict[str, Tensor]], Sequence[Any] | Tensor]) -> list:
        """What `compute` makes of each text, in order; see `batching.run_in_batches`."""
        with evaluating(self.model):
            return self._run_batches(texts, compute, self.device, max_rows=self.batch_size)

    def encode(
        self,
        texts: Sequence[str | tuple[str, str]],
        truncation: bool | str | None = None,
        max_length: int | None = None,
        padding: bool | str | None = None,
    ) -> BatchEncoding:
        """Tokenize texts, or pairs of them.

        Args:
            truncation: True, "longest_first", "only_first" and "only_second" cut what is too long; False refuses it;
                None cuts it, too, and warns how many texts have lost something.
            max_length: how many tokens may stay, up to what the model reads; default: `self.max_length`.
            padding: accepted for the sake of programs that pass it. Padding is never computed, and changes nothing.

        Raises: `InputError` for what is no text, or is too long and must not be cut.
        """
        check_texts(texts)
        limit = self.max_length if max_length is None else self._allowed(max_length)
        if truncation is False or truncation == "do_not_truncate":
            encoded = self.tokenizer(texts, truncation=False)
            for index, ids in enumerate(encoded["input_ids"]):
                if len(ids) > limit:
                    raise InputError(index, f"the text has {len(ids)} tokens, but the model reads only {limit}")
            return encoded
        encoded = self.tokenizer(texts, truncation=True if truncation is None else truncation, max_length=limit)
        cut = sum(bool(encoding.overflowing) for encoding in encoded.encodings or ())
        if cut and truncation is None and max_length is None:
            of = f"{cut} of {len(texts)} texts" if len(texts) > 1 else "the text"
            logger.warning("%s: more than the %d tokens that the model reads; the rest was cut", of, limit)
        return encoded

    def _allowed(self, max_length: int) -> int:
        longest = self.model.config.max_position_embeddings
        if not 3 <= at_least_one("max_length", max_length) <= longest:
            raise ValueError(
                f"max_length must be from 3 to the {longest} tokens that the model reads, got {max_length}"
            )
        return max_length

    def windows(self, *texts: list[str], **options: Any) -> BatchEncoding:
        """Tokenize texts into as many rows as it takes, from their beginning to their end.

        (A tokenizer that cuts texts on the left gives their last window first, and may be shared: so this is a copy.)
        """
        tokenizer = copy.copy(self.tokenizer)
        tokenizer.truncation_side = "right"
        return tokenizer(*texts, return_overflowing_tokens=True, **options)


def _is_many(inputs: Any) -> bool:
    """Whether these are inputs, and not one: a tuple is a pair of texts."""
    if isinstance(inputs, str | bytes | Mapping | tuple):
        return False
    return isinstance(inputs, Iterable) or (hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"))


def _items(inputs: Any) -> Iterator:
    """The items of a data set that can only be asked for one by one."""
    return (inputs[index] for index in range(len(inputs)))


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, a model that is being trained is in eval mode; afterwards each part is in the mode that it was in."""
    training = [module for module in model.modules() if module.training] if model.training else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def check_texts(texts: Sequence[Any]) -> None:
    """Raise `InputError` for the first that is neither a text nor a pair of texts."""
    for index, text in enumerate(texts):
        parts = text if isinstance(text, tuple) and len(text) == 2 else (text,)
        if not all(isinstance(part, str) for part in parts):
            raise InputError(index, f"expected a text, found {type(text).__name__} {text!r:.80}")
        for part in parts:
            check_characters(index, part)


def check_characters(index: int, text: str) -> None:
    """Raise `InputError` for half a character (a lone surrogate, as JSON can have it), which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half, place = text[error.start], error.start
        raise InputError(index, f"the text has half a character, {half!r}, at {place}; remove it") from error


def at_least_one(name: str, value: int, or_else: str = "") -> int:
    """The value of an option that counts something. Raises `ValueError` naming it, and what else it may be."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be at least 1{or_else}, got {value!r}")
    return value


def finite(x: Tensor) -> Tensor:
    """Return `x`. Raises `ValueError` if it has NaN or infinity in it, from which no answer can be made."""
    if not torch.isfinite(x).all():
        raise ValueError("the model gives NaN or infinity: its weights are broken, or too large for its dtype")
    return x


def rows_of(padded: Tensor, mask: Tensor) -> list[Tensor]:
    """(B, S, ...) -> for each sequence its n real tokens, (n, ...) in fp32 on the CPU, and no view of the batch.

    Raises `ValueError` for NaN or infinity.
    """
    padded = padded.to("cpu", torch.float32)
    return [finite(row[:length].clone()) for row, length in zip(padded, mask.sum(1).tolist(), strict=True)]

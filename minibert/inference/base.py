"""`Pipeline`: what the pipelines of all tasks share. Texts in, plain Python values out."""

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.inference.batching import run_in_batches
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer

logger = logging.getLogger(__name__)


class InputError(ValueError):
    """An input that a task cannot work on; `index` is its place in the list that the pipeline was called with."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class Pipeline:
    """A model and its tokenizer, to be called with one input or with a list of them.

    A list gives the list of results in the same order, whatever the batches; a single input gives its result. A
    subclass says in `run` what a result is.
    """

    def __init__(self, model: BertPreTrainedModel, tokenizer: BertTokenizer) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The result of `inputs`, or the list of results if `inputs` is a list; `options` as in `run`.

        Raises `InputError` for an input that the task cannot work on, `TypeError` for an unknown option.
        """
        known = [*inspect.signature(self.run).parameters][1:]
        if unknown := [name for name in options if name not in known]:
            takes = f"the options {', '.join(known)}" if known else "no options"
            raise TypeError(f"{type(self).__name__} takes {takes}; got {', '.join(unknown)}")
        if isinstance(inputs, list):
            return self.run(inputs, **options) if inputs else []
        return self.run([inputs], **options)[0]

    def run(self, inputs: list, **options: Any) -> list:
        """One result for each of the inputs, of which there is at least one."""
        raise NotImplementedError

    @property
    def max_length(self) -> int:
        """How many tokens the model can read at once, [CLS] and [SEP] included."""
        return min(self.model.config.max_position_embeddings, self.tokenizer.model_max_length)

    def batched(self, texts: BatchEncoding, compute: Callable[[dict[str, Tensor]], Sequence[Any]]) -> list:
        """What `compute` makes of each text, in order; see `batching.run_in_batches`."""
        return run_in_batches(texts, compute, self.model.device)

    def encode(self, texts: list[str | tuple[str, str]], **options: Any) -> BatchEncoding:
        """Tokenize; what is longer than the model is cut, with a warning that says how much was lost."""
        check_texts(texts)
        encoded = self.tokenizer(texts, truncation=True, max_length=self.max_length, **options)
        cut = sum(bool(encoding.overflowing) for encoding in encoded.encodings)
        if cut:
            of = f"{cut} of {len(texts)} texts" if len(texts) > 1 else "the text"
            logger.warning("%s: more than the %d tokens that the model reads; the rest was cut", of, self.max_length)
        return encoded


def check_texts(texts: list) -> None:
    """Raise `InputError` for the first that is neither a text nor a pair of texts."""
    for index, text in enumerate(texts):
        parts = text if isinstance(text, tuple) and len(text) == 2 else (text,)
        if not all(isinstance(part, str) for part in parts):
            raise InputError(index, f"expected a text, found {type(text).__name__} {text!r:.80}")


def rows_of(padded: Tensor, mask: Tensor) -> list[Tensor]:
    """(B, S, ...) -> for each sequence its n real tokens, (n, ...) in fp32 on the CPU, and no view of the batch."""
    padded = padded.to("cpu", torch.float32)
    return [row[:length].clone() for row, length in zip(padded, mask.sum(1).tolist(), strict=True)]

"""Pretraining examples for a `DataLoader`: pairs of this epoch, masked, and collated into a padded batch."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from minibert.labels import IGNORE_INDEX
from minibert.text.masking import example_keys, mask_tokens
from minibert.text.packed import PackedCorpus
from minibert.text.pairs import N_SPECIAL, cut_long_sentences, draw_pairs
from minibert.text.tokenizer import BertTokenizer


class Example(TypedDict):
    """Arrays (length,), int64, and whether the sentences belong together."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray
    next_sentence_label: int


class PretrainingDataset(Dataset):
    """The examples `[CLS] A [SEP] B [SEP]` of one epoch over a packed corpus, with MLM and NSP labels.

    An example holds `input_ids`, `token_type_ids` and `labels`, each (length,) int64, and
    `next_sentence_label`. It is a function of seed, epoch and index alone: the order of reading, the batch it
    is in, workers, processes or a resume change nothing. `set_epoch` draws new pairs and new masks, so the
    number of examples changes a little. Long sentences are cut, see `cut_long_sentences`.

    `masking_rate`, `max_predictions` and `whole_word_masking` are those of `mask_tokens`, `short_probability`
    that of `draw_pairs`.
    """

    def __init__(
        self,
        corpus: PackedCorpus,
        tokenizer: BertTokenizer,
        max_length: int,
        seed: int,
        *,
        masking_rate: float = 0.15,
        max_predictions: int | None = None,
        whole_word_masking: bool = False,
        short_probability: float = 0.1,
    ):
        if not 0 < masking_rate <= 1:
            raise ValueError(f"masking_rate: expected a share above 0 and at most 1, found {masking_rate}")
        if max_predictions is not None and max_predictions < 1:
            raise ValueError(f"max_predictions: expected at least 1, or None for no limit, found {max_predictions}")
        self.corpus = cut_long_sentences(corpus, max_length)
        self.max_length = max_length
        self.seed = seed
        self.masking_rate = masking_rate
        self.max_predictions = max_predictions
        self.whole_word_masking = whole_word_masking
        self.short_probability = short_probability
        self.cls_id, self.sep_id = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.mask_id, self.vocab_size = tokenizer.mask_token_id, len(tokenizer)
        self.is_special = np.zeros(self.vocab_size, dtype=bool)
        self.is_special[tokenizer.all_special_ids] = True
        self.begins_word = np.ones(self.vocab_size, dtype=bool)
        self.begins_word[[i for token, i in tokenizer.get_vocab().items() if token.startswith("##")]] = False
        self.epoch = 0
        self.pairs = self._draw_pairs()

    def set_epoch(self, epoch: int) -> None:
        """Draw the pairs of this epoch; call it before the epoch's `DataLoader` starts its workers."""
        if epoch == self.epoch:  # drawing those of a large corpus takes long enough to do it only once
            return
        self.epoch = epoch
        self.pairs = self._draw_pairs()

    def _draw_pairs(self) -> np.ndarray:
        return draw_pairs(self.corpus, self.max_length, self.seed, self.epoch, self.short_probability)

    @property
    def lengths(self) -> np.ndarray:
        """Of each example, (n,), its length; none is made for that."""
        a_start, a_end, b_start, b_end, _ = self.pairs.T
        return a_end - a_start + b_end - b_start + N_SPECIAL

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """The examples at `indices`, made together: how PyTorch's `DataLoader` fetches a batch."""
        rows = np.asarray(indices)
        pairs = self.pairs[rows]
        input_ids, token_type_ids, lengths = self._join(pairs)
        keys = example_keys(self.seed, self.epoch, rows)
        is_real = np.arange(input_ids.shape[1]) < lengths[:, None]
        inputs, labels = mask_tokens(
            input_ids,
            ~self.is_special[input_ids] & is_real,
            lengths,
            keys,
            mask_token_id=self.mask_id,
            vocab_size=self.vocab_size,
            rate=self.masking_rate,
            max_predictions=self.max_predictions,
            word_starts=self.begins_word[input_ids] if self.whole_word_masking else None,
        )
        return [
            {
                "input_ids": inputs[row, :length],
                "token_type_ids": token_type_ids[row, :length],
                "labels": labels[row, :length],
                "next_sentence_label": label,
            }
            for row, (length, label) in enumerate(zip(lengths.tolist(), pairs[:, 4].tolist(), strict=True))
        ]

    def _join(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[CLS] A [SEP] B [SEP] of each pair: ids (B, S), segments (B, S) and lengths (B,)."""
        a_start, a_end, b_start, b_end, _ = pairs.T[:, :, None]  # each (B, 1)
        a_sep = a_end - a_start + 1  # the column of the first [SEP]
        b_sep = a_sep + b_end - b_start + 1
        columns = np.arange(int(b_sep.max()) + 1)
        in_a = (columns > 0) & (columns < a_sep)
        in_b = (columns > a_sep) & (columns < b_sep)
        source = np.where(in_b, b_start + columns - a_sep - 1, a_start + columns - 1)
        ids = np.where(in_a | in_b, self.corpus.ids[np.where(in_a | in_b, source, 0)].astype(np.int64), self.sep_id)
        ids[:, 0] = self.cls_id
        return ids, (columns > a_sep).astype(np.int64), b_sep[:, 0] + 1


class PretrainingCollator:
    """Examples to a batch of (B, S) int64 tensors, padded to the longest example.

    The batch holds `input_ids`, `attention_mask` (1 at real tokens), `token_type_ids` and `labels`
    (`IGNORE_INDEX` at padding), `next_sentence_label` (B,), `label_count`, how many tokens have a label, and the
    wish `labelled_logits_only`: the logits of all other positions would be thrown away.
    """

    def __init__(self, pad_token_id: int):
        self.padding = {
            "input_ids": pad_token_id,
            "attention_mask": 0,
            "token_type_ids": 0,
            "labels": IGNORE_INDEX,
        }

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor | int | bool]:
        lengths = [len(example["input_ids"]) for example in examples]
        shape = (len(examples), max(lengths))
        batch = {name: np.full(shape, value, dtype=np.int64) for name, value in self.padding.items()}
        for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
            batch["input_ids"][row, :length] = example["input_ids"]
            batch["attention_mask"][row, :length] = 1
            batch["token_type_ids"][row, :length] = example["token_type_ids"]
            batch["labels"][row, :length] = example["labels"]
        tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
        next_sentence_label = torch.tensor([example["next_sentence_label"] for example in examples])
        label_count = int((batch["labels"] != IGNORE_INDEX).sum())
        return {
            **tensors,
            "next_sentence_label": next_sentence_label,
            "label_count": label_count,
            "labelled_logits_only": True,
        }

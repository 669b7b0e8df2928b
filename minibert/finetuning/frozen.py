"""A frozen encoder: what it makes of each text is computed once, and the head alone is trained on that.

With fixed weights and without dropout, the encoder's output is the same in every epoch. So it is remembered, and all
epochs together cost one forward pass and next to nothing more.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from minibert.model.bert import BertModel, BertModelOutput
from minibert.model.packing import Packing
from minibert.training.batch import Batch, Examples, fetch_examples, to_device
from minibert.training.evaluation_batches import batches_by_length
from minibert.training.trainer import Trainer, TrainOutput

# So many texts are encoded at a time: nothing is kept for a backward pass, so there is room for many.
BATCH_SIZE = 64

# What a batch has for the encoder; all else is for the head.
ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")


class FrozenEncoderTrainer(Trainer):
    """A `Trainer` with the same arguments that trains the head of `model` on what the frozen encoder gives.

    For models of one head: classes or numbers for sequences (the pooler is frozen, too), classes for tokens, answers
    to questions. The examples of the data sets must be dicts, and the same in every epoch.

    The reference keeps dropout on inside a frozen encoder; here there is none, only that of the head. While it trains,
    the features lie in a file without a name in `output_dir`, mapped into memory: 4 * D bytes for each text or, for
    heads that work on tokens, each token (BERT-base: 3 kB).
    """

    model: Any  # a model with a task: its encoder is its `bert`

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """As `Trainer.train`, after freezing and running the encoder; its checkpoints hold the whole model.

        Raises `ValueError` also for a model or a data set that is not of the kind above.
        """
        if not hasattr(self.model, "bert") or (self.model.bert.pooler is not None and hasattr(self.model, "mlm_head")):
            raise ValueError(f"a frozen encoder needs a model with one head, got {type(self.model).__name__}")
        self.model.freeze("encoder")
        with self._remembered_features():
            return super().train(resume_from_checkpoint)

    @contextlib.contextmanager
    def _remembered_features(self) -> Iterator[None]:
        """Inside, the data sets bring their features along, and the encoder lets them through."""
        encoder, collate = self.model.bert, self.data_collator
        train, evaluation = self.train_dataset, self.eval_dataset
        try:
            self.train_dataset = self._encode(train)
            if self.args.eval_strategy != "no":
                self.eval_dataset = self._encode(evaluation)
            self.data_collator = functools.partial(collate_with_features, self._collator_of(train))
            self.model.bert = RememberingEncoder(encoder)
            yield
        finally:
            self.model.bert = encoder
            self.train_dataset, self.eval_dataset, self.data_collator = train, evaluation, collate

    @torch.no_grad()
    def _encode(self, dataset: Any) -> Any:
        """Run the encoder over a data set, or each of several by name, texts of similar lengths together."""
        if isinstance(dataset, dict):
            return {name: self._encode(part) for name, part in dataset.items()}
        if dataset is None or len(dataset) == 0:
            return dataset
        if hasattr(dataset, "set_epoch"):
            name = type(dataset).__name__
            raise ValueError(f"a frozen encoder needs examples that stay the same, but {name} changes them (set_epoch)")
        encoder, collate = self.model.bert.eval(), self._collator_of(dataset)
        features = FeatureDataset(dataset, encoder.config.hidden_size, self.args.output_dir)
        with tqdm(total=len(dataset), desc="encoding", leave=False, disable=self.args.disable_tqdm) as bar:
            for indices, examples in batches_by_length(dataset, BATCH_SIZE):
                batch = to_device(collate(examples), self.processes.device)
                inputs = {name: batch[name] for name in ENCODER_INPUTS if name in batch}
                with self._autocast():
                    output = encoder(**inputs)
                if encoder.pooler is not None:
                    rows = list(output.pooler_output[:, None])  # B times (1, D)
                else:
                    real = _real_tokens(inputs, output.last_hidden_state)
                    rows = [x[mask] for x, mask in zip(output.last_hidden_state, real, strict=True)]  # B times (n, D)
                features.add(indices, rows)
                bar.update(len(indices))
        return features


class FeatureDataset(Dataset):
    """The examples of `dataset`, each with its `features`: (n, D) on disk, added once in any order."""

    def __init__(self, dataset: Examples, hidden_size: int, folder: Path) -> None:
        self.dataset = dataset
        self.hidden_size = hidden_size
        folder.mkdir(parents=True, exist_ok=True)
        # It has no name, and is gone with this process however that ends.
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self.place = np.zeros((len(dataset), 2), dtype=np.int64)  # of each example: its first row, and the one after
        self.n_rows = 0

    def add(self, indices: list[int], features: list[Tensor]) -> None:
        """Remember the `features`, (n, D) each, of the examples at `indices`."""
        for index, rows in zip(indices, features, strict=True):
            self.file.write(rows.float().cpu().numpy().tobytes())
            self.place[index] = self.n_rows, self.n_rows + len(rows)
            self.n_rows += len(rows)

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """(n_rows, D), mapped from the file."""
        self.file.flush()
        return np.memmap(self.file, np.float32, "r+", shape=(self.n_rows, self.hidden_size))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """The examples at `indices`, made together."""
        examples = zip(fetch_examples(self.dataset, indices), self.place[indices].tolist(), strict=True)
        return [{**example, "features": self.rows[start:end]} for example, (start, end) in examples]


def collate_with_features(collate: Callable[[list], Batch], examples: list[dict[str, Any]]) -> Batch:
    """The batch that `collate` makes, with the features of all examples, (rows, D), in the place of their tokens."""
    bare = [{name: value for name, value in example.items() if name != "features"} for example in examples]
    batch = collate(bare)
    padding = {"attention_mask": _real_tokens(batch, batch["input_ids"])}
    features = torch.from_numpy(np.concatenate([example["features"] for example in examples]))
    return {name: x for name, x in batch.items() if name not in ENCODER_INPUTS} | padding | {"features": features}


class RememberingEncoder(nn.Module):
    """Stands in for a `BertModel`: returns what that gave before.

    It has the same parameters under the same names, so that checkpoints of the model around it are whole.
    """

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.config = encoder.config
        self.embeddings, self.encoder, self.pooler = encoder.embeddings, encoder.encoder, encoder.pooler

    def forward(self, features: Tensor, attention_mask: Tensor, return_dict: bool = True) -> BertModelOutput:
        """What the head looks at.

        Args:
            features: (B, D) pooled vectors, or (T, D) those of all tokens, sequence by sequence.
            attention_mask: (B, S)
            return_dict: as the heads ask for it.
        """
        if self.pooler is not None:
            return BertModelOutput(pooler_output=features)
        packing = Packing.from_mask(attention_mask, *attention_mask.shape)
        padded = features.new_zeros(*attention_mask.shape, features.shape[1])  # (B, S, D)
        padded[attention_mask != 0] = features
        return BertModelOutput(last_hidden_state=padded, tokens=packing.flatten(padded), packing=packing)


def _real_tokens(batch: Batch, like: Tensor) -> Tensor:
    """(B, S) True at real tokens; `like` is (B, S, ...)."""
    everything = torch.ones(like.shape[:2], dtype=torch.bool, device=like.device)
    return batch["attention_mask"] != 0 if "attention_mask" in batch else everything

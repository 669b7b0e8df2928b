"""One pretraining step, for both libraries: the same weights, batches, optimizer and clipping."""

import tempfile
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

import minibert
from benchmarks.flops import pretraining_flops
from minibert.labels import IGNORE_INDEX
from minibert.training.optimization import build_optimizer

MASKING_RATE = 0.15


@dataclass(frozen=True)
class Workload:
    """The size of the model and of its batches, and where they are computed."""

    layers: int
    hidden: int
    vocab_size: int
    batch: int  # sequences
    length: int  # tokens of each; no padding
    attention: str  # of minibert; the reference has its default, "sdpa"
    device: str

    @property
    def config(self) -> minibert.BertConfig:
        """As published for this size, but without dropout: the two libraries can then be compared number by number."""
        return minibert.BertConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=max(1, self.hidden // 64),
            intermediate_size=4 * self.hidden,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=max(512, self.length),
            attn_implementation=self.attention,
        )

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    @property
    def labels_per_sequence(self) -> int:
        return max(1, round(MASKING_RATE * self.length))

    @property
    def flops(self) -> int:
        return pretraining_flops(self.config, [self.length] * self.batch, self.batch * self.labels_per_sequence)

    def examples(self, count: int) -> list[dict[str, Tensor]]:
        """`count` examples of random ids, of which 15 % have a label."""
        generator = torch.Generator().manual_seed(1)
        return [self._example(generator) for _ in range(count)]

    def _example(self, generator: torch.Generator) -> dict[str, Tensor]:
        ids = torch.randint(self.vocab_size, (self.length,), generator=generator)
        chosen = torch.randperm(self.length, generator=generator)[: self.labels_per_sequence]
        return {
            "input_ids": ids,
            "token_type_ids": (torch.arange(self.length) >= self.length // 2).long(),
            "attention_mask": torch.ones_like(ids),
            "labels": torch.full_like(ids, IGNORE_INDEX).scatter(0, chosen, ids[chosen]),
            "next_sentence_label": torch.randint(2, (), generator=generator),
        }

    def batches(self, count: int) -> list[dict[str, Tensor]]:
        """`count` batches on the device."""
        examples = self.examples(count * self.batch)
        starts = range(0, len(examples), self.batch)
        batches = [torch.utils.data.default_collate(examples[i : i + self.batch]) for i in starts]
        return [{name: x.to(self.device) for name, x in batch.items()} for batch in batches]


def build_models(work: Workload) -> tuple[minibert.BertForPreTraining, transformers.BertForPreTraining]:
    """(our model, the reference's) with the same random weights, in training mode."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    ours = minibert.BertForPreTraining(work.config)
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder)
        theirs = transformers.BertForPreTraining.from_pretrained(folder)
        # A copy, so that nothing refers to the folder's memory-mapped file any more.
        theirs.load_state_dict({name: tensor.clone() for name, tensor in theirs.state_dict().items()}, assign=True)
        theirs.tie_weights()
    return ours.to(work.device).train(), theirs.to(work.device).train()


class PretrainingStep:
    """Forward, backward, clipping, AdamW: called with a batch, returns its loss."""

    def __init__(self, model: nn.Module, bf16: bool, **options: bool) -> None:
        self.model = model
        self.bf16 = bf16
        self.options = options
        self.device = next(model.parameters()).device
        self.optimizer = build_optimizer(model.named_parameters(), 1e-4, 0.01, (0.9, 0.999), 1e-6)

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.model(**batch, **self.options).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


class LabelledLogitsByHand(nn.Module):
    """The reference as well as one can use it: its own parts, but logits at labelled positions alone."""

    def __init__(self, model: transformers.BertForPreTraining) -> None:
        super().__init__()
        self.model = model

    def forward(self, labels: Tensor, next_sentence_label: Tensor, **inputs: Tensor) -> SimpleNamespace:
        """The same loss as the model's own."""
        outputs = self.model.bert(**inputs)
        labelled = labels != IGNORE_INDEX
        logits = self.model.cls.predictions(outputs.last_hidden_state[labelled])
        loss = F.cross_entropy(logits.float(), labels[labelled])
        next_logits = self.model.cls.seq_relationship(outputs.pooler_output)
        return SimpleNamespace(loss=loss + F.cross_entropy(next_logits.float(), next_sentence_label))


# Both libraries in both precisions; "as it comes", the reference computes in fp32, and every logit. "By hand" is its
# best form: with its parts, and a loop that somebody has written.
CONTESTANTS = {
    "minibert bf16": ("minibert", True),
    "minibert fp32": ("minibert", False),
    "transformers fp32": ("transformers", False),
    "transformers bf16": ("transformers", True),
    "by hand fp32": ("by hand", False),
    "by hand bf16": ("by hand", True),
}


def build_step(name: str, work: Workload) -> PretrainingStep:
    """The step of the contestant `name`. On a GPU the reference is compiled, as its users do there."""
    library, bf16 = CONTESTANTS[name]
    ours, theirs = build_models(work)
    if library == "minibert":
        return PretrainingStep(ours, bf16, labelled_logits_only=True)
    model = LabelledLogitsByHand(theirs) if library == "by hand" else theirs
    if work.device == "cuda":
        model.compile()
    return PretrainingStep(model, bf16)

"""`benchmark.py race`: pretrains with the reference and its Trainer, to be judged beside `minibert pretrain`."""

import argparse
import time
from pathlib import Path

import torch
import transformers
from torch import Tensor

from benchmarks.machine import describe_machine
from benchmarks.pretraining_step import LabelledLogitsByHand
from minibert.pretraining.preparation import load_tokenizer
from minibert.pretraining.presets import SIZES, Preset
from minibert.text.dataset import Example, PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus

# What its Trainer does unless told otherwise, and the best that we know to ask of it.
FORMS = {
    "as-it-comes": {"per_device_train_batch_size": 8},
    "best": {
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-3,
        "adam_beta2": 0.98,
        "weight_decay": 0.01,
        "warmup_steps": 0.05,
        "bf16": True,
    },
}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `race` and its options."""
    text = "pretrain with transformers.Trainer, and say how long it took; `minibert evaluate` is the judge"
    parser = commands.add_parser("race", help=text, description=text)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="what `minibert prepare` made of a corpus")
    parser.add_argument("--form", choices=FORMS, default="as-it-comes", help="(%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="mini", help="(%(default)s)")
    parser.add_argument("--tokens", type=int, required=True, metavar="N", help="to train on")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="another than the form's")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.set_defaults(measure=measure)


class Collator(PretrainingCollator):
    """The same batches; the counts that only our models take are left out. Keeps how many real tokens each has."""

    def __init__(self, pad_token_id: int) -> None:
        super().__init__(pad_token_id)
        self.tokens: list[int] = []

    def __call__(self, examples: list[Example]) -> dict[str, Tensor]:
        batch = {name: x for name, x in super().__call__(examples).items() if isinstance(x, Tensor)}
        self.tokens.append(int(batch["attention_mask"].sum()))
        return batch


class LabelledLogitsTrainer(transformers.Trainer):
    """The reference's Trainer, with logits at labelled positions alone."""

    def compute_loss(self, model, inputs, *_, **__) -> Tensor:
        return LabelledLogitsByHand(model)(**inputs).loss


def measure(options: argparse.Namespace) -> None:
    """Train, save, and print the time."""
    tokenizer = load_tokenizer(options.data)
    dataset = PretrainingDataset(PackedCorpus.open(options.data, tokenizer), tokenizer, Preset.max_length, seed=0)
    settings = dict(FORMS[options.form])
    if options.learning_rate is not None:
        settings["learning_rate"] = options.learning_rate
    tokens_per_step = settings["per_device_train_batch_size"] * float(dataset.lengths.mean())
    arguments = transformers.TrainingArguments(
        options.output_dir,
        max_steps=max(1, round(options.tokens / tokens_per_step)),
        save_strategy="no",
        report_to="none",
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=100,
        **settings,
    )
    trainer_class = LabelledLogitsTrainer if options.form == "best" else transformers.Trainer
    model = build_model(options.size, len(tokenizer), tokenizer.pad_token_id)
    collator = Collator(tokenizer.pad_token_id)
    trainer = trainer_class(model, arguments, collator, dataset)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    model.save_pretrained(options.output_dir)
    tokenizer.save_pretrained(options.output_dir)
    print(describe_machine())
    tokens = sum(collator.tokens[: arguments.max_steps])  # it may have been asked for a batch more than was trained on
    print(f"{options.form}, {settings}: {arguments.max_steps:,} steps, {tokens:,} tokens in {seconds / 60:.1f} minutes")
    print(f"{tokens / seconds:,.0f} tokens/s; written to {options.output_dir}")


def build_model(size: str, vocab_size: int, pad_token_id: int) -> transformers.BertForPreTraining:
    """The reference's model with the weights and the dropout that it begins with, but heads of 64 as published."""
    layers, hidden, _ = SIZES[size]
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=vocab_size,
        pad_token_id=pad_token_id,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_position_embeddings=Preset.max_length,
    )
    return transformers.BertForPreTraining(config)

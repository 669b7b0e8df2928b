"""The main job from start to end: a corpus in, a pretrained checkpoint out, with its measurements."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from minibert.inference.fill_mask import FillMaskPipeline
from minibert.model.config import BertConfig
from minibert.model.precision import mixed_precision
from minibert.model.tasks import BertForPreTraining
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.pretraining.initialization import initialise_from_corpus
from minibert.pretraining.preparation import (
    load_tokenizer,
    prepared_once,
    say_held_out,
    say_pairs,
    say_tokens,
    say_vocabulary,
)
from minibert.pretraining.presets import PRESETS, Preset
from minibert.report import counted, say
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus, vocabulary_hash, vocabulary_name
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.checkpointing import checkpoints
from minibert.training.distributed import Processes
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_losses
from minibert.training.run_folder import goes_on, keep_settings, only_run_in
from minibert.training.trainer import Trainer

# About as many are held out, a twentieth of a small corpus: enough to measure with, and quick.
HELD_OUT_TOKENS = 200_000

# A trained model forgets what it knows at the rate at which a fresh one learns; google-research/bert's README advises
# 2e-5 for going on with theirs.
ADAPTING_RATE = 5e-5

PYTHON_SENTENCES = (
    "The [MASK] statement raises an exception.",
    "Return [MASK] if the two objects are equal.",
    "A list is a mutable [MASK].",
    "The file is opened for [MASK].",
    "If the argument is omitted, the [MASK] value is used.",
)


@dataclass(frozen=True)
class PretrainingOptions:
    """What a user may choose about a run; see `minibert pretrain --help`."""

    corpus: list[str] | None = None  # None: Python's own documentation
    data: str | None = None  # instead of a corpus: what `minibert prepare` made of it
    tokenizer: str | None = None  # None: train a vocabulary on the corpus
    model: str | None = None  # None: start from fresh weights
    preset: str = "tiny"
    vocab_size: int = 8192
    masking_rate: float | None = None  # None: that of the preset
    whole_word_masking: bool = False
    minutes: float = 4.0
    seed: int = 42
    output_dir: Path = Path("runs/pretrain")
    resume: bool = False  # go on from the last checkpoint in output_dir


def pretrain(options: PretrainingOptions) -> None:
    """Run the job, printing what happens; leaves a checkpoint, `metrics.jsonl` and `loss.png` in `output_dir`.

    Raises `CorpusError` or `CheckpointError` for input that cannot be used, `RunFolderError` for an `output_dir` in
    which another run is, or was when this is a new one, and `ResumeError` where another run would be gone on with.
    """
    if options.preset not in PRESETS:
        raise ValueError(f"--preset must be one of {', '.join(PRESETS)}, got {options.preset!r}")
    if not options.minutes > 0:
        raise ValueError(f"--minutes must be above 0, got {options.minutes}")
    if options.masking_rate is not None and not 0 < options.masking_rate <= 1:
        raise ValueError(f"--masking-rate must be a share above 0 and at most 1, got {options.masking_rate}")
    if options.data is not None and options.corpus is not None:
        raise ValueError("--data and --corpus are both text to train on: give one of them")
    processes = Processes.join()
    resume = goes_on(options.output_dir, options.resume, [options.output_dir], processes)
    options = dataclasses.replace(options, resume=resume)
    # Locked from the start: nobody should hear after the corpus was read that the folder is taken.
    with only_run_in(options.output_dir, processes.is_first), _open_corpus(options) as (corpus, tokenizer):
        _pretrain(corpus, tokenizer, options, PRESETS[options.preset])


@contextmanager
def _open_corpus(options: PretrainingOptions) -> Iterator[tuple[PackedCorpus, BertTokenizer]]:
    """The packed corpus, from `--data` or made of the text for this run alone, and its tokenizer."""
    if options.data is not None:
        PackedCorpus.open(options.data)  # one that is not there must not be looked for on the hub
    vocabulary = options.tokenizer or options.model or options.data
    given = load_tokenizer(vocabulary) if vocabulary else None
    with ExitStack() as until_the_end:
        if options.data is None:
            once = prepared_once(options.corpus, given, options.vocab_size)
            corpus, tokenizer = until_the_end.enter_context(once)
        else:
            assert given is not None  # that of --data, if no other one
            corpus, tokenizer = PackedCorpus.open(options.data, given), given
            _check_same_data(options.data, corpus)
            say("corpus", f"{options.data}: {_counts(corpus)}")
        say_vocabulary(tokenizer, vocabulary)
        say_tokens(corpus, tokenizer, vocabulary)
        yield corpus, tokenizer


def _check_same_data(folder: str, corpus: PackedCorpus) -> None:
    """Of several machines, each opens its own `folder`."""
    first = Processes.join().gather(_counts(corpus))[0]
    if _counts(corpus) != first:
        raise ValueError(
            f"--data {folder}: expected on this machine what the first process has there, {first}; found"
            f" {_counts(corpus)}. Copy the folder to all machines"
        )


def _pretrain(corpus: PackedCorpus, tokenizer: BertTokenizer, options: PretrainingOptions, preset: Preset) -> None:
    torch.manual_seed(options.seed)
    model = _model(tokenizer, options, preset)
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    train, held_out = corpus.split(every=max(20, -(-corpus.n_tokens // HELD_OUT_TOKENS)))
    max_length = min(preset.max_length, model.config.max_position_embeddings)
    dataset = PretrainingDataset(
        train,
        tokenizer,
        max_length,
        options.seed,
        masking_rate=preset.masking_rate if options.masking_rate is None else options.masking_rate,
        whole_word_masking=options.whole_word_masking,
    )
    held_out_set = PretrainingDataset(held_out, tokenizer, max_length, options.seed)
    say_held_out(corpus, held_out)
    say_pairs(dataset)
    if options.model is None and not options.resume:  # the checkpoint would take the place of what was counted
        initialise_from_corpus(model, train)
    model.to(Processes.join().device)

    collator = PretrainingCollator(tokenizer.pad_token_id)
    if not options.resume:
        say("before", _describe(evaluate_pretraining(model, held_out_set, collator)))
    keep_settings(options.output_dir, _settings(corpus, tokenizer, options), options.resume)
    if options.resume:
        say("resuming", f"from {checkpoints(options.output_dir)[-1]}")
    _train(model, tokenizer, dataset, collator, options, preset)
    say("after", _describe(evaluate_pretraining(model, held_out_set, collator)))

    if Processes.join().is_first:
        model.save_pretrained(options.output_dir)
        tokenizer.save_pretrained(options.output_dir)
        plot_losses(options.output_dir / METRICS_FILE, options.output_dir / "loss.png", "Pretraining losses")
    say("written", f"{options.output_dir}: the checkpoint, {METRICS_FILE}, loss.png")
    sentences: Sequence[str] = PYTHON_SENTENCES
    if options.corpus is not None or options.data is not None:
        sentences = _hide_words(corpus, tokenizer, max_length, options.seed)
    for sentence in sentences:
        say("fill", f"{sentence}  →  {_guesses(model, tokenizer, sentence)}")


def _counts(corpus: PackedCorpus) -> str:
    sizes = {"document": corpus.n_documents, "sentence": corpus.n_sentences, "token": corpus.n_tokens}
    return ", ".join(counted(size, noun) for noun, size in sizes.items())


def _settings(corpus: PackedCorpus, tokenizer: BertTokenizer, options: PretrainingOptions) -> dict[str, Any]:
    """What makes a run the same run: everything but how long it takes."""
    chosen = ("model", "preset", "masking_rate", "whole_word_masking", "seed")
    text = {"corpus": _counts(corpus), "vocabulary": vocabulary_name(tokenizer)}
    return text | {name: getattr(options, name) for name in chosen}


def _model(tokenizer: BertTokenizer, options: PretrainingOptions, preset: Preset) -> BertForPreTraining:
    if options.model is not None:
        model = BertForPreTraining.from_pretrained(options.model)
    else:
        model = BertForPreTraining(
            BertConfig(
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                max_position_embeddings=preset.max_length,
                **preset.config,
            )
        )
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"--tokenizer has {len(tokenizer)} word pieces, but the model of --model only {model.config.vocab_size};"
            " leave --tokenizer out to use the model's own"
        )
    if options.model and options.tokenizer:
        _check_same_vocabulary(tokenizer, options.tokenizer, options.model)
    config = model.config
    say(
        "model",
        f"{config.num_hidden_layers} layers × {config.hidden_size}, {config.num_attention_heads} heads,"
        f" {model.num_parameters() / 1e6:.1f} million parameters",
    )
    return model


def _check_same_vocabulary(tokenizer: BertTokenizer, source: str, model: str) -> None:
    """A model knows tokens by their numbers: under another vocabulary, all it has learnt is about other words."""
    if vocabulary_hash(tokenizer) != vocabulary_hash(load_tokenizer(model)):
        raise ValueError(
            f"--tokenizer {source} has another vocabulary than --model {model};"
            " leave --tokenizer out to use the model's own"
        )


def _train(
    model: BertForPreTraining,
    tokenizer: BertTokenizer,
    dataset: PretrainingDataset,
    collator: PretrainingCollator,
    options: PretrainingOptions,
    preset: Preset,
) -> None:
    gentle = {} if options.model is None else {"learning_rate": ADAPTING_RATE}
    arguments = TrainingArguments(
        output_dir=options.output_dir,
        max_minutes=options.minutes,
        per_device_train_batch_size=preset.batch_size,
        logging_first_step=True,
        logging_steps=10,
        save_total_limit=2,
        seed=options.seed,
        **mixed_precision(),
        **preset.arguments | gentle,
    )
    # Dropout slows pretraining down. The saved config keeps the usual one, because fine-tuning relies on it.
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    # On a CPU the explicit attention is the faster one for heads as small as these.
    model.config.attn_implementation = "sdpa" if torch.cuda.is_available() else "eager"
    trainer = Trainer(model, arguments, collator, dataset, processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=options.resume)


def _hide_words(
    corpus: PackedCorpus, tokenizer: BertTokenizer, max_length: int, seed: int, count: int = 5
) -> list[str]:
    """Sentences of the corpus with one word replaced by [MASK]."""
    rng = random.Random(seed)
    lengths = np.diff(corpus.sentence_starts)
    candidates = np.flatnonzero((lengths >= 6) & (lengths <= min(20, max_length - 2))).tolist()
    sentences = []
    for number in rng.sample(candidates, min(count, len(candidates))):
        ids = corpus.ids[corpus.sentence_starts[number] : corpus.sentence_starts[number + 1]].tolist()
        tokens = [*tokenizer.convert_ids_to_tokens(ids), ""]
        words = [i for i in range(len(ids)) if tokens[i].isalpha() and not tokens[i + 1].startswith("##")]
        if words:
            ids[rng.choice(words)] = tokenizer.mask_token_id
            sentences.append(tokenizer.decode(ids))
    return sentences


def _guesses(model: BertForPreTraining, tokenizer: BertTokenizer, sentence: str) -> str:
    candidates = FillMaskPipeline(model, tokenizer)(sentence, top_k=4)
    return ", ".join(f"{c['token_str']} {c['score']:.0%}" for c in candidates)


def _describe(metrics: dict[str, float]) -> str:
    return (
        f"held-out MLM loss {metrics['mlm_loss']:.2f}, MLM accuracy {metrics['mlm_accuracy']:.1%},"
        f" NSP accuracy {metrics['nsp_accuracy']:.1%}"
    )

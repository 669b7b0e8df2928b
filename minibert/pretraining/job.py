"""The main job from start to end: a corpus in, a pretrained checkpoint out, with its measurements."""

import random
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from minibert.config import BertConfig
from minibert.inference.fill_mask import fill_mask
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.pretraining.initialization import initialise_from_corpus
from minibert.pretraining.presets import PRESETS, Preset, has_fast_bf16
from minibert.tasks import BertForPreTraining
from minibert.text.corpus import CorpusError, read_documents
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.pairs import balance_warning, random_share
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_losses
from minibert.training.trainer import Trainer

PYTHON_SENTENCES = (
    "The [MASK] statement raises an exception.",
    "Return [MASK] if the two objects are equal.",
    "A list is a mutable [MASK].",
    "The file is opened for [MASK].",
    "If the argument is omitted, the [MASK] value is used.",
)


@dataclass(frozen=True)
class PretrainingOptions:
    """What a user may choose about a run; see `scripts/pretrain.py --help`."""

    corpus: list[str] | None = None  # None: Python's own documentation
    tokenizer: str | None = None  # None: train a vocabulary on the corpus
    model: str | None = None  # None: start from fresh weights
    preset: str = "tiny"
    vocab_size: int = 8192
    minutes: float = 4.0
    seed: int = 42
    output_dir: Path = Path("runs/pretrain")
    resume: bool = False  # go on from the last checkpoint in output_dir


def pretrain(options: PretrainingOptions) -> None:
    """Run the job, printing what happens; leaves a checkpoint, `metrics.jsonl` and `loss.png` in `output_dir`.

    Raises `CorpusError` or `CheckpointError` for input that cannot be used.
    """
    if options.preset not in PRESETS:
        raise ValueError(f"--preset must be one of {', '.join(PRESETS)}, got {options.preset!r}")
    if not options.minutes > 0:
        raise ValueError(f"--minutes must be above 0, got {options.minutes}")
    preset = PRESETS[options.preset]
    documents = list(python_documentation() if options.corpus is None else read_documents(options.corpus))
    _say("corpus", _describe_corpus(documents, options.corpus))
    tokenizer = _tokenizer(documents, options)
    torch.manual_seed(options.seed)
    model = _model(tokenizer, options, preset)
    train, held_out = PackedCorpus.from_documents(documents, tokenizer).split()
    max_length = min(preset.max_length, model.config.max_position_embeddings)
    dataset = PretrainingDataset(train, tokenizer, max_length, options.seed, masking_rate=preset.masking_rate)
    held_out_set = PretrainingDataset(held_out, tokenizer, max_length, options.seed)
    _say("pairs", f"{len(dataset):,} an epoch, {1 - random_share(dataset.pairs):.0%} next and the rest random")
    if warning := balance_warning(dataset.pairs):
        _say("warning", warning)
    if options.model is None:
        initialise_from_corpus(model, train)

    collator = PretrainingCollator(tokenizer.pad_token_id)
    _say("before", _describe(evaluate_pretraining(model, held_out_set, collator)))
    _train(model, tokenizer, dataset, collator, options, preset)
    _say("after", _describe(evaluate_pretraining(model, held_out_set, collator)))

    model.save_pretrained(options.output_dir)
    tokenizer.save_pretrained(options.output_dir)
    plot_losses(options.output_dir / METRICS_FILE, options.output_dir / "loss.png", "Pretraining losses")
    _say("written", f"{options.output_dir}: the checkpoint, {METRICS_FILE}, loss.png")
    sentences = PYTHON_SENTENCES
    if options.corpus is not None:
        sentences = _hide_words(documents, tokenizer, max_length, options.seed)
    for sentence in sentences:
        _say("fill", f"{sentence}  →  {_guesses(model, tokenizer, sentence)}")


def _tokenizer(documents: list[list[str]], options: PretrainingOptions) -> BertTokenizer:
    source = options.tokenizer or options.model
    if source is None:
        tokenizer = BertTokenizer.train(chain.from_iterable(documents), options.vocab_size)
        _say("vocabulary", f"{len(tokenizer):,} word pieces, trained on the corpus")
        return tokenizer
    tokenizer = BertTokenizer(source) if Path(source).is_file() else BertTokenizer.from_pretrained(source)
    _say("vocabulary", f"{len(tokenizer):,} word pieces of {source}")
    return tokenizer


def _model(tokenizer: BertTokenizer, options: PretrainingOptions, preset: Preset) -> BertForPreTraining:
    if options.model is not None:
        model = BertForPreTraining.from_pretrained(options.model)
    else:
        model = BertForPreTraining(
            BertConfig(
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                max_position_embeddings=preset.max_length,
                initializer_range=0.08,
                **preset.config,
            )
        )
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"--tokenizer has {len(tokenizer)} word pieces, but the model of --model only {model.config.vocab_size};"
            " leave --tokenizer out to use the model's own"
        )
    config = model.config
    _say(
        "model",
        f"{config.num_hidden_layers} layers × {config.hidden_size}, {config.num_attention_heads} heads,"
        f" {model.num_parameters() / 1e6:.1f} million parameters",
    )
    return model


def _train(
    model: BertForPreTraining,
    tokenizer: BertTokenizer,
    dataset: PretrainingDataset,
    collator: PretrainingCollator,
    options: PretrainingOptions,
    preset: Preset,
) -> None:
    arguments = TrainingArguments(
        output_dir=options.output_dir,
        max_minutes=options.minutes,
        per_device_train_batch_size=preset.batch_size,
        logging_steps=10,
        save_total_limit=2,
        seed=options.seed,
        bf16=has_fast_bf16(),
        **preset.arguments,
    )
    # Minutes of training cannot overfit, so dropout would only slow it down. The saved config keeps the usual
    # one, because fine-tuning relies on it.
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    # On a CPU the explicit attention is the faster one for heads as small as these.
    model.config.attn_implementation = "sdpa" if torch.cuda.is_available() else "eager"
    trainer = Trainer(model, arguments, collator, dataset, processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=options.resume)


def _hide_words(
    documents: list[list[str]], tokenizer: BertTokenizer, max_length: int, seed: int, count: int = 5
) -> list[str]:
    """Sentences of the corpus with one word replaced by [MASK]."""
    rng = random.Random(seed)
    candidates = [
        s
        for s in chain.from_iterable(documents)
        # A sentence has no more pieces than characters, and [CLS] and [SEP] are added.
        if 5 <= len(s.split()) <= 15 and len(s) <= max_length - 2 and tokenizer.mask_token not in s
    ]
    sentences = []
    for sentence in rng.sample(candidates, min(count, len(candidates))):
        words = sentence.split()
        words[rng.randrange(1, len(words) - 1)] = tokenizer.mask_token
        sentences.append(" ".join(words))
    return sentences


def _guesses(model: BertForPreTraining, tokenizer: BertTokenizer, sentence: str) -> str:
    (candidates,) = fill_mask(model, tokenizer, sentence, top_k=4)
    return ", ".join(f"{c.token} {c.probability:.0%}" for c in candidates)


def _describe_corpus(documents: list[list[str]], paths: list[str] | None) -> str:
    sentences = sum(map(len, documents))
    if sentences < 2:
        raise CorpusError("the corpus has a single sentence; pretraining needs at least some thousand")
    words = sum(len(sentence.split()) for document in documents for sentence in document)
    source = "Python's own documentation" if paths is None else ", ".join(paths)
    return f"{source}: {len(documents):,} documents, {sentences:,} sentences, {words:,} words"


def _describe(metrics: dict[str, float]) -> str:
    return (
        f"held-out MLM loss {metrics['mlm_loss']:.2f}, MLM accuracy {metrics['mlm_accuracy']:.1%},"
        f" NSP accuracy {metrics['nsp_accuracy']:.1%}"
    )


def _say(topic: str, text: str) -> None:
    print(f"{topic:<11} {text}", flush=True)

"""The main job from start to end: a corpus in, a pretrained checkpoint out, with its measurements."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import nn

from minibert.model.config import BertConfig
from minibert.model.precision import mixed_precision
from minibert.model.tasks import BertForPreTraining
from minibert.pretraining.duration import SayDuration, say_if_stopped
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.pretraining.filled import guesses, hide_words
from minibert.pretraining.initialization import initialise_from_corpus
from minibert.pretraining.options import DEFAULT_FOLDER, DEFAULT_VOCAB_SIZE, PretrainingOptions
from minibert.pretraining.preparation import (
    load_tokenizer,
    prepared_once,
    say_held_out,
    say_pairs,
    say_tokens,
    say_vocabulary,
)
from minibert.pretraining.presets import Preset
from minibert.report import counted, say
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus, vocabulary_hash, vocabulary_name
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.distributed import Processes
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_losses
from minibert.training.run_folder import goes_on, keep_settings, last_used, next_unused, only_run_in, settings_of
from minibert.training.trainer import Trainer

# About as many are held out, a twentieth of a small corpus: enough to measure with, and quick.
HELD_OUT_TOKENS = 200_000

# By so much less than at the beginning is the loss when guesses begin to depend on the context: after 100,000 tokens of
# the class's project (docs/project.md), it has fallen by 0.4, and 8 % of the guesses are right.
LITTLE = 0.5

PYTHON_SENTENCES = (
    "The [MASK] statement raises an exception.",
    "Return [MASK] if the two objects are equal.",
    "A list is a mutable [MASK].",
    "The file is opened for [MASK].",
    "If the argument is omitted, the [MASK] value is used.",
)


def pretrain(options: PretrainingOptions) -> None:
    """Run the job, printing what happens; leaves a checkpoint, `metrics.jsonl` and `loss.png` in `output_dir`.

    Raises `ValueError` for options that cannot be, `CorpusError` or `CheckpointError` for input that cannot be used,
    `RunFolderError` for an `output_dir` in which another run is, or was when this is a new one, and `ResumeError` where
    another run would be gone on with.
    """
    options.check()
    processes = Processes.join()
    folder = _folder(options, processes)
    options = dataclasses.replace(options, resume=goes_on(folder, options.resume, [folder], processes))
    if options.resume:
        options = options.with_length_of(processes.gather(settings_of(folder))[0])
    # Locked from the start: nobody should hear after the corpus was read that the folder is taken.
    with only_run_in(folder, processes.is_first), _open_corpus(options) as (corpus, tokenizer):
        _pretrain(corpus, tokenizer, options, folder)


def _folder(options: PretrainingOptions, processes: Processes) -> Path:
    """Where the run is: the folder that the user named, or the default one, with a number if that is needed."""
    if options.output_dir is not None:
        return options.output_dir
    if processes.may_be_restarted:
        raise ValueError("--output-dir: torchrun --max-restarts goes on in the folder that you name; name one")
    find, why = (last_used, "the last run") if options.resume else (next_unused, "an earlier run has the default one")
    folder: Path = processes.gather(find(DEFAULT_FOLDER))[0]
    if folder != DEFAULT_FOLDER:
        say("folder", f"{folder}: {why}")
    return folder


@contextmanager
def _open_corpus(options: PretrainingOptions) -> Iterator[tuple[PackedCorpus, BertTokenizer]]:
    """The packed corpus, from `--data` or made of the text for this run alone, and its tokenizer."""
    if options.data is not None:
        PackedCorpus.open(options.data)  # one that is not there must not be looked for on the hub
    vocabulary = options.tokenizer or options.model or options.data
    given = load_tokenizer(vocabulary) if vocabulary else None
    if options.model is not None and given is not None:
        _check_model(options.model, given, options)
    with ExitStack() as until_the_end:
        if options.data is None:
            once = prepared_once(options.corpus, given, options.vocab_size or DEFAULT_VOCAB_SIZE)
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
    found = _identity(corpus)
    first = Processes.join().gather(found)[0]
    if found != first:
        raise ValueError(
            f"--data {folder}: expected on this machine what the first process has there, {first}; found"
            f" {found}. Copy the folder to all machines"
        )


def _pretrain(corpus: PackedCorpus, tokenizer: BertTokenizer, options: PretrainingOptions, folder: Path) -> None:
    torch.manual_seed(options.seed)
    model, recipe = _model(tokenizer, options)
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    train, held_out = corpus.split(every=max(20, -(-corpus.n_tokens // HELD_OUT_TOKENS)))
    dataset = PretrainingDataset(
        train,
        tokenizer,
        recipe.max_length,
        options.seed,
        masking_rate=recipe.masking_rate,
        whole_word_masking=options.whole_word_masking,
    )
    held_out_set = PretrainingDataset(held_out, tokenizer, recipe.max_length, options.seed)
    say_held_out(corpus, held_out)
    say_pairs(dataset)
    if options.model is None and not options.resume:  # the checkpoint would take the place of what was counted
        initialise_from_corpus(model, train)
    model.to(Processes.join().device)

    collator = PretrainingCollator(tokenizer.pad_token_id)
    before = None
    if not options.resume:
        before = evaluate_pretraining(model, held_out_set, collator)
        say("before", _describe(before))
    _keep_settings(folder, corpus, tokenizer, options, recipe)
    _train(model, tokenizer, dataset, collator, _arguments(folder, options, recipe), options)
    after = evaluate_pretraining(model, held_out_set, collator)
    say("after", _describe(after))
    if options.model is None and before is not None:
        _warn_if_little_was_learnt(before["mlm_loss"] - after["mlm_loss"])

    if Processes.join().is_first:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        plot_losses(folder / METRICS_FILE, folder / "loss.png", "Pretraining losses")
    say("written", f"{folder}: the checkpoint, {METRICS_FILE}, loss.png")
    sentences: Sequence[str] = PYTHON_SENTENCES
    if options.corpus is not None or options.data is not None:
        sentences = [text for text, _ in hide_words(held_out, tokenizer, recipe.max_length, options.seed)]
    for sentence in sentences:
        say("fill", f"{sentence}  →  {guesses(model, tokenizer, sentence)}")


def _counts(corpus: PackedCorpus) -> str:
    sizes = {"document": corpus.n_documents, "sentence": corpus.n_sentences, "token": corpus.n_tokens}
    return ", ".join(counted(size, noun) for noun, size in sizes.items())


def _identity(corpus: PackedCorpus) -> str:
    return f"{_counts(corpus)} (sha256 {corpus.sha256[:12]}...)"


def _keep_settings(
    folder: Path, corpus: PackedCorpus, tokenizer: BertTokenizer, options: PretrainingOptions, recipe: Preset
) -> None:
    """Write down every number of a run, with its length, which alone may change when it goes on."""
    text = {"corpus": _identity(corpus), "vocabulary": vocabulary_name(tokenizer)}
    keep_settings(folder, text | options.settings(recipe), options.resume, changeable=options.length_settings)


def _model(tokenizer: BertTokenizer, options: PretrainingOptions) -> tuple[BertForPreTraining, Preset]:
    """What is trained, and how."""
    if options.model is not None:
        model = BertForPreTraining.from_pretrained(options.model)
        recipe = options.recipe(model.config)
    else:
        recipe = options.recipe()
        model = BertForPreTraining(
            BertConfig(
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                max_position_embeddings=recipe.max_length,
                **recipe.config,
            )
        )
    config = model.config
    say(
        "model",
        f"{config.num_hidden_layers} layers × {config.hidden_size}, {config.num_attention_heads} heads,"
        f" {model.num_parameters() / 1e6:.1f} million parameters",
    )
    return model, recipe


def _check_model(model: str, tokenizer: BertTokenizer, options: PretrainingOptions) -> None:
    """Refuse what does not go together with the model that the run goes on with, before any text is read."""
    config = BertConfig.from_pretrained(model)
    options.recipe(config)
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"--tokenizer has {len(tokenizer)} word pieces, but the model of --model only {config.vocab_size};"
            " leave --tokenizer out to use the model's own"
        )
    # A model knows tokens by their numbers: under another vocabulary, all it has learnt is about other words.
    if options.tokenizer and vocabulary_hash(tokenizer) != vocabulary_hash(load_tokenizer(model)):
        raise ValueError(
            f"--tokenizer {options.tokenizer} has another vocabulary than --model {model};"
            " leave --tokenizer out to use the model's own"
        )


def _arguments(folder: Path, options: PretrainingOptions, recipe: Preset) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=recipe.batch_size,
        logging_first_step=True,
        logging_steps=10,
        save_total_limit=2,
        seed=options.seed,
        **mixed_precision(),
        **options.length | recipe.arguments,
    )


def _train(
    model: BertForPreTraining,
    tokenizer: BertTokenizer,
    dataset: PretrainingDataset,
    collator: PretrainingCollator,
    arguments: TrainingArguments,
    options: PretrainingOptions,
) -> None:
    # Dropout slows pretraining down. The saved config keeps the usual one, because fine-tuning relies on it.
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    # On a CPU the explicit attention is the faster one for heads as small as these.
    model.config.attn_implementation = "sdpa" if torch.cuda.is_available() else "eager"
    duration = SayDuration()
    trainer = Trainer(model, arguments, collator, dataset, processing_class=tokenizer, callbacks=[duration])
    trainer.train(resume_from_checkpoint=options.resume)
    say_if_stopped(trainer.clock, options, trainer.clock.step - duration.began_at)


def _warn_if_little_was_learnt(fall: float) -> None:
    """A new model begins with the frequencies of words: `fall`, of the held-out MLM loss, is what it knows beyond."""
    if fall < LITTLE:
        say(
            "warning",
            f"the loss has fallen by only {max(fall, 0):.2f}: the model knows little more than how frequent words are,"
            " which was counted before the first step; train longer",
        )


def _describe(metrics: dict[str, float]) -> str:
    return (
        f"held-out MLM loss {metrics['mlm_loss']:.2f}, MLM accuracy {metrics['mlm_accuracy']:.1%},"
        f" NSP accuracy {metrics['nsp_accuracy']:.1%}"
    )

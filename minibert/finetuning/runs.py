"""Training runs: a model with a fresh head is trained on a task and scored, with one seed or with several."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.checkpoint.files import CheckpointError
from minibert.finetuning.contrastive import SimCSE
from minibert.finetuning.frozen import FrozenEncoderTrainer
from minibert.finetuning.task import Task
from minibert.model.config import BertConfig
from minibert.model.precision import mixed_precision
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading
from minibert.report import say
from minibert.text.packed import vocabulary_name
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.checkpointing import checkpoints
from minibert.training.metrics_log import METRICS_FILE, read_metrics
from minibert.training.run_folder import keep_settings
from minibert.training.trainer import Trainer

# What tasks train: a model, or what they wrap it into.
Trainable = BertPreTrainedModel | SimCSE

# What a checkpoint may lack: these belong to a task.
_HEADS = ("bert.pooler.", "pooler.", "classifier.", "qa_outputs.")


@dataclass(frozen=True)
class Plan:
    """Which model is trained, how, and how often; None: what `recipe_for` says."""

    model: str = "minibert-tiny"
    epochs: float | None = None
    batch_size: int = 16
    lr: float | None = None
    freeze: str | int = "none"  # as for BertPreTrainedModel.freeze
    layer_decay: float = 1.0  # each layer's learning rate, as a share of that of the layer above
    early_stopping: int | None = None  # stop after so many epochs in a row that were not better
    seeds: int = 1
    seed: int = 42  # the first one
    resume: bool = False  # go on from the last checkpoints


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    folder: Path
    seed: int
    epochs: list[float]  # the task's metric on the evaluation set after each epoch
    scores: dict[str, dict[str, float]]  # of every split but "train", with the best epoch's weights


def train_seeds(task: Task, tokenizer: BertTokenizer, plan: Plan, folder: Path, fresh: bool = False) -> list[Run]:
    """One run for every seed, each in a folder of its own if there are several; the best model is saved in `folder`.

    Args:
        fresh: start from random weights instead of the checkpoint's.

    Raises `ResumeError` if it should go on with what are other runs.
    """
    seeds = range(plan.seed, plan.seed + plan.seeds)
    folders = [folder if len(seeds) == 1 else folder / f"seed-{seed}" for seed in seeds]
    runs: list[Run] = []
    for seed, own in zip(seeds, folders, strict=True):
        torch.manual_seed(seed)  # the head's first weights
        model = load_model(task, plan.model, fresh)
        trainer = _trainer(task, model, tokenizer, plan, own, seed)
        if not runs:
            keep_settings(folder, _settings(task, tokenizer, plan), plan.resume)
            if not fresh:
                _describe(plan.model, model, trainer.args)
        trainer.train(resume_from_checkpoint=plan.resume and bool(checkpoints(own)))
        runs.append(Run(own, seed, _epochs(own, task.metric), _score(trainer, task)))
        if runs[-1].scores["eval"][task.metric] == max(run.scores["eval"][task.metric] for run in runs):
            trainer.save_model(folder)
    return runs


def _settings(task: Task, tokenizer: BertTokenizer, plan: Plan) -> dict[str, Any]:
    """What makes runs the same runs: everything but how long they take."""
    tokens = {name: sum(len(item["input_ids"]) for item in split.items) for name, split in task.splits.items()}
    data = {name: f"{len(split.items):,} {task.unit}, {tokens[name]:,} tokens" for name, split in task.splits.items()}
    chosen = {name: value for name, value in asdict(plan).items() if name not in ("epochs", "early_stopping", "resume")}
    return {"task": task.description, **data, "vocabulary": vocabulary_name(tokenizer), **chosen}


def load_model(task: Task, name: str, fresh: bool = False) -> Trainable:
    """The model that the task trains: the encoder of the checkpoint `name` (or one like it, if `fresh`), and a head.

    The head comes from the checkpoint, too, if it has one of the same shape. Raises `CheckpointError` for a checkpoint
    whose encoder is not whole.
    """
    if fresh:
        of_class = {key: value for key, value in task.config.items() if key == "add_pooling_layer"}
        of_config = {key: value for key, value in task.config.items() if key not in of_class}
        return task.wrap(task.model_class(BertConfig.from_pretrained(name, **of_config), **of_class))
    with quiet_loading():  # that the head is new is what fine-tuning is about
        model, info = task.model_class.from_pretrained(
            name, ignore_mismatched_sizes=True, output_loading_info=True, **task.config
        )
    if lacking := [key for key in info["missing_keys"] if not key.startswith(_HEADS)]:
        raise CheckpointError(f"{name}: not a whole encoder; the checkpoint lacks {', '.join(lacking[:3])}")
    return task.wrap(model)


def _trainer(task: Task, model: Trainable, tokenizer: BertTokenizer, plan: Plan, folder: Path, seed: int) -> Trainer:
    usual_epochs, usual_lr = recipe_for(model.config, plan.freeze)
    arguments = TrainingArguments(
        folder,
        num_train_epochs=usual_epochs if plan.epochs is None else plan.epochs,
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=64,
        group_by_length=True,
        learning_rate=usual_lr if plan.lr is None else plan.lr,
        weight_decay=0.01,
        warmup_ratio=0.1,
        layerwise_lr_decay=plan.layer_decay,
        logging_first_step=True,
        logging_steps=10,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=task.metric,
        early_stopping_patience=plan.early_stopping,
        seed=seed,
        **mixed_precision(),
    )
    model.freeze(plan.freeze)
    trainer_class = FrozenEncoderTrainer if plan.freeze == "encoder" else Trainer
    train, evaluation = task.splits["train"], task.splits["eval"]
    return trainer_class(
        model,
        arguments,
        train_dataset=train.items,
        eval_dataset=evaluation.items,
        processing_class=tokenizer,
        compute_metrics=evaluation.score,
    )


def recipe_for(config: BertConfig, freeze: str | int) -> tuple[float, float]:
    """How many epochs, and the peak of the learning rate, where the user does not say.

    Devlin et al. 2019 (appendix A.3) recommend 2 to 4 epochs and 2e-5 to 5e-5; small models want more of both.
    """
    is_small = config.hidden_size < 384
    if freeze == "encoder":
        return 20.0, 1e-3
    return (5.0, 5e-4) if is_small else (3.0, 5e-5)


def _describe(name: str, model: Trainable, args: TrainingArguments) -> None:
    config = model.config
    everything = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    part = "" if trained == everything else f", {trained:,} of them trained"
    shape = f"{config.num_hidden_layers} layers × {config.hidden_size}, {config.num_attention_heads} heads"
    say("model", f"{name}: {shape}, {everything / 1e6:.1f} million parameters{part}")
    batches = f"batches of {args.per_device_train_batch_size}, learning rate {args.learning_rate:g}"
    epochs = f"{args.num_train_epochs:g} epoch{'' if args.num_train_epochs == 1 else 's'}"
    number_format = "bfloat16" if args.bf16 else "float16" if args.fp16 else "float32"
    say("training", f"{epochs}, {batches}, {number_format}")


def _epochs(folder: Path, metric: str) -> list[float]:
    name = f"eval_{metric}"
    return [row[name] for row in read_metrics(folder / METRICS_FILE) if name in row]


def _score(trainer: Trainer, task: Task) -> dict[str, dict[str, float]]:
    """The scores of all splits but the one that was trained on."""
    scores = {}
    for name, split in task.splits.items():
        if name != "train":
            trainer.compute_metrics = split.score
            metrics = trainer.evaluate(split.items)
            scores[name] = {metric.removeprefix("eval_"): value for metric, value in metrics.items()}
    return scores

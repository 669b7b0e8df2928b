"""`Service`: what one checkpoint can be asked. Texts in, plain values out; it knows nothing of HTTP."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.checkpoint.opened import Checkpoint
from minibert.inference.base import InputError, Pipeline
from minibert.inference.embedding import SentenceSimilarityPipeline
from minibert.inference.loading import saved_as
from minibert.inference.pipelines import TASKS, pipeline
from minibert.inference.sentence_folder import read_sentence_modules
from minibert.inference.sentence_modules import Normalize, SentenceModules
from minibert.serving.batcher import Batcher, Compute
from minibert.serving.checks import check_candidates, check_targets, check_windows
from minibert.serving.limits import Limits, Refused

EMBEDDINGS = "embeddings"  # beside the names in `TASKS`: what every checkpoint can be asked for


@dataclass
class Ticket:
    """One request's place at the batcher, and how many tokens were computed for it."""

    batcher: Batcher
    key: tuple  # see `Batcher.run`
    until: float
    tokens: int = 0
    check: Callable[[Sequence[Sequence[int]]], None] = lambda rows: None  # of input_ids; raises `Refused`

    def run_batches(
        self,
        texts: Mapping[str, Sequence[Sequence[int]]],
        compute: Compute,
        device: torch.device | str,
        max_rows: int | None = None,
    ) -> list:
        """What a pipeline calls in the place of `run_in_batches`; where, and in which batches, the batcher knows."""
        self.check(texts["input_ids"])
        self.tokens += sum(map(len, texts["input_ids"]))
        return self.batcher.run(texts, compute, self.key, self.until)


@dataclass(frozen=True)
class Answer:
    """The results of the texts of one request, in order, and how many tokens were computed for them."""

    results: Any
    tokens: int


class Service:
    """A model that is ready, with the queue before it. Any number of threads may ask at the same time.

    Args:
        name: what its users call it.
        embedder: for vectors.
        head: a pipeline for what the model was fine-tuned or pretrained to do, if anything,
        task: and the name of that.
        limits: of which `texts` and `waiting_tokens` are held here.
        observe: see `Batcher`.
    """

    def __init__(
        self,
        name: str,
        embedder: SentenceSimilarityPipeline,
        head: Pipeline | None = None,
        task: str = EMBEDDINGS,
        limits: Limits | None = None,
        observe: Callable[[int, int, float], None] = lambda rows, tokens, seconds: None,
    ) -> None:
        self.name = name
        self.embedder = embedder
        self.head = head
        self.task = task
        self.limits = limits or Limits()
        self.batcher = Batcher(embedder.device, self.limits.waiting_tokens, observe=observe)
        self.size = embedder.embed(["a"]).shape[1]  # of a vector; and the first request finds everything ready
        self._unscaled = copy.copy(embedder)
        self._unscaled.modules = _without_last_normalize(embedder.modules)

    @classmethod
    def load(cls, name: str | Path, precision: str = "auto", **options: Any) -> "Service":
        """Of a checkpoint: a folder, one that ships with minibert, or a name on the hub.

        precision: as for `pipeline`; options: of the constructor.
        Raises: `CheckpointError` for a checkpoint that cannot be found, is not whole, or has another model's tokenizer.
        """
        checkpoint = Checkpoint.open(name)
        modules = read_sentence_modules(checkpoint)
        inside, served_as = checkpoint.inside(modules.folder), Path(checkpoint.name).name or checkpoint.name
        said = saved_as(inside)
        task = next((task for task, (_, _, trained_as) in TASKS.items() if said in trained_as), None)
        if task is None:
            embedder = pipeline("sentence-similarity", checkpoint, precision)
            return cls(served_as, _sentence(embedder), **options)
        head = pipeline(task, inside, precision)
        embedder = pipeline("sentence-similarity", head.model, precision, tokenizer=head.tokenizer, modules=modules)
        return cls(served_as, _sentence(embedder), head, task, **options)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the checkpoint can be asked for."""
        return (EMBEDDINGS,) if self.head is None else (EMBEDDINGS, self.task)

    def embed(self, texts: list[str], until: float, truncate: bool = False, normalize: bool | None = None) -> Answer:
        """The vectors (N, D) of texts.

        Args:
            until: when to give up, on the clock of `time.monotonic`.
            truncate: cut what is longer than the model reads, instead of refusing it.
            normalize: scale vectors to length 1; False: do not; None: as the checkpoint says.

        Raises: `Refused`, or `ModelFailed`.
        """
        self._check_number(texts)
        ticket = Ticket(self.batcher, (EMBEDDINGS,), until)
        embedder = (self._unscaled if normalize is False else self.embedder).computed_by(ticket.run_batches)
        vectors: Tensor = _or_refused(lambda: embedder.embed(texts, truncation=truncate))
        return Answer(F.normalize(vectors, dim=1) if normalize else vectors, ticket.tokens)

    def ask(self, task: str, inputs: list, until: float, **options: Any) -> Answer:
        """What the pipeline of a task answers to a list of inputs.

        until: as for `embed`; options: of the pipeline. Raises: `Refused`, or `ModelFailed`.
        """
        if self.head is None or task != self.task:
            can = " and ".join(self.tasks)
            message = f"{self.name} has no head for {task}: it can be asked for {can}. Start a service with another"
            raise Refused(404, f"{message} checkpoint for this")
        self._check_number(inputs)
        # Whatever could make a difference to what is computed is in the key; how texts are cut is over by then.
        others = sorted((name, repr(value)) for name, value in options.items() if name != "truncation")
        ticket = Ticket(self.batcher, (task, *others), until)
        head, limits = self.head, self.limits
        if task == "fill-mask":
            check_targets(head, options["targets"])
            ticket.check = lambda rows: check_candidates(head, limits, rows, options)
        asked = head.computed_by(ticket.run_batches)

        def answer() -> Any:
            if task in ("question-answering", "token-classification"):
                check_windows(head, limits, task, inputs, options)
            return asked(inputs, **options)

        results = _or_refused(answer)
        return Answer(results, ticket.tokens)

    def close(self) -> None:
        """Compute what was accepted, then stop; wait no longer than a request may take."""
        self.batcher.close(self.limits.seconds)

    def _check_number(self, inputs: list) -> None:
        if len(inputs) > self.limits.texts:
            raise Refused(
                413, f"the request has {len(inputs):,} texts, at most {self.limits.texts:,} are taken; split it"
            )


def _or_refused(call: Callable[[], Any]) -> Any:
    """Its result; what a pipeline says of wrong input becomes `Refused`."""
    try:
        return call()
    except InputError as error:
        raise Refused(422, f"text {error.index}: {error}") from error
    except ValueError as error:
        raise Refused(422, str(error)) from error


def _sentence(made: Pipeline) -> SentenceSimilarityPipeline:
    assert isinstance(made, SentenceSimilarityPipeline)
    return made


def _without_last_normalize(modules: SentenceModules) -> SentenceModules:
    steps = list(modules.steps)
    return replace(modules, steps=nn.Sequential(*steps[:-1])) if steps and isinstance(steps[-1], Normalize) else modules

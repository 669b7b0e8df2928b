"""Text classification: the class of a text or of a pair of texts, or a number for it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from minibert.inference.base import InputError, Pipeline, at_least_one, finite

_NOT_GIVEN: Any = object()

# What makes scores of logits (B, C).
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(dim=1),
    "sigmoid": lambda logits: logits.sigmoid(),
    "none": lambda logits: logits,
}


class TextClassificationPipeline(Pipeline):
    """For `BertForSequenceClassification`."""

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As `run`; like the reference, one text without `top_k` gives its result in a list of its own."""
        results = super().__call__(inputs, **options)
        return [results] if isinstance(inputs, str) and "top_k" not in options else results

    def run(
        self,
        inputs: list[str | dict[str, str]],
        top_k: int | None = _NOT_GIVEN,
        function_to_apply: str | None = None,
        return_all_scores: bool = False,
        **cut: Any,
    ) -> list:
        """For each text, or pair {"text": ..., "text_pair": ...}, its class {"label": ..., "score": ...}.

        Args:
            top_k: given, the result is the list of so many classes, the best first; None: of all.
            function_to_apply: "softmax", "sigmoid" or "none" makes scores of logits. By default the score is a
                probability, a softmax over the classes, or a sigmoid for each where several can hold (the config's
                `problem_type`); the score of a regression is the number itself.
            return_all_scores: without `top_k`, the result is the list of all classes, in the order of the config.
            cut: `truncation`, `max_length` and `padding`, as for `Pipeline.encode`.
        """
        if top_k is not _NOT_GIVEN and top_k is not None:
            at_least_one("top_k", top_k, ", or None for all classes")
        function = FUNCTIONS[self._function_name(function_to_apply)]
        encoded = self.encode([_as_text(index, item) for index, item in enumerate(inputs)], **cut)
        scores = self.batched(encoded, lambda batch: function(self._logits(batch)))
        if top_k is not _NOT_GIVEN:
            return [self._best(row)[:top_k] for row in scores]
        return [self._describe(row) if return_all_scores else self._best(row)[0] for row in scores]

    def _function_name(self, chosen: str | None) -> str:
        """The key of `FUNCTIONS`. Raises `ValueError` for what is none."""
        if chosen is not None and chosen.lower() != "default":
            if chosen.lower() not in FUNCTIONS:
                raise ValueError(f"function_to_apply must be one of {', '.join(FUNCTIONS)}, or None, got {chosen!r}")
            return chosen.lower()
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        return "sigmoid" if config.problem_type == "multi_label_classification" or config.num_labels == 1 else "softmax"

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, C)"""
        return finite(self.compute(batch).logits.float().cpu())

    def _describe(self, scores: Tensor) -> list[dict]:
        return [{"label": self.model.config.id2label[i], "score": score} for i, score in enumerate(scores.tolist())]

    def _best(self, scores: Tensor) -> list[dict]:
        return sorted(self._describe(scores), key=lambda found: -found["score"])


def _as_text(index: int, item: str | dict[str, str]) -> str | tuple[str, str]:
    if not isinstance(item, dict):
        return item
    if "text" not in item or item.keys() - {"text", "text_pair"}:
        raise InputError(index, f"expected the keys text and text_pair, found {', '.join(map(repr, item))}")
    return (item["text"], item["text_pair"]) if item.get("text_pair") is not None else item["text"]

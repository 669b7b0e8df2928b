"""Text classification: the class of a text or of a pair of texts, or a number for it."""

from typing import Any

from torch import Tensor

from minibert.inference.base import InputError, Pipeline

_NOT_GIVEN: Any = object()


class TextClassificationPipeline(Pipeline):
    """For `BertForSequenceClassification`."""

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As `run`; like the reference, one text without `top_k` gives its result in a list of its own."""
        results = super().__call__(inputs, **options)
        return [results] if isinstance(inputs, str) and "top_k" not in options else results

    def run(self, inputs: list[str | dict[str, str]], top_k: int | None = _NOT_GIVEN) -> list:
        """For each text, or pair {"text": ..., "text_pair": ...}, its class {"label": ..., "score": ...}.

        top_k: given, the result is the list of so many classes, the best first; None: of all.

        The score is a probability: a softmax over the classes, a sigmoid for each where several can hold (the
        config's `problem_type`); the score of a regression is the number itself.
        """
        if top_k not in (_NOT_GIVEN, None) and top_k < 1:
            raise ValueError(f"top_k must be at least 1, or None for all classes, got {top_k}")
        encoded = self.encode([_as_text(index, item) for index, item in enumerate(inputs)])
        results = [self._describe(scores) for scores in self.batched(encoded, self._score)]
        return [classes[0] if top_k is _NOT_GIVEN else classes[:top_k] for classes in results]

    def _score(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, C)"""
        logits = self.model(**batch).logits.float().cpu()
        problem = self.model.config.problem_type
        if problem == "regression":
            return logits
        if problem == "multi_label_classification" or logits.shape[1] == 1:
            return logits.sigmoid()
        return logits.softmax(dim=1)

    def _describe(self, scores: Tensor) -> list[dict]:
        order = scores.argsort(descending=True, stable=True).tolist()
        return [{"label": self.model.config.id2label[i], "score": scores[i].item()} for i in order]


def _as_text(index: int, item: str | dict[str, str]) -> str | tuple[str, str]:
    if not isinstance(item, dict):
        return item
    if "text" not in item or item.keys() - {"text", "text_pair"}:
        raise InputError(index, f"expected the keys text and text_pair, found {', '.join(map(repr, item))}")
    return (item["text"], item["text_pair"]) if item.get("text_pair") is not None else item["text"]

"""Columns of a table that the model has no use for, texts and numbers of rows: left out, and named once."""

import inspect
import logging
import os
from collections.abc import Callable, Mapping

from torch import nn

from minibert.training.batch import Batch
from minibert.training.collation import LABELS

logger = logging.getLogger(__name__)


class KnownColumns:
    """The columns that a model's `forward` takes. One that takes any named argument is given all.

    Args:
        label_names: further columns that are kept.
    """

    def __init__(self, model: nn.Module, label_names: list[str] | None = None) -> None:
        self.who = f"{type(model).__name__}.forward"
        parameters = inspect.signature(model.forward).parameters
        self.labels = {*LABELS, *(label_names or ())}
        self.taken = {*parameters, *self.labels}
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        self.takes_all = takes_any and "input_ids" not in parameters
        self.said = os.environ.get("RANK", "0") != "0"  # the first process alone talks

    def collate(self, collator: Callable[[list], Batch], examples: list) -> Batch:
        """The batch that `collator` makes of the examples without their other columns, which are named once.

        Raises: `ValueError` when nothing is left but labels.
        """
        if self.takes_all or not all(isinstance(example, Mapping) for example in examples):
            return collator(examples)
        unknown = [name for name in examples[0] if name not in self.taken]
        if unknown:
            self._say(unknown, list(examples[0]))
            examples = [{n: x for n, x in example.items() if n in self.taken} for example in examples]
        return collator(examples)

    def _say(self, unknown: list[str], found: list[str]) -> None:
        if {*found} - {*unknown} <= self.labels:
            raise ValueError(
                f"none of the columns {', '.join(found)} is an argument of {self.who}"
                f" ({', '.join(sorted(self.taken - set(LABELS)))}); tokenize, or set remove_unused_columns=False"
            )
        if not self.said:
            logger.warning(
                "left out of the data, because %s does not take them: %s (remove_unused_columns=False keeps them)",
                self.who,
                ", ".join(unknown),
            )
            self.said = True

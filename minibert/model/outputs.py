"""What a model returns: named fields that also answer to `outputs["logits"]` and `outputs[0]`."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class ModelOutput:
    """Base of all outputs. A field that was not computed is None, and is left out of keys and positions.

    So are fields marked `internal`: they are attributes only.
    """

    def keys(self) -> tuple[str, ...]:
        """The names of the fields that are there, in order."""
        public = (f.name for f in fields(self) if not f.metadata.get("internal"))
        return tuple(name for name in public if getattr(self, name) is not None)

    def to_tuple(self) -> tuple:
        """The fields that are there, in order."""
        return tuple(getattr(self, name) for name in self.keys())

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(f"{key!r} is not in this output; it has {', '.join(self.keys())}")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

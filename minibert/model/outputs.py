"""What a model returns: named fields that are also a mapping, and a tuple."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch.utils import _pytree as pytree


@dataclass(eq=False)
class ModelOutput(dict):
    """Base of all outputs: `outputs.logits`, `outputs["logits"]` and `outputs[0]` are the same.

    A field that was not computed is None, and is no item of the mapping. Fields marked `internal` are attributes only.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Tools that look for tensors in what a model returns (export, parallel replicas) see the items.
        pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), list(output)),
            lambda values, names: cls(**dict(zip(names, values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
        )

    def __post_init__(self) -> None:
        first = fields(self)[0].name
        given = getattr(self, first)
        if isinstance(given, Mapping) or (isinstance(given, Iterable) and not hasattr(given, "shape")):
            # Made like a dict: of a mapping, or of (name, value) pairs.
            values = dict(given)
            setattr(self, first, None)
            for name, value in values.items():
                self[name] = value
        for name in self._names():
            setattr(self, name, getattr(self, name))

    def _names(self) -> list[str]:
        return [f.name for f in fields(self) if not f.metadata.get("internal")]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value is None:
            super().pop(name, None)
        elif name in self._names():
            super().__setitem__(name, value)
            for later in self._names()[self._names().index(name) + 1 :]:  # items stay in the order of the fields
                if later in self:
                    super().__setitem__(later, super().pop(later))

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._names():
            raise KeyError(f"{name!r} is not a field of {type(self).__name__}; it has {', '.join(self._names())}")
        setattr(self, name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        setattr(self, name, None)

    def pop(self, name: str, *default: Any) -> Any:
        """Take a field out."""
        value = self[name] if not default or name in self else default[0]
        if name in self:
            del self[name]
        return value

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{key!r} is not in this output; it has {', '.join(self)}")
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def to_tuple(self) -> tuple:
        """The fields that are there, in order."""
        return tuple(self.values())

    def __reduce__(self) -> tuple:
        return _remake, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})


def _remake(cls: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    return cls(**values)

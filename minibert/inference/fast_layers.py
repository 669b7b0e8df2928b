"""The encoder's layers in another number format, while the model that everybody sees stays as it is.

Nearly all the work is in the layers, and bfloat16 halves it. What is around them stays fp32: logits in bfloat16 would
have two digits, a probability could be wrong by some percent, and neighbours be equal. With int8, only the layers'
products with weights are computed in integers, and all else in fp32.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from minibert.inference.int8 import in_int8
from minibert.model.encoder import Encoder
from minibert.model.pretrained import BertPreTrainedModel


class FastLayers:
    """Calls models with converted copies of their layers' parameters, which follow every change of these.

    The price is the memory of the copies. (A change through `parameter.data` of what lies in its memory is hidden from
    everybody in PyTorch; after one, make a new pipeline.)
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._encoder: _ConvertedEncoder | None = None

    def __reduce__(self) -> tuple:
        return FastLayers, (self.dtype,)  # a pickle, or a copy, makes its own converted layers when it needs them

    def __call__(self, model: BertPreTrainedModel, **inputs: Any) -> Any:
        """What `model(**inputs)` gives, nearly, and in the same type."""
        encoder = model.base_model.encoder
        if self._encoder is None or self._encoder.made_of != _state(encoder):
            self._encoder = _ConvertedEncoder(encoder, self.dtype)
        return _with_encoder(model, self._encoder)(**inputs)


class _ConvertedEncoder(nn.Module):
    """`encoder` with its parameters in `dtype`, or fp32 and its products in int8; gives what it takes."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = torch.float32 if dtype == torch.int8 else dtype
        self.encoder = _converted(encoder, dtype)
        self.made_of = _state(encoder)
        self._kept = [x.detach() for x in encoder.parameters()]  # so that nothing else can come to their addresses

    def forward(self, x: Tensor, *args: Any) -> tuple[Tensor, ...]:
        y, *others = self.encoder(x.to(self.dtype), *args)
        return y.to(x.dtype), *([z.to(x.dtype) for z in states] for states in others)


def _state(encoder: Encoder) -> list[tuple[int, int]]:
    """Where each parameter lies, and how often it was changed."""
    parameters: list[Tensor | None] = []
    modules: list[nn.Module | None] = [encoder]
    for module in modules:  # which grows; `encoder.parameters()` would take three times as long, at every call
        if module is not None:
            parameters += module._parameters.values()
            modules += module._modules.values()
    return [(x.data_ptr(), 0 if x.is_inference() else x._version) for x in parameters if x is not None]


def _view(module: nn.Module) -> nn.Module:
    """Another module that shares all with `module`: parameters, parts, hooks, config; but its lists are its own."""
    view = copy.copy(module)
    view._parameters, view._modules = module._parameters.copy(), module._modules.copy()
    return view


def _converted(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    view = _view(module)
    others = torch.float32 if dtype == torch.int8 else dtype
    view.training = False
    for name, parameter in module._parameters.items():
        converted = None if parameter is None else parameter.detach().to(others)
        view._parameters[name] = converted  # type: ignore[assignment] # a plain tensor, which nobody can train
    for name, part in module._modules.items():
        view._modules[name] = None if part is None else _converted(part, dtype)
    if dtype == torch.int8 and type(view) is nn.Linear:
        return in_int8(view)
    return view


def _with_encoder(model: nn.Module, encoder: nn.Module) -> nn.Module:
    """A view of `model` that calls another encoder."""
    view = _view(model)
    inner = view._modules.get("bert")
    if inner is None:
        view._modules["encoder"] = encoder
    else:
        view._modules["bert"] = _with_encoder(inner, encoder)
    return view

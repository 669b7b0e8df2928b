"""The names of `transformers`, for code that was written for them; not needed to understand BERT.

Parameters and modules have readable names here (`attention.query`, `feed_forward.up`), and other names in the files of
the ecosystem and in nearly every script there is: `if "LayerNorm.weight" in name`, `state_dict["bert.encoder..."]`,
`layer.attention.self.query`. Where a model names its parts (`named_parameters`, `named_modules`, `state_dict`) and
where it is asked for them (`load_state_dict`, `get_submodule`, attributes), it therefore speaks the names of the key
table, `checkpoint.key_map`, from which everything in this file is derived. Inside the package, and for who looks at
the attributes, a part is called what the source calls it.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import cache, wraps
from inspect import Parameter, Signature, signature
from typing import Any

from torch import nn

from minibert.checkpoint.key_map import KEY_MAP, from_reference, part_from_reference, part_to_reference
from minibert.model.attention import MultiHeadSelfAttention
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import Encoder, EncoderLayer
from minibert.model.heads import MLMHead

# {their name of a part: our path to it, or such a table of its own parts}
Tree = dict[str, Any]


class ReferenceView(nn.Module):
    """A module that `transformers` has and this package has not: it holds the parts that it has there, and no more.

    Its parts are the model's own modules, so they can be looked at, changed, frozen and replaced. It computes nothing:
    calling it, or hooking a function to it, is refused.
    """

    _name: str
    _root: nn.Module
    _tree: Tree

    def __init__(self, name: str, root: nn.Module, tree: Tree) -> None:
        super().__init__()
        vars(self).update(_name=name, _root=root, _tree=tree)
        for part in tree:
            if (found := _find(root, tree[part], f"{name}.{part}")) is not None:
                super().__setattr__(part, found)

    def __setattr__(self, part: str, value: Any) -> None:
        if isinstance(self._tree.get(part), str):
            _replace(self._root, self._tree[part], value)
        elif part != "training":
            raise AttributeError(
                f"{self._name} is no module here, and {part} of it cannot be set; it has {self._parts}"
            )
        super().__setattr__(part, value)

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Raises `TypeError`."""
        raise TypeError(f"{self._name} is no module here, so it cannot be called; its parts are {self._parts}")

    @property
    def _parts(self) -> str:
        return ", ".join(f"{name} ({path})" if isinstance(path, str) else name for name, path in self._tree.items())

    def _refuse_hook(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"a hook on {self._name} would never be called, because it is no module here: {self._parts}")

    register_forward_hook = register_forward_pre_hook = _refuse_hook
    register_backward_hook = register_full_backward_hook = register_full_backward_pre_hook = _refuse_hook


def _find(root: nn.Module, tree: str | Tree, name: str) -> Any:
    """The part at a path from `root`, or a view of several; None if the model has none of it."""
    if isinstance(tree, str):
        owner, _, attribute = tree.rpartition(".")
        try:
            return getattr(root.get_submodule(owner), attribute)
        except AttributeError:
            return None
    view = ReferenceView(name, root, tree)
    return view if view._modules or view._parameters else None


def _replace(root: nn.Module, path: str, value: Any) -> None:
    owner, _, attribute = path.rpartition(".")
    setattr(root.get_submodule(owner), attribute, value)


# --- attributes


def _tree_below(theirs: str, ours: str) -> Tree:
    """What `transformers` calls the parts below a place, whose two names begin so."""
    tree: Tree = {}
    for name, key in KEY_MAP:
        if not (key.startswith(theirs) and name.startswith(ours)):
            continue
        name, path = name.removeprefix(ours), key.removeprefix(theirs).split(".")
        if len(path) > 1:  # a weight or a bias, of a module
            name = name.rpartition(".")[0]
            path.pop()
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = name
    return tree


def _answer(cls: type[nn.Module], tree: Tree, root_of: Callable[[Any], nn.Module]) -> None:
    """Let the modules of `cls` have the attributes `tree`, of parts that lie below `root_of(module)`."""
    names = {name: part for name, part in tree.items() if part != name}

    def reader(name: str) -> property:
        def read(module: nn.Module) -> Any:
            found = _find(root_of(module), names[name], name)
            if found is None:
                raise AttributeError(f"this {type(module).__name__} has no {name}")
            return found

        return property(read)

    def write(module: nn.Module, name: str, value: Any) -> None:
        if name not in names or _find(root_of(module), names[name], name) is None:  # the latter: a name of one's own
            return nn.Module.__setattr__(module, name, value)
        if not isinstance(names[name], str):
            raise AttributeError(f"{name} is no module here: set one of its parts, {', '.join(names[name])}")
        return _replace(root_of(module), names[name], value)

    for name in names:
        setattr(cls, name, reader(name))
    cls.__setattr__ = write  # type: ignore[method-assign, assignment]


_LAYER = _tree_below("bert.encoder.layer.{i}.", "bert.encoder.layer.{i}.")
_ATTENTION = _LAYER.pop("attention")
_answer(Embeddings, _tree_below("bert.embeddings.", "bert.embeddings."), lambda embeddings: embeddings)
_answer(EncoderLayer, _LAYER, lambda layer: layer)
# "attention.output" holds the norm behind the residual sum, too, which lies in the layer.
_answer(MultiHeadSelfAttention, _ATTENTION, lambda attention: attention.__dict__["layer"])
_answer(MLMHead, _tree_below("cls.predictions.", "mlm_head."), lambda head: head)
_HEADS = _tree_below("", "")
del _HEADS["bert"]
_HEADS["cls"]["predictions"] = "mlm_head"


# --- names


class ReferenceNames(nn.Module):
    """What `BertPreTrainedModel` needs to speak the names of the key table."""

    is_encoder = False  # whether its own parts have a name that begins with "bert." in the table
    place: tuple[str, str]  # in the key table: what its own parts begin with, here and there
    encoder_arguments: dict[str, Parameter] | None = None  # of the encoder's `forward`, once that is defined

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.is_encoder:
            cls.place = ("bert.", "bert.")
        if cls.is_encoder and ReferenceNames.encoder_arguments is None:
            ReferenceNames.encoder_arguments = dict(list(signature(cls.forward).parameters.items())[1:])
        if "forward" in vars(cls):
            cls.forward = _as_asked_for(cls.forward)
        _show_all_arguments(cls)

    def connect(self) -> None:
        """Let every attention find the layer that it is in, once both are there."""
        for module in self.modules():
            if isinstance(module, EncoderLayer) and isinstance(module.attention, MultiHeadSelfAttention):
                module.attention.__dict__["layer"] = module  # not as a module in a module: that would be a circle


_answer(ReferenceNames, _HEADS, lambda model: model)


def _speak(cls: Any, ours: str, theirs: str) -> None:
    """Let the modules of `cls`, which have these places in the key table, name what is in them as it does."""
    plain_init, plain_named_modules = cls.__init__, cls.named_modules

    @wraps(plain_init)
    def init(self: Any, *args: Any, **options: Any) -> None:
        plain_init(self, *args, **options)
        self.register_state_dict_post_hook(_name_as_reference)
        self.register_load_state_dict_pre_hook(_name_as_here)
        self.register_load_state_dict_post_hook(_name_what_is_wrong)

    @wraps(plain_named_modules)
    def named_modules(
        self: Any, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        start = f"{prefix}." if prefix else ""
        for name, module in plain_named_modules(self, memo, prefix, remove_duplicate):
            yield (name if name == prefix else start + _their_name(self, name.removeprefix(start))), module

    cls.__init__, cls.named_modules, cls.place = init, named_modules, (ours, theirs)


_speak(ReferenceNames, "", "")
_speak(Embeddings, "bert.embeddings.", "bert.embeddings.")
_speak(Encoder, "bert.encoder.", "bert.encoder.")
_speak(EncoderLayer, "bert.encoder.layer.0.", "bert.encoder.layer.0.")
_speak(MultiHeadSelfAttention, "bert.encoder.layer.0.attention.", "bert.encoder.layer.0.attention.")
_speak(MLMHead, "mlm_head.", "cls.predictions.")


def _their_name(module: Any, name: str) -> str:
    """What the table calls a part of a module; one that it does not have, or not below the module, keeps its name."""
    return _name_at(*module.place, name)


@cache  # a name is asked for at every level above it, and in every step of a training
def _name_at(ours: str, theirs: str, name: str) -> str:
    named = part_to_reference(ours + name)
    return named.removeprefix(theirs) if named.startswith(theirs) else name


def _name_as_reference(module: Any, tensors: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    own = [
        *itertools.takewhile(lambda key: key.startswith(prefix), reversed(tensors))
    ]  # the module has just added them
    for key in reversed(own):
        tensors[prefix + _their_name(module, key.removeprefix(prefix))] = tensors.pop(key)


def _name_as_here(module: Any, tensors: dict[str, Any], prefix: str, *_: Any) -> None:
    ours, theirs = module.place
    inner = {theirs + key.removeprefix(prefix): key for key in tensors if key.startswith(prefix)}
    known, _unknown = from_reference(inner)
    here = {key: name for name, key in known.items()}
    for key, whole in inner.items():
        if key.endswith("embeddings.position_ids"):  # a buffer 0, 1, 2, ... of older versions
            tensors.pop(whole)
            continue
        name = here.get(key) or part_from_reference(key)
        if name.startswith(ours) and prefix + name.removeprefix(ours) != whole:
            tensors[prefix + name.removeprefix(ours)] = tensors.pop(whole)


def _name_what_is_wrong(module: Any, incompatible: Any) -> None:
    for keys in (incompatible.missing_keys, incompatible.unexpected_keys):
        keys[:] = [_their_name(module, key) for key in keys]


def _as_asked_for(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Let a forward pass take `return_dict`: False, there or in the config, gives the tuple of what it returns."""
    hands_on = "return_dict" in signature(forward).parameters

    @wraps(forward)
    def wrapped(self: Any, *inputs: Any, return_dict: bool | None = None, **named_inputs: Any) -> Any:
        as_object = self.config.return_dict if return_dict is None else return_dict
        if hands_on:
            named_inputs["return_dict"] = return_dict
        outputs = forward(self, *inputs, **named_inputs)
        return outputs if as_object or not hasattr(outputs, "to_tuple") else outputs.to_tuple()

    return wrapped


def _show_all_arguments(cls: type[ReferenceNames]) -> None:
    """Let `inspect.signature(forward)` show what a forward pass takes that hands arguments on to the encoder.

    Trainers look there to find out which columns of a data set a model can use.
    """
    own = signature(cls.forward).parameters
    if cls.encoder_arguments is None or not {"inputs", "named_inputs"} <= own.keys():
        return
    shown = cls.encoder_arguments | {n: p for n, p in own.items() if p.kind is Parameter.KEYWORD_ONLY}
    by_kind = sorted([own["self"], *shown.values()], key=lambda p: p.kind)
    cls.forward.__signature__ = Signature(by_kind)  # type: ignore[attr-defined]

"""Nothing that the reference's Trainer takes is passed over in silence: it works, or is refused by name."""

import inspect
from dataclasses import MISSING, fields

import pytest
import transformers
from toy_training import Toy, arguments

from minibert import Trainer, TrainingArguments
from minibert.training.not_here import NEVER_CALLED, REFUSED_ARGUMENTS, WITHOUT_EFFECT, call_known

FIELDS = {field.name for field in fields(TrainingArguments)}
REFUSED = {name: accepted for rows in REFUSED_ARGUMENTS.values() for accepted, names in rows for name in names.split()}
METHODS = [name for names in NEVER_CALLED.values() for name in names.split()]
HOOKS = [
    "compute_loss",
    "training_step",
    "prediction_step",
    "evaluate",
    "predict",
    "log",
    "get_train_dataloader",
    "get_eval_dataloader",
    "get_test_dataloader",
    "create_optimizer",
    "create_scheduler",
    "create_optimizer_and_scheduler",
]

# --- arguments


def test_every_argument_of_the_reference_has_a_place():
    theirs = {field.name: field.default for field in fields(transformers.TrainingArguments)}
    assert not theirs.keys() - FIELDS - REFUSED.keys() - WITHOUT_EFFECT.keys()
    assert not FIELDS & (REFUSED.keys() | WITHOUT_EFFECT.keys()) and not REFUSED.keys() & WITHOUT_EFFECT.keys()
    ours = {name: accepted[0] for name, accepted in REFUSED.items()} | WITHOUT_EFFECT
    for name, default in theirs.items():
        if name in ours and default is not MISSING:
            assert ours[name] == default or not (ours[name] or default), name


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_so_anyway_may_be_asked_for(name):
    for value in REFUSED[name]:
        args = TrainingArguments("run", **{name: value})
        assert getattr(args, name) == value
    assert getattr(TrainingArguments("run"), name) == REFUSED[name][0]
    with pytest.raises(ValueError, match=f"^{name}='something else' is not supported, only .*: .{{10}}"):
        TrainingArguments("run", **{name: "something else"})


def test_also_later():
    args = TrainingArguments("run")
    args.learning_rate = 0.5
    with pytest.raises(ValueError, match="^push_to_hub=True is not supported, only False: nothing is uploaded here"):
        args.push_to_hub = True
    assert args.push_to_hub is False


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_decides_nothing_may_be_anything(name):
    assert getattr(TrainingArguments("run", **{name: "anything"}), name) == "anything"
    assert getattr(TrainingArguments("run"), name) == WITHOUT_EFFECT[name]


def test_what_nobody_knows():
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rte'"):
        TrainingArguments("run", learning_rte=1)
    with pytest.raises(AttributeError, match="TrainingArguments has no 'learning_rte'"):
        print(TrainingArguments("run").learning_rte)


# --- methods


def test_every_method_of_the_reference_has_a_place():
    theirs = {name for name, value in vars(transformers.Trainer).items() if inspect.isfunction(value)} - {"__init__"}
    ours = {name for name in dir(Trainer) if not name.startswith("_")}
    assert not theirs - ours - set(METHODS)
    assert not ours & (set(METHODS) - {"save_model"})
    assert set(HOOKS) <= ours & theirs


@pytest.mark.parametrize("name", METHODS)
def test_an_override_that_nothing_would_call_is_refused(tmp_path, name):
    own = type("Own", (Trainer,), {name: lambda self, *arguments: None})
    below = type("Below", (own,), {})
    for cls in (own, below):
        with pytest.raises(TypeError, match=rf"^Own\.{name} would never be called: .{{10}}"):
            cls(Toy(), arguments("minibert", tmp_path))


def test_a_part_of_the_loop_is_not_replaced_by_chance(tmp_path):
    class Own(Trainer):
        def _step(self):
            pass

    with pytest.raises(TypeError, match=r"^Own\._step would replace a part of the loop; choose another name"):
        Own(Toy(), arguments("minibert", tmp_path))


def test_a_loss_that_could_not_be_evaluated_is_refused(tmp_path):
    class Own(Trainer):
        def compute_loss(self, model, inputs):
            return model(**inputs)["loss"]

    with pytest.raises(TypeError, match=r"Own.compute_loss must take \(model, inputs, return_outputs=False\)"):
        Own(Toy(), arguments("minibert", tmp_path))


@pytest.mark.parametrize("name", HOOKS)
def test_what_is_called_can_be_overridden(tmp_path, name):
    own = type("Own", (Trainer,), {name: getattr(Trainer, name)})
    own(Toy(), arguments("minibert", tmp_path))


@pytest.mark.parametrize("name", HOOKS)
def test_signatures_are_those_of_the_reference(name):
    ours, theirs = (list(inspect.signature(getattr(cls, name)).parameters) for cls in (Trainer, transformers.Trainer))
    assert ours == theirs[: len(ours)]
    ours, theirs = (list(inspect.signature(cls).parameters) for cls in (Trainer, transformers.Trainer))
    assert ours == [*theirs, "tokenizer"]


@pytest.mark.parametrize(("name", "reason"), [("push_to_hub", "upload"), ("accelerator", r"loss\.backward\(\)")])
def test_a_call_of_what_is_not_here_says_why(tmp_path, name, reason):
    trainer = Trainer(Toy(), arguments("minibert", tmp_path))
    with pytest.raises(AttributeError, match=f"^Trainer has no '{name}': .*{reason}"):
        getattr(trainer, name)
    with pytest.raises(AttributeError, match="^Trainer has no 'anything'$"):
        print(trainer.anything)


def test_arguments_that_an_override_does_not_know_are_left_out():
    assert call_known(lambda a: (a,), 1, newer=2) == (1,)
    assert call_known(lambda a, newer=0: (a, newer), 1, newer=2, newest=3) == (1, 2)
    assert call_known(lambda a, **others: (a, others), 1, newer=2) == (1, {"newer": 2})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": None}, "needs either a model, or a model_init"),
        ({"model_init": Toy}, "needs either a model, or a model_init"),
        ({"args": transformers.TrainingArguments("run")}, "expected minibert's TrainingArguments, found <class 'trans"),
        ({"optimizers": (None, object())}, "a schedule belongs to an optimizer"),
        ({"model": None, "model_init": Toy, "optimizers": (object(), None)}, "made anew by model_init"),
        ({"optimizer_cls_and_kwargs": (object, {})}, "optimizer_cls_and_kwargs is not supported: override create_opt"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path, given, words):
    with pytest.raises(TypeError, match=words):
        Trainer(**({"model": Toy(), "args": arguments("minibert", tmp_path)} | given))

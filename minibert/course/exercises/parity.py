"""Exercises of appendix B."""

import copy
from typing import Any

import torch

from minibert.course.exercise import Case, Exercise, Mistake
from minibert.course.phrases import Phrase
from minibert.model.config import BertConfig
from minibert.model.tasks import BertForPreTraining


def first_difference(table):
    return next((name for name, difference in table.items() if difference > 0), None)


def find_bug(good, bad, inputs):
    def record(model):
        outputs, hooks = {}, []
        for name, module in model.named_modules():
            if getattr(module, "weight", None) is not None:
                hooks.append(
                    module.register_forward_hook(lambda m, i, output, name=name: outputs.update({name: output}))
                )
        model(**inputs)
        for hook in hooks:
            hook.remove()
        return outputs

    found, expected = record(bad), record(good)
    return next(name for name in expected if not torch.equal(found[name], expected[name]))


def _tables() -> list[Case]:
    tables = {"a small one first": {"a": 0.0, "b": 1e-9, "c": 1e-4, "d": 5.0}, "equal models": {"a": 0.0, "b": 0.0}}
    return [Case(name, {"table": table}) for name, table in tables.items()]


def _models() -> list[Case]:
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 20,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    good = BertForPreTraining(BertConfig(**sizes, max_position_embeddings=8)).eval().requires_grad_(False)
    torch.random.set_rng_state(torch_state)
    cases = []
    for name in ("bert.encoder.layer.0.attention.value", "bert.encoder.layer.1.feed_forward.down"):
        bad = copy.deepcopy(good)
        bad.get_parameter(f"{name}.weight")[3, 5] += 1e-2
        inputs = {"input_ids": torch.tensor([[2, 7, 9, 3]])}
        place = Phrase("a fault in layer {layer}", layer=name.split(".")[3])
        cases.append(Case(place, {"good": good, "bad": bad, "inputs": inputs}))
    return cases


def _by_weights(good, bad, inputs):
    """The fault in the file, one might say; but only of this kind of faults."""
    weights = dict(bad.named_parameters())
    return next(
        name.rpartition(".")[0] for name, weight in good.named_parameters() if not torch.equal(weight, weights[name])
    )


EXERCISES = (
    Exercise(
        name="numbers_from_1_to_2",
        notebook="B",
        difficulty=1,
        minutes=4,
        task="How many fp32 numbers lie in the interval from 1 up to, but not including, 2?",
        hint="The exponent stays the same. How many bits are left?",
        solution="2**23",
        mistakes=(
            Mistake("the leading bit of the 24 is always 1, and not stored", answer=2**24),
            Mistake("1 counts", answer=2**23 - 1),
            Mistake("2 does not count", answer=2**23 + 1),
        ),
    ),
    Exercise(
        name="first_difference",
        notebook="B",
        difficulty=1,
        minutes=4,
        task="Return the name of the first module that differs, or `None`. `table` is a dictionary from names "
        "to differences, in the order of the forward pass.",
        hint="A dictionary keeps its order. `next(names, None)` takes the first one, or `None`.",
        solution=first_difference,
        cases=_tables,
        mistakes=(
            Mistake(
                "that is the largest difference; the bug is where the first one is",
                lambda table: max(table, key=table.get) if any(table.values()) else None,
            ),
            Mistake(
                "even a difference of 1e-9 is one",
                lambda table: next((name for name, size in table.items() if size > 1e-6), None),
            ),
        ),
    ),
    Exercise(
        name="find_bug",
        notebook="B",
        difficulty=3,
        minutes=15,
        task="Somebody gives you a good model and one with a bug. Return the name of the first module with a "
        "`weight` whose output differs. `good` and `bad` are called as `good(**inputs)`.",
        hint="`record` and `differences` above do nearly all of it, but for one fixed model and one fixed sentence.",
        solution=find_bug,
        cases=_models,
        mistakes=(),
    ),
)

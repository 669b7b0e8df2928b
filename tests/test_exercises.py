"""The exercises: solutions are right and those of the package, typical mistakes are named, alone and in pairs."""

import json
import linecache
import math
import struct
from itertools import combinations

import pytest
import torch

from minibert.course.all_exercises import EXERCISES, NOTEBOOKS
from minibert.course.comparison import find_fault, returned_fault
from minibert.course.exercises import from_memory
from minibert.course.verdict import RIGHT, WRONG, examine, with_mistakes
from minibert.model.attention import merge_heads, scaled_dot_product_attention, split_heads
from minibert.model.bert import BertModel
from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import EncoderLayer
from minibert.model.losses import nsp_loss
from minibert.model.tasks import BertForPreTraining
from minibert.text import masking
from minibert.training.optimization import build_optimizer, learning_rate_factor

FUNCTIONS = {name: exercise for name, exercise in EXERCISES.items() if not exercise.is_number}
NUMBERS = {name: exercise for name, exercise in EXERCISES.items() if exercise.is_number}
MEMORY = {exercise.name: exercise for exercise in from_memory.EXERCISES}
MISTAKES = [
    pytest.param(exercise, mistake, id=f"{name}, {mistake.says}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]
CASES = [
    pytest.param(name, number, id=f"{name}, {case.name}")
    for name, exercise in MEMORY.items()
    for number, case in enumerate(exercise.cases())
]


def as_written(code: str, name: str):
    """What code defines, in a file of its own that can be read, with what a notebook has imported."""
    file = f"<the answer {name}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    modules = {"torch": torch, "F": torch.nn.functional, "nn": torch.nn, "math": math, "json": json, "struct": struct}
    space = {"__name__": "answer", **modules}
    exec(compile(code, file, "exec"), space)
    return space[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_solutions_are_right_as_they_are_printed(name):
    exercise = EXERCISES[name]
    verdict = examine(exercise, as_written(exercise.solution_code, name))
    assert verdict.lines == [RIGHT] and verdict.points == exercise.difficulty


@pytest.mark.parametrize("name", EXERCISES)
def test_stubs_and_sheets_are_not_written_yet(name):
    exercise = EXERCISES[name]
    for code in (exercise.stub, exercise.sheet):
        assert examine(exercise, as_written(code, name)).lines == ["not written yet"]


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_typical_mistakes_are_named(exercise, mistake):
    wrong = mistake.answer if exercise.is_number else with_mistakes(exercise, mistake)
    verdict = examine(exercise, wrong if exercise.is_number else lambda *given: wrong(*given))
    assert verdict.status == WRONG and verdict.points == 0
    assert verdict.mistakes == [mistake.says], verdict.lines


def test_there_are_many_of_them():
    assert len(MISTAKES) >= 150 and all(exercise.mistakes for name, exercise in EXERCISES.items() if name != "find_bug")


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.variant])
def test_two_mistakes_at_once_are_both_named(name):
    """One of them is enough where the other then changes nothing; and a few pairs give what another mistake gives."""
    exercise, named, tried = EXERCISES[name], 0, 0
    with_changes = [mistake for mistake in exercise.mistakes if mistake.changes]
    pairs = [pair for pair in combinations(with_changes, 2) if not pair[0].changes.keys() & pair[1].changes.keys()]
    for pair in pairs[:: max(1, len(pairs) // 12)]:
        wrong = with_mistakes(exercise, *pair)
        verdict = examine(exercise, lambda *given, wrong=wrong: wrong(*given))
        assert verdict.mistakes, [mistake.says for mistake in pair]
        named += set(verdict.mistakes) <= {mistake.says for mistake in pair}
        tried += 1
    assert named >= 0.7 * tried, (named, tried)


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.variant])
def test_the_variant_without_mistakes_is_the_solution(name):
    exercise = EXERCISES[name]
    for case, again in zip(exercise.cases(), exercise.cases(), strict=True):
        expected = exercise.solution(*case.arguments.values())
        assert returned_fault(exercise.variant(*again.arguments.values()), expected, exercise.parts) is None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_cases_are_made_alike_and_left_alone_by_the_solution(name):
    exercise = FUNCTIONS[name]
    cases, others = exercise.cases(), exercise.cases()
    for case, other in zip(cases, others, strict=True):
        exercise.solution(*case.arguments.values())
        assert case.name == other.name and list(case.arguments) == list(other.arguments)
        for key, value in case.arguments.items():
            if not callable(value) and not isinstance(value, dict):
                assert find_fault(value, other.arguments[key]) is None, key


def test_every_notebook_has_three_and_their_words_are_in_order():
    assert [*"0123456789", *"ABC"] == NOTEBOOKS
    for notebook in NOTEBOOKS:
        own = [e for e in EXERCISES.values() if e.notebook == notebook and e.name not in MEMORY]
        assert len(own) == 3
    for exercise in EXERCISES.values():
        assert exercise.difficulty in (1, 2, 3) and 2 <= exercise.minutes <= 20
        assert exercise.task.endswith((".", "?", ")")) and exercise.hint.endswith((".", "?", "`."))
        assert exercise.name not in exercise.hint


# --- they are the package's


def numbers_of_the_package():
    base = BertConfig.base()
    with torch.device("meta"):  # shapes without memory
        model, layer = BertForPreTraining(base), EncoderLayer(base)
        count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
        heads = count(model) - count(model.bert)
        nsp_head = 2 * base.hidden_size + 2
        return {
            "embedding_parameters": count(model.bert.embeddings),
            "layer_parameters": count(layer),
            "mlm_head_parameters": heads - nsp_head,
            "bert_model_parameters": count(BertModel(base)),
            "classifier_parameters": count(torch.nn.Linear(base.hidden_size, 5)),
        }


@pytest.mark.parametrize(("name", "number"), numbers_of_the_package().items())
def test_counts_are_those_of_the_package(name, number):
    assert EXERCISES[name].right_answer == number


def test_other_numbers():
    one, two = torch.tensor([1.0, 2.0]).view(torch.int32).tolist()
    assert EXERCISES["numbers_from_1_to_2"].right_answer == two - one
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.tensor([1000.0])
    build_optimizer([("matrix", parameter)], 0.001, 0.0, (0.9, 0.999), 1e-8).step()
    assert EXERCISES["first_step"].right_answer == pytest.approx(-parameter.item())


def test_the_loss_and_the_schedule_are_those_of_the_package():
    for case in EXERCISES["sigmoid_loss"].cases():
        z0, z1, is_next = case.arguments.values()
        ours = nsp_loss(torch.tensor([[z0, z1]]), torch.tensor([1 - is_next]))
        assert EXERCISES["sigmoid_loss"].solution(z0, z1, is_next) == pytest.approx(ours.item(), abs=1e-5)
    for case in EXERCISES["rate_share"].cases():
        step, steps, warmup_steps = case.arguments.values()
        ours = learning_rate_factor("linear", step / steps, warmup_steps / steps)
        assert EXERCISES["rate_share"].solution(step, steps, warmup_steps) == pytest.approx(ours)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_the_values_are_those_of_minibert(name, number, monkeypatch):
    exercise = MEMORY[name]
    given = exercise.cases()[number].arguments
    with torch.no_grad():
        found = globals()[f"our_{name}"](given, monkeypatch)
    expected = exercise.solution(*exercise.cases()[number].arguments.values())
    assert returned_fault(found, expected, exercise.parts) is None


def config(**sizes) -> BertConfig:
    return BertConfig(**{"hidden_size": 4, "num_attention_heads": 1, "pad_token_id": None, **sizes})


def our_embed(given, monkeypatch):
    sizes = {"vocab_size": 7, "max_position_embeddings": 6, "layer_norm_eps": given["eps"]}
    module = Embeddings(config(**sizes)).eval()
    state = {f"{table}.weight": given[table] for table in ("word", "segment", "position")}
    module.load_state_dict(state | {"norm.weight": given["norm_weight"], "norm.bias": given["norm_bias"]})
    return module(given["token_ids"], given["segment_ids"], torch.arange(len(given["token_ids"])))


def our_scaled_dot_product_attention(given, monkeypatch):
    return scaled_dot_product_attention(**given)


def our_split_heads(given, monkeypatch):
    return split_heads(given["x"], given["num_heads"]).transpose(1, 2)  # the package leaves tokens in front


def our_merge_heads(given, monkeypatch):
    return merge_heads(given["x"].transpose(1, 2))


def our_encoder_layer(given, monkeypatch):
    module = EncoderLayer(config(intermediate_size=6, layer_norm_eps=given["eps"])).eval()
    module.load_state_dict(given["weights"], strict=False)
    monkeypatch.setattr(module.attention, "forward", lambda x, packing, output_attentions: (given["attend"](x), None))
    return module(given["x"], None)[0]


def our_mask_tokens(given, monkeypatch):
    """With the exercise's dice in the place of ours."""
    dice = {
        masking._ORDER: given["order"],
        masking._ACTION: given["action"],
        masking._TOKEN: (given["random_ids"] + 0.5) / 1000,
    }
    bits = {
        stream: (numbers.double() * 2**53).long().numpy().astype("uint64") << 11 for stream, numbers in dice.items()
    }
    monkeypatch.setattr(masking, "_random_bits", lambda keys, n_positions, stream: bits[stream][None])
    ids, maskable = given["token_ids"].numpy()[None], ~given["is_special"].numpy()[None]
    lengths, sizes = masking.np.array([ids.size]), {"mask_token_id": given["mask_id"], "vocab_size": 1000}
    return tuple(torch.from_numpy(x[0]) for x in masking.mask_tokens(ids, maskable, lengths, None, **sizes))


def our_adamw_step(given, monkeypatch):
    parameter = torch.nn.Parameter(given["parameter"])
    parameter.grad = given["gradient"]
    numbers = given["lr"], given["weight_decay"], (given["beta1"], given["beta2"]), given["eps"]
    optimizer = build_optimizer([("matrix", parameter)], *numbers)
    state = {"step": torch.tensor(given["step"] - 1.0), "exp_avg": given["m"], "exp_avg_sq": given["v"]}
    optimizer.state[parameter] = state
    optimizer.step()
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]

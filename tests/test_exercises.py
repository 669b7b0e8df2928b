"""The exercises for a class: right answers pass, wrong ones are told where they go wrong, and the values are BERT's."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from exercise_answers import RIGHT
from exercise_mistakes import WRONG
from exercise_values import FOLDER, as_argument, as_json, reference_values
from grade import find_fault, grade, main

from minibert.commands.run import run
from minibert.model.attention import merge_heads, scaled_dot_product_attention, split_heads
from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import EncoderLayer
from minibert.text import masking
from minibert.training.optimization import build_optimizer

TEXT = (FOLDER / "reference_values.json").read_text(encoding="utf-8")
VALUES = json.loads(TEXT)
MISTAKES = [(name, *mistake) for name, mistakes in WRONG.items() for mistake in mistakes]


def verdict_on(name: str, function) -> str:
    """What the grader says of a function in this file."""
    return grade(SimpleNamespace(__file__=__file__, **{name: function}), name, VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_right_answers_pass(name):
    assert verdict_on(name, RIGHT[name]) == "right"


@pytest.mark.parametrize(("name", "hint", "answer"), MISTAKES)
def test_typical_mistakes_are_named(name, hint, answer):
    # By position, as the mistakes here are written; the grader calls by name.
    names = list(VALUES[name][0]["arguments"])
    verdict = verdict_on(name, lambda **given: answer(*(given[key] for key in names)))
    assert verdict.endswith(f"\nhint: {hint}"), verdict
    fault = verdict.split("\n")[0]
    assert "wrong values" in fault and "the first at [" in fault and "expected" in fault and "found" in fault


def test_there_are_at_least_fifty_typical_mistakes():
    assert len(MISTAKES) >= 50 and set(WRONG) == set(RIGHT) == set(VALUES)


def test_a_forgotten_transpose_of_the_keys_does_not_fit():
    def answer(query, key, value, key_mask):
        return query @ key, value

    verdict = verdict_on("scaled_dot_product_attention", answer)
    assert verdict.startswith("all keys visible: raises RuntimeError in line ")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda x: x, "one head: wrong shape: expected (2, 3, 4), found (2, 1, 3, 4)"),
        (lambda x: x.tolist(), "one head: wrong type: expected a tensor, found list"),
        (lambda x: [x], "one head: wrong type: expected a tensor, found list"),
        (lambda x: None, "one head: returns None: is `return` missing?"),
        (lambda x: (RIGHT["merge_heads"](x), x), "one head: returns 2 values, expected 1"),
        (lambda x: RIGHT["merge_heads"](x) * float("nan"), "one head: wrong values, 24 of 24, the first at [0, 0, 0]"),
        (lambda x: x.view(7, -1), "one head: raises RuntimeError in line"),
        (lambda: 0, "one head: raises TypeError: "),
        (lambda x: sys.exit("no"), "one head: raises SystemExit in line"),
        (None, "not there; the file has no function of this name"),
    ],
)
def test_other_faults(answer, expected):
    assert verdict_on("merge_heads", answer).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda **given: list(RIGHT["scaled_dot_product_attention"](**given)), "right"),
        (
            lambda **given: RIGHT["scaled_dot_product_attention"](**given)[0],
            "all keys visible: returns 1 value, expected 2: context, weights",
        ),
        (lambda **given: None, "all keys visible: returns None: is `return` missing?"),
    ],
)
def test_where_two_values_are_expected(answer, expected):
    assert verdict_on("scaled_dot_product_attention", answer) == expected


def test_the_line_is_one_of_the_learners_file():
    @torch.no_grad()
    def answer(x):
        return x.unflatten(0, ())  # between Python code of PyTorch: the decorator, and what raises

    line = answer.__wrapped__.__code__.co_firstlineno + 2
    assert verdict_on("merge_heads", answer).startswith(f"one head: raises RuntimeError in line {line}: ")


def test_the_first_wrong_value_of_the_first_wrong_part_is_named():
    def answer(**given):
        context, weights = RIGHT["scaled_dot_product_attention"](**given)
        weights[1, 0, 2, 1] += 0.5
        return context, weights

    verdict = verdict_on("scaled_dot_product_attention", answer)
    weight = VALUES["scaled_dot_product_attention"][0]["expected"][1][1][0][2][1]
    numbers = f"expected {weight:.5g}, found {weight + 0.5:.5g}"
    assert verdict == f"all keys visible: wrong values of weights, 1 of 64, the first at [1, 0, 2, 1]: {numbers}"


# --- the command


def call(capsys, monkeypatch, path: Path) -> tuple[int, str, str]:
    """The grader's exit code, standard output and standard error; in this process, which is quicker."""
    monkeypatch.setattr(sys, "argv", ["grade.py", str(path)])
    with pytest.raises(SystemExit) as stop:
        run(main)
    return stop.value.code, *capsys.readouterr()


def test_the_command(tmp_path, capsys, monkeypatch):
    path = tmp_path / "answers.py"
    stubs = (FOLDER / "exercises.py").read_text(encoding="utf-8")
    path.write_text(stubs.replace("num_heads: int) -> Tensor:", "num_heads: int) -> Tensor:\n    return x\n"))
    code, out, err = call(capsys, monkeypatch, path)
    assert code == 1 and not err
    *lines, _, total = out.splitlines()
    expected = dict.fromkeys(RIGHT, "not written yet")
    expected["split_heads"] = "one head: wrong shape: expected (2, 1, 3, 4), found (2, 3, 4)"
    assert dict(line.split(maxsplit=1) for line in lines) == expected
    assert total == "0 of 7 right"


def test_the_command_in_a_process_of_its_own():
    command = [sys.executable, str(FOLDER / "grade.py"), str(Path(__file__).parent / "exercise_answers.py")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and done.stdout.endswith("\n7 of 7 right\n")


def test_the_output_in_the_readme_is_real(tmp_path, capsys, monkeypatch):
    path = tmp_path / "answers.py"
    stubs = (FOLDER / "exercises.py").read_text(encoding="utf-8")
    right = "from exercise_answers import embed, scaled_dot_product_attention\n"
    wrong = "def split_heads(x, num_heads):\n    return x.view(len(x), num_heads, x.shape[1], -1)\n"
    path.write_text(stubs + right + wrong)
    _, out, _ = call(capsys, monkeypatch, path)
    assert f"```\n{out}```" in (FOLDER.parent / "README.md").read_text(encoding="utf-8")


def test_the_line_is_told_for_a_path_relative_to_the_folder(tmp_path, capsys, monkeypatch):
    (tmp_path / "answers.py").write_text("import sys\n\ndef merge_heads(x):\n    sys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, monkeypatch, Path("answers.py"))
    assert code == 1 and "one head: raises SystemExit in line 4: 0\n" in out


@pytest.mark.parametrize("text", [None, "def broken(:", "1 / 0", "raise SystemExit(0)"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, capsys, monkeypatch, text):
    path = tmp_path / "answers.py"
    if text is not None:
        path.write_text(text)
    code, out, err = call(capsys, monkeypatch, path)
    assert code == 2 and not out
    assert len(err.splitlines()) == 1 and err.startswith(f"error: {path}: ")


# --- the values


def test_the_file_is_what_the_answers_give():
    kept, made = json.loads(TEXT), json.loads(as_json(reference_values()))
    assert kept.keys() == made.keys()
    for name, cases in made.items():
        for kept_case, case in zip(kept[name], cases, strict=True):
            assert (kept_case["name"], kept_case["arguments"]) == (case["name"], case["arguments"])
            kept_results = [["", kept_case["expected"]], *kept_case["mistakes"]]
            results = [["", case["expected"]], *case["mistakes"]]
            for (kept_hint, kept_values), (hint, values) in zip(kept_results, results, strict=True):
                found = tuple(map(torch.tensor, kept_values))
                assert kept_hint == hint
                assert find_fault(found, list(map(torch.tensor, values)), tuple("abc")[: len(found)]) is None


CASES = [pytest.param(name, case, id=f"{name}, {case['name']}") for name, cases in VALUES.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_values_are_those_of_minibert(name, case, monkeypatch):
    given = {key: as_argument(value) for key, value in case["arguments"].items()}
    with torch.no_grad():
        found = globals()[f"our_{name}"](given, monkeypatch)
    found = found if isinstance(found, tuple) else (found,)
    assert (
        find_fault(found, list(map(torch.tensor, case["expected"])), ("first", "second", "third")[: len(found)]) is None
    )


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


def test_every_stub_has_the_arguments_of_its_values():
    namespace: dict = {}
    exec((FOLDER / "exercises.py").read_text(encoding="utf-8"), namespace)
    for name, cases in VALUES.items():
        names = namespace[name].__code__.co_varnames[: namespace[name].__code__.co_argcount]
        assert list(names) == list(cases[0]["arguments"])

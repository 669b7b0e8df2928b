"""Other people's tests as ours: run their suites against this package, and say of every test how it went.

    python tests/other_suites.py --transformers CHECKOUT --vocabulary FOLDER
    python tests/other_suites.py --cs224n CHECKOUT --weights FOLDER

CHECKOUT is a copy of the repository of `transformers`, of the version that is installed, or of Stanford's "minBERT"
assignment. Nothing of theirs is copied here or changed: names are swapped in a child process (`swapped_names.py`),
which must find `parameterized`. What the reference itself does not pass on this machine (accelerators, hub) does not
count.

Ends with 1 if a test fails that this package does not decline in `NOT_PROMISED`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

TESTS = Path(__file__).parent

NEWEST = "the newest names for gradient checkpointing (`activation_checkpointing_enable`)"
LISTS = "keys that are missing as a set: here a list, as it was until version 4"
WORDING = "the wording of an error"
FOREIGN_TOKENS = "tokens that BERT does not have: `bos_token`, `eos_token`"
INSIDES = "the insides of a tokenizer: `init_kwargs`, `backend`, `merges`"

# Patterns of `Class.test`, where the class is the one that wrote the test down, and why we do not promise it.
NOT_PROMISED = {
    "GenerationTesterMixin.*": "text generation: BERT is an encoder",
    "*.test_model_as_decoder*": "decoders and cross-attention",
    "*.test_for_causal_lm*": "decoders: `BertLMHeadModel`",
    "*.test_decoder_model_past_*": "decoders: `BertLMHeadModel`",
    "*.test_causal_lm_loss_*": "decoders: `BertLMHeadModel`",
    "*.test_inherits_generation_mixin": "text generation: BERT is an encoder",
    "*.test_generate_*": "text generation: BERT is an encoder",
    "*.test_left_padding_compatibility": "text generation: BERT is an encoder",
    "*.test_capture_outputs_decorator": "how `transformers` records hidden states inside",
    "*.test_can_capture_specific_layers_hidden_states": "how `transformers` records hidden states inside",
    "*.test_generation_tester_mixin_inheritance": "text generation: BERT is an encoder",
    "*.test_training_gradient_checkpointing*": "the type of the modules inside: `GradientCheckpointingLayer`",
    "*.test_gradient_checkpointing_enable_disable": "the type of the modules inside: `GradientCheckpointingLayer`",
    "*.test_model_weights_reload_no_missing_tied_weights": "loading a file without one tensor of a BERT: refused",
    "*.test_load_with_mismatched_shapes": "the wording of a warning, and the logger it comes from",
    "*.test_maximum_encoding_length_*": "the wording of a warning, and the logger it comes from",
    "*_chat_template*": "chat templates",
    "*.test_continue_final_message*": "chat templates",
    "*.test_jinja_*": "chat templates",
    "*.test_prepare_seq2seq_batch": "targets of translation: `text_target`",
    "*.test_enable_input_require_grads_with_gradient_checkpointing": NEWEST,
    "*.test_gradient_checkpointing_backward_compatibility": NEWEST,
    "*.test_peft_gradient_checkpointing_enable_disable": NEWEST,
    "*.test_base_model_prefix_loads_base_weights": LISTS,
    "*.test_can_use_safetensors": LISTS,
    "*.test_load_save_without_tied_weights": LISTS,
    "*.test_can_load_ignoring_mismatched_shapes": "iterating over a config",
    "*.test_can_set_attention_dynamically": WORDING,
    "*.test_cannot_load_with_meta_device_context_manager": WORDING,
    "BertModelTest.test_config": "a config that no BERT can have: refused when it is made",
    "*.test_resize_tokens_embeddings": WORDING,
    "*_bos_token_*": FOREIGN_TOKENS,
    "*.test_added_tokens_serialization": FOREIGN_TOKENS,
    "*.test_tokenizers_common_ids_setters": FOREIGN_TOKENS,
    "*.test_tokenizers_common_properties": FOREIGN_TOKENS,
    "*.test_integration_from_extractor": INSIDES,
    "*.test_sequence_ids": INSIDES,
    "*.test_tokenizer_store_full_signature": INSIDES,
    "*.test_tokenizer_initialization_with_conflicting_key": WORDING,
}

PASS, NOT, FAIL, NOT_HERE = "pass", "not promised", "fails", "not here"
NOT_BUT_PASSES = "not promised, but pass"
RANK = {"passed": 0, "skipped": 1, "failed": 2}


def main() -> int:
    arguments = parse_arguments()
    rows = []
    if arguments.transformers:
        for suite in ("modeling", "tokenization"):
            rows += compare(arguments.transformers, f"tests/models/bert/test_{suite}_bert.py", arguments.vocabulary)
    if arguments.cs224n:
        rows.append(sanity_check(arguments.cs224n, arguments.weights))
    print_table(rows)
    return 1 if any(verdict == FAIL for _, _, verdict, _ in rows) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transformers", type=folder, help="a checkout of transformers, as installed")
    parser.add_argument("--vocabulary", type=folder, help="a tokenizer's folder with bert-base-uncased's vocabulary")
    parser.add_argument("--cs224n", type=folder, help="a checkout of the minBERT assignment")
    parser.add_argument("--weights", type=folder, help="a checkpoint of bert-base-uncased")
    arguments = parser.parse_args()
    if not (arguments.transformers or arguments.cs224n):
        parser.error("give --transformers, --cs224n or both")
    if arguments.transformers and not arguments.vocabulary:
        parser.error("--transformers needs --vocabulary: the suite of the tokenizer would ask the hub for it")
    return arguments


def folder(name: str) -> Path:
    if not Path(name).is_dir():
        raise argparse.ArgumentTypeError(f"{name} is not a folder")
    return Path(name).resolve()


def compare(checkout: Path, suite: str, vocabulary: Path) -> list[tuple[str, str, str, str]]:
    """Every test of a suite that the reference passes here: (suite, test, verdict, reason)."""
    if not (checkout / suite).is_file():
        raise SystemExit(f"error: {checkout} has no {suite}: is it a checkout of transformers?")
    theirs, ours = (run(checkout, suite, vocabulary, swapped) for swapped in (False, True))
    rows = []
    for test, (outcome, why) in theirs.items():
        if outcome == "passed":
            verdict, reason = judge(test, *ours.get(test, ("failed", "was not run")))
        else:
            verdict, reason = NOT_HERE, f"the reference: {outcome}, {why}"
        rows.append((Path(suite).stem, test, verdict, reason))
    if all(verdict == NOT_HERE for _, _, verdict, _ in rows):
        raise SystemExit(f"error: of {suite} the reference passes no test here: {rows[0][3]}")
    return rows


def run(checkout: Path, suite: str, vocabulary: Path, swapped: bool) -> dict[str, tuple[str, str]]:
    """Run a suite in a process of its own, with names swapped or not: {test: (worst outcome, why)}."""
    with tempfile.TemporaryDirectory() as temporary:
        outcomes = Path(temporary) / "outcomes"
        environment = os.environ | {
            "OUTCOMES": str(outcomes),
            "SWAPPED": str(int(swapped)),
            "VOCABULARY": str(vocabulary),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]),
        }
        options = ["-q", "-o", "addopts=", "-W", "ignore", "-p", "no:cacheprovider", "--noconftest", "--rootdir", "."]
        command = [sys.executable, "-m", "pytest", "-p", "swapped_names", *options, suite]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        if not outcomes.exists():
            raise SystemExit(f"error: {suite} did not start:\n{(done.stdout + done.stderr)[-3000:]}")
        return read_outcomes(outcomes)


def read_outcomes(path: Path) -> dict[str, tuple[str, str]]:
    """A test has several lines, for its phases and subtests: the worst counts."""
    worst = {}
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if line["name"] not in worst or RANK[line["outcome"]] > RANK[worst[line["name"]][0]]:
            worst[line["name"]] = (line["outcome"], line["why"])
    return worst


def judge(test: str, outcome: str, why: str) -> tuple[str, str]:
    """The verdict on a test that the reference passes. Skipping what the reference does is no passing.

    Nor is passing what is not promised: most such tests loop over the models that can generate, and we have none.
    """
    declined = next((reason for pattern, reason in NOT_PROMISED.items() if fnmatchcase(test, pattern)), None)
    if declined:
        return (NOT_BUT_PASSES if outcome == "passed" else NOT), declined
    return (PASS, "") if outcome == "passed" else (FAIL, f"{outcome}: {why}")


# `bert` is the module that students write; the rest of the file runs as it is.
RUN_SANITY_CHECK = """
import runpy, sys, types
from minibert import BertModel
script, weights = sys.argv[1:]
class Bert(BertModel):
    @classmethod
    def from_pretrained(cls, name):
        assert name == "bert-base-uncased", name
        return BertModel.from_pretrained(weights)
sys.modules["bert"] = types.ModuleType("bert")
sys.modules["bert"].BertModel = Bert
runpy.run_path(script, run_name="__main__")
"""


def sanity_check(checkout: Path, weights: Path | None) -> tuple[str, str, str, str]:
    """`sanity_check.py` in a process of its own; without real weights, with random ones and the reference's numbers."""
    script = checkout / "sanity_check.py"
    if not script.is_file():
        raise SystemExit(f"error: {checkout} has no sanity_check.py: is it a checkout of the minBERT assignment?")
    with tempfile.TemporaryDirectory() as temporary:
        name = "sanity_check.py" if weights else "sanity_check.py (random weights: give --weights for the real ones)"
        place = checkout if weights else make_random_bert(Path(temporary))
        command = [sys.executable, "-c", RUN_SANITY_CHECK, script, weights or place]
        environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run([*map(str, command)], cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode == 0 and "is correct" in done.stdout:
        return "cs224n", name, PASS, ""
    return "cs224n", name, FAIL, (done.stderr.splitlines() or ["ended with no message"])[-1]


def make_random_bert(place: Path) -> Path:
    """A checkpoint of random weights, and beside it what the reference makes of the two sentences of the check."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    model = BertModel(BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128))
    model.eval().save_pretrained(place)
    ids = torch.tensor([[101, 7592, 2088, 102, 0, 0, 0, 0], [101, 7592, 15756, 2897, 2005, 17953, 2361, 102]])
    with torch.no_grad():
        out = model(ids, attention_mask=(ids != 0).long())
    names = ("last_hidden_state", "pooler_output")
    torch.save({name: out[name].clone() for name in names}, place / "sanity_check.data")
    return place


def print_table(rows: list[tuple[str, str, str, str]]) -> None:
    """The counts in Markdown, and then what needs a look: failures by cause, and what passes unexpectedly."""
    print("| suite | pass | not promised | fails |\n| --- | --- | --- | --- |")
    for suite in dict.fromkeys(row[0] for row in rows):
        counts = Counter(row[2] for row in rows if row[0] == suite)
        print(f"| {suite} | {counts[PASS]} | {counts[NOT] + counts[NOT_BUT_PASSES]} | {counts[FAIL]} |")
    print("\n| not promised | tests | why |\n| --- | --- | --- |")
    declined = Counter((row[0], row[3]) for row in rows if row[2] in (NOT, NOT_BUT_PASSES))
    for (suite, reason), count in declined.most_common():
        print(f"| {suite} | {count} | {reason} |")
    elsewhere = sum(row[2] == NOT_HERE for row in rows)
    print(f"\n{elsewhere} tests do not count: the reference skips them here, or fails.")
    looks = defaultdict(list)
    for suite, test, verdict, reason in rows:
        if verdict in (FAIL, NOT_BUT_PASSES):
            looks[suite, verdict, reason].append(test)
    for (suite, verdict, reason), tests in sorted(looks.items(), key=lambda look: -len(look[1])):
        print(f"\n{suite}: {len(tests)} {verdict}: {reason}\n    {', '.join(tests)}")


if __name__ == "__main__":
    sys.exit(main())

"""The script that runs other people's suites, on small suites made here: it must not say "pass" too easily."""

import sys

import other_suites
import pytest
from other_suites import FAIL, NOT, NOT_BUT_PASSES, NOT_HERE, NOT_PROMISED, PASS, compare, judge

TEXT_GENERATION = NOT_PROMISED["GenerationTesterMixin.*"]

SUITE = """
import unittest
from transformers import BertModel

class ModelTesterMixin:
    all_model_classes = (BertModel,)
    ours = BertModel.__module__.startswith("minibert")

    def test_both(self):
        self.assertIsNotNone(self.all_model_classes)

    def test_only_theirs(self):
        self.assertFalse(self.ours, "it is ours")

    def test_skipped_by_ours(self):
        if self.ours:
            self.skipTest("no such thing")

    def test_a_part_fails(self):
        for ours in (False, self.ours):
            with self.subTest(ours):
                self.assertFalse(ours)

    def test_some_chat_template_(self):
        self.assertFalse(self.ours)

    def test_an_accelerator(self):
        self.skipTest("test requires accelerator")

class BertModelTest(ModelTesterMixin, unittest.TestCase):
    pass
"""

# As the assignment's script uses its model, but for the numbers of the real checkpoint.
SANITY_CHECK = """
import torch
from bert import BertModel
expected = torch.load("./sanity_check.data")
ids = torch.tensor([[101, 7592, 2088, 102, 0, 0, 0, 0], [101, 7592, 15756, 2897, 2005, 17953, 2361, 102]])
outputs = BertModel.from_pretrained("bert-base-uncased")(ids, (ids != 0).long())
assert torch.allclose(outputs["pooler_output"], FACTOR * expected["pooler_output"], atol=1e-5)
print("it is correct!")
"""


@pytest.fixture
def checkout(tmp_path):
    suite = tmp_path / "tests" / "models" / "bert" / "test_modeling_bert.py"
    suite.parent.mkdir(parents=True)
    suite.write_text(SUITE)
    return tmp_path


def test_every_test_is_judged_by_what_the_reference_does(checkout):
    rows = compare(checkout, "tests/models/bert/test_modeling_bert.py", checkout)
    assert {test.removeprefix("ModelTesterMixin."): verdict for _, test, verdict, _ in rows} == {
        "test_both": PASS,
        "test_only_theirs": FAIL,
        "test_skipped_by_ours": FAIL,
        "test_a_part_fails": FAIL,
        "test_some_chat_template_": NOT,
        "test_an_accelerator": NOT_HERE,
    }
    reasons = {test: reason for _, test, _, reason in rows}
    assert "it is ours" in reasons["ModelTesterMixin.test_only_theirs"]
    assert reasons["ModelTesterMixin.test_some_chat_template_"] == "chat templates"


def test_what_passes_although_declined_is_said():
    assert judge("GenerationTesterMixin.test_x", "passed", "") == (NOT_BUT_PASSES, TEXT_GENERATION)
    assert judge("GenerationTesterMixin.test_x", "failed", "") == (NOT, TEXT_GENERATION)
    assert judge("ModelTesterMixin.test_x", "passed", "") == (PASS, "")


@pytest.mark.parametrize(("factor", "code"), [("1", 0), ("1.01", 1)])
def test_the_check_of_the_assignment(tmp_path, monkeypatch, capsys, factor, code):
    (tmp_path / "sanity_check.py").write_text(SANITY_CHECK.replace("FACTOR", factor))
    monkeypatch.setattr(sys, "argv", ["other_suites.py", "--cs224n", str(tmp_path)])
    assert other_suites.main() == code
    printed = capsys.readouterr().out
    assert f"| cs224n | {1 - code} | 0 | {code} |" in printed
    assert ("AssertionError" in printed) == bool(code)


def test_a_folder_without_the_suite_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"has no tests/models/bert/test_modeling_bert\.py"):
        compare(tmp_path, "tests/models/bert/test_modeling_bert.py", tmp_path)
    with pytest.raises(SystemExit, match=r"has no sanity_check\.py"):
        other_suites.sanity_check(tmp_path, None)

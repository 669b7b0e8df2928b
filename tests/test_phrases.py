"""The sentences of the verdicts in Chinese: all of them have words, and none is left over in English."""

import ast
import json
import re
import string
from pathlib import Path

import pytest
import torch

import minibert.course
from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import in_language
from minibert.course.phrases import CHINESE, Phrase, say, translate
from minibert.course.verdict import OPEN, RIGHT, WRONG, examine, wrong_answers

HAN = re.compile(r"[\u4e00-\u9fff]")
FOLDER = Path(minibert.course.__file__).parent
SOURCES = [*FOLDER.rglob("*.py"), FOLDER.parent / "commands" / "grade.py"]
MISTAKES = {mistake.says for exercise in EXERCISES.values() for mistake in exercise.mistakes}
CASES = {getattr(case.name, "form", case.name) for exercise in EXERCISES.values() for case in exercise.cases()}


def written() -> set[str]:
    """The sentences that the code makes phrases of."""
    calls = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    made = [node for node in calls if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Phrase"]
    assert all(isinstance(call.args[0], ast.Constant) for call in made), "a phrase is written where it is made"
    return {call.args[0].value for call in made}


def fields(sentence: str) -> list[str]:
    return sorted(str(name) + str(form) for _, name, form, _ in string.Formatter().parse(sentence) if name)


def test_every_sentence_has_its_chinese_one_and_no_other_is_there():
    texts = json.loads(CHINESE.read_text(encoding="utf-8"))
    expected = written() | MISTAKES | CASES
    assert sorted(expected - {*texts}) == [] and sorted({*texts} - expected) == []
    for english, chinese in texts.items():
        assert fields(chinese) == fields(english), english
        words = re.sub(r"\{[^}]*\}|`[^`]*`", "␣", chinese)
        assert HAN.search(chinese) or not re.search(r"[a-z]{2}", words), english


@pytest.mark.parametrize("sentence", json.loads(CHINESE.read_text(encoding="utf-8")).values())
def test_sentences_are_set_as_chinese_is(sentence):
    """A blank between Chinese and Latin, and Chinese marks; a field that is a sentence of its own needs no blank."""
    words = re.sub(r"\{(of_part|name|verdict|case|fault|says|note|ending)\}", "字", sentence)
    words = re.sub(r"\{[^}]*\}|`[^`]*`", "␣", words)
    han = r"[\u4e00-\u9fff]"
    assert not re.findall(rf"{han}[A-Za-z0-9␣]|[A-Za-z0-9%␣]{han}|{han}[,;:?!()]|[,;:?!()]{han}|{han}\.", words)


def test_a_phrase_is_its_english_sentence_and_can_be_said_in_chinese():
    part = Phrase(" of {part}", part="mask")
    phrase = Phrase(
        "wrong shape{of_part}: expected {expected}, found {found}", of_part=part, expected=(2,), found="{x}"
    )
    assert phrase == say(phrase, "en") == "wrong shape of mask: expected (2,), found {x}"
    assert say(phrase, "zh") == "mask 的形状不对：应为 (2,)，得到 {x}"
    assert say("right", "zh") == "right", "what is not a phrase is said as it is"
    with pytest.raises(ValueError, match="zh_verdicts.json: the sentence 'nobody says this' has no Chinese"):
        translate("nobody says this")


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if not exercise.is_number])
def test_whatever_is_wrong_is_said_in_chinese(name):
    """And the judgement is that in English."""
    english, chinese = EXERCISES[name], in_language(EXERCISES[name], "zh")
    answers = [wrong for wrong, says in wrong_answers(english) if len(says) == 1]
    for answer in [*answers, 1, None, lambda: 0, lambda *given: None, lambda *given: "a", lambda *given: [given] * 3]:
        verdict, expected = examine(chinese, answer), examine(english, answer)
        assert (verdict.status, verdict.points, verdict.language) == (expected.status, expected.points, "zh")
        assert len(verdict.lines) == len(expected.lines)
        for line in verdict.lines:
            own = re.sub(r"'[^']*'", "", line.partition("Error：")[0])  # without texts, and what Python says of errors
            assert HAN.search(own) and not re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", own), line


TYPICAL = {
    "layer_norm": (
        lambda x, weight, bias, eps: (
            (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias
        ),
        [
            "两个词元：值不对，8 个里错了 8 个，第一个在 [0, 0]：应为 -2.8963，得到 -2.751",
            "错因：层归一化的方差要除以 D，不是 D - 1",
        ],
    ),
    "make_batch": (
        lambda lists, pad_id: (
            torch.tensor([ids + [pad_id] * (max(map(len, lists)) - len(ids)) for ids in lists]),
            torch.tensor([[place >= len(ids) for place in range(max(map(len, lists)))] for ids in lists]),
        ),
        ["三段文本：mask 的值不对，12 个里错了 12 个，第一个在 [0, 0]：应为 1，得到 0", "错因：掩码反了"],
    ),
    "attention_entropy": (
        lambda weights: -(weights * weights.log()).sum(-1),
        ["有零：值不对，3 个里错了 2 个，第一个在 [0, 1]：应为 -0，得到 nan", "错因：权重为零的项算作零，不能变成 NaN"],
    ),
    "mark": (
        lambda a, b: ["[CLS]", *a, "[SEP]", *b],
        [
            "两个短句子：长度不对：应为 9，得到 8：['[CLS]', 'it', 'is', '.', '[SEP]', 'is', 'it', '?']",
            "错因：缺了最后的 [SEP]",
        ],
    ),
    "bits": (4.1588831, ["不是 4.15888", "错因：这是以自然对数为单位的结果；以比特为单位，要取以 2 为底的对数"]),
}


@pytest.mark.parametrize("name", TYPICAL)
def test_typical_wrong_answers_are_explained_in_chinese(name):
    answer, lines = TYPICAL[name]
    assert examine(in_language(EXERCISES[name], "zh"), answer).lines == lines


def test_right_and_unwritten_answers_in_chinese():
    exercise = in_language(EXERCISES["bits"], "zh")
    assert (examine(exercise, 6).status, examine(exercise, 6).lines) == (RIGHT, ["正确"])
    assert (examine(exercise, None).status, examine(exercise, None).lines) == (OPEN, ["还没有写"])


def test_two_mistakes_an_overwritten_argument_and_an_error_in_chinese():
    def spoils(a, b):
        b.append("x")
        raise KeyError("gone")

    verdict = examine(in_language(EXERCISES["mark"], "zh"), spoils)
    assert verdict.status == WRONG and re.fullmatch(
        r"两个短句子：第 \d+ 行运行出错，KeyError：'gone'", verdict.lines[0]
    )
    right = EXERCISES["mark"].solution

    def changes(a, b):
        marked = right(a, b)
        a.append("x")
        return marked

    assert examine(in_language(EXERCISES["mark"], "zh"), changes).lines == [
        "改动了传进来的参数 `a`：请在新的张量或列表里计算"
    ]

"""The exercises in Chinese: all of them have words, which are set as Chinese is, and differ in nothing else."""

import json
import re

import pytest

from minibert.course import task, zh
from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import CHINESE, faults, in_language
from minibert.course.sheet import sheet
from minibert.course.verdict import OPEN, examine

HAN = r"[\u4e00-\u9fff]"
CODE = re.compile(r"`[^`]*`")


def test_exercises_without_words_and_words_without_an_exercise_are_named():
    texts = json.loads(CHINESE.read_text(encoding="utf-8"))
    assert faults(texts) == []
    texts["gone"] = texts.pop("bits")
    del texts["mark"]["hint"]
    assert faults(texts) == [
        "the exercise 'bits' has no text",
        "'gone' is no exercise",
        "'mark' has ['task'], not a task and a hint",
    ]


@pytest.mark.parametrize("name", EXERCISES)
def test_only_the_words_are_others(name):
    english, chinese = EXERCISES[name], in_language(EXERCISES[name], "zh")
    assert re.search(HAN, chinese.task) and re.search(HAN, chinese.hint) and "分钟" in chinese.marks
    assert chinese.task != english.task and chinese.solution_code == english.solution_code
    assert in_language(english, "en") is english


@pytest.mark.parametrize("name", EXERCISES)
def test_the_words_are_set_as_chinese_is(name):
    """A blank between Chinese and Latin, and Chinese marks."""
    for text in json.loads(CHINESE.read_text(encoding="utf-8"))[name].values():
        words = CODE.sub("␣", re.sub(r"\$[^$]+\$", "␣", text))
        assert not re.findall(rf"{HAN}[A-Za-z0-9␣]|[A-Za-z0-9%␣]{HAN}|{HAN}[,;:?!()]|[,;:?!()]{HAN}|{HAN}\.", words)


def test_a_learner_is_asked_and_answered_in_chinese(capsys):
    zh.task("embed")
    assert '"""每个词元的' in (out := capsys.readouterr().out) and "pass  # 你的代码" in out and "minutes" not in out
    zh.hint("embed")
    assert "查表" in capsys.readouterr().out
    zh.solution("embed")
    assert capsys.readouterr().out.endswith(f"{EXERCISES['embed'].solution_code}\n")
    zh.check("bits", 6)
    zh.check("bits", None)
    zh.check("bits", -6)
    found = "bits：正确\nbits：还没有写\nbits：不是 -6\n    错因：惊讶程度是对数的相反数，绝不会是负的\n"
    assert capsys.readouterr().out == found


@pytest.mark.parametrize("ask", [zh.task, zh.hint, zh.solution, lambda name: zh.check(name, 1)])
def test_a_wrong_name_is_told_in_chinese(ask):
    with pytest.raises(ValueError, match="没有叫 'layernorm' 的习题；是不是想写 'layer_norm'"):
        ask("layernorm")


def test_another_language_is_refused():
    with pytest.raises(ValueError, match="language 'fr': expected 'en' or 'zh'"):
        task("embed", language="fr")


def test_the_sheet_in_chinese_is_python_that_fits_its_width():
    code = sheet(list(EXERCISES), "a.py", "zh")
    space: dict = {}
    exec(compile(code, "a.py", "exec"), space)
    assert {*EXERCISES} <= {*space} and "minibert grade a.py" in code and "# --- 第 2 课" in code
    assert examine(EXERCISES["embedding_parameters"], space["embedding_parameters"]).status == OPEN
    joined = re.sub(r"\s|#", "", code)
    for name, exercise in EXERCISES.items():
        assert re.sub(r"\s|#", "", in_language(exercise, "zh").task) in joined, name
    assert max(len(line) + len(re.findall(HAN, line)) for line in code.splitlines()) <= 130

"""The process of one submission tells at once what it finds, so that nothing is lost if the submission ends it."""

import json
import subprocess
import sys

import pytest

from minibert.course import one_submission


@pytest.fixture
def in_process(tmp_path, monkeypatch):
    """Run a submission in this process, without limits on it."""
    monkeypatch.setattr(one_submission, "limit_resources", lambda: None)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def run(code: str, *names: str, language: str = "en") -> list[dict]:
        (tmp_path / "a b.txt").write_text(code, encoding="utf-8")
        one_submission.main(str(tmp_path / "a b.txt"), str(tmp_path / "results"), language, *names)
        return [json.loads(line) for line in (tmp_path / "results").read_text(encoding="utf-8").splitlines()]

    return run


def test_each_exercise_is_announced_and_judged(in_process):
    begun, verdict, again, missing = in_process("bits = 6", "bits", "mark")
    assert (begun, again) == ({"begun": "bits"}, {"begun": "mark"})
    assert (verdict["exercise"], verdict["status"], verdict["points"]) == ("bits", "right", 1)
    assert (missing["exercise"], missing["status"], missing["points"]) == ("mark", "not in the file", 0)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("def f(:\n  pass", "SyntaxError: "),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(): f()\nf()", "RecursionError: "),
        ("x = '\ud800'".encode("utf-8", "surrogatepass").decode("latin-1") + "(", "SyntaxError: "),
    ],
)
def test_a_file_that_cannot_be_imported_is_a_problem(in_process, code, problem):
    (line,) = in_process(code, "bits")
    assert line["problem"].startswith(f"cannot be imported: {problem}")


def test_it_answers_in_the_language_that_it_is_told(in_process):
    right, wrong = in_process("bits = 6\ndef mark(a, b): return a", "bits", "mark", language="zh")[1::2]
    assert (right["status"], right["language"]) == ("right", "zh") and wrong["faults"][0].startswith("两个短句子：")
    (line,) = in_process("1 / 0", "bits", language="zh")
    assert line["problem"] == "无法导入：ZeroDivisionError：division by zero"


def test_an_answer_that_exits_is_wrong_and_the_next_is_judged(in_process):
    lines = in_process("import sys\ndef mark(a, b): sys.exit(3)\nbits = 6", "mark", "bits")
    assert "raises SystemExit" in lines[1]["faults"][0] and lines[3]["status"] == "right"


def test_a_class_finds_its_own_code(in_process):
    """`inspect` looks for it in the module of the class."""
    code = "import torch\nclass Own(torch.nn.Module):\n    pass\ndef layer_norm(x, w, b, eps): return Own() and x"
    verdict = in_process(code, "layer_norm")[1]
    assert verdict["status"] == "wrong" and not verdict["note"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_memory_and_files_are_limited(tmp_path):
    code = "from minibert.course import one_submission as one; one.FILE_SIZE = 1000; one.limit_resources()\n"
    code += "try: bytearray(one.MEMORY)\n"
    code += "except MemoryError: print('no memory')\n"
    code += f"with open({str(tmp_path / 'f')!r}, 'wb') as file: file.write(bytes(1001))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "no memory\n" and "File too large" in process.stderr
    assert (tmp_path / "f").stat().st_size == 1000

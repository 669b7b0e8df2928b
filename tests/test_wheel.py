"""The wheel: all of the package, nothing else, and it works where the repository is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from script_runs import ROOT

import minibert
from minibert import BertForPreTraining, BertTokenizer, pipeline
from minibert.__main__ import COMMANDS

SOURCES = ("minibert", "pyproject.toml", "README.md", "LICENSE")
TEXT = "A list is a mutable [MASK]."

# No network, and nothing of this process' way to the package.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def run(*command: str | Path, cwd: Path) -> str:
    """The standard output of a process that succeeds."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: a `build/` that lies about in the repository would find its way in, and a new one remain."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "source" / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "./source", cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The folder of `python` and `minibert` in a new environment.

    It has the libraries of this one, but not what their .pth files add, among which is an editable install.
    """
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment)
    paths = {name: Path(sysconfig.get_path(name, "venv", {"base": environment})) for name in ("purelib", "scripts")}
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (paths["purelib"] / "libraries.pth").write_text("\n".join(libraries))
    python = paths["scripts"] / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, cwd=environment)
    return paths["scripts"]


def test_it_has_all_of_the_package_and_nothing_else(wheel):
    package = ROOT / "minibert"
    expected = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()}
    expected = {name for name in expected if "__pycache__" not in name}
    assert {"minibert/py.typed", "minibert/shipped/minibert-tiny/model.safetensors"} <= expected
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected


def test_the_shipped_model_fills_a_mask(programs, tmp_path):
    out = run(programs / "minibert", "fill-mask", TEXT, "--top-k", "2", cwd=tmp_path)
    expected = pipeline("fill-mask", "minibert-english", precision="fp32")(TEXT, top_k=2)
    assert out.splitlines() == ["mask 1", *(f"  {c['score']:6.1%}  {c['token_str']}" for c in expected)]
    assert not list(tmp_path.iterdir())


def test_pretraining(programs, tmp_path):
    document = "\n".join(f"the {animal} sees the {food} ." for animal in ("cat", "cow") for food in ("fish", "grass"))
    (tmp_path / "farm.txt").write_text("\n\n".join([document] * 40))
    options = ("--vocab-size", "60", "--minutes", "0.02", "--output-dir", "run")
    out = run(programs / "minibert", "pretrain", "--corpus", "farm.txt", *options, cwd=tmp_path)
    assert "written     run" in out
    model = BertForPreTraining.from_pretrained(tmp_path / "run")
    assert model.config.vocab_size == len(BertTokenizer.from_pretrained(tmp_path / "run"))


def test_help_lists_the_commands(programs, tmp_path):
    out = run(programs / "minibert", "--help", cwd=tmp_path)
    assert out.startswith("usage: minibert [-h]") and [name for name in COMMANDS if f"\n    {name} " not in out] == []


def test_in_python(programs, tmp_path):
    program = (
        "import importlib.metadata, minibert; from minibert import pipeline\n"
        f"print(pipeline('fill-mask', 'minibert-english', precision='fp32')({TEXT!r})[0]['token_str'])\n"
        "print(minibert.__file__, importlib.metadata.version('minibert'))"
    )
    word, origin = run(programs / "python", "-c", program, cwd=tmp_path).splitlines()
    assert word == pipeline("fill-mask", "minibert-english", precision="fp32")(TEXT)[0]["token_str"]
    path, version = origin.split()
    assert Path(path).is_relative_to(programs.parent) and version == minibert.__version__

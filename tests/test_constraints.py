"""constraints.txt pins all that pyproject.toml asks for, within its limits, and the same linter for everybody."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def pinned() -> dict[str, str]:
    """{package: version} of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_whatever_can_be_installed_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    requirements = [Requirement(line) for line in [*project["dependencies"], *extras]]
    others = [requirement for requirement in requirements if requirement.name != project["name"]]
    assert len(others) > 20
    wrong = [str(r) for r in others if pinned().get(canonicalize_name(r.name), "none") not in r.specifier]
    assert not wrong, "constraints.txt has another version of these, or none"


def test_the_hooks_have_the_linter_of_ci():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    versions = re.findall(r"ruff==([\w.]+)", hooks)
    assert len(versions) == hooks.count("entry: ruff") and set(versions) == {pinned()["ruff"]}

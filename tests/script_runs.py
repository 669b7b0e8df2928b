"""The scripts as a user runs them: `call` in this process, which is quick; `start` as a process of their own."""

import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass
class Ending:
    """How a script ended."""

    code: int
    out: str
    err: str

    @property
    def only_error(self) -> str:
        """The one line of a script that refused its input; fails if there is more to it."""
        lines = self.err.splitlines()
        assert self.code == 2 and len(lines) == 1 and lines[0].startswith("error: "), self
        return lines[0]


def start(name: str, *arguments, processes: int = 1) -> Ending:
    """Run `scripts/<name>.py` in a new process, without network; or in several, as `torchrun` does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes] if processes > 1 else []
    command = [sys.executable, *torchrun, ROOT / "scripts" / f"{name}.py", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, encoding="utf-8")
    return Ending(done.returncode, done.stdout, done.stderr)


def call(capsys: pytest.CaptureFixture, name: str, *arguments) -> Ending:
    """Run `scripts/<name>.py` in this process."""
    path = str(ROOT / "scripts" / f"{name}.py")
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
    return Ending(stop.value.code or 0, *capsys.readouterr())

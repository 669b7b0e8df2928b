"""The scripts as a user runs them: `call` in this process, which is quick; `start` as a process of their own."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from minibert.commands.run import run

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
    """Run the `main` of `scripts/<name>.py` in this process, as the script itself does."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        run(module.main)
    return Ending(stop.value.code or 0, *capsys.readouterr())

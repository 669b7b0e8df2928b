"""`torchrun` from start to end: it starts a run again after a failure, and two machines need no disk in common."""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys

import pytest
import script_runs

SIZES = ("--vocab-size", 200, "--seed", 3)

# The second process dies at the fifth step of the first try; checkpoints are written every second step.
DIES_ONCE = """
import os, sys
from minibert.commands import pretrain
from minibert.commands.run import run_command
from minibert.training.trainer import Trainer

step, after_step = Trainer._step, Trainer._after_step

def dying_step(self, *arguments):
    if self.clock.step == 4 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os._exit(1)
    return step(self, *arguments)

def saving_step(self, *arguments):
    self.args.save_strategy, self.args.save_steps = "steps", 2
    after_step(self, *arguments)

Trainer._step, Trainer._after_step = dying_step, saving_step
Trainer._is_over = property(lambda self: self.clock.step >= 8)
run_command(pretrain)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_corpus(path):
    rng = random.Random(0)
    words = [chr(97 + i % 26) + chr(97 + i // 26) for i in range(60)]
    documents = ["\n".join(" ".join(rng.choices(words, k=6)) + "." for _ in range(8)) for _ in range(40)]
    path.write_text("\n\n".join(documents))


def command(*torchrun, program, arguments):
    return [*map(str, [sys.executable, "-m", "torch.distributed.run", *torchrun, program, *arguments])]


def environment(**more):
    known = {"PYTHONPATH": str(script_runs.ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return os.environ | known | more


def test_a_run_that_is_started_again_goes_on_from_its_last_checkpoint(tmp_path):
    write_corpus(tmp_path / "text.txt")
    (tmp_path / "dies_once.py").write_text(DIES_ONCE)
    arguments = ("--corpus", tmp_path / "text.txt", "--output-dir", tmp_path / "run", "--minutes", 60, *SIZES)
    torchrun = ("--standalone", "--nproc-per-node", 2, "--max-restarts", 1)
    typed = command(*torchrun, program=tmp_path / "dies_once.py", arguments=arguments)
    done = subprocess.run(typed, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"resuming .*checkpoint-4,", done.stdout)) == 1
    assert (tmp_path / "run" / "model.safetensors").is_file()


# --- two machines


@contextlib.contextmanager
def two_hosts():
    """Two network namespaces, joined by a cable, as two machines; their names and addresses."""
    if not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("two hosts need `ip netns` (Debian: iproute2) and the right to use it (root)")
    names = [f"minibert-{os.getpid()}-{number}" for number in (0, 1)]
    cables = [f"mb{os.getpid() % 10**6}x{number}" for number in (0, 1)]
    addresses = ["10.213.7.1", "10.213.7.2"]

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True)

    try:
        for name in names:
            if (made := ip("netns", "add", name)).returncode:
                pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
        ip("link", "add", cables[0], "netns", names[0], "type", "veth", "peer", cables[1], "netns", names[1])
        for name, cable, address in zip(names, cables, addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
            for link in (cable, "lo"):
                up = ip("-n", name, "link", "set", link, "up")
                if up.returncode:
                    pytest.skip(f"no network interface can be made here: {up.stderr.strip()}")
        yield [*zip(names, cables, addresses, strict=True)]
    finally:
        for name in names:
            ip("netns", "delete", name)


def test_two_hosts_share_a_run_and_the_first_alone_has_the_text(tmp_path):
    write_corpus(tmp_path / "text.txt")
    with two_hosts() as hosts:
        master, port = hosts[0][2], free_port()
        started = []
        for number, (name, cable, _) in enumerate(hosts):
            corpus = tmp_path / ("text.txt" if number == 0 else "not-on-this-machine.txt")
            folder = tmp_path / f"run-{number}"
            (tmp_path / f"temporary-{number}").mkdir()
            torchrun = ("--nnodes", 2, "--node-rank", number, "--nproc-per-node", 2)
            torchrun += ("--master-addr", master, "--master-port", port)
            arguments = ("--corpus", corpus, "--output-dir", folder, "--minutes", 0.01, *SIZES)
            typed = command(*torchrun, program=script_runs.ROOT / "scripts" / "pretrain.py", arguments=arguments)
            own = environment(GLOO_SOCKET_IFNAME=cable, TMPDIR=str(tmp_path / f"temporary-{number}"))
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(["ip", "netns", "exec", name, *typed], env=own, **pipes))
        endings = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(map("".join, endings))
    (first, _), (second, _) = endings
    assert "40 documents, 320 sentences" in first and "after " in first and not second
    assert (tmp_path / "run-0" / "model.safetensors").is_file() and not (tmp_path / "run-1").exists()

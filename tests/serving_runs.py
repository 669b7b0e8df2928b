"""Tiny services: in this process, and as `minibert serve` in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_runs import checkpoint
from script_runs import ROOT
from starlette.testclient import TestClient

from minibert.serving.app import make_app
from minibert.serving.limits import Limits
from minibert.serving.metrics import Metrics
from minibert.serving.service import Service

CLASSES = {
    "embeddings": "BertModel",
    "fill-mask": "BertForMaskedLM",
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "question-answering": "BertForQuestionAnswering",
}


@contextmanager
def client(
    task: str = "embeddings", limits: Limits | None = None, api_key: str | None = None, hosts: tuple | None = None
) -> Iterator[TestClient]:
    """A client of a service for the task, in fp32; errors of the service are answers, as over a network."""
    metrics = Metrics()
    service = Service.load(checkpoint(CLASSES[task]), "fp32", limits=limits, observe=metrics.batch)
    app = make_app(service, metrics, api_key, "0", hosts)
    with TestClient(app, raise_server_exceptions=False) as made:
        made.service = service
        yield made


class Server:
    """`scripts/serve.py` at work, at an `address`."""

    def __init__(self, *options: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(ROOT / "scripts" / "serve.py"), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said = iter(self.process.stdout.readline, "")
        self.lines = []
        for line in said:
            self.lines.append(line)
            if line.startswith("address"):
                self.address = line.split()[1].rstrip(",")
                return
        raise AssertionError(self.process.stderr.read())

    def memory(self) -> int:
        """Resident bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def stop(self, how: int = signal.SIGTERM) -> str:
        """Ask it to stop; returns what it wrote to its standard error."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)[1]


@contextmanager
def server(task: str = "embeddings", *options: str) -> Iterator[Server]:
    """A server that runs as long as the block."""
    made = Server("--model", str(checkpoint(CLASSES[task])), "--precision", "fp32", *options)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()

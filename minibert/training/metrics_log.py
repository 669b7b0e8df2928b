"""What a run writes down as it goes: `metrics.jsonl`, one JSON object a line, and the picture drawn from it."""

import json
from pathlib import Path
from typing import Self

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Appends to `metrics.jsonl`, line by line, so that a killed run leaves what it had measured."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / METRICS_FILE).open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def write(self, metrics: dict[str, float]) -> None:
        """Add one line, at once."""
        self.file.write(json.dumps(metrics) + "\n")
        self.file.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

"""What a run writes down as it goes: `metrics.jsonl`, one JSON object a line, and the picture drawn from it."""

import json
from pathlib import Path
from typing import Self

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Writes `metrics.jsonl`, line by line, so that a killed run leaves what it had measured.

    Args:
        folder: where the file goes.
        writes: False in all processes of a run but the first.
        resumed_at: the step at which the run goes on; lines of later steps are measured anew.
    """

    def __init__(self, folder: Path, writes: bool = True, resumed_at: int = 0) -> None:
        path = folder / METRICS_FILE
        kept = [row for row in read_metrics(path) if row["step"] <= resumed_at] if path.is_file() else []
        folder.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", encoding="utf-8") if writes else None
        for row in kept:
            self.write(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        if self.file:
            self.file.close()

    def write(self, metrics: dict[str, float]) -> None:
        """Add one line, at once."""
        if self.file:
            self.file.write(json.dumps(metrics) + "\n")
            self.file.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

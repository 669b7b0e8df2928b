"""What a run writes down as it goes: `metrics.jsonl`, one JSON object a line, and TensorBoard's files."""

import contextlib
import json
import logging
from pathlib import Path
from typing import Any, Self

from minibert.checkpoint.files import write_text

METRICS_FILE = "metrics.jsonl"

logger = logging.getLogger(__name__)


class MetricsLog:
    """Writes `metrics.jsonl`, line by line, so that a killed run leaves what it had measured.

    TensorBoard's files get the same numbers.

    Args:
        folder: where the files go.
        writes: False in all processes of a run but the first.
        resumed_at: the step at which the run goes on; lines of later steps are measured anew.
        tensorboard: whether its files are written; None: where it is installed.
    """

    def __init__(self, folder: Path, writes: bool = True, resumed_at: int = 0, tensorboard: bool | None = None) -> None:
        self.file = self.events = None
        if writes:
            path = folder / METRICS_FILE
            rows = read_metrics(path) if resumed_at and path.is_file() else []
            kept = [row for row in rows if row["step"] <= resumed_at]
            write_text(path, "".join(map(_as_line, kept)))
            self.file = path.open("a", encoding="utf-8")
            self.events = None if tensorboard is False else _open_events(folder, resumed_at)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            for file in filter(None, (self.file, self.events)):
                with contextlib.suppress(OSError):  # all that could be written was, line by line
                    file.close()
            self.file = self.events = None

    def write(self, metrics: dict[str, float]) -> None:
        """Add one line, at once. Raises `OSError` naming the file, on a full disk for example."""
        if self.file:
            try:
                self.file.write(_as_line(metrics))
                self.file.flush()
            except OSError as error:
                error.filename = self.file.name
                raise
        if self.events:
            for name, value in metrics.items():
                if name not in ("step", "epoch", "seconds"):
                    self.events.add_scalar(_group(name), value, metrics["step"])
            self.events.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, without a last one that a kill has cut short.

    Raises `ValueError` naming file and line for one that no run has written.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [_row(path, number, line) for number, line in enumerate(lines, start=1) if line.endswith("\n")]


def _row(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        row = json.loads(line)
        known = [row["step"], row.get("seconds", 0), row.get("loss", 0)]
    except (ValueError, TypeError, KeyError, AttributeError):
        known = [None]
    if not all(isinstance(value, int | float) for value in known):
        found = line.strip()[:60]
        raise ValueError(
            f"{path}, line {number}: expected a JSON object with the number 'step', found {found!r}; remove this line"
        )
    return row


def _as_line(metrics: dict[str, float]) -> str:
    return json.dumps(metrics) + "\n"


def _open_events(folder: Path, resumed_at: int) -> Any:
    """A writer of TensorBoard's files; without TensorBoard none, and a line that says how to get it."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning("no TensorBoard files, only %s; to get them: pip install tensorboard", METRICS_FILE)
        return None
    return SummaryWriter(str(folder), purge_step=resumed_at + 1)


def _group(name: str) -> str:
    """TensorBoard draws what has a prefix in common side by side: "train/loss", "eval/loss"."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"

"""Loss curves, drawn from `metrics.jsonl`."""

from collections.abc import Sequence
from pathlib import Path

from minibert.checkpoint.files import written_whole
from minibert.training.metrics_log import read_metrics

# Distinct in grey print, too: one dark and solid, one light and dashed.
_STYLES = ({"color": "#1b3a5c", "linestyle": "-"}, {"color": "#d98032", "linestyle": "--"})


def plot_losses(metrics_path: Path, picture_path: Path, title: str) -> None:
    """Draw every loss in `metrics_path` against minutes, a panel each, into a PNG; raises what `read_losses` does."""
    from matplotlib.figure import Figure  # takes a second to import, and few uses need it

    rows = read_losses(metrics_path)
    names = [name for name in rows[0] if name.endswith("_loss")] or ["loss"]
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    for axes, name, style in zip(figure.subplots(1, len(names), squeeze=False)[0], names, _STYLES, strict=False):
        minutes, losses = zip(*((row["seconds"] / 60, row[name]) for row in rows if name in row), strict=True)
        axes.plot(minutes, losses, label="as logged", alpha=0.25, **style)
        axes.plot(minutes, _smooth(losses), label="smoothed", **style)
        axes.set(xlabel="minutes", ylabel=name.replace("_", " ").replace("mlm", "MLM").replace("nsp", "NSP"))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    with written_whole(picture_path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def read_losses(metrics_path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl` that curves can be drawn of; `ValueError` naming the file if there is none."""
    rows = [row for row in read_metrics(metrics_path) if {"seconds", "loss"} <= row.keys()]
    if not rows:
        raise ValueError(f"{metrics_path}: expected a line with 'seconds' and 'loss', found none")
    return rows


def _smooth(values: Sequence[float], decay: float = 0.8) -> list[float]:
    """An exponential moving average that does not start at zero."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = decay * total + value, decay * weight + 1
        smooth.append(total / weight)
    return smooth


def plot_runs(logs: dict[str, Path], picture_path: Path, metric: str) -> None:
    """Draw the training loss and the evaluation metric of runs against their steps, side by side, into a PNG.

    Args:
        logs: the `metrics.jsonl` of every run, by the name for its line.
        metric: without "eval_".
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    for (name, path), color in zip(logs.items(), _shades(len(logs)), strict=True):
        rows = read_metrics(path)
        losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
        scores = [(row["step"], row[f"eval_{metric}"]) for row in rows if f"eval_{metric}" in row]
        steps, values = zip(*losses, strict=True)
        panels[0].plot(steps, _smooth(values), color=color, label=name)
        panels[1].plot(*zip(*scores, strict=True), color=color, label=name, marker="o")
    panels[0].set(xlabel="steps", ylabel="training loss, smoothed")
    panels[1].set(xlabel="steps", ylabel=f"{metric.replace('_', ' ')} on the evaluation set")
    for axes in panels:
        axes.grid(alpha=0.3)
    if len(logs) > 1:
        panels[1].legend()
    with written_whole(picture_path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _shades(count: int) -> list[tuple[float, float, float]]:
    """Colours that are distinct in grey print, too: from the dark one of `_STYLES` to the light one."""
    from matplotlib.colors import to_rgb

    dark, light = (to_rgb(style["color"]) for style in _STYLES)
    shares = [i / max(1, count - 1) for i in range(count)]
    mixed = [[(1 - share) * a + share * b for a, b in zip(dark, light, strict=True)] for share in shares]
    return [(red, green, blue) for red, green, blue in mixed]

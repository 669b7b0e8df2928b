"""Loss curves: a picture of the right size, with a curve in every panel."""

import json

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from minibert.training.plots import plot_losses, plot_runs


def write_metrics(folder, rows):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(*names, count=30):
    return [{"step": i, "seconds": 7.0 * i, **{name: 9 - 0.2 * i for name in names}} for i in range(count)]


@pytest.mark.parametrize(("names", "panels"), [(["loss"], 1), (["loss", "mlm_loss", "nsp_loss"], 2)])
def test_one_panel_for_each_part_of_the_loss(tmp_path, names, panels):
    picture = tmp_path / "pictures" / "loss.png"
    plot_losses(write_metrics(tmp_path, rows(*names)), picture, "A title")
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[:2] == (round(3.4 * 120), panels * round(4.5 * 120))
    for panel in np.split(pixels[..., :3], panels, axis=1):
        assert np.ptp(panel, axis=-1).max() > 0.2  # grid and text are grey; what has a colour is the curve
    assert [path.name for path in picture.parent.iterdir()] == ["loss.png"]


def test_the_pale_line_is_named(tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    plot_losses(write_metrics(tmp_path, rows("loss", "mlm_loss")), tmp_path / "loss.png", "A title")
    for axes in figures[0].axes:
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["as logged", "smoothed"]


def test_both_panels_of_runs_have_the_same_steps(tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    logged = [*rows("loss"), {"step": 15, "seconds": 203.0, "eval_f1": 0.5}]
    plot_runs({"a": write_metrics(tmp_path, logged)}, tmp_path / "curves.png", "f1")
    left, right = (axes.get_xlim() for axes in figures[0].axes)
    assert left == right and left[0] <= 0 < 29 <= left[1]


def saved_figures(monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match=r"metrics\.jsonl: expected a line with 'seconds' and 'loss', found none"):
        plot_losses(write_metrics(tmp_path, [{"step": 1}]), tmp_path / "loss.png", "Empty")


def test_a_run_of_one_logged_step(tmp_path):
    plot_losses(write_metrics(tmp_path, rows("loss", count=1)), tmp_path / "loss.png", "Short")
    assert matplotlib.image.imread(tmp_path / "loss.png").ndim == 3


@pytest.mark.parametrize("count", [1, 3])
def test_runs_side_by_side(tmp_path, count):
    logged = [*rows("loss"), {"step": 29, "seconds": 203.0, "eval_f1": 0.5, "eval_loss": 0.3}]
    logs = {}
    for name in map(str, range(count)):
        (tmp_path / name).mkdir()
        logs[name] = write_metrics(tmp_path / name, logged)
    plot_runs(logs, tmp_path / "curves.png", "f1")
    pixels = matplotlib.image.imread(tmp_path / "curves.png")
    assert pixels.shape[:2] == (round(3.4 * 120), 9 * 120)
    for panel in np.split(pixels[..., :3], 2, axis=1):
        assert np.ptp(panel, axis=-1).max() > 0.2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_runs_have_the_colours_of_losses_and_differ_in_grey(tmp_path, monkeypatch, count):
    figures = saved_figures(monkeypatch)
    logged = write_metrics(tmp_path, [*rows("loss"), {"step": 29, "seconds": 203.0, "eval_f1": 0.5}])
    plot_runs({str(i): logged for i in range(count)}, tmp_path / "curves.png", "f1")
    colors = [line.get_color() for line in figures[0].axes[0].get_lines()]
    assert to_hex(colors[0]) == "#1b3a5c" and (count == 1 or to_hex(colors[-1]) == "#d98032")
    greys = [np.dot(color, [0.299, 0.587, 0.114]) for color in colors]
    assert len(greys) == count and all(np.diff(greys) > 0.05)

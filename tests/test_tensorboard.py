"""TensorBoard's files hold what `metrics.jsonl` holds; without TensorBoard there is a line that says so."""

import logging
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from minibert.training.metrics_log import METRICS_FILE, MetricsLog, read_metrics

ROWS = [
    {"step": 1, "seconds": 0.5, "loss": 7.25, "mlm_loss": 6.5},
    {"step": 2, "seconds": 0.7, "eval_loss": 5.0},
    {"step": 3, "seconds": 0.9, "loss": 4.0, "mlm_loss": 3.5},
]


def write(folder, rows, **options):
    with MetricsLog(folder, **options) as log:
        for row in rows:
            log.write(row)


def curves(folder):
    """{name: [(step, value), ...]} as TensorBoard shows them."""
    events = EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_the_curves_are_those_of_the_log(tmp_path):
    write(tmp_path / "new", ROWS)
    assert curves(tmp_path / "new") == {
        "train/loss": [(1, 7.25), (3, 4.0)],
        "train/mlm_loss": [(1, 6.5), (3, 3.5)],
        "eval/loss": [(2, 5.0)],
    }
    assert read_metrics(tmp_path / "new" / METRICS_FILE) == ROWS


def test_a_killed_run_leaves_its_curves(tmp_path):
    log = MetricsLog(tmp_path)
    for number, row in enumerate(ROWS, start=1):
        log.write(row)
        assert sum(map(len, curves(tmp_path).values())) == [2, 3, 5][number - 1]  # although nobody closed the file
    log.__exit__()


def test_a_resumed_run_measures_later_steps_anew(tmp_path, monkeypatch):
    write(tmp_path, ROWS)
    later = time.time() + 5  # TensorBoard reads the files in the order of the seconds in their names
    monkeypatch.setattr(time, "time", lambda: later)
    write(tmp_path, [{"step": 3, "loss": 1.0}], resumed_at=2)
    assert curves(tmp_path)["train/loss"] == [(1, 7.25), (3, 1.0)]


def test_the_other_processes_write_nothing_and_say_nothing(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    write(tmp_path, ROWS, writes=False)
    assert not list(tmp_path.iterdir()) and not caplog.records


def test_without_tensorboard_one_line_says_how_to_get_it(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    with caplog.at_level(logging.WARNING):
        write(tmp_path, ROWS)
    (record,) = caplog.records
    assert "pip install tensorboard" in record.getMessage()
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]
    assert read_metrics(tmp_path / METRICS_FILE) == ROWS

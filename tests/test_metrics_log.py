"""`metrics.jsonl`: every line is there as soon as it is written."""

import pytest

from minibert.training.metrics_log import METRICS_FILE, MetricsLog, read_metrics

ROWS = [{"step": 1, "loss": 7.25}, {"step": 10, "loss": 0.1 + 0.2}, {"step": 20, "loss": 1e-7}]


def test_lines_come_back_as_they_were(tmp_path):
    folder = tmp_path / "a" / "new" / "folder"
    with MetricsLog(folder) as log:
        for row in ROWS:
            log.write(row)
    assert read_metrics(folder / METRICS_FILE) == ROWS
    assert (folder / METRICS_FILE).read_text().count("\n") == 3


def test_a_killed_run_leaves_what_it_had_measured(tmp_path):
    log = MetricsLog(tmp_path)
    for number, row in enumerate(ROWS, start=1):
        log.write(row)
        assert read_metrics(tmp_path / METRICS_FILE) == ROWS[:number]  # although nobody closed the file
    log.file.close()


def test_a_new_run_begins_a_new_file(tmp_path):
    for rows in (ROWS, ROWS[:1]):
        with MetricsLog(tmp_path) as log:
            for row in rows:
                log.write(row)
    assert read_metrics(tmp_path / METRICS_FILE) == ROWS[:1]


def test_a_resumed_run_keeps_the_lines_up_to_its_checkpoint(tmp_path):
    with MetricsLog(tmp_path) as log:
        for row in ROWS:
            log.write(row)
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 21, "lo')  # the kill came in the middle of a line
    assert read_metrics(tmp_path / METRICS_FILE) == ROWS
    with MetricsLog(tmp_path, resumed_at=10) as log:
        log.write({"step": 20, "loss": 3.0})
    assert read_metrics(tmp_path / METRICS_FILE) == [*ROWS[:2], {"step": 20, "loss": 3.0}]


@pytest.mark.parametrize("line", ["garbage", "[1, 2]", "{}", '{"step": "1"}', '{"step": 1, "loss": null}', "\xe9"])
def test_what_no_run_has_written_is_named(tmp_path, line):
    path = tmp_path / METRICS_FILE
    path.write_bytes(b'{"step": 1}\n' + line.encode("latin-1") + b"\n")
    with pytest.raises(ValueError, match=r"jsonl, line 2: expected a JSON object with the number 'step', found"):
        MetricsLog(tmp_path, resumed_at=1)
    MetricsLog(tmp_path).file.close()  # a new run needs nothing of it


def test_only_the_first_process_writes(tmp_path):
    with MetricsLog(tmp_path, writes=False) as log:
        log.write(ROWS[0])
    assert not list(tmp_path.iterdir())

"""`metrics.jsonl`: every line is there as soon as it is written."""

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

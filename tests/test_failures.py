"""What ends a run: numbers that are none, looked at in every step on a CPU, and now and then on a GPU."""

import pytest
import torch
from forced_gpu import force_gpu

from minibert.training.failures import FiniteCheck, TrainingError, advice_when_out_of_memory, steps_between_looks

NAN, ONE = torch.tensor(float("nan")), torch.tensor(1.0)


def check_on_gpu(monkeypatch) -> FiniteCheck:
    force_gpu(monkeypatch)
    return FiniteCheck(torch.device("cpu"))


@pytest.mark.parametrize(("loss", "norm"), [(NAN, ONE), (ONE, NAN), (ONE, ONE / 0), (ONE / 0, -ONE / 0)], ids=str)
def test_on_a_cpu_the_step_itself_ends_it(loss, norm):
    finite = FiniteCheck(torch.device("cpu"))
    finite.add(ONE, ONE, 6)
    with pytest.raises(TrainingError, match=r"^the loss is (1.0|nan|inf) and .* norm .* at step 7; try a lower"):
        finite.add(loss, norm, 7)


def test_on_a_gpu_it_is_found_later_and_the_step_is_named(monkeypatch):
    assert steps_between_looks(torch.device("cuda", 0)) == 20
    finite = check_on_gpu(monkeypatch)
    for step in range(1, 40):
        finite.add(ONE if step < 27 else NAN, ONE, step)
    with pytest.raises(TrainingError, match=r"loss is nan .* at step 27, seen after step 40; try"):
        finite.add(NAN, NAN, 40)


def test_whoever_is_about_to_save_looks_first(monkeypatch):
    finite = check_on_gpu(monkeypatch)
    finite.look()  # at nothing
    finite.add(ONE, ONE, 1)
    finite.look()
    finite.add(NAN, ONE, 2)
    with pytest.raises(TrainingError, match="at step 2; try"):
        finite.look()
    finite.look()  # said once


def test_numbers_of_different_kinds(monkeypatch):
    finite = check_on_gpu(monkeypatch)
    finite.add(ONE.double(), ONE.bfloat16(), 1)
    finite.add(ONE.half(), ONE, 2)
    finite.look()


def test_a_full_gpu():
    with (
        pytest.raises(TrainingError, match="out of memory at step 3; try a smaller per_device_train_batch_size"),
        advice_when_out_of_memory(3),
    ):
        raise torch.OutOfMemoryError

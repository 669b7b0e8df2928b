"""Precision: bf16 where the machine has it in hardware, or where it is asked for."""

import os
import re
import subprocess
import sys
import warnings

import pytest
import torch

from minibert.model.precision import dtype_of, has_fast_bf16, mixed_precision, warn_where_bf16_is_emulated


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor only where there is no GPU")
@pytest.mark.parametrize(("bf16", "amx"), [(True, False), (False, True), (False, False)])
def test_bf16_where_the_processor_has_it(monkeypatch, bf16, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert has_fast_bf16() == (bf16 or amx)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor only where there is no GPU")
def test_no_bf16_where_onednn_was_told_not_to_use_it():
    probe = "from minibert.model.precision import has_fast_bf16; print(has_fast_bf16())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert subprocess.check_output([sys.executable, "-c", probe], env=environment, text=True) == "False\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor only where there is no GPU")
def test_no_bf16_where_nobody_can_say(monkeypatch):
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert has_fast_bf16() is False


@pytest.mark.parametrize("fast", [True, False])
def test_names(monkeypatch, fast):
    monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda: fast)
    assert dtype_of("auto") == (torch.bfloat16 if fast else torch.float32)
    named = [dtype_of(name) for name in ("fp32", "bf16", "int8")]
    assert named == [torch.float32, torch.bfloat16, torch.int8]


def test_bf16_that_is_emulated_is_said_once_with_what_it_costs(monkeypatch):
    monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda: False)
    warn_where_bf16_is_emulated.cache_clear()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert [dtype_of(name) for name in ("auto", "fp32", "int8")] == [torch.float32, torch.float32, torch.int8]
        assert not heard
        assert dtype_of("bf16") == dtype_of("bf16") == torch.bfloat16
    warn_where_bf16_is_emulated.cache_clear()
    (warning,) = heard
    (factor,) = re.findall(r"no instructions for it; it takes (\S+) times as long as fp32", str(warning.message))
    assert float(factor) > 0


def test_bf16_in_hardware_is_not_talked_about(monkeypatch):
    monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda: True)
    warn_where_bf16_is_emulated.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dtype_of("bf16")
    warn_where_bf16_is_emulated.cache_clear()


@pytest.mark.parametrize("name", ["fp16", "", None])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="precision must be one of auto, fp32, bf16, int8, got"):
        dtype_of(name)


@pytest.mark.parametrize(
    ("bf16", "gpu", "expected"),
    [
        (True, True, (True, False)),
        (False, True, (False, True)),
        (True, False, (True, False)),
        (False, False, (False, False)),
    ],
)
def test_training_is_in_float16_on_a_gpu_without_bf16(bf16, gpu, expected, monkeypatch):
    monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda: bf16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert (mixed_precision()["bf16"], mixed_precision()["fp16"]) == expected

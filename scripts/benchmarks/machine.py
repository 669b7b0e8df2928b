"""What the machine is: a number says little without it."""

import platform
from pathlib import Path

import torch

# What decides which number format is fast, as Linux calls it.
INSTRUCTIONS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "i8mm")


def describe_machine() -> str:
    """The processor, those of its instructions that matter, the threads in use, and the card if there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        lines = []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    flags = told.get("flags", told.get("Features", "")).split()
    known = " ".join(flag for flag in INSTRUCTIONS if flag in flags) or "its instructions are not told"
    limited = torch.backends.cpu.get_cpu_capability()
    cards = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name} ({known}; PyTorch uses {limited}), {torch.get_num_threads()} threads{cards}"

"""The short waits: an import, a checkpoint that is loaded, a script that starts, one sentence."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

import minibert
from benchmarks.timing import median_ratio

SENTENCE = "How fast is this?"
ROOT = Path(__file__).resolve().parents[2]
THEIR_FILL_MASK = (
    "import sys, transformers; transformers.logging.set_verbosity_error();"
    "print(transformers.pipeline('fill-mask', sys.argv[1])('A list is a mutable [MASK].'))"
)
# The peak of a process that loads a model and runs it once, above what it has with the library imported, as a multiple
# of the weights. `getrusage` would not do: it remembers the peak of the process that started this one.
PEAK_OF_LOADING = """
import re, sys, torch, minibert
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
model = minibert.BertModel.from_pretrained(sys.argv[1])
with torch.inference_mode():
    model(torch.ones(1, 8, dtype=torch.long))
print((peak() - before) / sum(p.numel() * p.element_size() for p in model.parameters()))
"""


def measure_startup(model: Path, rounds: int = 7) -> None:
    """Measure and print, ours and theirs in turn, medians of `rounds`."""
    print(f"\n{'':44}{'minibert':>10}{'other':>10}{'ratio':>8}")
    _print_row("import, against `import torch`", *_in_turn(_python("import minibert"), _python("import torch"), rounds))
    with tempfile.TemporaryDirectory() as folder:
        _save_tiny(Path(folder))
        ours = [sys.executable, str(ROOT / "scripts/fill_mask.py"), "A list is a mutable [MASK].", "--model", folder]
        theirs = _python(THEIR_FILL_MASK, folder)
        _print_row("fill_mask from a folder, against transformers", *_in_turn(_command(ours), theirs, rounds))
    loading = (minibert.BertModel.from_pretrained, transformers.AutoModel.from_pretrained)
    ours, theirs = (lambda load=load: load(model) for load in loading)
    _print_row(f"from_pretrained of {_size(model)}", *_in_turn(ours, theirs, rounds))
    _print_row(f"one warm sentence, {SENTENCE!r}", *_in_turn(*_sentence_encoders(model), 50 * rounds))
    if sys.platform == "linux":
        print(f"peak memory of loading BERT-base and running it once: {_peak_of_bert_base():.2f} times its weights")


def _in_turn(ours: Callable, theirs: Callable, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each, alternating, after one call of each that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for call in (ours, theirs):
        call()
    for _ in range(rounds):
        for call, spent in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
    return seconds


def _print_row(what: str, ours: list[float], theirs: list[float]) -> None:
    ratio = median_ratio({"ours": ours, "theirs": theirs}, "ours", "theirs")
    print(f"{what:44}" + "".join(f"{1000 * statistics.median(s):7.1f} ms" for s in (ours, theirs)) + f"{ratio:7.2f}×")


def _python(program: str, *arguments: str) -> Callable[[], None]:
    return _command([sys.executable, "-c", program, *arguments])


def _command(command: list[str]) -> Callable[[], None]:
    return lambda: subprocess.run(command, check=True, capture_output=True)


def _save_tiny(folder: Path) -> None:
    minibert.BertForPreTraining.from_pretrained("minibert-tiny").save_pretrained(folder)
    minibert.BertTokenizer.from_pretrained("minibert-tiny").save_pretrained(folder)


def _sentence_encoders(model: Path) -> tuple[Callable, Callable]:
    embedder = minibert.pipeline("sentence-similarity", model, device="cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    reference = transformers.AutoModel.from_pretrained(model).eval()

    @torch.inference_mode()
    def theirs() -> torch.Tensor:
        return reference(**tokenizer(SENTENCE, return_tensors="pt")).last_hidden_state.mean(1)

    return lambda: embedder.embed([SENTENCE]), theirs


def _size(model: Path) -> str:
    config = minibert.BertConfig.from_pretrained(model)
    return f"{config.num_hidden_layers} layers × {config.hidden_size}"


def _peak_of_bert_base() -> float:
    with tempfile.TemporaryDirectory() as folder:
        minibert.BertModel(minibert.BertConfig()).save_pretrained(folder)
        run = subprocess.run(
            [sys.executable, "-c", PEAK_OF_LOADING, folder], check=True, capture_output=True, text=True
        )
    return float(run.stdout)

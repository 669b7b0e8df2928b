"""Show a model at work in a browser, and answer requests: vectors of texts, and what its head was trained for.

Clients of OpenAI's embeddings, of text-embeddings-inference and of huggingface_hub can use it; /docs shows how.
Requests that arrive together are computed together. SIGTERM or Ctrl-C stops it when all that it accepted is answered.
"""

import argparse
import functools
import ipaddress
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

import minibert
from minibert.model.precision import PRECISIONS
from minibert.report import say

LOCAL = ("localhost", "127.0.0.1", "[::1]")  # what this machine is called in the header Host


def main(options: argparse.Namespace) -> None:
    try:
        from minibert.explorer import loading, routes
        from minibert.serving import app, limits, metrics, server, service
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed: pip install 'minibert[serve]'") from error
    allowed = limits.Limits(options.max_body_bytes, options.max_texts, options.max_waiting_tokens, options.max_seconds)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    listening = server.listen(options.host, options.port)  # what cannot be is told before the model is loaded
    counted = metrics.Metrics()
    # OpenMP keeps helpers for every thread that ever computed with several cores, and lets all of them sleep deeply
    # when they are more than the cores: each pass then takes twice as long. So the thread that loads the model is gone
    # before the one that computes with it begins.
    with ThreadPoolExecutor(1) as loader:
        load = functools.partial(service.Service.load, limits=allowed, observe=counted.batch)
        served = loader.submit(load, options.model, options.precision).result()
        shown = None if options.api_key else loader.submit(loading.open_model, options.model).result()
    hosts = {*LOCAL, f"[{options.host}]" if ":" in options.host else options.host.lower()}
    is_local = is_loopback(options.host)
    application = app.make_app(
        served, counted, options.api_key, minibert.__version__, hosts=hosts if is_local else None
    )
    say("model", f"{served.name}, for {' and '.join(served.tasks)}")
    if not is_local and options.api_key is None:
        print("warning: others on the network can use this service; --api-key asks them for a key", file=sys.stderr)
    address = f"{server.address_of(listening)}, with examples of requests at /docs"
    if shown:
        application.include_router(routes.explorer_routes(*shown, served.name, application.state.looks.answer))
        address += "; open it in a browser to see the model at work"
    else:
        address += "; without the explorer, as a browser brings no key"
    server.serve(application, listening, allowed, announce=lambda: say("address", address))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="minibert-english", help="a folder or a hub name (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s: this machine only)")
    parser.add_argument("--port", type=number(0, 65535), default=8000, help="(%(default)s)")
    parser.add_argument(
        "--api-key",
        default=os.environ.get("MINIBERT_API_KEY") or None,
        metavar="KEY",
        help="what requests must bring, as Authorization: Bearer KEY (default: the variable MINIBERT_API_KEY)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="(auto: bf16 where it is fast)")
    parser.add_argument("--threads", type=number(1), metavar="N", help="of the processor, for the model (default: all)")
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-body-bytes", type=number(1), default=2_000_000, metavar="N", help="(%(default)s)")
    limits.add_argument("--max-texts", type=number(1), default=512, metavar="N", help="of a request (%(default)s)")
    limits.add_argument(
        "--max-waiting-tokens", type=number(1), default=65_536, metavar="N", help="of all requests (%(default)s)"
    )
    limits.add_argument("--max-seconds", type=number(1), default=60, metavar="N", help="to an answer (%(default)s)")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    """For argparse: a whole number from `least` to `most`."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) < 19
        if not is_number or not least <= int(text) <= (most or int(text)):
            to = f" to {most}" if most else ""
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}{to}, got {text!r:.80}")
        return int(text)

    return read

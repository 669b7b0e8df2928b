"""The explorer behind a real server in this process, for its tests; `python tests/explorer_server.py` to look at it."""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from minibert.explorer.loading import open_model
from minibert.explorer.routes import explorer_routes
from minibert.serving.errors import add_error_handlers
from minibert.serving.gate import Gate
from minibert.serving.limits import Limits
from minibert.serving.metrics import Metrics
from minibert.serving.threads import Threads


def app_of(name: str | Path, limits: Limits | None = None) -> FastAPI:
    app, limits = FastAPI(), limits or Limits()
    add_error_handlers(app)  # as `minibert serve` does: the page reads what these say
    app.add_middleware(Gate, limits=limits, metrics=Metrics(), paths=())
    app.include_router(
        explorer_routes(*open_model(name), Path(name).name, Threads(limits.looks, limits.body_bytes).answer)
    )
    return app


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Inside, `app` answers at the address that this gives."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            for _ in range(200):
                if server.started:
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    uvicorn.run(app_of(sys.argv[1] if sys.argv[1:] else "minibert-tiny"), port=int((sys.argv[2:] or ["8801"])[0]))

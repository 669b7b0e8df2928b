"""The ASGI application: a `Service` behind its paths, with the gate before them."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from minibert.serving.errors import add_error_handlers
from minibert.serving.gate import Gate
from minibert.serving.metrics import Metrics
from minibert.serving.page import api_page
from minibert.serving.routes import embedding_routes, head_routes
from minibert.serving.schemas import Info
from minibert.serving.service import Service
from minibert.serving.threads import Threads


def make_app(
    service: Service,
    metrics: Metrics,
    api_key: str | None = None,
    version: str = "",
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """The application, for uvicorn or any other ASGI server; it stops `service` when it is stopped itself.

    Args:
        metrics: what `service` tells of its batches (its argument `observe`), and what `/metrics` gives.
        api_key: which all requests must bring, except those to /health; None: they need none.
        version: of the package, for those who ask.
        hosts: as for `Gate`.
    """
    threads = Threads(service.limits.requests, service.limits.body_bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()  # the requests themselves have ended by then: each had an answer, or its time was over

    # FastAPI's own pages load their scripts from elsewhere; ours needs none.
    pages: dict[str, Any] = {"docs_url": None, "redoc_url": None}
    # A path with a slash too many is none: a redirection would send the request to whatever the header Host says.
    app = FastAPI(
        title=f"minibert: {service.name}", version=version, lifespan=lifespan, redirect_slashes=False, **pages
    )
    add_error_handlers(app)
    app.include_router(embedding_routes(service, threads))
    app.include_router(head_routes(service, threads))
    _add_pages(app, service, metrics)
    # Each look holds the whole model for a while; so they have a limit of their own, and the others' threads stay free.
    app.state.looks = Threads(service.limits.looks, service.limits.body_bytes)
    metrics.watch(lambda: service.batcher.waiting_tokens)
    paths = frozenset(app.openapi()["paths"])
    app.add_middleware(Gate, limits=service.limits, metrics=metrics, paths=paths, api_key=api_key, hosts=hosts)
    return app


def _add_pages(app: FastAPI, service: Service, metrics: Metrics) -> None:
    """What tells about the service itself."""

    @app.get("/info", tags=["service"])
    async def info() -> Info:
        """What is served, and within which limits."""
        limits, embedder = service.limits, service.embedder
        return Info(
            model_id=service.name,
            model_type=type((service.head or embedder).model).__name__,
            tasks=list(service.tasks),
            model_dtype=str(embedder.layers_dtype or embedder.model.dtype).removeprefix("torch."),
            device=str(embedder.device),
            dimensions=service.size,
            max_input_length=embedder.max_length,
            max_batch_tokens=service.batcher.max_tokens,
            max_client_batch_size=limits.texts,
            max_waiting_tokens=limits.waiting_tokens,
            max_body_bytes=limits.body_bytes,
            seconds=limits.seconds,
            version=app.version,
        )

    @app.get("/health", tags=["service"])
    async def health() -> dict[str, str]:
        """That the service answers; needs no key."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["service"])
    async def metrics_text() -> Response:
        """What is counted, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """What can be asked, and how."""
        return HTMLResponse(api_page(app.openapi(), str(request.base_url).rstrip("/")))

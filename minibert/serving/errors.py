"""How a service says no: a status, and in the body one sentence that tells what to do."""

import json
import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from minibert.serving.batcher import ModelFailed
from minibert.serving.limits import Refused

logger = logging.getLogger(__name__)

# What text-embeddings-inference calls them.
TYPES = {401: "Unauthorized", 429: "Overloaded", 500: "Backend", 503: "Overloaded", 504: "Overloaded"}

SHOWN = 3  # of the faults that are found in a body


def problem(path: str, refused: Refused) -> Response:
    """The answer to a request to `path`: in OpenAI's form below /v1, else in that of text-embeddings-inference."""
    kind = TYPES.get(refused.status, "Validation")
    if path.startswith("/v1/"):
        content: dict = {"error": {"message": refused.message, "type": kind, "param": None, "code": None}}
    else:
        content = {"error": refused.message, "error_type": kind}
    headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    # In ASCII, so that half a character in what is quoted cannot break the answer.
    return Response(json.dumps(content).encode(), refused.status, headers, media_type="application/json")


def add_error_handlers(app: FastAPI) -> None:
    """Let `app` answer every error with a `problem`."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return problem(request.url.path, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(request.url.path, Refused(422, _faults(request, error)))

    async def usual(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        is_about_content = error.status_code == 422
        message = error.detail if is_about_content else f"{request.method}: {error.detail}; see /docs"
        response = problem(request.url.path, Refused(error.status_code, message))
        response.headers.update(error.headers or {})
        return response

    async def failed(request: Request, error: Exception) -> Response:
        logger.error("the model failed", exc_info=error)
        return problem(request.url.path, Refused(500, f"the model failed: {error}"))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, usual)
    app.add_exception_handler(ModelFailed, failed)


def _faults(request: Request, error: RequestValidationError) -> str:
    """What is wrong with a body, in a line. Values are not quoted: they may be long, or no text."""
    kind = request.headers.get("content-type", "")
    if "json" not in kind:
        return f"expected JSON, with the header Content-Type: application/json, found {kind or 'none'!s:.80}"
    faults = []
    for fault in error.errors()[:SHOWN]:
        place, why = ".".join(str(part) for part in fault["loc"][1:]), fault["msg"]
        if fault["type"] == "json_invalid":
            place, why = f"character {place}", f"no JSON: {fault['ctx']['error']}"
        faults.append(f"{place or 'body':.80}: {why:.200}")
    more = len(error.errors()) - SHOWN
    return "; ".join([*faults, f"and {more} more"] if more > 0 else faults)

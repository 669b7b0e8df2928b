"""The paths of the service: each reads a form, asks the `Service` in a thread, and writes the answer as JSON."""

import base64
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from torch import Tensor

from minibert.serving.limits import Refused
from minibert.serving.schemas import (
    AnswerSpan,
    Candidate,
    EmbeddingsRequest,
    EmbeddingsResponse,
    EmbedRequest,
    FillMaskRequest,
    PredictRequest,
    Problem,
    QuestionAnsweringRequest,
    Score,
    Tag,
    TokenClassificationRequest,
)
from minibert.serving.service import Service
from minibert.serving.threads import Threads

STATUSES = {
    401: "the key is missing, or wrong",
    404: "the checkpoint has no head for this",
    408: "the body came too slowly",
    413: "too many bytes, texts or tokens for one request",
    415: "the body is compressed",
    421: "the header Host names another machine",
    422: "what is asked for is not understood; the text says why",
    429: "too much waits already; see Retry-After",
    500: "the model failed",
    503: "the service is being stopped",
    504: "it took too long",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text} for status, text in STATUSES.items()
}


def embedding_routes(service: Service, threads: Threads) -> APIRouter:
    """Vectors of texts, in two forms."""
    router = APIRouter(responses=RESPONSES, tags=["vectors"])

    @router.post("/v1/embeddings", response_model=EmbeddingsResponse)
    async def embeddings(request: Request, form: EmbeddingsRequest) -> Response:
        """Vectors of texts, for clients of OpenAI."""
        _check_openai(service, form)
        texts = [form.input] if isinstance(form.input, str) else form.input
        until = request.state.until

        def make() -> dict:
            answer = service.embed(texts, until, form.truncate)
            encode = _base64 if form.encoding_format == "base64" else Tensor.tolist
            rows = enumerate(map(encode, answer.results))
            data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in rows]
            usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
            return {"object": "list", "data": data, "model": service.name, "usage": usage}

        return await threads.answer(request, make)

    @router.post("/embed", response_model=list[list[float]])
    async def embed(request: Request, form: EmbedRequest) -> Response:
        """Vectors of texts."""
        texts = [form.inputs] if isinstance(form.inputs, str) else form.inputs
        until = request.state.until
        return await threads.answer(
            request, lambda: service.embed(texts, until, bool(form.truncate), form.normalize).results.tolist()
        )

    return router


def head_routes(service: Service, threads: Threads) -> APIRouter:
    """What a model with a head was trained for."""
    router = APIRouter(responses=RESPONSES, tags=["heads"])

    async def ask(request: Request, task: str, inputs: list, is_one: bool, **options: Any) -> Response:
        until = request.state.until

        def make() -> Any:
            results = service.ask(task, inputs, until, **options).results
            return results[0] if is_one else results

        return await threads.answer(request, make)

    @router.post("/predict", response_model=list[Score] | list[list[Score]])
    async def predict(request: Request, form: PredictRequest) -> Response:
        """The classes of a text or of a pair of texts, the most probable first."""
        is_one = isinstance(form.inputs, str) or isinstance(form.inputs[0], str)
        texts = [_text_or_pair(text) for text in ([form.inputs] if is_one else form.inputs)]
        options = form.parameters.model_dump()
        if form.raw_scores:
            options["function_to_apply"] = "none"
        return await ask(request, "text-classification", texts, is_one, truncation=bool(form.truncate), **options)

    @router.post("/fill-mask", response_model=list[Candidate] | list[list[Candidate]] | list[list[list[Candidate]]])
    async def fill_mask(request: Request, form: FillMaskRequest) -> Response:
        """The most probable tokens in the place of each mask."""
        inputs, is_one = _listed(form.inputs)
        return await ask(request, "fill-mask", inputs, is_one, **form.parameters.model_dump())

    @router.post("/token-classification", response_model=list[Tag] | list[list[Tag]])
    async def token_classification(request: Request, form: TokenClassificationRequest) -> Response:
        """The tags of the tokens, or of groups of them."""
        inputs, is_one = _listed(form.inputs)
        return await ask(request, "token-classification", inputs, is_one, **form.parameters.model_dump())

    @router.post("/question-answering", response_model=AnswerSpan | list[AnswerSpan] | list[list[AnswerSpan]])
    async def question_answering(request: Request, form: QuestionAnsweringRequest) -> Response:
        """Where in a text the answer to a question stands."""
        inputs, is_one = _listed(form.inputs)
        questions = [question.model_dump() for question in inputs]
        return await ask(request, "question-answering", questions, is_one, **form.parameters.model_dump())

    return router


def _check_openai(service: Service, form: EmbeddingsRequest) -> None:
    size = service.size
    if form.model not in (None, service.name):
        raise Refused(404, f"model: {form.model!r:.80} is not served here, {service.name!r} is; name that, or none")
    if form.dimensions not in (None, size):
        raise Refused(422, f"dimensions: vectors of this model have {size} numbers, and are not cut; leave it out")


def _base64(vector: Tensor) -> str:
    """Its numbers as little-endian 32 bit floats, as OpenAI sends them."""
    return base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode()


def _listed(inputs: Any) -> tuple[list, bool]:
    """The inputs as a list, and whether it was one alone: its result is then given alone, too."""
    return (inputs, False) if isinstance(inputs, list) else ([inputs], True)


def _text_or_pair(given: Any) -> str | dict[str, str]:
    """For the pipeline: of "a text", ["a text"] or ["a text", "its pair"]."""
    parts = [given] if isinstance(given, str) else given
    return parts[0] if len(parts) == 1 else {"text": parts[0], "text_pair": parts[1]}

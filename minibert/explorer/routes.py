"""The addresses of the explorer: the page at `/`, its files, and the numbers behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from minibert.explorer.insight import Explorer
from minibert.explorer.source import COURSE, STATIONS, station_sources
from minibert.explorer.view import MOST_PIECES, View
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.tokenizer import BertTokenizer

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}

# The page and all that it loads come from here: a browser refuses whatever else it might be made to ask for.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asks again, and hears that nothing has changed
}


Answer = Callable[[Request, Callable[[], Any]], Awaitable[Response]]

# Of the largest models 1024 heads are enough. What a number may be for this model, `read_pieces` says.
Number = Annotated[int, Field(strict=True, ge=0, le=999_999)]
Positions = Annotated[list[Number], Field(max_length=MOST_PIECES)]
Head = Annotated[list[Number], Field(min_length=2, max_length=2)]


class ViewForm(BaseModel):
    """A `View`, as JSON has it: of these types, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    pair: str | None = None
    masked: Positions = []
    flipped: Positions = []
    heads_off: Annotated[list[Head], Field(max_length=1024)] = []
    layers_off: Annotated[list[Number], Field(max_length=1024)] = []
    position: Number | None = None

    def view(self) -> View:
        """What it says."""
        values = self.model_dump()
        return View(**values | {"heads_off": [(layer, head) for layer, head in self.heads_off]})


async def in_a_thread(request: Request, make: Callable[[], Any]) -> Response:
    """What `make` returns, as JSON."""
    return JSONResponse(await asyncio.to_thread(make))


def explorer_routes(
    model: BertPreTrainedModel, tokenizer: BertTokenizer, name: str, answer: Answer = in_a_thread
) -> APIRouter:
    """The routes of a page that shows `model`, for `FastAPI.include_router`.

    model: in fp32; any of minibert's, with or without a head.
    name: what the page calls it.
    answer: how a request is answered with what a function returns; `minibert serve` has limits of time and number.
    """
    explorer, router = Explorer(model, tokenizer, name), APIRouter(include_in_schema=False)

    @router.get("/explorer/about")
    async def about(request: Request) -> Response:
        return await answer(request, lambda: {"model": explorer.about(), "stations": station_sources()})

    @router.post("/explorer/api")
    async def look(request: Request, view: ViewForm, before: ViewForm | None = None) -> Response:
        earlier = None if before is None else before.view()
        return await answer(request, lambda: _or_refuse(explorer.look, view.view(), earlier))

    @router.post("/explorer/api/head")
    async def head(
        request: Request, view: ViewForm, layer: Annotated[Number, Body()], head: Annotated[Number, Body()]
    ) -> Response:
        return await answer(request, lambda: _or_refuse(explorer.head, view.view(), layer, head))

    _add_files(router)
    return router


def _or_refuse(look: Any, *arguments: Any) -> dict[str, Any]:
    """What `look` returns; a view that cannot be is the visitor's mistake, which is told."""
    try:
        return look(*arguments)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


def _add_files(router: APIRouter) -> None:
    """The files of the page, and the chapters of the course: these names, and no other path."""
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in MEDIA_TYPES}
    chapters = {f"{folder}{station.chapter}" for station in STATIONS.values() for folder in ("", "zh/")}

    @router.get("/")
    async def page() -> Response:
        return _file(files["index.html"])

    @router.get("/explorer/page/{file}")
    async def page_file(file: str) -> Response:
        if file not in files:
            raise HTTPException(404, f"the page has no file {file!r}")
        return _file(files[file])

    @router.get("/explorer/course/{chapter:path}")
    async def chapter_of_course(chapter: str) -> Response:
        if chapter not in chapters or not (COURSE / chapter).is_file():
            raise HTTPException(
                404, f"no chapter {chapter!r} is here: the course is in the repository, not in the wheel"
            )
        return PlainTextResponse((COURSE / chapter).read_text(encoding="utf-8"), headers=HEADERS)


def _file(path: Path) -> FileResponse:
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)

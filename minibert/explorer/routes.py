"""The addresses of the explorer: the page at `/`, its files, and the numbers behind it."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse, Response

from minibert.explorer.insight import Explorer
from minibert.explorer.source import COURSE, STATIONS, station_sources
from minibert.explorer.view import View
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


def explorer_routes(model: BertPreTrainedModel, tokenizer: BertTokenizer, name: str) -> APIRouter:
    """The routes of a page that shows `model`, for `FastAPI.include_router`.

    model: in fp32; any of minibert's, with or without a head.
    name: what the page calls it.
    """
    explorer, router = Explorer(model, tokenizer, name), APIRouter(include_in_schema=False)

    @router.get("/explorer/about")
    def about() -> dict[str, Any]:
        return {"model": explorer.about(), "stations": station_sources()}

    @router.post("/explorer/api")
    def look(view: View, before: View | None = None) -> dict[str, Any]:
        return _or_refuse(explorer.look, view, before)

    @router.post("/explorer/api/head")
    def head(view: View, layer: Annotated[int, Body()], head: Annotated[int, Body()]) -> dict[str, Any]:
        return _or_refuse(explorer.head, view, layer, head)

    _add_files(router)
    return router


def _or_refuse(answer: Any, *arguments: Any) -> dict[str, Any]:
    """What `answer` returns; a view that cannot be is the visitor's mistake, which is told."""
    try:
        return answer(*arguments)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


def _add_files(router: APIRouter) -> None:
    """The files of the page, and the chapters of the course: these names, and no other path."""
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in MEDIA_TYPES}
    chapters = {f"{folder}{station.chapter}" for station in STATIONS.values() for folder in ("", "zh/")}

    @router.get("/")
    def page() -> Response:
        return _file(files["index.html"])

    @router.get("/explorer/page/{file}")
    def page_file(file: str) -> Response:
        if file not in files:
            raise HTTPException(404, f"the page has no file {file!r}")
        return _file(files[file])

    @router.get("/explorer/course/{chapter:path}")
    def chapter_of_course(chapter: str) -> Response:
        if chapter not in chapters or not (COURSE / chapter).is_file():
            raise HTTPException(
                404, f"no chapter {chapter!r} is here: the course is in the repository, not in the wheel"
            )
        return PlainTextResponse((COURSE / chapter).read_text(encoding="utf-8"), headers=HEADERS)


def _file(path: Path) -> FileResponse:
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)

"""A small Hugging Face hub on this machine: a real server for the real client library to talk to."""

import contextlib
import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

# Whatever could come from the machine that runs the tests: its token, its cache, its proxy.
SETTINGS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass
class Repository:
    """What the hub has under one name: the files of each revision, and who may see them."""

    revisions: dict[str, dict[str, bytes]]
    token: str | None = None  # None: everybody may see it
    gated: bool = False  # its list of files is public, its files are for those whose `token` was admitted

    def commit(self, revision: str) -> str | None:
        """The commit of a branch or a tag, or of itself; None if there is no such revision."""
        commits = {name: hashlib.sha1(name.encode()).hexdigest() for name in self.revisions}
        return commits.get(revision, revision if revision in commits.values() else None)

    def files(self, commit: str) -> dict[str, bytes]:
        return next(files for name, files in self.revisions.items() if self.commit(name) == commit)


@dataclass
class Hub:
    """The server's state. A test fills `repositories` and reads `requests`."""

    url: str
    home: Path  # of the client: its cache, its saved token
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # such as "HEAD someone/bert/resolve/main/config.json"
    cuts: int = 0  # how many of the next downloads break off in the middle
    status: int | None = None  # an error that answers everything

    def add(self, name: str, files: dict[str, bytes], **changes) -> Repository:
        """A repository with these files on its main branch."""
        self.repositories[name] = Repository({"main": files}, **changes)
        return self.repositories[name]

    def reset(self) -> None:
        """An empty hub and a cold cache."""
        self.__init__(self.url, self.home)
        shutil.rmtree(self.home, ignore_errors=True)

    def fetched(self) -> list[str]:
        """The files whose content was sent, in order."""
        return [
            request.rpartition("/")[2]
            for request in self.requests
            if request.startswith("GET") and "/resolve/" in request
        ]


class Refusal(Exception):
    """An answer without a body: (status, what the hub calls it)."""


class Handler(BaseHTTPRequestHandler):
    """The four addresses of the hub that downloading needs."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, *_) -> None:
        """Nothing: the test reads `requests`."""

    def answer(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.hub.requests.append(f"{self.command} {path}")
        try:
            if self.hub.status:
                raise Refusal(self.hub.status, "Oops")
            if path.startswith("api/models/"):
                name, _, revision = path.removeprefix("api/models/").partition("/revision/")
                self.send_list(name, unquote(revision) or "main")
            else:
                name, _, place = path.partition("/resolve/")
                self.send_file(name, *map(unquote, place.split("/", 1)))
        except Refusal as refusal:
            status, code = refusal.args
            self.send(status, {"X-Error-Code": code})

    def repository(self, name: str, revision: str, what: str) -> tuple[Repository, str]:
        """(the repository, the commit), if the one who asks may see it."""
        found = self.hub.repositories.get(name)
        admitted = found and found.token in (None, self.headers.get("Authorization", "").removeprefix("Bearer "))
        if found is None or not (admitted or found.gated):
            raise Refusal(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
        if not admitted and what == "file":
            raise Refusal(403, "GatedRepo")
        commit = found.commit(revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound")
        return found, commit

    def send_list(self, name: str, revision: str) -> None:
        found, commit = self.repository(name, revision, "list")
        siblings = [{"rfilename": file} for file in found.files(commit)]
        content = json.dumps({"id": name, "modelId": name, "sha": commit, "siblings": siblings}).encode()
        self.send(200, {"Content-Type": "application/json"}, content)

    def send_file(self, name: str, revision: str, file: str) -> None:
        found, commit = self.repository(name, revision, "file")
        if file not in found.files(commit):
            raise Refusal(404, "EntryNotFound")
        content = found.files(commit)[file]
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(206 if start else 200, headers, content[start:])

    def send(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cuts and len(content) > 1 and "ETag" in headers:
            self.hub.cuts -= 1
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)


@contextlib.contextmanager
def running_hub(home: Path) -> Iterator[Hub]:
    """A hub that the client library in this process takes for the real one; its cache is below `home`."""
    handler = type("OneHubsHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = Hub(f"http://127.0.0.1:{server.server_port}", home)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        with client_settings(HF_ENDPOINT=handler.hub.url, HF_HOME=str(home)):
            yield handler.hub
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def client_settings(**environment: str) -> Iterator[None]:
    """Let the client library see this environment: as it reads it only when it is imported, it is imported anew."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*SETTINGS, *PROXIES):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        usual = _forget_client()
        try:
            yield
        finally:
            _forget_client()
            sys.modules.update(usual)


def _forget_client() -> dict[str, ModuleType]:
    """Make the next import of the client library a first one; returns its modules."""
    names = [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]
    return {name: sys.modules.pop(name) for name in names}

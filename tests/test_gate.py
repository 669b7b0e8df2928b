"""What a request has to pass before anything reads it."""

import pytest
import serving_runs

from minibert.serving.gate import Gate

LOCAL = ("localhost", "127.0.0.1", "[::1]")


@pytest.fixture(scope="module")
def local():
    with serving_runs.client(api_key="sesame", hosts=LOCAL) as client:
        client.headers["Authorization"] = "bearer  sesame"  # in any case (RFC 9110, section 11.1), with any blanks
        yield client


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]", "[::1]:8000", "localhost:"])
def test_hosts_that_are_this_machine(local, host):
    assert local.get("/info", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::1", "localhost:x"],
)
def test_a_host_that_is_another(local, host):
    """A page under this name, which now points to this machine, must not read what the service says."""
    for path in ("/info", "/health", "/nothing"):
        answer = local.get(path, headers={"Host": host})
        assert answer.status_code == 421
        said = f"expected 127.0.0.1 or [::1] or localhost, as this service is for this machine only, found {host!r}"
        assert said in answer.json()["error"] and "--host" in answer.json()["error"]


def test_no_redirection_to_a_host(local):
    answer = local.get("/info/", headers={"Host": "localhost"}, follow_redirects=False)
    assert answer.status_code == 404 and "location" not in answer.headers


@pytest.mark.parametrize("given", ["bearer", "Bearer x", "Basic sesame", "Bearersesame", "Bearer ses ame"])
def test_keys_that_are_none(local, given):
    answer = local.get("/info", headers={"Host": "localhost", "Authorization": given})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"


def test_head_is_get_without_the_body(local):
    for path in ("/info", "/health", "/metrics", "/docs", "/openapi.json"):
        answer = local.head(path, headers={"Host": "localhost"})
        assert answer.status_code == 200 and not answer.content and int(answer.headers["content-length"]) > 0
    assert local.head("/embed", headers={"Host": "localhost"}).headers["allow"] == "POST"


def test_a_compressed_body(local):
    answer = local.post("/embed", content=b"\x1f\x8b", headers={"Host": "localhost", "Content-Encoding": "gzip"})
    assert answer.status_code == 415 and "expected none, found 'gzip'; send the body as it is" in answer.json()["error"]
    answer = local.post("/embed", json={"inputs": "q"}, headers={"Host": "localhost", "Content-Encoding": "Identity"})
    assert answer.status_code == 200


def test_any_host_where_others_may_come(local):
    assert Gate(local.app, None, None, ()).hosts is None
    with serving_runs.client() as client:
        assert client.get("/info", headers={"Host": "evil.example"}).status_code == 200

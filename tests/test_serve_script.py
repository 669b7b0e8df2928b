"""`minibert serve` as it is used: real clients, a real port, a real end."""

import collections
import concurrent.futures
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import openai
import pytest
import schemathesis
import script_runs
import serving_runs
from huggingface_hub import InferenceClient
from pipeline_runs import checkpoint
from schemathesis.checks import not_a_server_error

import minibert
from minibert.commands.serve import is_loopback


@pytest.fixture(scope="module")
def embeddings():
    with serving_runs.server(
        "embeddings", "--api-key", "sesame", "--max-body-bytes", "20000", "--max-seconds", "5"
    ) as made:
        yield made


@pytest.fixture(scope="module")
def fill_mask():
    with serving_runs.server("fill-mask", "--max-seconds", "2") as made:
        yield made


def expected_vectors(texts):
    return minibert.pipeline("sentence-similarity", checkpoint("BertModel"), "fp32").embed(texts).tolist()


def test_openai(embeddings):
    client = openai.OpenAI(base_url=f"{embeddings.address}/v1", api_key="sesame", max_retries=0)
    name = checkpoint("BertModel").name
    found = client.embeddings.create(model=name, input=["ab cde", "q"])
    for item, vector in zip(found.data, expected_vectors(["ab cde", "q"]), strict=True):
        assert item.embedding == pytest.approx(vector, abs=1e-6)
    assert found.usage.total_tokens == found.usage.prompt_tokens > 0
    with pytest.raises(openai.NotFoundError, match="'text-embedding-3-small' is not served here"):
        client.embeddings.create(model="text-embedding-3-small", input="q")
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions"):
        client.embeddings.create(model=name, input="q", dimensions=7)
    with pytest.raises(openai.AuthenticationError, match="Authorization: Bearer KEY"):
        openai.OpenAI(base_url=f"{embeddings.address}/v1", api_key="no").embeddings.create(model=name, input="q")


@pytest.fixture
def online(monkeypatch):
    """The hub's client asks this machine, which tests otherwise forbid it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("online")
def test_huggingface_hub(embeddings, fill_mask):
    client = InferenceClient(model=f"{embeddings.address}/embed", token="sesame")
    assert client.feature_extraction("ab cde").tolist()[0] == pytest.approx(expected_vectors(["ab cde"])[0], abs=1e-6)
    candidates = InferenceClient(model=f"{fill_mask.address}/fill-mask").fill_mask("ab [MASK] f", top_k=3)
    expected = minibert.pipeline("fill-mask", checkpoint("BertForMaskedLM"), "fp32")("ab [MASK] f", top_k=3)
    assert [c.token_str for c in candidates] == [c["token_str"] for c in expected]


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("task", ["text-classification", "token-classification", "question-answering"])
def test_huggingface_hub_and_the_other_heads(task):
    with serving_runs.server(task) as server:
        client = InferenceClient(model=f"{server.address}/{'predict' if task == 'text-classification' else task}")
        expected = minibert.pipeline(task, checkpoint(serving_runs.CLASSES[task]), "fp32")
        if task == "text-classification":
            # Of what comes, the client takes the first: here, in text-embeddings-inference's form, the likeliest class.
            found, (best,) = client.text_classification("ab cde", top_k=1), expected("ab cde")
            assert found.label == best["label"] and found.score == pytest.approx(best["score"], abs=1e-6)
        elif task == "token-classification":
            found = client.token_classification("ab cde", aggregation_strategy="first", ignore_labels=["none"])
            best = expected("ab cde", aggregation_strategy="first", ignore_labels=["none"])
            assert [(tag.entity_group, tag.start, tag.end) for tag in found] == [
                (tag["entity_group"], tag["start"], tag["end"]) for tag in best
            ]
        else:
            found = client.question_answering(question="ab", context="cde f gh")
            assert found.answer == expected(question="ab", context="cde f gh")["answer"]


def test_curl_and_the_examples_of_the_page(fill_mask):
    """What /docs shows is typed as it stands there."""
    page = subprocess.run(
        ["curl", "-sf", f"{fill_mask.address}/docs"], capture_output=True, text=True, check=True
    ).stdout
    shown = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert len(shown) == 9
    for text in shown:
        command = (
            text.replace("&#x27;", "'").replace("&quot;", '"').replace("curl ", "curl -s -o - -w '\n%{http_code}' ")
        )
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        is_there = not any(path in text for path in ("predict", "token-class", "question"))
        assert status == ("200" if is_there else "404"), text
        assert "metrics" in text or json.loads(body)


def raw(server, *parts, wait=0.0):
    """What a server says to bytes, until it closes the connection, and after how many seconds."""
    host, port = server.address.removeprefix("http://").split(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer, time.monotonic() - start


HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def test_slow_and_huge_clients_are_sent_away(fill_mask):
    """Every connection ends by itself, with a 4xx where there was a request."""
    answer, seconds = raw(fill_mask, HEAD % 100, b'{"inputs"')  # a body that never ends
    assert answer.startswith(b"HTTP/1.1 408 ") and 1 < seconds < 15
    answer, seconds = raw(fill_mask, b"POST /embed HTTP/1.1\r\nHost: ")  # headers that never end
    assert not answer and 1 < seconds < 15
    answer, seconds = raw(fill_mask, HEAD % 10**10 + b"{")
    assert answer.startswith(b"HTTP/1.1 413 ") and seconds < 10
    answer, _ = raw(fill_mask, b"GARBAGE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_hangs_up(embeddings):
    host, port = embeddings.address.removeprefix("http://").split(":")
    for parts in ([HEAD % 100, b'{"in'], [HEAD % 13, b'{"inputs":"q"}'[:13]], []):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"".join(parts))
    client = openai.OpenAI(base_url=f"{embeddings.address}/v1", api_key="sesame")
    assert client.embeddings.create(model=checkpoint("BertModel").name, input="q").data


def test_every_body_that_the_description_allows_or_not_is_answered_without_5xx():
    hostile("fill-mask", 8)


def hostile(task, examples):
    """Let schemathesis make requests from the OpenAPI description of a service in this process."""
    from hypothesis import HealthCheck, Phase, given, settings

    with serving_runs.client(task) as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
        for found in schema.get_all_operations():
            operation = found.ok()
            # What takes nothing cannot be asked wrongly.
            modes = (
                schemathesis.GenerationMode if operation.method == "post" else [schemathesis.GenerationMode.POSITIVE]
            )
            for mode in modes:
                case = operation.as_strategy(generation_mode=mode)

                @settings(
                    max_examples=examples,
                    suppress_health_check=list(HealthCheck),
                    deadline=None,
                    phases=[Phase.generate],
                )
                @given(case=case)
                def answered(case):
                    case.call_and_validate(checks=[not_a_server_error])

                answered()


def ask_often(server, bodies):
    """Post each body to /embed over one connection; returns how often each status came."""
    found = collections.Counter()
    host, port = server.address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    for body in bodies:
        connection.request("POST", "/embed", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        found[answer.status] += 1
    return found


def hostile_bodies(seed, count):
    rng = random.Random(seed)
    makers = [
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: (
            b'{"inputs": '
            + rng.choice([b"1", b"null", b"{}", b'[["a"]]', b"[[[[[", b'"a", "x": 1}', b'"\\ud800"}', b"NaN}"])
        ),
        lambda: json.dumps({"inputs": "a " * rng.choice([1, 40, 9000]), "truncate": rng.choice([True, 1, "no", None])}),
        lambda: json.dumps({"inputs": ["q"] * rng.choice([0, 1, 600]), "normalize": rng.choice([False, "?", [], 0])}),
        lambda: b"[" * rng.choice([10, 30_000]),
    ]
    for _ in range(count):
        yield rng.choice(makers)()


def many(server, bodies_of, clients=8):
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        counted = pool.map(lambda number: ask_often(server, bodies_of(number)), range(clients))
        return sum(counted, collections.Counter())


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_hostile_bodies_are_refused_and_nothing_else_suffers(count):
    with serving_runs.server("embeddings") as server:
        found = many(server, lambda number: hostile_bodies(number, count // 8))
        assert found.total() == count // 8 * 8 and max(found) < 500 and found[422] + found[400] > count / 4
        assert ask_often(server, ['{"inputs": "ab cde"}']) == {200: 1}


@pytest.mark.soak
def test_memory_is_flat_over_a_hundred_thousand_requests():
    def bodies(number, count):
        rng = random.Random(number)
        for _ in range(count // 8):
            yield json.dumps({"inputs": "".join(rng.choices("abcdef ", k=rng.randrange(1, 16))) + "a"})

    with serving_runs.server("embeddings") as server:
        many(server, lambda number: bodies(number, 20_000))
        before = server.memory()
        assert many(server, lambda number: bodies(number, 80_000)) == {200: 80_000}
        assert server.memory() < before + 20e6


def test_sigterm_finishes_what_was_accepted():
    """Many requests at once; the signal comes while they are at work, and each gets its answer, or no connection."""
    with serving_runs.server("embeddings") as server, concurrent.futures.ThreadPoolExecutor(16) as pool:
        body = json.dumps({"inputs": ["ab cde f " * 2] * 400}).encode()
        asked = [
            pool.submit(raw, server, HEAD.replace(b"localhost", b"localhost\r\nConnection: close") % len(body), body)
            for _ in range(8)
        ]
        metrics = f"{server.address}/metrics"
        for _ in range(2000):  # until the model has work
            text = subprocess.run(["curl", "-s", metrics], capture_output=True, text=True).stdout
            if "minibert_waiting_tokens 0.0" not in text:
                break
        err = server.stop(signal.SIGTERM)
        answers = [future.result()[0] for future in asked]
        assert all(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"]]") for answer in answers)
        assert "Traceback" not in err and server.process.returncode in (0, -signal.SIGTERM)


def test_ctrl_c_is_an_end_without_a_traceback():
    with serving_runs.server() as server:
        err = server.stop(signal.SIGINT)
        assert "Traceback" not in err and server.process.returncode == 130


def test_what_is_printed(embeddings, fill_mask):
    name = checkpoint("BertForMaskedLM").name
    assert fill_mask.lines[0] == f"model       {name}, for embeddings and fill-mask\n"
    address = r"address     http://127\.0\.0\.1:\d+, with examples of requests at /docs; "
    assert re.fullmatch(address + "open it in a browser to see the model at work\n", fill_mask.lines[1])
    assert re.fullmatch(address + "without the explorer, as a browser brings no key\n", embeddings.lines[1])


def test_the_explorer_is_at_the_address(embeddings, fill_mask):
    with urllib.request.urlopen(fill_mask.address) as page:
        assert b"<title>" in page.read() and page.headers.get_content_type() == "text/html"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(embeddings.address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback(host):
    assert is_loopback(host) and not is_loopback("0.0.0.0") and not is_loopback("example.org")


def test_others_on_the_network_without_a_key():
    with serving_runs.server("embeddings", "--host", "0.0.0.0") as server:
        assert "warning: others on the network can use this service" in server.stop()
    with serving_runs.server("embeddings", "--host", "0.0.0.0", "--api-key", "k") as server:
        assert "warning" not in server.stop()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "no/such/folder", "--port", "0"], "no/such/folder"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8000"),
        (["--host", "no such host", "--port", "0"], "cannot listen on no such host"),
    ],
)
def test_what_cannot_be(capsys, arguments, said):
    assert said in script_runs.call(capsys, "serve", *arguments).only_error


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "\u0661\u0662", "9" * 5000])
def test_numbers_that_are_none(capsys, value):
    ending = script_runs.call(capsys, "serve", "--max-texts", value)
    assert ending.code == 2 and "--max-texts: expected a whole number from 1" in ending.err

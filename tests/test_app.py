"""The application: its answers are those of the pipelines, and it says no in plain words."""

import base64
import struct
import threading

import pytest
import serving_runs
from pipeline_runs import checkpoint

import minibert
from minibert.serving.limits import Limits

TEXTS = ["ab cde f", "q", "abcdefghij k lm nop"]
LONG = "a " * 400


def of_pipeline(task, *inputs, **options):
    """What a pipeline of the served checkpoint answers."""
    kind = "sentence-similarity" if task == "embeddings" else task
    made = minibert.pipeline(kind, checkpoint(serving_runs.CLASSES[task]), "fp32")
    return made.embed(*inputs).tolist() if task == "embeddings" else made(*inputs, **options)


def close(found, expected):
    """Equal, numbers to the sixth digit: other batches add up in another order."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        return all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    return found == pytest.approx(expected, abs=1e-6) if isinstance(expected, float) else found == expected


def post(client, path, expected=200, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == expected, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def embeddings():
    with serving_runs.client() as client:
        yield client


@pytest.fixture(scope="module")
def fill_mask():
    with serving_runs.client("fill-mask") as client:
        yield client


def test_embed_is_the_pipeline(embeddings):
    expected = of_pipeline("embeddings", TEXTS)
    assert close(post(embeddings, "/embed", inputs=TEXTS), expected)
    assert close(post(embeddings, "/embed", inputs=TEXTS[0]), expected[:1])


def test_embed_without_scaling(embeddings):
    scaled = post(embeddings, "/embed", inputs=TEXTS)
    raw = post(embeddings, "/embed", inputs=TEXTS, normalize=False)
    for vector, expected in zip(raw, scaled, strict=True):
        length = sum(x * x for x in vector) ** 0.5
        assert abs(length - 1) > 0.01 and close([x / length for x in vector], expected)


def test_openai_embeddings(embeddings):
    expected = of_pipeline("embeddings", TEXTS)
    found = post(embeddings, "/v1/embeddings", input=TEXTS)
    assert found["object"] == "list" and found["model"] == embeddings.service.name
    assert [item["index"] for item in found["data"]] == [0, 1, 2]
    assert close([item["embedding"] for item in found["data"]], expected)
    tokens = sum(map(len, embeddings.service.embedder.tokenizer(TEXTS)["input_ids"]))
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_openai_base64(embeddings):
    (item,) = post(embeddings, "/v1/embeddings", input="q", encoding_format="base64")["data"]
    raw = base64.b64decode(item["embedding"])
    assert close(list(struct.unpack(f"<{len(raw) // 4}f", raw)), of_pipeline("embeddings", ["q"])[0])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": "q", "dimensions": 3}, 422, "dimensions: vectors of this model have"),
        ({"input": "q", "model": "other"}, 404, "'other' is not served here"),
        ({"input": [1, 2]}, 422, "input"),
        ({"input": []}, 422, "input"),
        ({"input": "q", "encoding_format": "hex"}, 422, "encoding_format"),
        ({"input": "q", "speed": 9}, 422, "speed"),
        ({"input": LONG}, 422, "tokens, but the model reads only"),
    ],
)
def test_what_openai_clients_are_refused(embeddings, body, status, said):
    assert said in post(embeddings, "/v1/embeddings", status, **body)["error"]["message"]


def test_a_long_text_is_cut_where_that_is_asked(embeddings):
    limit = embeddings.service.embedder.max_length
    said = post(embeddings, "/embed", 422, inputs=["q", LONG])["error"]
    assert said == f"text 1: the text has 402 tokens, but the model reads only {limit}"
    cut = post(embeddings, "/embed", inputs=LONG, truncate=True)
    assert close(cut, post(embeddings, "/embed", inputs="a " * (limit - 2)))


def test_predict_is_the_pipeline():
    inputs = [["ab cde f"], ["q", "ab"]]
    with serving_runs.client("text-classification") as client:
        expected = of_pipeline("text-classification", ["ab cde f", {"text": "q", "text_pair": "ab"}], top_k=None)
        assert close(post(client, "/predict", inputs=inputs), expected)
        assert close(post(client, "/predict", inputs="ab cde f"), expected[0])
        assert close(post(client, "/predict", inputs=["q", "ab"]), expected[1])
        raw = of_pipeline("text-classification", ["q"], top_k=None, function_to_apply="none")
        assert close(post(client, "/predict", inputs="q", raw_scores=True), raw[0])
        assert len(post(client, "/predict", inputs="q", parameters={"top_k": 1})) == 1
        assert close(
            post(client, "/embed", inputs="q"),
            minibert.pipeline(
                "sentence-similarity", client.service.head.model, "fp32", tokenizer=client.service.head.tokenizer
            )
            .embed(["q"])
            .tolist(),
        )


def test_fill_mask_is_the_pipeline(fill_mask):
    texts = ["ab [MASK] f", "[MASK] q [MASK]"]
    expected = of_pipeline("fill-mask", texts, top_k=2)
    refused = fill_mask.post("/fill-mask", json={"inputs": texts, "parameters": {"top_k": 101}})
    assert refused.status_code == 422 and "100" in refused.text
    assert close(post(fill_mask, "/fill-mask", inputs=texts, parameters={"top_k": 2}), expected)
    assert close(post(fill_mask, "/fill-mask", inputs=texts[0], parameters={"top_k": 2}), expected[0])
    assert "has no [MASK]" in post(fill_mask, "/fill-mask", 422, inputs=["[MASK]", "q"])["error"]


def test_too_many_candidates_are_refused_before_they_are_computed():
    with serving_runs.client("fill-mask", Limits(candidates=6)) as client:
        two = "ab [MASK] [MASK]"
        assert len(post(client, "/fill-mask", inputs=[two], parameters={"top_k": 3})[0]) == 2
        client.service.batcher.run = None  # what is refused does not get there
        said = post(client, "/fill-mask", 413, inputs=["[MASK]", two], parameters={"top_k": 3})["error"]
        assert "3 masks with 3 candidates each (top_k) are 9 candidates, at most 6 are given" in said


def test_targets(fill_mask):
    masked, words = "ab [MASK] f", {"targets": ["b", "f"], "top_k": 9}
    expected = of_pipeline("fill-mask", [masked], **words)
    assert close(post(fill_mask, "/fill-mask", inputs=masked, parameters=words), expected[0])
    said = post(fill_mask, "/fill-mask", 422, inputs=masked, parameters={"targets": ["b", "nowhere", "ab cd"]})
    assert "targets: not in the vocabulary: 'nowhere', 'ab cd'; name words that are" in said["error"]


@pytest.mark.parametrize(
    ("task", "inputs", "parameters"),
    [
        ("token-classification", "a " * 20_000, {"stride": 13}),
        ("question-answering", {"question": "a", "context": "a " * 20_000}, {"max_seq_len": 8, "doc_stride": 4}),
    ],
)
def test_windows_that_share_nearly_all_are_not_made(task, inputs, parameters):
    """Each of them shows a single new token: many gigabytes of windows from a body that is small."""
    with serving_runs.client(task) as client:
        longest = client.service.head.max_length
        if "stride" in parameters:
            parameters = {"stride": longest - 3}
        client.service.head.windows = None  # what is refused does not get there
        assert "in windows of" in post(client, f"/{task}", 413, inputs=inputs, parameters=parameters)["error"]


def test_token_classification_is_the_pipeline():
    with serving_runs.client("token-classification") as client:
        for strategy in ("none", "simple", "first"):
            parameters = {"aggregation_strategy": strategy, "ignore_labels": []}
            expected = of_pipeline("token-classification", TEXTS, **parameters)
            assert close(post(client, "/token-classification", inputs=TEXTS, parameters=parameters), expected)


def test_question_answering_is_the_pipeline():
    question = {"question": "ab", "context": "cde f gh ij kl"}
    with serving_runs.client("question-answering") as client:
        expected = of_pipeline("question-answering", [question], top_k=2)
        assert close(post(client, "/question-answering", inputs=question, parameters={"top_k": 2}), expected[0])
        assert close(post(client, "/question-answering", inputs=[question]), [expected[0][0]])


def test_a_head_that_is_not_there(embeddings, fill_mask):
    said = post(embeddings, "/predict", 404, inputs="q")["error"]
    assert "no head for text-classification: it can be asked for embeddings" in said
    question = {"question": "a", "context": "b"}
    assert "for embeddings and fill-mask" in post(fill_mask, "/question-answering", 404, inputs=question)["error"]


def test_requests_at_the_same_time_share_batches(embeddings):
    """One is held by the model; those that come in the meantime are one batch, and one bad text does not spoil it."""
    batcher, answers = embeddings.service.batcher, {}
    seen, go, begun = [], threading.Event(), threading.Event()
    compute = batcher._compute

    def slow(batch):
        seen.append(len(batch))
        begun.set()
        go.wait()
        return compute(batch)

    def ask(text, **more):
        answers[text] = embeddings.post("/embed", json={"inputs": text} | more)

    batcher._compute = slow
    try:
        threads = [threading.Thread(target=ask, args=[text]) for text in ("first", *TEXTS, LONG)]
        threads[0].start()
        begun.wait()
        for thread in threads[1:]:
            thread.start()
        while batcher.waiting_tokens < 4 + 3 + 19:  # the three texts; the long one is refused before it waits
            pass
        go.set()
        for thread in threads:
            thread.join()
    finally:
        batcher._compute = compute
    assert seen == [1, 3] and answers[LONG].status_code == 422
    assert close([answers[text].json()[0] for text in TEXTS], of_pipeline("embeddings", TEXTS))


def test_limits():
    limits = Limits(body_bytes=200, texts=2, waiting_tokens=10)
    with serving_runs.client(limits=limits) as client:
        assert "at most 2 are taken" in post(client, "/embed", 413, inputs=["a"] * 3)["error"]
        assert "at most 10 may wait" in post(client, "/embed", 413, inputs=["a b c d", "a b c d"])["error"]
        assert "more than 200 bytes" in post(client, "/embed", 413, inputs="a" * 300)["error"]
        assert "more than 200 bytes" in post(client, "/embed", 413, inputs="a" * 30_000)["error"]
        assert len(post(client, "/embed", inputs=["a", "b"])) == 2


def test_the_key():
    with serving_runs.client(api_key="sésame") as client:
        assert client.get("/health").status_code == 200
        for headers in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": "sésame".encode()}):
            answer = client.post("/embed", json={"inputs": "q"}, headers=headers)
            assert answer.status_code == 401 and "Authorization: Bearer KEY" in answer.json()["error"]
        answer = client.post("/embed", json={"inputs": "q"}, headers={"Authorization": "Bearer sésame".encode()})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Field required"),
        (b"{", "no JSON"),
        (b"[1]", "valid dictionary"),
        (b'{"inputs": NaN}', "inputs"),
        (b'{"inputs": "\\ud800"}', "half a character"),
        (b'{"\\ud800": 1, "inputs": "q"}', "unicode"),
        (b'{"inputs": "q", "truncate": "yes"}', "truncate"),
        (b"[" * 100_000, ""),
        (b"\xff\xfe\x00", ""),
        (b'{"inputs": ' + b"9" * 10_000 + b"}", ""),
    ],
)
def test_bodies_that_are_none(embeddings, content, said):
    answer = embeddings.post("/embed", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and said in answer.json()["error"]


def test_other_kinds_of_body(embeddings):
    answer = embeddings.post("/embed", content=b'{"inputs": "q"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422 and "Content-Type: application/json, found text/plain" in answer.json()["error"]


def test_the_model_fails(embeddings):
    def broken(batch):
        raise RuntimeError("out of memory")

    compute, embeddings.service.batcher._compute = embeddings.service.batcher._compute, broken
    try:
        assert "out of memory" in post(embeddings, "/embed", 500, inputs="q")["error"]
    finally:
        embeddings.service.batcher._compute = compute


def test_paths_that_are_none(embeddings):
    assert embeddings.get("/nothing").status_code == 404
    answer = embeddings.get("/embed")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST"


def test_info_and_metrics(fill_mask):
    info = fill_mask.get("/info").json()
    assert info["model_type"] == "BertForMaskedLM" and info["tasks"] == ["embeddings", "fill-mask"]
    assert info["dimensions"] == len(post(fill_mask, "/embed", inputs="q")[0])
    fill_mask.get("/made/up")
    text = fill_mask.get("/metrics").text
    assert 'minibert_requests_total{path="/embed",status="200"}' in text
    assert 'path="other",status="404"' in text and "/made" not in text
    assert "minibert_waiting_tokens 0.0" in text and "minibert_batch_tokens_sum" in text


def test_the_page_loads_nothing(embeddings):
    page = embeddings.get("/docs").text
    for path in embeddings.get("/openapi.json").json()["paths"]:
        assert f" {path}</h2>" in page
    assert "<script" not in page and "src=" not in page and "curl http://testserver/embed" in page

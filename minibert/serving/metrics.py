"""What a service counts, in the form that Prometheus reads."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """The counters of one service, in a registry of their own: two services in a process do not mix theirs."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "minibert_requests", "Requests answered, by path and HTTP status", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "minibert_request_seconds", "From a request to its answer", ["path"], buckets=SECONDS, registry=registry
        )
        self._tokens = Counter("minibert_tokens", "Tokens computed", registry=registry)
        self._batch_tokens = Histogram(
            "minibert_batch_tokens", "Tokens of a forward pass", buckets=POWERS, registry=registry
        )
        self._batch_texts = Histogram(
            "minibert_batch_texts", "Texts of a forward pass", buckets=POWERS, registry=registry
        )
        self._batch_seconds = Histogram(
            "minibert_batch_seconds", "A forward pass, with what is made of it", buckets=SECONDS, registry=registry
        )
        self._waiting = Gauge("minibert_waiting_tokens", "Tokens that wait for a forward pass", registry=registry)

    def watch(self, waiting_tokens: Callable[[], int]) -> None:
        """Ask this for the number of waiting tokens, whenever somebody wants to know."""
        self._waiting.set_function(waiting_tokens)

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        """A forward pass is done."""
        self._tokens.inc(tokens)
        self._batch_tokens.observe(tokens)
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered. path: one of a few, never what a client has made up."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """All of it, as `/metrics` gives it."""
        return generate_latest(self._registry)

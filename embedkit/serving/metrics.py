"""What a server counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from embedkit.version import __version__

if TYPE_CHECKING:
    from embedkit.serving.search_service import SearchService

_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Metrics:
    """Counters of requests and of texts, and the state of the indexes."""

    def __init__(self, service: SearchService, paths: Sequence[str]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

        self._service, self._paths = service, frozenset(paths)
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "embedkit_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "embedkit_request_seconds", "Seconds per request.", ["path"], buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram(
            "embedkit_encoded_texts", "Texts that were encoded together.", buckets=_SIZES, registry=registry
        )
        self.answering = Gauge(
            "embedkit_requests_answering", "Requests that are being answered.", registry=registry
        )
        labels = ["index"]
        self._documents = Gauge("embedkit_documents", "Documents of an index.", labels, registry=registry)
        self._generation = Gauge(
            "embedkit_generation", "Generation of an index that answers.", labels, registry=registry
        )
        self._failing = Gauge(
            "embedkit_index_failing", "1 if a newer generation cannot be opened.", labels, registry=registry
        )
        Info("embedkit", "The version of embedkit.", registry=registry).info({"version": __version__})
        service.on_encoded = self._batches.observe

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request; unknown paths are counted together."""
        path = path if path in self._paths else "other"
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return the values of all metrics."""
        from prometheus_client import generate_latest

        for each in self._service.indexes.values():
            self._documents.labels(each.name).set(each.current.index.rows)
            self._generation.labels(each.name).set(each.current.number)
            self._failing.labels(each.name).set(each.failure is not None)
        return bytes(generate_latest(self._registry))

"""What each path of the API answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import orjson

from embedkit.errors import UnknownNameError, UsageError
from embedkit.serving.embeddings import embed, models, read_request
from embedkit.serving.http_requests import json_body, query_parameters
from embedkit.serving.index_facts import index_facts
from embedkit.serving.metrics import Metrics
from embedkit.serving.openapi import openapi
from embedkit.serving.question import checked_text, query_of, read_search
from embedkit.serving.search_service import SearchService
from embedkit.serving.searching import Answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Handlers:
    """What the paths of the API answer."""

    def __init__(self, service: SearchService, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._openapi = openapi(service.limits)

    async def search_one(self, request: Request) -> Response:
        """Search for the query `q`."""
        values = query_parameters(request)
        query = query_of(values.pop("q", ""), self._service.limits)
        search = read_search(values, self._service.limits, operators=True)
        started = time.perf_counter()
        (answer,) = await self._service.search([query], search)
        facts = {"index": self._service.index(search.index).name, "generation": answer.generation}
        return _json(facts | _plain(answer) | {"seconds": round(time.perf_counter() - started, 6)})

    async def search_many(self, request: Request) -> Response:
        """Search for each of several queries."""
        values, limits = await json_body(request), self._service.limits
        queries = values.pop("queries", None)
        if not isinstance(queries, list) or not queries:
            raise UsageError("'queries' must be a list of texts, and not empty")
        if len(queries) > limits.queries:
            raise UsageError(
                f"'queries' has {len(queries):,} queries, at most {limits.queries:,} are allowed"
            )
        texts = [query_of(query, limits) for query in queries]
        search = read_search(values, limits)
        if (hits := search.k * len(texts)) > limits.hits:
            raise UsageError(
                f"'k' for each query asks for {hits:,} hits, at most {limits.hits:,} are allowed"
            )
        answers = await self._service.search(texts, search)
        facts = {"index": self._service.index(search.index).name, "generation": answers[0].generation}
        return _json(facts | {"results": [_plain(answer) for answer in answers]})

    async def documents(self, request: Request) -> Response:
        """Return documents by their ids."""
        ids = request.query_params.getlist("id")
        most = self._service.limits.ids
        if not 1 <= len(ids) <= most:
            raise UsageError(f"'id' must be given 1 to {most} times, got {len(ids)}")
        values = {name: value for name, value in request.query_params.multi_items() if name != "id"}
        if set(values) - {"index"}:
            raise UnknownNameError(min(set(values) - {"index"}), ["id", "index"], what="parameter")
        for id in ids:
            checked_text(id, "id", 10_000)
        found = await self._service.documents(ids, values.get("index"))
        return _json({"documents": found, "index": self._service.index(values.get("index")).name})

    async def indexes(self, request: Request) -> Response:
        """Describe each index."""
        served = self._service.indexes.values()
        facts = [await self._service.run(index_facts, each) for each in served]
        return _json({"indexes": facts, "filters": find_spec("duckdb") is not None})

    async def embeddings(self, request: Request) -> Response:
        """Return vectors of texts, as OpenAI does."""
        wanted = read_request(await json_body(request), self._service.limits)
        return _json(await embed(self._service, wanted))

    async def models(self, request: Request) -> Response:
        """Return the names of the models."""
        return _json(models(self._service))

    async def health(self, request: Request) -> Response:
        """Return whether every index answers at its newest generation."""
        failing = [each.name for each in self._service.indexes.values() if each.failure is not None]
        return _json({"status": "degraded", "failing": failing} if failing else {"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Return all metrics."""
        from starlette.responses import Response

        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """Return the description of the API."""
        return _json(self._openapi)


def _plain(answer: Answer) -> dict[str, object]:
    return {"query": answer.query, "hits": answer.hits}


def _json(value: Mapping[str, object]) -> Response:
    from starlette.responses import Response

    return Response(orjson.dumps(value, default=str), media_type="application/json")

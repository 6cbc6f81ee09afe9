"""The application: its paths, and what each answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson

from embedkit.errors import UnknownNameError, UsageError
from embedkit.serving.embeddings import embed, models, read_request
from embedkit.serving.http_errors import BAD, NOT_ALLOWED, NOT_FOUND, WRONG_TYPE, RequestError
from embedkit.serving.index_facts import index_facts
from embedkit.serving.metrics import Metrics
from embedkit.serving.openapi import PATHS, openapi
from embedkit.serving.page_files import page_files
from embedkit.serving.protection import App, Message, Protection, Receive, Send
from embedkit.serving.question import checked_text, query_of, read_search
from embedkit.serving.search_service import Answer, SearchService
from embedkit.serving.serve_settings import ServeSettings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Handler = Callable[[Any], Awaitable[Any]]


def make_app(service: SearchService, settings: ServeSettings | None = None) -> App:
    """Return the ASGI application of a server, which starts and stops the service.

    Raises MissingPackageError without starlette.
    """
    from starlette.exceptions import HTTPException
    from starlette.routing import Route, Router

    settings = settings or ServeSettings(limits=service.limits)
    metrics = Metrics(service, list(PATHS))
    handlers = Handlers(service, metrics)

    @asynccontextmanager
    async def running(app: Any) -> AsyncIterator[None]:
        """Run the service while the app runs."""
        await service.start()
        yield
        await service.stop()

    routes = [
        Route("/search", handlers.search_one, methods=["GET"]),
        Route("/search", handlers.search_many, methods=["POST"]),
        Route("/documents", handlers.documents),
        Route("/indexes", handlers.indexes),
        Route("/v1/embeddings", handlers.embeddings, methods=["POST"]),
        Route("/v1/models", handlers.models),
        Route("/health", handlers.health),
        Route("/metrics", handlers.metrics),
        Route("/openapi.json", handlers.openapi),
        *(Route(path, _file(*file)) for path, file in page_files(openapi(service.limits)).items()),
    ]
    router = Router(routes, redirect_slashes=False, lifespan=running)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; unknown paths and methods are errors like others."""
        scope["app"] = router
        try:
            await router(scope, receive, send)
        except HTTPException as error:
            raise _unknown(scope, error.status_code) from None

    return Protection(app, settings, metrics)


class Handlers:
    """What the paths of the API answer."""

    def __init__(self, service: SearchService, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._openapi = openapi(service.limits)

    async def search_one(self, request: Request) -> Response:
        """Search for the query `q`."""
        values = _parameters(request)
        query = query_of(values.pop("q", ""), self._service.limits)
        search = read_search(values, self._service.limits, operators=True)
        started = time.perf_counter()
        (answer,) = await self._service.search([query], search)
        facts = {"index": self._service.index(search.index).name, "generation": answer.generation}
        return _json(facts | _plain(answer) | {"seconds": round(time.perf_counter() - started, 6)})

    async def search_many(self, request: Request) -> Response:
        """Search for each of several queries."""
        values, limits = await _body(request), self._service.limits
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
        """Return what is known of each index."""
        served = self._service.indexes.values()
        facts = [await self._service.run(index_facts, each) for each in served]
        return _json({"indexes": facts, "filters": find_spec("duckdb") is not None})

    async def embeddings(self, request: Request) -> Response:
        """Return vectors of texts, as OpenAI does."""
        wanted = read_request(await _body(request), self._service.limits)
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


def _file(content: bytes, media_type: str) -> Handler:
    from starlette.responses import Response

    async def answer(request: Request) -> Response:
        """Send the file."""
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return answer


def _parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a query string, none of which may be given twice."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise UsageError(f"'{name}' is given twice")
        values[name] = value
    return values


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    from starlette.requests import ClientDisconnect

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(WRONG_TYPE, f"the body must be application/json, got {kind[:100] or 'no type'}")
    try:
        value = orjson.loads(await request.body())
    except ClientDisconnect:
        raise RequestError(BAD, "the client ended before its request did") from None
    except orjson.JSONDecodeError as error:
        raise RequestError(BAD, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the body must be a JSON object")
    return value


def _unknown(scope: Message, status: int) -> RequestError:
    """Return the error for a path, or a method of it, that is not answered."""
    path, method = scope["path"][:100], scope["method"]
    if status == NOT_ALLOWED:
        return RequestError(status, f"{path} does not answer {method}")
    return RequestError(NOT_FOUND, f"there is no {path!r} here; /docs lists the paths")

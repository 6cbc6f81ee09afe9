"""The application: its paths, each of which a handler answers, and the protection around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from embedkit.serving.http_errors import NOT_ALLOWED, NOT_FOUND, RequestError
from embedkit.serving.http_handlers import Handlers
from embedkit.serving.metrics import Metrics
from embedkit.serving.openapi import PATHS, openapi
from embedkit.serving.page_files import page_files
from embedkit.serving.protection import App, Message, Protection, Receive, Send
from embedkit.serving.search_service import SearchService
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


def _file(content: bytes, media_type: str) -> Handler:
    from starlette.responses import Response

    async def answer(request: Request) -> Response:
        """Send the file."""
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return answer


def _unknown(scope: Message, status: int) -> RequestError:
    """Return the error for a path, or a method of it, that is not answered."""
    path, method = scope["path"][:100], scope["method"]
    if status == NOT_ALLOWED:
        return RequestError(status, f"{path} does not answer {method}")
    return RequestError(NOT_FOUND, f"there is no {path!r} here; /docs lists the paths")

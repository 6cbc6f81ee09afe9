"""Serving from start to end: check, listen, open the indexes, answer, close."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedkit.errors import DataError, MissingPackageError
from embedkit.serving.query_encoding import Loader, query_encoder
from embedkit.serving.search_service import SearchService
from embedkit.serving.serve_settings import ServeSettings

_log = logging.getLogger("embedkit")


def serve(
    paths: Sequence[str | Path],
    settings: ServeSettings | None = None,
    *,
    load: Loader = query_encoder,
    ready: Callable[[SearchService, str], None] = lambda service, address: None,
) -> None:
    """Serve indexes until the process receives SIGTERM or SIGINT; requests under way are then answered.

    `load` returns the encoder of the queries to an index, and `ready` is called with the address once the
    server listens. Raises MissingPackageError without the packages of a server, DataError if the address
    cannot be listened on, and the errors of opening the indexes and of loading their encoders.
    """
    settings = settings or ServeSettings()
    require_packages()
    from embedkit.serving.http_app import make_app
    from embedkit.serving.uvicorn_server import make_server

    with listening(settings) as listener:
        service = SearchService(paths, settings.limits, load)
        if not settings.is_local and settings.token is None:
            _log.warning(
                "every machine that reaches %s may search; set a `token` to prevent it", settings.host
            )
        try:
            server = make_server(make_app(service, settings), settings.limits)
            host, port = listener.getsockname()[:2]
            ready(service, f"http://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listener])
        finally:
            service.close()


def require_packages() -> None:
    """Raise MissingPackageError naming the first package that a server needs and that is not installed."""
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "httptools", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingPackageError(package.replace("_", "-"), needed_for="serving", extra="serve")


@contextmanager
def listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Listen at the address of the settings; raises DataError if this is not possible."""
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        hint = "choose another `port`, or 0 for any that is free"
        raise DataError(f"cannot listen there ({_reason(error)})", where=where, hint=hint) from None
    with listener:
        yield listener


def _reason(error: OSError | UnicodeError) -> str:
    """Return in words why an address cannot be listened on."""
    if isinstance(error, UnicodeError):
        return "it is not a name of a machine"
    number = None if isinstance(error, socket.gaierror) else error.errno
    return (os.strerror(number) if number else str(error.strerror)).lower()

"""The gate of the server: which requests are answered at all, how long and how large they may be."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import orjson

from embedkit.serving.http_errors import (
    BUSY,
    FORBIDDEN,
    TIMEOUT,
    TOO_LARGE,
    UNAUTHORIZED,
    RequestError,
    request_error,
)
from embedkit.serving.metrics import Metrics
from embedkit.serving.page_files import PAGE_PATHS
from embedkit.serving.serve_settings import ServeSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = frozenset({*PAGE_PATHS, "/health", "/openapi.json"})  # no token is needed
_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; "
     b"connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]  # fmt: skip
_log = logging.getLogger("embedkit")


class Protection:
    """An application behind checks of host, origin, token and size, and limits of number and time.

    Every refusal is one line of JSON.
    """

    def __init__(self, app: App, settings: ServeSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._hosts = {"localhost", settings.host.lower(), *(name.lower() for name in settings.allow_host)}
        self._bearer = None if settings.token is None else f"bearer {settings.token}".encode()
        self._answering = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        exchange = _Exchange(receive, send, self._settings.limits.body)
        exchange.has_body = headers.keys().isdisjoint((b"content-length", b"transfer-encoding"))
        started = time.perf_counter()
        try:
            await self._answer(scope, headers, exchange)
        except Exception as error:
            await exchange.refuse(error)
        finally:
            self._metrics.count(scope["path"], exchange.status, time.perf_counter() - started)

    async def _answer(self, scope: Message, headers: dict[bytes, bytes], exchange: _Exchange) -> None:
        self._check_names(headers)
        self._check_token(scope["path"], headers)
        exchange.check_length(headers.get(b"content-length"))
        limits = self._settings.limits
        if self._answering >= limits.requests and scope["path"] != "/health":
            what = f"{limits.requests} requests are being answered; try again later"
            raise RequestError(BUSY, what, code="busy")
        self._answering += 1
        self._metrics.answering.set(self._answering)
        try:
            with anyio.fail_after(limits.seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if exchange.has_body:
                raise RequestError(BUSY, f"the answer took longer than {limits.seconds:g} seconds") from None
            raise RequestError(TIMEOUT, f"the request took longer than {limits.seconds:g} seconds") from None
        finally:
            self._answering -= 1
            self._metrics.answering.set(self._answering)

    def _check_names(self, headers: dict[bytes, bytes]) -> None:
        """Refuse a request that names another server, and one of a page of another origin."""
        host = headers.get(b"host", b"").decode("latin-1")
        name = _name_of(host)
        if name is None or not (name in self._hosts or _is_address(name)):
            what = f"the host {host[:100]!r} is not this server; allow a name with `allow_host`"
            raise RequestError(FORBIDDEN, what, code="host")
        origin = headers.get(b"origin")
        if origin is not None and not _same_origin(origin.decode("latin-1"), host):
            what = f"pages of the origin {origin.decode('latin-1')[:100]!r} may not use this server"
            raise RequestError(FORBIDDEN, what, code="origin")
        site, mode = headers.get(b"sec-fetch-site"), headers.get(b"sec-fetch-mode")
        if site in (b"cross-site", b"same-site") and mode != b"navigate":
            raise RequestError(FORBIDDEN, "pages of other origins may not use this server", code="origin")

    def _check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._bearer is None or path in OPEN:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not hmac.compare_digest(scheme.lower() + b" " + token.strip(), self._bearer):
            what = "the token is missing or wrong; send it as 'Authorization: Bearer TOKEN'"
            raise RequestError(UNAUTHORIZED, what, code="invalid_api_key")


class _Exchange:
    """A request and its answer: counts the bytes of the body, and adds headers to the answer."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._bytes, self.status = 0, 0
        self.has_body = False  # whether the body was read to its end, or there is none

    def check_length(self, length: bytes | None) -> None:
        """Refuse a body that is announced to be too large."""
        if length is not None and length.isdigit() and int(length[:20]) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """Receive a part of the request; raises for a body that is too large."""
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise self._too_large()
        self.has_body = self.has_body or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers that protect it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *_missing(message["headers"])]
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        """Answer with an error; if an answer has begun, its connection is closed."""
        fault = request_error(error)
        if self.status:
            _log.warning("an answer was broken off: %s", fault.what)
            raise fault
        close = [] if self.has_body else [(b"connection", b"close")]  # the rest of the body is not read
        again = [(b"retry-after", b"1")] if fault.status == BUSY else []
        challenge = [(b"www-authenticate", b"Bearer")] if fault.status == UNAUTHORIZED else []
        body = orjson.dumps(fault.to_json())
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", b"application/json"), length, *close, *again, *challenge]
        await self.send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _too_large(self) -> RequestError:
        return RequestError(TOO_LARGE, f"the body is larger than {self._most:,} bytes")


def _missing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    return [each for each in _HEADERS if each[0] not in given]


def _name_of(host: str) -> str | None:
    """Return the name in a Host header, without its port; None if it is not valid."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.hostname


def _is_address(name: str) -> bool:
    """Return whether a name is an IP address, which no other name can be made to point to."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(origin: str, host: str) -> bool:
    """Return whether an origin is that of the server, as the request names it."""
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()

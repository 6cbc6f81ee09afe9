"""A connection of a client, which ends if a request does not arrive, or its answer is not read, in time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from embedkit.serving.http_errors import BAD, BUSY, TIMEOUT, RequestError

HEAD_SECONDS = 10  # for the first line and the headers of a request
HEAD_BYTES = 65_536
READ_SECONDS = 10  # for the client to read the end of an answer
HEAD_TOO_LARGE = 431


class Connection(HttpToolsProtocol):
    """uvicorn's connection with limits of time and size that it lacks, and errors in JSON."""

    most = 900  # connections
    seconds = 30.0  # that a request takes at most, its answer included

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; refuse the connection if there are too many."""
        self._timer: asyncio.TimerHandle | None = None
        self._in_head, self._head_bytes = True, 0
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(RequestError(BUSY, "too many connections are open; try again later", code="busy"))
            return
        self._end_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_after(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request; its head may have a limited number of bytes."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is None and self._is_idle() and not self.transport.is_closing():
            self._end_after(HEAD_SECONDS)  # bytes that do not begin a request
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(RequestError(HEAD_TOO_LARGE, f"the headers are larger than {HEAD_BYTES:,} bytes"))

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of a request."""
        if not self._in_head:
            self._in_head, self._head_bytes = True, 1
        if self._is_idle():
            self._end_after(HEAD_SECONDS)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to wait for the body and the answer."""
        self._in_head = False
        self._end_after(self.seconds + READ_SECONDS)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the client to read the answer, or for its next request."""
        following = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._end_after(READ_SECONDS)
        else:
            self._end_after(self.seconds + READ_SECONDS if following else None)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        super()._start_asgi_task(cycle, partial(self._answer, cycle, app))

    async def _answer(self, cycle: Any, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; if an answer that has begun fails, its client cannot be told, and is cut off."""
        try:
            await app(scope, receive, send)
        except Exception:  # the application has logged it
            cycle.disconnected = True
            self.transport.abort()

    def shutdown(self) -> None:
        """End when the server stops: after the answer to a request that has arrived, else at once."""
        if not self._is_idle() and self.cycle.more_body and not self.cycle.response_started:
            self._refuse(RequestError(BUSY, "the server is stopping", code="stopping"))
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, even if its client has not read the last answer."""
        if not self.transport.is_closing():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(RequestError(BAD, "the request is not valid HTTP"))

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, fault: RequestError) -> None:
        body = orjson.dumps(fault.to_json())
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.transport.write(STATUS_LINE[fault.status] + head + body)
        self.transport.close()
        self._end_after(READ_SECONDS)

    def _end_after(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        """End the connection; a client that is still sending its headers is told why."""
        if self._in_head and self._head_bytes and not self.transport.is_closing():
            self._refuse(RequestError(TIMEOUT, f"the headers took longer than {HEAD_SECONDS} seconds"))
        else:
            self.transport.abort()


def connections(most: int, seconds: float) -> type[Any]:
    """Return the class of the connections of a server with these limits."""
    return type("Connection", (Connection,), {"most": most, "seconds": seconds})

"""uvicorn's server with our limits, for which a signal to stop is a normal end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from embedkit.data.text.display import counted
from embedkit.serving.client_connection import connections
from embedkit.serving.protection import App
from embedkit.serving.serve_settings import Limits

KEEP_ALIVE = 30  # seconds that an idle connection stays open
LONG_STOP = 1  # seconds after which a server that is stopping names what it waits for

_log = logging.getLogger("embedkit")


class Server(uvicorn.Server):
    """A server that answers the requests under way before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop the server at a signal while it runs, and restore the handlers afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests under way; name them if that takes long."""
        naming = asyncio.get_running_loop().call_later(LONG_STOP, self._name_the_rest)
        try:
            await super().shutdown(sockets)
        finally:
            naming.cancel()

    def _name_the_rest(self) -> None:
        count = counted(len(self.server_state.connections), "connection")
        _log.warning("stopping; waiting to answer %s; a second signal ends at once", count)


def make_server(app: App, limits: Limits) -> Server:
    """Return a server of an application, which listens once it is given a socket."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the errors of requests are in our log
    return Server(
        uvicorn.Config(
            app,
            http=connections(limits.connections, limits.seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=round(limits.seconds) + 1,
        )
    )

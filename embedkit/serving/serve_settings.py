"""The settings of a server: where it listens, whom it answers, and the limits of a request."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from embedkit.errors import UsageError

LOCAL = "127.0.0.1"
SHORTEST_TOKEN = 8  # characters


@dataclass(frozen=True)
class Limits:
    """The most that one request, or all requests together, may ask for."""

    k: int = 1000  # hits per query
    queries: int = 100  # queries per request
    hits: int = 10_000  # hits per request
    texts: int = 2048  # texts per request for embeddings
    characters: int = 100_000  # of a query or a text
    ids: int = 100  # documents per request
    body: int = 8_000_000  # bytes
    answer: int = 50_000_000  # characters of text in the hits of a request
    where: int = 10_000  # characters of a condition
    where_seconds: float = 5
    where_memory: str = "512MB"
    requests: int = 256  # requests that are answered at the same time
    connections: int = 900
    seconds: float = 30  # from a request's first byte to the last byte of its answer

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "where_memory" and value <= 0:
                raise UsageError(f"must be above 0, got {value}", where=f"the limit {name}")
        if not re.fullmatch(r"[1-9][0-9]{0,5}[KMG]B", self.where_memory):
            what = f"must be a number and KB, MB or GB, got {self.where_memory!r}"
            raise UsageError(what, where="the limit where_memory")


@dataclass(frozen=True)
class ServeSettings:
    """Where a server listens and whom it answers.

    Without a token every client that reaches the address is answered. A request must name the server by an IP
    address, `localhost`, `host`, or one of `allow_host`: so a web page of another origin cannot reach it
    through a name that it lets point here (DNS rebinding).
    """

    host: str = LOCAL
    port: int = 8080  # 0: any free port
    token: str | None = field(default=None, repr=False)
    allow_host: tuple[str, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"must be between 0 and 65535, got {self.port}", where="`port`")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("must consist of printable ASCII characters", where="`token`")
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or " " in self.token):
            what = f"must have at least {SHORTEST_TOKEN} characters and no space"
            raise UsageError(what, where="`token`")

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

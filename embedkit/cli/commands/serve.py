"""`embedkit serve`: answers over HTTP, on a web page, and as tools of MCP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.closing import close
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.options import Common, named
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.store import Index
    from embedkit.serving.search_service import SearchService
    from embedkit.serving.serve_settings import Limits, ServeSettings


@dataclass(frozen=True)
class ServerOptions:
    """Options of the server: where it listens, and whom it answers."""

    panel: ClassVar = "Server"

    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 is every address. [127.0.0.1]")
    ] = None
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 is any that is free. [8080]")] = None
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="EMBEDKIT_TOKEN",
            show_envvar=False,
            help="Answer only requests with this token, in 'Authorization: Bearer TEXT'. [EMBEDKIT_TOKEN]",
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name by which clients may reach the server; repeatable."),
    ] = None
    limits: Annotated[
        str | None,
        typer.Option(metavar="SETTINGS", help="Limits of requests, such as k=100,seconds=10,body=1000000."),
    ] = None
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Serve MCP tools over standard input and output instead of HTTP.")
    ] = False

    def settings(self) -> ServeSettings:
        """Return the library's settings; raise UsageError for options that --mcp does not use."""
        from embedkit.serving.serve_settings import ServeSettings

        http = {"--host": self.host, "--port": self.port, "--allow-host": self.allow_host or None}
        if self.mcp and named(http):
            raise UsageError("applies to HTTP, which --mcp does not use", where=named(http)[0])
        given = {"host": self.host, "port": self.port, "token": self.token}
        return ServeSettings(
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
            allow_host=tuple(self.allow_host or ()),
            limits=self.chosen_limits(),
        )

    def chosen_limits(self) -> Limits:
        """Return the limits of requests."""
        from embedkit import spec
        from embedkit.serving.serve_settings import Limits

        return Limits() if self.limits is None else spec.parse_settings(Limits, self.limits, where="--limits")


def serve(
    indexes: Annotated[
        list[Path],
        typer.Argument(metavar="INDEX...", help="Index folders.", autocompletion=complete_indexes),
    ],
    *,
    server: ServerOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Answer searches and embed texts over HTTP, on a web page, and as tools of MCP."""
    from embedkit.serving.server import serve as run

    relay_warnings(common.quiet)
    settings = server.settings()

    def load(index: Index) -> Encoder:
        """Load the encoder of an index."""
        return encoding.load_for(index.identity, index.map, where=str(index.path))

    if server.mcp:
        from embedkit.serving.mcp_tools import serve_tools

        serve_tools(indexes, settings.limits, load=load)
        return

    def ready(service: SearchService, address: str) -> None:
        """Print the indexes and the address of the server."""
        sizes = {each.name: counted(each.current.index.rows, "document") for each in service.indexes.values()}
        served = [f"{name} ({size})" for name, size in sizes.items()]
        facts = {"address": address, "indexes": list(service.indexes)}
        close(common, facts, f"serving {', '.join(served)} at {address}; stop with Ctrl-C")

    run(indexes, settings, load=load, ready=ready)


app = command_app(serve, epilog="Example: embedkit serve docs.idx --port 8080")

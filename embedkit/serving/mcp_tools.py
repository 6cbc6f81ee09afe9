"""Tools of the Model Context Protocol: programs with a language model search indexes and read documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from embedkit.errors import DataError, MissingPackageError, UsageError
from embedkit.serving.http_errors import request_error
from embedkit.serving.index_facts import index_facts
from embedkit.serving.query_encoding import Loader, query_encoder
from embedkit.serving.question import checked_text, query_of, read_search
from embedkit.serving.search_service import SearchService
from embedkit.serving.serve_settings import Limits
from embedkit.serving.served_index import has_words
from embedkit.version import __version__

_SNIPPET = 2000  # characters of each hit; `get` returns whole documents

Mode = Literal["auto", "both", "meaning", "words"]


def serve_tools(
    paths: Sequence[str | Path], limits: Limits | None = None, *, load: Loader = query_encoder
) -> None:
    """Serve the tools `search` and `get` over standard input and output until the input ends.

    Raises MissingPackageError without the package mcp, and the errors of opening the indexes.
    """
    if find_spec("mcp") is None:
        raise MissingPackageError("mcp", needed_for="serving MCP tools", extra="mcp")
    service = SearchService(paths, limits, load)
    try:
        make_tools(service).run("stdio")
    finally:
        service.close()


def make_tools(service: SearchService) -> Any:
    """Return an MCP server with the tools of a service, which it starts and stops."""
    from mcp.server.mcpserver import MCPServer

    @asynccontextmanager
    async def running(server: Any) -> AsyncIterator[None]:
        """Run the service while the server runs."""
        await service.start()
        yield
        await service.stop()

    server: Any = MCPServer(
        "embedkit",
        version=__version__,
        instructions=instructions(service),
        lifespan=running,
        log_level="CRITICAL",  # errors are in our log
    )
    tools = Tools(service)
    every: list[Callable[..., Awaitable[Any]]] = [tools.search, tools.get]
    for tool in every:
        server.tool(name=tool.__name__, description=_description(tool))(_in_one_line(tool))
    return server


def instructions(service: SearchService) -> str:
    """Return what a language model should know: the indexes and their fields."""
    lines = ["Search the user's own documents, and cite hits by their path and lines, or else by their id."]
    for each in service.indexes.values():
        facts = index_facts(each)
        fields = ", ".join(f"{field['name']} ({field['type']})" for field in facts["fields"]) or "none"
        lines.append(f"Index {facts['name']!r}: {facts['documents']:,} documents; fields: {fields}.")
    return "\n".join(lines)


class Tools:
    """The tools; their errors are lines that tell a language model what to change."""

    def __init__(self, service: SearchService) -> None:
        self._service = service

    async def search(
        self, query: str, k: int = 5, where: str | None = None, mode: Mode = "auto", index: str | None = None
    ) -> dict[str, Any]:
        """Find the documents that answer a query, best first.

        query: words or a question. k: number of hits. where: an SQL condition over the fields, such as
        "lang = 'en' and year > 2020". mode: 'meaning' compares vectors, 'words' finds the same words, 'both'
        does both; 'auto' does both if the index can. index: the name of an index, the first without it.
        Texts of hits are parts of at most 2,000 characters around the words of the query.
        """
        limits = self._service.limits
        served = self._service.index(index)
        if mode == "auto":
            mode = "both" if has_words(served.current.index) else "meaning"
        values: dict[str, Any] = {"k": k, "where": where, "index": index, "snippet": _SNIPPET}
        if mode != "meaning":
            values |= {"hybrid": "auto"} if mode == "both" else {"lexical": True}
        (answer,) = await self._service.search([query_of(query, limits)], read_search(values, limits))
        return {"index": served.name, "hits": answer.hits}

    async def get(self, ids: list[str], index: str | None = None) -> dict[str, Any]:
        """Return whole documents by the ids of hits.

        ids: ids as `search` returned them. index: the name of the index, the first without it.
        """
        most = self._service.limits.ids
        if not 1 <= len(ids) <= most:
            raise UsageError(f"'ids' must have 1 to {most} ids, got {len(ids)}")
        for id in ids:
            checked_text(id, "ids", 10_000)
        found = await self._service.documents(ids, index)
        missing = [id for id, document in zip(ids, found, strict=True) if document is None]
        if len(missing) == len(ids):
            raise DataError(f"the index has no document of id {missing[0]!r}")
        return {"documents": [document for document in found if document is not None], "missing": missing}


def _in_one_line(tool: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a tool whose errors are answers of one line."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    async def call(*given: Any, **named: Any) -> Any:
        """Call the tool; an error is an answer of one line."""
        try:
            return await tool(*given, **named)
        except Exception as error:
            raise ToolError(request_error(error).what.replace("`", "'")) from None

    return call


def _description(tool: Any) -> str:
    return "\n".join(line.strip() for line in tool.__doc__.splitlines()).strip()

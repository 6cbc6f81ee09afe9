"""A server that answers searches and embeds texts: over HTTP, on a web page, and as tools of MCP."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "ServeSettings": "embedkit.serving.serve_settings",
    "Limits": "embedkit.serving.serve_settings",
    "Search": "embedkit.serving.question",
    "SearchService": "embedkit.serving.search_service",
    "make_app": "embedkit.serving.http_app",
    "serve": "embedkit.serving.server",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'embedkit.serving' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)

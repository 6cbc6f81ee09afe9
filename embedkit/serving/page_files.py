"""The files of the web pages: read once from the package, and found by their paths only."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from embedkit.version import __version__

_SCRIPTS = (
    "conditions", "controls", "elements", "filters", "highlighting", "hits", "keyboard", "main", "requests",
    "results", "search", "state", "theme",
)  # fmt: skip
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/scripts/{name}.js": (f"scripts/{name}.js", "text/javascript") for name in _SCRIPTS},
}
PAGE_PATHS = (*_FILES, "/docs")


class PageFile(NamedTuple):
    """A file and its media type."""

    content: bytes
    media_type: str


def page_files(api: dict[str, object]) -> dict[str, PageFile]:
    """Return every file of the pages by its path; `api` is described on the page `/docs`."""
    folder = files("embedkit.serving") / "page"
    found = {path: PageFile((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
    template = (folder / "docs.html.jinja").read_text(encoding="utf-8")
    return {**found, "/docs": PageFile(_rendered(template, api).encode(), "text/html")}


def _rendered(template: str, api: dict[str, object]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(api=api, version=__version__)

"""The docstrings of the running Python's standard library, as records; the source is parsed, never
imported.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from embedkit.data.text.record import Record

_LEFT_OUT = {
    "distutils",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "turtledemo",
    "ensurepip",
}

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def standard_library(folder: Path | None = None) -> Iterator[Record]:
    """Yield a record per public module, class and function that has a docstring.

    The id is the qualified name (`shutil.copytree`). The text is the docstring's first paragraph, followed by
    that name; the whole docstring is a field.
    """
    root = folder or Path(sysconfig.get_paths()["stdlib"])
    seen: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if _LEFT_OUT & set(parts) or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        for record in _documented(_parsed(path), module):
            if record.id not in seen:
                seen.add(record.id)
                yield record


def _parsed(path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # templates and samples that are not valid Python
        return ast.Module([], [])


def _documented(node: Documented, name: str) -> Iterator[Record]:
    if docstring := ast.get_docstring(node):
        kind = {"Module": "module", "ClassDef": "class"}.get(type(node).__name__, "function")
        summary = " ".join(docstring.partition("\n\n")[0].split())
        fields = {"kind": kind, "line": getattr(node, "lineno", 1), "docstring": docstring}
        yield Record(name, f"{summary} ({name})", fields)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
            yield from _documented(child, f"{name}.{child.name}")

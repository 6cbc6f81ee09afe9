"""The import of OpenVINO, without the parts that running a compiled model does not need."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from embedkit.embedding.telemetry import silence
from embedkit.errors import MissingPackageError

_TOOLS, _CONVERT = "openvino.tools.ovc", "convert_model"  # importing them takes longer than the rest


def openvino() -> Any:
    """Import OpenVINO without its telemetry, and its tools only when a model is converted.

    Raises MissingPackageError when it is not installed.
    """
    silence()
    postponed = not {"openvino", _TOOLS} & sys.modules.keys()
    if postponed:
        sys.modules[_TOOLS] = None  # type: ignore[assignment]  # an import of it fails, which OpenVINO allows
    try:
        import openvino as library
    except ImportError:
        raise MissingPackageError("openvino", needed_for="compiling a model") from None
    finally:
        if postponed:
            del sys.modules[_TOOLS]
    if _CONVERT not in vars(library):
        library.__getattr__ = _tool  # called for names that the module lacks (PEP 562)
    return library


def _tool(name: str) -> Any:
    """Return `convert_model`, which only the tools define."""
    if name != _CONVERT:
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return getattr(import_module(_TOOLS), _CONVERT)

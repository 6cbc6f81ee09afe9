"""Telemetry of the libraries is switched off before their import, so that they send nothing."""

import os
import sys


def silence() -> None:
    """Switch off the telemetry of OpenVINO and of the model hub's client; call this before importing either.

    OpenVINO reports its own import and every conversion. Without its sending package, whose import this
    function blocks, it falls back to a stub that does nothing and writes no file into the user's home.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

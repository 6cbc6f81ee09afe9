"""Telemetry of the libraries we compute with, switched off before they are imported: nothing is ever sent."""

import os
import sys


def silence() -> None:
    """Switch off the telemetry of OpenVINO and of the model hub's client; call it before importing either.

    OpenVINO reports its own import and every conversion. Without the package that sends, which this process
    can then no longer import, it falls back to a stub that does nothing, and leaves the user's home alone.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

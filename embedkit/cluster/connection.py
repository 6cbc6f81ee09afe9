"""A connection to a cluster, which is joined or started, and is always closed."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cluster.session import Cluster, first_line
from embedkit.errors import ClusterError, EmbedkitError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

ANSWER = 10  # seconds to wait for a connection
STORE_BYTES = 100_000_000  # object store of a cluster started here; its objects are small


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to the cluster at `HOST:PORT`, and disconnect at the end of the block.

    `auto` selects the cluster that RAY_ADDRESS names or one that runs on this machine; otherwise it starts
    one on this machine's processors, which ends with the block. Raises MissingPackageError without Ray, and
    ClusterError when no cluster answers.
    """
    ray = _ray()
    named = running() if address == "auto" else address
    if named is not None:
        _require_answer(named)
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        _join(ray, named, quiet)
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # otherwise Ray prints errors to standard output
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # otherwise Ray warns
    try:
        import ray
    except ImportError:
        raise MissingPackageError("ray", needed_for="`cluster`", extra="ray") from None
    return ray


def _require_answer(address: str) -> None:
    """Raise ClusterError unless a process listens at the address, where Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16) or "/" in host:
        raise UsageError(f"must be auto or HOST:PORT, got {address!r}", where="`cluster`")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise _none_there(address, error.strerror or str(error)) from None


def running() -> str | None:
    """Return the address of the cluster that RAY_ADDRESS names, or that `ray start` left on this machine and
    that still answers.

    Ray's own `auto` is not used: it loses objects on a machine with two nodes.
    """
    if (named := os.environ.get("RAY_ADDRESS", "auto")) != "auto":
        return named
    try:
        left = (
            (Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster").read_text().strip()
        )
        _require_answer(left)
    except (OSError, EmbedkitError):
        return None
    return left


def _join(ray: ModuleType, address: str | None, quiet: dict[str, Any]) -> None:
    if address is None:
        _start(ray, quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _none_there(address, first_line(error)) from None


def _none_there(address: str, why: str) -> ClusterError:
    what = f"no cluster answers: {why.lower()}"
    return ClusterError(what, where=address, hint="start one with ray start --head")


def _start(ray: ModuleType, quiet: dict[str, Any]) -> None:
    """Start a cluster on this machine; raises ClusterError on any failure, for which Ray has no class."""
    try:
        ray.init(address="local", include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    except Exception as error:
        what = f"no cluster can be started here: {first_line(error)}"
        raise ClusterError(what, hint="try again when the machine is less busy, or omit `cluster`") from None

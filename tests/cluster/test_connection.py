"""Which cluster is joined, and what is said where there is none."""

import socket

import pytest

from embedkit.cluster import connection
from embedkit.cluster.connection import connected, running
from embedkit.errors import ClusterError, UsageError


@pytest.fixture
def ray(monkeypatch):
    """As if Ray were there; it must not be asked."""
    monkeypatch.setattr(connection, "_ray", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def unused():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("by", ["option", "environment"])
def test_where_nothing_listens_it_is_said_at_once(ray, monkeypatch, by):
    address = unused()
    if by == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    line = f"^{address}: no cluster answers: connection refused; start one with ray start --head$"
    with pytest.raises(ClusterError, match=line), connected("auto" if by == "environment" else address):
        pass


@pytest.mark.parametrize(
    "address", ["", "yes", "host", "host:", "host:x", ":6379", "h:99999", "ray://h:10001"]
)
def test_what_is_no_address_is_refused(ray, address):
    with (
        pytest.raises(UsageError, match=r"^`cluster`: must be auto or HOST:PORT, got .*$"),
        connected(address),
    ):
        pass


def test_auto_takes_what_is_running_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert running() is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(unused())
    assert running() is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"{address}\n")
        assert running() == address
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert running() == "head:6379"

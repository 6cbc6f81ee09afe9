"""`embedkit serve` as a process: its lines, its end by a signal, and what it refuses to start with."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

PROGRAM = str(Path(sys.executable).with_name("embedkit"))


@pytest.fixture
def idx(run, docs):
    assert run("index", docs, "-o", "docs.idx").code == 0
    return "docs.idx"


@contextmanager
def started(*args, **environment):
    """The program once it listens, with the facts of its first line."""
    command = [PROGRAM, "serve", *map(str, args), "--port", "0", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    with process:
        try:
            yield process, json.loads(process.stdout.readline() or process.stderr.read())
        finally:
            process.kill()


def get(facts, path, **headers):
    connection = http.client.HTTPConnection(facts["address"].removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_the_requests_under_way_are_answered(idx, stop):
    with started(idx) as (process, facts):
        assert facts["indexes"] == ["docs"]
        found = json.loads(get(facts, "/search?q=tree&k=1&lexical")[1])["hits"]
        assert [hit["id"] for hit in found] == ["tree"]
        statuses = []

        def ask():
            for _ in range(200):
                try:
                    statuses.append(get(facts, "/search?q=tree&hybrid")[0])
                except ConnectionError:  # it no longer listens
                    return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        process.send_signal(stop)
        for thread in threads:
            thread.join()
        assert process.wait(timeout=30) == 0
        assert set(statuses) == {200}
        assert process.stderr.read() == ""


def test_the_token_may_come_from_the_environment(idx):
    with started(idx, EMBEDKIT_TOKEN="secret-token") as (_, facts):
        assert get(facts, "/search?q=tree")[0] == 401
        assert get(facts, "/search?q=tree", authorization="Bearer secret-token")[0] == 200
        assert get(facts, "/health")[0] == 200


def test_limits_are_settings(idx):
    with started(idx, "--limits", "k=2,seconds=5") as (_, facts):
        assert get(facts, "/search?q=tree&k=2")[0] == 200
        assert b"'k' must be a whole number from 1 to 2, got 3" in get(facts, "/search?q=tree&k=3")[1]


def test_a_port_in_use_is_one_line(run, idx):
    with started(idx) as (_, facts):
        port = facts["address"].rpartition(":")[2]
        done = run("serve", idx, "--port", port)
    assert done.code == 1
    assert done.said == (
        f"embedkit: 127.0.0.1:{port}: cannot listen there (address already in use); "
        "choose another --port, or 0 for any that is free\n"
    )


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["no.idx"], 1, "no.idx: no such index"),
        (["docs.idx", "other/docs.idx"], 2, "docs.idx and other/docs.idx would both be served as 'docs'; "),
        (["docs.idx", "--port", "70000"], 2, "--port: must be between 0 and 65535, got 70000"),
        (["docs.idx", "--token", "short"], 2, "--token: must have at least 8 characters and no space"),
        (["docs.idx", "--limits", "z=1"], 2, "--limits: unknown setting 'z'; known: answer, body, "),
        (["docs.idx", "--limits", "k=0"], 2, "the limit k: must be above 0, got 0"),
        (["docs.idx", "--mcp", "--port", "80"], 2, "--port: applies to HTTP, which --mcp does not use"),
        (
            ["docs.idx", "--host", "no.such.host.invalid", "--port", "0"],
            1,
            "no.such.host.invalid:0: cannot listen",
        ),
        (["docs.idx", "-m", "hash:dim=16", "--port", "0"], 1, "docs.idx: the index holds hash:dim=8 "),
        ([], 2, "Missing argument 'INDEX...'"),
    ],
)
def test_a_wrong_start_is_one_line(run, idx, args, code, line):
    done = run("serve", *args)
    assert done.code == code
    assert done.said.startswith(f"embedkit: {line}")
    assert done.said.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "option", "extra"),
    [("uvicorn", [], "serve"), ("starlette", [], "serve"), ("mcp", ["--mcp"], "mcp")],
)
def test_a_missing_package_names_its_extra(run, idx, monkeypatch, package, option, extra):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest)
    )
    monkeypatch.delitem(sys.modules, "embedkit.serving.mcp_tools", raising=False)
    done = run("serve", idx, *option)
    assert done.code == 1
    assert done.said.endswith(f"needs the package {package}; pip install 'embedkit[{extra}]'\n")


def test_an_address_that_others_reach_without_a_token_is_a_warning(idx):
    with started(idx, "--host", "0.0.0.0") as (process, facts):
        get(facts, "/health")
        process.terminate()
        process.wait(timeout=30)
        assert (
            process.stderr.read()
            == "embedkit: every machine that reaches 0.0.0.0 may search; set a --token to prevent it\n"
        )

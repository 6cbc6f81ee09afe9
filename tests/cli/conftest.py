"""How the tests of the command line run a command: in this process, or as a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from embedkit.cli.app import app


class Done(NamedTuple):
    """Exit code, data, and what was said."""

    code: int
    out: str
    said: str


@pytest.fixture(autouse=True)
def hashing(folder, monkeypatch):
    """An empty folder, and the hash encoder unless a test names another."""
    monkeypatch.setenv("EMBEDKIT_MODEL", "hash:dim=8")


@pytest.fixture
def run():
    """Run a command in this process."""

    def call(*args, stdin=None):
        done = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin, prog_name="embedkit")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return call


@pytest.fixture
def shell():
    """Run a line of shell in which `embedkit` is the program; the exit code is that of its first command."""

    def call(line):
        program = Path(sys.executable).with_name("embedkit")
        script = f'embedkit() {{ "{program}" "$@"; }}; {line}; exit "${{PIPESTATUS[0]}}"'
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def docs(folder):
    """The file `docs.jsonl` of three documents."""
    path = Path("docs.jsonl")
    path.write_text(
        '{"_id": "tree", "title": "shutil", "text": "copy a directory tree", "year": 2020}\n'
        '{"_id": "args", "text": "parse command line arguments", "score": 5, "score_": 6}\n'
        '{"_id": "词", "text": "复制整个目录树"}\n'
    )
    return path

"""Draw docs/terminal.svg, the picture in README: commands run in a terminal, and what they print.

    .venv/bin/python docs/terminal.py

Asks the documentation of this Python, which `embedkit demo` has indexed before.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from embedkit.data.cache_folder import cache_folder

COLUMNS = 100
COMMANDS = (
    "embedkit search python.idx 'copy a whole directory tree' -k 3",
    """embedkit search python.idx '"context manager" that redirects what is printed' --hybrid -k 3""",
    "embedkit search python.idx 'forget cached results +lru_cache' --hybrid --explain -k 1",
)
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # fetched from elsewhere


def main() -> None:
    """Run the commands, and write what was on the screen."""
    program = Path(sys.executable).with_name("embedkit")
    subprocess.run([program, "demo", "-k", "1"], check=True, capture_output=True)
    index = max(cache_folder("demo").glob("*.idx"), key=lambda path: path.stat().st_mtime)
    console = Console(record=True, width=COLUMNS, file=StringIO())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "python.idx").symlink_to(index)
        for number, command in enumerate(COMMANDS):
            console.print("\n" * (number > 0) + f"[bold green]$[/] [bold]{command}")
            shown = on_terminal([str(program), *shlex.split(command)[1:]], folder)
            console.print(Text.from_ansi(shown.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="embedkit", theme=MONOKAI, unique_id="terminal")
    Path(__file__).with_name("terminal.svg").write_text(_FONTS.sub("", svg), encoding="utf-8")


def on_terminal(command: list[str], folder: str) -> str:
    """Return what a command prints on a terminal of `COLUMNS` columns, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "TERM": "xterm-256color"}, **streams)
    os.close(theirs)
    shown = b""
    while block := _read(ours):
        shown += block
    process.wait()
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # closed by the last program that had it
        return b""


if __name__ == "__main__":
    main()

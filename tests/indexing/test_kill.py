"""A process that is killed leaves the old index or the new one, before any of its file operations and at any
moment in time, and the next writer clears away the rest.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def numbers(script, argument):
    """Run a script and return the numbers that it prints."""
    command = [sys.executable, FOLDER / script, argument]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return map(int, done.stdout.split())


@pytest.mark.parametrize("what", ["add", "delete", "compact", "merge", "rebuild", "merge-onto"])
def test_a_kill_at_any_file_operation_leaves_the_old_index_or_the_new_one(folder, what):
    moments, old, new = numbers("killed.py", what)
    assert moments == old + new
    assert old > 5
    assert new > (what != "merge")  # behind its last step, which makes all of it appear, merge does nothing


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_loses_no_change_that_was_acknowledged(folder, kills):
    acknowledged, seen, unseen = numbers("killed_anytime.py", str(kills))
    assert acknowledged > kills / 5
    assert seen + unseen == kills
    assert unseen > kills / 10

"""A process that is killed before any of its file operations leaves the old index or the new one, and the
next writer clears away the rest.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed.py")


@pytest.mark.parametrize("what", ["add", "delete", "compact", "merge", "rebuild"])
def test_a_kill_at_any_file_operation_leaves_the_old_index_or_the_new_one(folder, what):
    done = subprocess.run([sys.executable, SCRIPT, what], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    moments, old, new = map(int, done.stdout.split())
    assert moments == old + new
    assert old > 5
    assert new > (what != "merge")  # behind its last step, which makes all of it appear, merge does nothing

"""Files and folders appear whole or not at all."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.data import atomic
from embedkit.data.atomic import (
    discard,
    put_in_place,
    refuse_existing,
    scratch_folder,
    whole_file,
    whole_folder,
    write_whole,
)
from embedkit.errors import ExistsError


class StopError(Exception):
    pass


def fail(_, error):
    raise error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_not_there_until_the_block_ends(folder):
    with whole_file(Path("out")) as file:
        file.write(b"new")
        assert not Path("out").exists()
    assert Path("out").read_bytes() == b"new"
    assert names(folder) == ["out"]


def test_a_file_is_replaced_whole(folder):
    write_whole(Path("out"), b"a long old content")
    write_whole(Path("out"), b"new")
    assert Path("out").read_bytes() == b"new"


@pytest.mark.parametrize("stop", [StopError, KeyboardInterrupt])
def test_a_failed_file_leaves_what_was_there_and_nothing_else(folder, stop):
    write_whole(Path("out"), b"old")
    with pytest.raises(stop), whole_file(Path("out")) as file:
        fail(file.write(b"new"), stop)
    assert Path("out").read_bytes() == b"old"
    assert names(folder) == ["out"]


@pytest.mark.parametrize(
    ("number", "named"), [(errno.ENOSPC, "a.txt"), (errno.EFBIG, "a.txt"), (errno.EPIPE, None)]
)
def test_a_full_disk_names_what_could_not_be_written(folder, number, named):
    for place in (whole_file, whole_folder):
        with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught, place(Path("a.txt")):
            raise OSError(number, os.strerror(number))
        assert caught.value.filename == named
        with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught, place(Path("a.txt")):
            raise OSError(number, os.strerror(number), "inner")
        assert caught.value.filename == "inner"
    assert not list(Path().iterdir())


def test_a_file_never_takes_the_place_of_a_folder(folder):
    Path("out").mkdir()
    with pytest.raises(ExistsError, match=r"^out: is a folder and would have to become a file$"):
        write_whole(Path("out"), b"new")
    assert names(folder) == ["out"]


def test_a_folder_is_not_there_until_the_block_ends(folder):
    with whole_folder(Path("out")) as beside:
        (beside / "part").write_text("new")
        assert not Path("out").exists()
    assert (folder / "out/part").read_text() == "new"
    assert names(folder) == ["out"]


@pytest.fixture
def old(folder):
    """A folder `out` with one file `old`."""
    Path("out").mkdir()
    Path("out/old").write_text("old")
    return folder


def test_a_folder_is_replaced_whole(old):
    with whole_folder(Path("out")) as beside:
        (beside / "new").touch()
    assert names(old / "out") == ["new"]
    assert names(old) == ["out"]


def test_a_failed_folder_leaves_what_was_there_and_nothing_else(old):
    with pytest.raises(StopError), whole_folder(Path("out")) as beside:
        fail((beside / "new").touch(), StopError)
    assert names(old / "out") == ["old"]
    assert names(old) == ["out"]


def test_a_folder_takes_the_place_of_a_file(folder):
    Path("out").write_text("old")
    with whole_folder(Path("out")):
        pass
    assert names(folder) == ["out"]
    assert Path("out").is_dir()


def test_a_link_to_a_folder_is_replaced_and_its_target_kept(old):
    Path("link").symlink_to("out")
    with whole_folder(Path("link")) as beside:
        (beside / "new").touch()
    assert names(old / "out") == ["old"]
    assert not Path("link").is_symlink()
    assert names(old / "link") == ["new"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one step is Linux only")
def test_folders_are_exchanged_in_one_step(old, monkeypatch):
    Path("ready").mkdir()
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("two steps"))
    put_in_place(Path("ready"), Path("out"))
    assert names(old) == ["out"]
    assert names(old / "out") == []


def test_folders_are_exchanged_where_the_system_cannot_do_it_in_one_step(old, monkeypatch):
    Path("ready").mkdir()
    monkeypatch.setattr(atomic.ctypes, "CDLL", lambda *_, **__: object())
    put_in_place(Path("ready"), Path("out"))
    assert names(old) == ["out"]
    assert names(old / "out") == []


@pytest.mark.parametrize("kind", ["whole_file", "whole_folder"])
def test_a_process_that_dies_in_the_middle_leaves_what_was_there(old, kind):
    Path("file").write_text("old")
    name = "file" if kind == "whole_file" else "out"
    write = "out.write(b'new'); out.flush()" if kind == "whole_file" else "(out / 'new').touch()"
    code = (
        f"import os; from pathlib import Path; from embedkit.data.atomic import {kind}\n"
        f"with {kind}(Path({name!r})) as out:\n    {write}\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert Path("file").read_text() == "old"
    assert names(old / "out") == ["old"]
    assert len(names(old)) == 3  # the dead process could not tidy up, but what it left is hidden
    assert [name for name in names(old) if not name.startswith(".")] == ["file", "out"]


def test_discard_takes_files_folders_and_nothing(old):
    Path("file").touch()
    Path("link").symlink_to("out")
    for name in ("file", "link", "nothing"):
        discard(Path(name))
    assert names(old) == ["out"]
    assert names(old / "out") == ["old"]
    discard(Path("out"))
    assert names(old) == []


def test_a_scratch_folder_is_gone_afterwards_and_so_is_that_of_a_killed_process(folder):
    killed = "import os; from pathlib import Path; from embedkit.data.atomic import scratch_folder as made\n"
    killed += "with made(Path('out')) as left: (left / 'file').touch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list(folder.iterdir())) == 1
    with scratch_folder(Path("out")) as made:
        assert [made] == list(Path().iterdir())
        (made / "file").touch()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("files", [2, 9])
def test_discard_outlasts_a_process_that_is_being_ended(folder, monkeypatch, files):
    """A folder that gets another file as often as it is emptied; discarded where that ends soon."""
    written, remove = iter(range(files)), os.rmdir

    def emptied(path, **options):
        for number in written:
            Path("out", f"late-{number}").touch()
            break
        remove(path, **options)

    Path("out").mkdir()
    monkeypatch.setattr(os, "rmdir", emptied)
    monkeypatch.setattr(atomic, "_PATIENCE", (0, 0, 0))
    if files == 2:
        discard(Path("out"))
        assert not Path("out").exists()
    else:
        with pytest.raises(OSError, match="not empty"):
            discard(Path("out"))


def refusal(path, *, force):
    with pytest.raises(ExistsError) as caught:
        refuse_existing(Path(path), force=force)
    return str(caught.value)


def test_what_exists_is_refused_without_force(old):
    assert refusal("out", force=False) == "out: already exists; overwrite it with `force=True`"
    refuse_existing(Path("free"), force=False)


def test_force_replaces_a_folder_of_ours_and_no_other(old):
    assert refusal("out", force=True) == "out: is a folder that contains other files; choose another name"
    refuse_existing(Path("out"), force=True, marker="old")


@pytest.mark.parametrize("force", [True, False])
def test_a_missing_parent_is_refused_with_what_to_type(folder, force):
    message = refusal("a b/out", force=force)
    assert message == "a b/out: its parent folder does not exist; mkdir -p 'a b'"


@pytest.mark.parametrize("path", [".", "..", "/"])
def test_a_place_that_cannot_be_replaced_is_refused_even_with_force(path):
    assert refusal(path, force=True) == f"{path}: is a directory reference, not a file name"


@pytest.mark.parametrize("target", ["file", "out", "nowhere"])
@pytest.mark.parametrize("marker", [None, "old"])
def test_a_link_is_refused_wherever_it_leads(old, target, marker):
    """A link that led nowhere was found out once everything had been encoded."""
    Path("file").touch()
    Path("link").symlink_to(target)
    for force in (True, False):
        with pytest.raises(ExistsError, match=f"^link: is a link, .*; write to its target: {target}$"):
            refuse_existing(Path("link"), force=force, marker=marker)


def test_a_file_takes_no_folder_s_place(folder):
    Path("empty").mkdir()
    assert refusal("empty", force=True) == "empty: is a folder, but the output is a file; choose another name"


def test_a_name_that_cannot_be_written_is_refused_and_leaves_nothing(folder):
    with pytest.raises(OSError, match="name too long") as caught:
        refuse_existing(Path("x" * 250), force=False)
    assert caught.value.filename == "x" * 250
    assert names(folder) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_takes_no_files_is_refused(folder):
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as caught:
        refuse_existing(Path("closed/out"), force=False)
    assert caught.value.filename == "closed/out"


def test_a_name_below_a_file_is_refused_without_the_advice_to_make_a_folder(folder):
    Path("file").write_text("x")
    message = refusal("file/out", force=True)
    assert message == "file/out: its parent is a file, not a folder; choose another name"

"""`embedkit demo` on this Python's own documentation, with the encoder that needs no model."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from embedkit.cli.app import app
from embedkit.data.text.docstrings import standard_library
from embedkit.indexing.manifest import MANIFEST
from embedkit.indexing.store import Index


def demo(*words):
    return CliRunner().invoke(app, ["demo", "-m", "hash:dim=64", *words])


@pytest.fixture
def few(monkeypatch):
    """A standard library of a few hundred passages."""
    some = [
        record for record in standard_library() if record.id.startswith(("shutil", "argparse", "textwrap"))
    ]
    monkeypatch.setattr("embedkit.data.text.docstrings.standard_library", lambda: iter(some))
    return some


def test_the_library_is_read_as_source_with_thousands_of_passages():
    records = list(standard_library())
    ids = [record.id for record in records]
    assert len(ids) == len(set(ids)) > 3000
    (copytree,) = (record for record in records if record.id == "shutil.copytree")
    assert copytree.text == (
        "Recursively copy a directory tree and return the destination directory. (shutil.copytree)"
    )


def test_it_answers_and_says_how_to_go_on(folder, few):
    done = demo("-o", "d.idx")
    assert done.exit_code == 0
    assert "copy a whole directory tree" in done.stdout
    assert Index.open("d.idx").rows == len(few)
    assert done.stderr.endswith('embedkit: ask it yourself: embedkit search d.idx "your question"\n')


def test_a_second_run_builds_nothing(folder, few):
    demo("-o", "d.idx")
    before = (Path("d.idx") / MANIFEST).stat().st_mtime_ns
    assert "indexing" not in demo("-o", "d.idx").stderr
    assert (Path("d.idx") / MANIFEST).stat().st_mtime_ns == before


def test_a_damaged_index_in_the_cache_is_built_again(folder, few, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder / "cache"))
    assert demo().exit_code == 0
    (kept,) = (folder / "cache/demo").iterdir()
    (kept / MANIFEST).write_text("{}")
    assert demo().exit_code == 0
    assert Index.open(kept).rows == len(few)


def test_a_folder_of_something_else_is_never_replaced(folder, few):
    Path("mine").mkdir()
    (Path("mine") / "letter").touch()
    for words in (["-o", "mine"], ["-o", "mine", "--force"]):
        done = demo(*words)
        assert done.exit_code == 1
        assert (Path("mine") / "letter").exists()


def test_a_model_that_reads_chinese_is_asked_in_chinese(folder, few, monkeypatch):
    from embedkit.embedding.model_finding import HUB_IDS

    monkeypatch.setitem(HUB_IDS, "hash:dim=64", HUB_IDS["e5"])
    done = demo("-o", "d.idx", "-k", "1")
    assert done.exit_code == 0
    assert "如何解析命令行选项" in done.stdout
    assert "copy a whole directory tree" not in done.stdout

"""A walk finds the files that Git would not ignore, and counts everything else."""

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.walking import WalkCounts, walk

NAMES = ["a", "b", "build", "doc.md", "x.log", "y.txt", "foo bar", "Ä", "#c", "!d", "e[1]"]
PATTERNS = [
    "*.log", "build/", "/build", "!x.log", "a/b", "a/**", "**/b", "doc.*", "!doc.md", "*", "!*/", "!y.txt",
    "foo\\ bar", "foo bar ", "\\#c", "\\!d", "e\\[1\\]", "[ab]", "a/*/doc.md", "/a/", "?", "# comment", "",
    "Ä", "**", "/**/x.log", "a/**/b", "[!a]", "*.t[a-y]t",
]  # fmt: skip


def found(root=".", counts=None, **settings):
    return [file.path for file in walk(Path(root), FolderSettings(**settings), counts or WalkCounts())]


def put(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def git(*args, given=None):
    done = subprocess.run(["git", *args], input=given, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def random_tree(chance):
    files = {"/".join(chance.choices(NAMES, k=chance.randint(1, 4))) for _ in range(25)}
    for file in sorted(files):
        if not any(other.startswith(f"{file}/") or file.startswith(f"{other}/") for other in files - {file}):
            put(file)
    folders = [path for path in Path().rglob("*") if path.is_dir() and ".git" not in path.parts]
    for folder in chance.sample([Path(), *sorted(folders)], k=min(3, len(folders) + 1)):
        (folder / ".gitignore").write_text("\n".join(chance.choices(PATTERNS, k=chance.randint(1, 5))) + "\n")


@pytest.mark.parametrize("seed", range(40))
def test_the_files_are_those_that_git_does_not_ignore(folder, seed):
    git("init", "-q")
    random_tree(random.Random(seed))
    (folder / ".git" / "info" / "exclude").write_text("y.txt\n" if seed % 2 else "")
    files = [
        path.as_posix()
        for path in Path().rglob("*")
        if path.is_file() and not path.as_posix().startswith(".git")
    ]
    files = [file for file in files if not file.endswith(".gitignore")]
    listed = git(
        "-c", "core.quotePath=false", "check-ignore", "--no-index", "-z", "--stdin", given="\0".join(files)
    )
    assert sorted(found()) == sorted(set(files) - set(listed.split("\0")))


def test_rules_of_the_repository_above_the_folder_apply(folder):
    git("init", "-q")
    put("in/x.log", "in/sub/y.log", "in/doc.md", "in/sub/build/z")
    Path(".gitignore").write_text("*.log\n")
    Path("in/.gitignore").write_text("/sub/build\n")
    assert found("in") == ["doc.md"]
    assert found("in/sub") == []


def test_a_folder_that_is_ignored_is_walked_when_it_is_named(folder):
    git("init", "-q")
    put("build/doc.md")
    Path(".gitignore").write_text("build/\n")
    assert (found(), found("build")) == ([], ["doc.md"])


def test_everything_else_is_counted(folder):
    put("b.txt", ".hidden", ".git/config", "a/x.txt", "a/skip.tmp", "out.idx/manifest.json", "out.idx/x.txt")
    Path(".gitignore").write_text("*.tmp\n")
    Path("out.idx/manifest.json").write_text('{\n  "format": "embedkit-index"')
    os.symlink("/etc", "link")
    os.symlink("..", "a/loop")
    os.symlink("b.txt", "also")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        counts = WalkCounts()
        assert found(counts=counts) == ["b.txt", "a/x.txt"]
    assert counts == WalkCounts(hidden=3, ignored=2, links=3, special=2)


def test_patterns_of_the_settings_choose_files(folder):
    put("a.md", "b.txt", "sub/c.md", "sub/d.txt", "old/e.md")
    assert found(include=("*.md",)) == ["a.md", "old/e.md", "sub/c.md"]
    assert found(include=("*.md",), exclude=("old/",)) == ["a.md", "sub/c.md"]
    assert found(include=("/sub/",)) == ["sub/c.md", "sub/d.txt"]


def test_an_invalid_pattern_is_passed_over_as_by_git(folder):
    put("a.md", "b.log")
    Path(".gitignore").write_text("!\n*.log\n")
    assert found() == ["a.md"]


def test_a_folder_that_cannot_be_listed_is_an_error_of_its_own(folder, monkeypatch):
    put("a.md", "shut/b.md", "z.md", "gone/c.md")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        if Path(path).name == "gone":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    counts = WalkCounts()
    assert found(counts=counts) == ["a.md", "z.md"]
    assert counts.failed == [("shut", "permission denied")]

"""Without Ray every `--cluster` says what to install, and nothing but it ever looks for Ray."""

import subprocess
import sys
from pathlib import Path

import pytest

LINE = "embedkit: --cluster needs the package ray; pip install 'embedkit[ray]'\n"
COMMANDS = {
    "encode": "encode a.txt -o x.vec",
    "whiten": "whiten a.txt -o x.safetensors",
    "fit": "fit centre a.vec -o x.safetensors",
    "reduce": "reduce a.vec --dim 2 -o x.safetensors",
    "index": "index build a.vec -o x.idx",
    "search": "search a.idx -i a.txt",
    "eval": "eval retrieval --index a.idx --queries a.txt --qrels q.tsv",
}


@pytest.fixture
def without_ray(monkeypatch):
    """As if Ray were not installed, whether it is or not."""
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.fixture
def things(run, folder):
    """A text, its vectors, an index of them, and judgements."""
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    (folder / "q.tsv").write_text("1 0 1 1\n")
    assert run("encode", "a.txt", "-o", "a.vec").code == 0
    assert run("index", "a.vec", "-o", "a.idx").code == 0
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_what_to_install_is_said_in_one_line(run, things, without_ray, command):
    before = sorted(path.name for path in things.iterdir())
    assert run(*COMMANDS[command].split(), "--cluster", "auto") == (1, "", LINE)
    assert sorted(path.name for path in things.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("encode a.txt", "--cluster: needs an output; name it with -o"),
        ("encode a.txt -o x.vec --shard 1/2", "--shard: cannot be used with --cluster"),
        ("encode a.txt -o x.vec --reuse a.vec", "--reuse: cannot be used with --cluster"),
        ("encode - -o x.vec", "-: standard input can be read by only one process; name files"),
        ("whiten a.vec --tune q.tsv -o x", "--tune: cannot be used with --cluster"),
        (
            "fit procrustes a.vec --target a.vec -o x",
            "--target: cannot be used with --cluster",
        ),
        (
            "reduce a.vec --method sign -o x.vec",
            "--method sign: cannot be used with --cluster",
        ),
        (
            "index build a.txt -o x.idx",
            "--cluster: builds from a vector set, not from text; make one with embedkit encode --cluster "
            "ADDRESS -o docs.vec",
        ),
        (
            "search a.idx one",
            "QUERY: cannot be used with --cluster; many questions, with -i FILE, are spread",
        ),
        (
            "eval retrieval --corpus a.txt --queries a.txt --qrels q.tsv",
            "--corpus: cannot be used with --cluster; it searches an --index",
        ),
    ],
)
def test_what_does_not_go_on_a_cluster_is_refused(run, things, without_ray, command, line):
    done = run(*command.split(), "--cluster", "auto")
    assert (done.code, done.said) == (2, f"embedkit: {line}\n")


def test_one_file_of_vectors_is_refused(run, things, without_ray):
    run("encode", "a.txt", "-o", "a.npy")
    done = run("fit", "centre", "a.npy", "-o", "x.safetensors", "--cluster", "auto")
    assert done.said.startswith(
        "embedkit: a.npy: is a single file, which only one process can read; name a vector set"
    )


def test_commands_without_it_never_look_for_ray(things):
    program = Path(sys.executable).with_name("embedkit")
    code = (
        "import sys, runpy\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        assert name != 'ray'\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"sys.argv = ['embedkit', *sys.argv[1:]]; runpy.run_path({str(program)!r}, run_name='__main__')"
    )
    for command in ("encode", "fit", "search"):
        words = [sys.executable, "-c", code, *COMMANDS[command].split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr

"""Every output is checked before any work begins: where it cannot be, no encoder is loaded."""

from pathlib import Path

import pytest

COMMANDS = {
    "encode docs.txt -o": "folder",
    "encode docs.txt --dtype float16 -o": "folder",
    "index docs.txt -o": "folder",
    "index docs.txt --recall .9 -o": "folder",
    "index merge x.idx -o": "folder",
    "merge x.vec -o": "folder",
    "apply docs.txt -t map.safetensors -o": "folder",
    "reduce docs.txt --method sign -o": "folder",
    "train-simcse docs.txt -o": "folder",
    "train-amsoftmax docs.csv -o": "folder",
    "pretrain docs.txt -o": "folder",
    "distill docs.txt -o": "folder",
    "export -o": "folder",
    "whiten docs.txt -o": "file",
    "whiten docs.txt --tune pairs.tsv -o": "file",
    "reduce docs.txt --method pca --dim 2 -o": "file",
    "fit centre docs.txt -o": "file",
    "label docs.txt -o": "file",
    "pairs docs.txt --method title -o": "file",
    "mine x.idx --pairs pairs.tsv -o": "file",
    "report a.json -o": "file",
    "eval retrieval --qrels q.tsv --run a.trec --per-query": "file",
}
FILES = {"encode docs.txt -o": ".npy", "apply docs.txt -t map.safetensors -o": ".jsonl"}
LINES = [(line, kind, "") for line, kind in COMMANDS.items()] + [
    (line, "file", ending) for line, ending in FILES.items()
]


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    """A model that is not there: whoever asks for it before the output is checked says so."""
    monkeypatch.setenv("EMBEDKIT_MODEL", "./no/such/model")
    for name in ("docs.txt", "docs.csv", "pairs.tsv", "a.json", "q.tsv", "a.trec"):
        Path(name).write_text("nothing of use\n")


@pytest.mark.parametrize(("line", "kind", "ending"), LINES)
@pytest.mark.parametrize("there", ["dangling", "link", "other", "nothing", "long"])
def test_an_output_that_cannot_be_is_refused_first(run, line, kind, ending, there):
    """`-o` at a link that leads nowhere was refused only after everything had been encoded."""
    out = {"nothing": "no/such/out", "long": "x" * 250}.get(there, "out") + ending
    if there == "dangling":
        Path(out).symlink_to("nowhere")
    elif there == "link":
        Path("target").mkdir() if kind == "folder" else Path("target").touch()
        Path(out).symlink_to("target")
    elif there == "other":
        Path(out).mkdir()
        if kind == "folder":
            Path(out, "mine").touch()
    before = sorted(Path().rglob("*"))
    done = run(*line.split(), out, "--force")
    assert (done.code, done.out) == (1, "")
    assert done.said.startswith(f"embedkit: {out}")
    assert done.said.count("\n") == 1
    assert sorted(Path().rglob("*")) == before

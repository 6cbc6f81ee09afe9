"""Codes on real text: what a first pass at a fraction of the memory keeps of the exact search."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.indexing.store import Index

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SCIFACT = DATA / "retrieval/scifact-en"
PROGRAM = str(Path(sys.executable).with_name("embedkit"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]


def embedkit(*arguments):
    environment = {**os.environ, "EMBEDKIT_MODEL": "minilm"}
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """SciFact as a vector set."""
    path = tmp_path_factory.mktemp("scifact") / "docs.vec"
    embedkit("encode", SCIFACT / "corpus.jsonl", "-o", path, "-q")
    return path


def quality(vectors, kind):
    """nDCG@10 of an index of that kind, and the index."""
    import ir_measures
    from ir_measures import nDCG

    index, run = vectors.with_name(f"{kind}.idx"), vectors.with_name(f"{kind}.trec")
    embedkit("index", vectors, "--kind", kind, "-o", index, "-q")
    run.write_bytes(embedkit("search", index, "-i", SCIFACT / "queries.jsonl", "-k", 100, "--format", "trec"))
    lines = [line.split() for line in (SCIFACT / "qrels.tsv").read_text().splitlines()[1:]]
    judged = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in lines]
    figures = ir_measures.calc_aggregate([nDCG @ 10], judged, ir_measures.read_trec_run(str(run)))
    return figures[nDCG @ 10], Index.open(index)


@pytest.fixture(scope="module")
def exact(vectors):
    """nDCG@10 of exact search."""
    figure, _ = quality(vectors, "flat")
    assert figure == pytest.approx(0.645, abs=0.002)
    return figure


@pytest.mark.parametrize(("kind", "floor", "share"), [("binary", 0.97, 32), ("int8", 0.99, 4)])
def test_codes_keep_the_quality_of_scifact(vectors, exact, kind, floor, share):
    figure, index = quality(vectors, kind)
    assert figure >= floor * exact
    (codes,) = [file for file in index.segments[0].files if file.name == "codes.faiss"]
    assert codes.bytes <= index.rows * 384 * 4 / share * 1.02

"""The figures of real retrieval tasks: the published ones, and those of ir_measures by hand on a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ir_measures
import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "retrieval"
PROGRAM = str(Path(sys.executable).with_name("embedkit"))
MODEL = ("-m", "minilm", "--precision", "fp32")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]

NAMES = ("nDCG@10", "R@10", "R@100", "MRR@10")
FIGURES = {
    "stackfaq-en": (0.9566, 0.9992, 1.0, 0.9422),
    "cranfield-en": (0.3995, 0.4161, 0.7724, 0.5380),
    "scifact-en": (0.6451, 0.7833, 0.9250, 0.6047),
}


def embedkit(*arguments):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("name", FIGURES)
def test_the_reference_figures_and_those_of_a_run_by_hand(name, tmp_path):
    folder = DATA / name
    judged = ("eval", "retrieval", "--qrels", folder / "qrels.tsv", "--json")
    measures = [part for measure in NAMES for part in ("--measure", measure)]
    files = ("--corpus", folder / "corpus.jsonl", "--queries", folder / "queries.jsonl")
    found = json.loads(embedkit(*judged, *measures, *files, *MODEL))["results"][0]
    assert [found[measure]["value"] / 100 for measure in NAMES] == pytest.approx(FIGURES[name], abs=0.002)
    index, run = tmp_path / "docs.idx", tmp_path / "run.trec"
    embedkit("index", folder / "corpus.jsonl", "-o", index, "-q", *MODEL)
    searched = ("search", index, "-i", folder / "queries.jsonl", "-k", 1000, "--format", "trec")
    run.write_bytes(embedkit(*searched, *MODEL[2:]))
    lines = [line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
    qrels = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in lines]
    computed = [ir_measures.parse_measure(measure) for measure in NAMES]
    hits = [hit for hit in ir_measures.read_trec_run(str(run)) if hit.query_id != hit.doc_id]
    by_hand = ir_measures.calc_aggregate(computed, qrels, hits)  # Cranfield's numbers coincide by chance
    expected = [100 * by_hand[measure] for measure in computed]
    of_run = json.loads(embedkit(*judged, *measures, "--run", run))["results"][0]
    assert [of_run[measure]["value"] for measure in NAMES] == pytest.approx(expected, abs=1e-5)
    assert [found[measure]["value"] for measure in NAMES] == pytest.approx(expected, abs=0.02)

"""Every index kind through the commands, against plain numpy over the same encoder's vectors."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit import spec
from embedkit.embedding.loading import load

ENCODER = load("hash:dim=8")
DOCUMENTS = {f"d{number}": f"document {number} of words {number * 7 % 11}" for number in range(60)}
EXAMPLES = {kind: kind for kind in spec.kinds("index")} | {"factory": "factory:IVF2,Flat"}
each_kind = pytest.mark.parametrize("kind", EXAMPLES.values())


def built(run, kind, documents=DOCUMENTS, metric="cosine"):
    lines = [json.dumps({"id": id, "text": text}) for id, text in documents.items()]
    Path("docs.jsonl").write_text("\n".join(lines))
    done = run("index", "docs.jsonl", "-o", "x.idx", "--kind", kind, "--metric", metric, "-q", "--force")
    assert done == (0, "", "")


def found(run, *options):
    done = run("search", "x.idx", "the words of document 7", "-k", 1000, *options)
    assert done.code == 0, done.said
    return {hit["id"]: hit["score"] for hit in map(json.loads, done.out.splitlines())}


def exact(documents):
    query, *rows = ENCODER.encode(["the words of document 7", *documents.values()]).astype(float)
    return dict(zip(documents, np.array(rows) @ query, strict=True))


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@each_kind
def test_k_beyond_the_size_gives_every_document_with_its_score(run, kind, metric):
    built(run, kind, metric=metric)
    assert found(run) == pytest.approx(exact(DOCUMENTS), abs=2e-2)
    assert found(run, "--exact") == pytest.approx(exact(DOCUMENTS), abs=2e-2)


@each_kind
def test_one_document_and_then_none_and_then_one_again(run, kind):
    one = {"d7": DOCUMENTS["d7"]}
    built(run, kind, one)
    assert found(run) == pytest.approx(exact(one), abs=2e-2)
    assert run("index", "delete", "x.idx", "d7").code == 0
    assert found(run) == found(run, "--exact") == found(run, "--where", "id = 'd7'") == {}
    assert run("index", "compact", "x.idx").code == run("index", "verify", "x.idx").code == 0
    Path("again.jsonl").write_text(json.dumps({"id": "d8", "text": DOCUMENTS["d8"]}))
    assert run("index", "add", "x.idx", "again.jsonl", "-q") == (0, "", "")
    assert found(run) == pytest.approx(exact({"d8": DOCUMENTS["d8"]}), abs=2e-2)

"""One question, one answer, a whole process each time: embedkit against the script a user would write.

    python benchmarks/search.py
    python benchmarks/search.py --static

Claim: a one-off search over 100 000 documents takes at most 0.8 s and is at least 8 times faster than
sentence-transformers with faiss, in less memory. Both with their files in memory: each timed run follows an
untimed one. With a static encoder of minilm's token vectors, a search takes at most 0.35 s, and neither more
time nor more memory than a script with model2vec and faiss.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from measure import alternate, data, embedkit, emit, median, run, write_static

GOAL = {"seconds": 0.8, "ratio": 8, "peak_mb": "below the script's"}
STATIC_GOAL = {**GOAL, "seconds": 0.35, "ratio": 1}
QUESTION = "who wrote a novel about the sea"
SCRIPT = """
import sys, faiss
from sentence_transformers import SentenceTransformer
model, index, texts, question = sys.argv[1:]
model = SentenceTransformer(model, device="cpu")
index = faiss.read_index(index)
lines = open(texts, encoding="utf-8").read().splitlines()
scores, rows = index.search(model.encode([question]), 5)
for score, row in zip(scores[0], rows[0]):
    print(score, lines[row])
"""
STATIC_SCRIPT = SCRIPT.replace(
    "from sentence_transformers import SentenceTransformer", "from model2vec import StaticModel"
).replace('SentenceTransformer(model, device="cpu")', "StaticModel.from_pretrained(model)")


def main() -> None:
    """Build the index once, then time the two in turn."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--static", action="store_true", help="search by a static encoder")
    arguments.add_argument("--index", type=Path, help="an index of the corpus that is there already")
    arguments.add_argument("--runs", type=int, default=7)
    options = arguments.parse_args()
    corpus = data("corpus/wiki-en/sentences_100k.txt")
    from embedkit.embedding.model_finding import find_model

    with tempfile.TemporaryDirectory() as folder:
        index = options.index or Path(folder) / "wiki.idx"
        model = write_static(Path(folder) / "static") if options.static else find_model("minilm").path
        if not index.exists():
            run(embedkit("index", str(corpus), "-m", str(model), "-o", str(index), "-q"))
        script = Path(folder) / "script.py"
        script.write_text(STATIC_SCRIPT if options.static else SCRIPT)
        flat = next(index.glob("segments/*/vectors.faiss"))
        ours, theirs = alternate(
            embedkit("search", str(index), QUESTION, "-k", "5"),
            [sys.executable, str(script), str(model), str(flat), str(corpus), QUESTION],
            options.runs,
            warm=True,
        )
    mine, peer = median(ours), median(theirs)
    emit(
        what="one-off search over 100 000 documents, whole process",
        **({"encoder": "static"} if options.static else {}),
        embedkit=mine,
        script=peer,
        ratio=round(peer["seconds"] / mine["seconds"], 2),
        goal=STATIC_GOAL if options.static else GOAL,
    )


if __name__ == "__main__":
    main()

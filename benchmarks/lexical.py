"""Search by words: postings and queries against bm25s, and the cost of a fused search over that of vectors.

Claims: a million short documents are analysed and indexed in the time in which bm25s indexes their tokens,
and a query over them takes at most 20 ms; a build with minilm takes at most 15 % longer with words; a fused
search of 100 000 documents takes at most 5 ms more per query in a batch, and 0.1 s more for a single query.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import alternate, data, embedkit, emit, median, run

QUESTION = "who wrote a novel about the sea"
OURS = """
import json, statistics, sys, time
from itertools import islice
from pathlib import Path
from embedkit.indexing.lexical.bm25 import Lexical, Part, best_rows
from embedkit.indexing.lexical.postings import Postings
from embedkit.indexing.lexical.postings_writing import PostingsWriter
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
texts, queries, folder = sys.argv[1:]
settings, rows = LexicalSettings(), 0
writer, seconds = PostingsWriter(Path(folder), settings), 0.0
with open(texts, encoding="utf-8") as file:
    while lines := [line.rstrip("\\n") for line in islice(file, 4096)]:
        started = time.perf_counter()
        writer.append([str(row) for row in range(rows, rows + len(lines))], lines)
        seconds, rows = seconds + time.perf_counter() - started, rows + len(lines)
started = time.perf_counter()
writer.finish()
seconds += time.perf_counter() - started
lexical = Lexical(settings, (Part(0, rows, Postings.open(Path(folder), rows), None),), rows)
taken = []
for line in open(queries, encoding="utf-8"):
    started = time.perf_counter()
    best_rows(lexical.scores(settings.query_terms(line)), 10)
    taken.append(time.perf_counter() - started)
print(json.dumps({"index": seconds, "query": statistics.median(taken)}))
"""
THEIRS = """
import json, statistics, sys, time
import bm25s, Stemmer
texts, queries, _ = sys.argv[1:]
corpus, stemmer = open(texts, encoding="utf-8").read().splitlines(), Stemmer.Stemmer("english")
started = time.perf_counter()
tokens = bm25s.tokenize(corpus, stopwords=None, stemmer=stemmer, show_progress=False)
tokenized = time.perf_counter()
model = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
model.index(tokens, show_progress=False)
indexed, taken = time.perf_counter(), []
for line in open(queries, encoding="utf-8").read().splitlines():
    one = time.perf_counter()
    words = bm25s.tokenize([line], stopwords=None, stemmer=stemmer, show_progress=False, return_ids=False)
    model.retrieve(words, k=10, show_progress=False)
    taken.append(time.perf_counter() - one)
seconds = {"tokenize": tokenized - started, "index": indexed - tokenized}
print(json.dumps(seconds | {"query": statistics.median(taken)}))
"""


def main() -> None:
    """Time the postings against bm25s, then builds and searches with and without words."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--documents", type=int, default=1_000_000)
    arguments.add_argument("--runs", type=int, default=3)
    options = arguments.parse_args()
    sentences = data("corpus/wiki-en/sentences_100k.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _postings(folder, sentences, options.documents, options.runs)
        _build(folder, sentences[:20_000], options.runs)
        _search(folder, sentences, options.runs)


def _postings(folder: Path, sentences: list[str], documents: int, runs: int) -> None:
    texts, queries = folder / "texts.txt", folder / "queries.txt"
    short = _short(sentences, documents)
    with open(texts, "w", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in short)
    queries.write_text(
        "".join(f"{' '.join(line.split()[:6])}\n" for line in sentences[::1000]), encoding="utf-8"
    )
    given = [str(texts), str(queries), str(folder)]
    ours, theirs = alternate(
        [sys.executable, "-c", OURS, *given], [sys.executable, "-c", THEIRS, *given], runs
    )
    mine, peer = (
        min((json.loads(each.output) for each in side), key=lambda one: one["index"])
        for side in (ours, theirs)
    )
    emit(
        what=f"postings of {documents:,} short documents, and queries over them",
        embedkit=mine | {"peak_mb": round(median(ours)["peak_mb"])},
        bm25s=peer | {"peak_mb": round(median(theirs)["peak_mb"])},
        ratio=round(peer["index"] / mine["index"], 2),
        goal={"ratio": 1, "query": 0.02},
    )


def _short(sentences: list[str], documents: int) -> Iterator[str]:
    """Yield windows of ten words of the sentences."""
    for number in range(documents):
        words = sentences[number % len(sentences)].split()
        start = number // len(sentences) * 5 % max(len(words) - 9, 1)
        yield " ".join(words[start : start + 10])


def _build(folder: Path, sentences: list[str], runs: int) -> None:
    texts = folder / "part.txt"
    texts.write_text("\n".join(sentences), encoding="utf-8")
    build = embedkit("index", str(texts), "-o", str(folder / "part.idx"), "--force", "-q")
    with_words, without = alternate(build, [*build, "--no-lexical"], runs)
    mine, bare = median(with_words), median(without)
    emit(
        what="build of an index of 20 000 sentences with minilm, with and without words",
        embedkit=mine,
        without=bare,
        ratio=round(mine["seconds"] / bare["seconds"], 3),
        goal={"ratio": 1.15},
    )


def _search(folder: Path, sentences: list[str], runs: int) -> None:
    corpus, queries, index = folder / "corpus.txt", folder / "asked.txt", folder / "all.idx"
    corpus.write_text("\n".join(sentences), encoding="utf-8")
    queries.write_text("\n".join(line[:60] for line in sentences[::50]), encoding="utf-8")
    run(embedkit("index", str(corpus), "-o", str(index), "-q"))
    batch = embedkit("search", str(index), "-i", str(queries), "--format", "ids")
    single = embedkit("search", str(index), QUESTION, "--format", "ids")
    for what, command, count, goal in (
        ("2 000 queries at once", batch, 2000, {"more": 0.005}),
        ("a single query, whole process", single, 1, {"more": 0.1}),
    ):
        fused, plain = alternate([*command, "--hybrid"], command, runs, warm=True)
        mine, bare = median(fused), median(plain)
        emit(
            what=f"fused search of 100 000 documents, {what}",
            embedkit=mine,
            vectors=bare,
            more=round((mine["seconds"] - bare["seconds"]) / count, 5),
            goal=goal,
        )


if __name__ == "__main__":
    main()

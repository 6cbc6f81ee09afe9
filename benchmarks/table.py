"""The JSON lines of the benchmarks become one table: both sides, their ratio, the goal, met or lost.

    python benchmarks/table.py results.jsonl -o benchmarks/RESULTS.md

A row stands for a claim, won, lost or not measured; of several runs of one benchmark the last counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]
Lines = Sequence[Line]


class Measured(NamedTuple):
    """Both sides of a claim in words, how many times as fast ours is, and whether the goal was reached."""

    theirs: str
    ours: str
    ratio: float | None
    met: bool


class Claim(NamedTuple):
    """A row: what is measured, against what, by which benchmark, its goal, and how its lines are read."""

    what: str
    peer: str
    benchmark: str
    goal: str
    read: Callable[[Lines], Measured]


def encoding(runtime: str, precision: str, model: str | None = None) -> Callable[[Lines], Measured]:
    """Return a reader of sentences a second of one runtime, and of the cosine to the peer's vectors.

    `model` is named in the lines unless it is minilm.
    """

    def read(lines: Lines) -> Measured:
        peer = last(lines, side="sentence-transformers", whole_process=None, model=model)
        own = last(lines, side="embedkit", runtime=runtime, precision=precision, model=model)
        ours = f"{own['sentences_per_second']:.0f} a second, lowest cosine {own['lowest_cosine']:.7g}"
        return Measured(f"{peer['sentences_per_second']:.0f} a second", ours, own["ratio"], own["met"])

    return read


def whole_encoding(lines: Lines) -> Measured:
    """Read `encode.py --whole-process`."""
    peer = last(lines, side="sentence-transformers", whole_process=True)
    own = last(lines, side="embedkit", whole_process=True)
    return Measured(f"{peer['seconds']:.1f} s", f"{own['seconds']:.1f} s", own["ratio"], own["met"])


def one_search(encoder: str | None = None) -> Callable[[Lines], Measured]:
    """Return a reader of `search.py` with one encoder; None is minilm."""

    def read(lines: Lines) -> Measured:
        line = last(lines, encoder=encoder)
        own, peer, goal = line["embedkit"], line["script"], line["goal"]
        met = (
            own["seconds"] <= goal["seconds"]
            and line["ratio"] >= goal["ratio"]
            and own["peak_mb"] < peer["peak_mb"]
        )
        theirs, ours = (f"{side['seconds']:.2f} s, {side['peak_mb']:.0f} MB" for side in (peer, own))
        return Measured(theirs, ours, line["ratio"], met)

    return read


def postings(lines: Lines) -> Measured:
    """Read the postings of `lexical.py`: the analysis and the postings of ours, the postings of bm25s."""
    line = [line for line in lines if "bm25s" in line][-1]
    own, peer, goal = line["embedkit"], line["bm25s"], line["goal"]
    theirs, ours = (
        f"{side['index']:.1f} s, {1000 * side['query']:.1f} ms per query, {side['peak_mb']:.0f} MB"
        for side in (peer, own)
    )
    met = line["ratio"] >= goal["ratio"] and own["query"] <= goal["query"]
    return Measured(theirs, ours, line["ratio"], met)


def with_words(what: str) -> Callable[[Lines], Measured]:
    """Return a reader of a line of `lexical.py` that compares with and without words."""

    def read(lines: Lines) -> Measured:
        line = [line for line in lines if what in line["what"]][-1]
        own, bare, goal = line["embedkit"], line.get("vectors") or line["without"], line["goal"]
        met = line["more"] <= goal["more"] if "more" in line else line["ratio"] <= goal["ratio"]
        ratio = round(bare["seconds"] / own["seconds"], 2)
        return Measured(f"{bare['seconds']:.2f} s", f"{own['seconds']:.2f} s", ratio, met)

    return read


def static(kind: str, peer: str) -> Callable[[Lines], Measured]:
    """Return a reader of texts per second of a static encoder against one side, on one kind of text."""

    def read(lines: Lines) -> Measured:
        own, other = last(lines, kind=kind, side="embedkit"), last(lines, kind=kind, side=peer)
        theirs, ours = (f"{side['texts_per_second']:,.0f} a second" for side in (other, own))
        return Measured(theirs, ours, other["ratio"], other["met"])

    return read


def step(side: str) -> Callable[[Lines], Measured]:
    """Return a reader of a contrastive step of one side, against the cached loss of sentence-transformers."""

    def read(lines: Lines) -> Measured:
        timed = [line for line in lines if "side" in line]
        peer = last(timed, side="CachedMultipleNegativesRankingLoss")
        own = last(timed, side=side)
        theirs, ours = (f"{middle(line['seconds']):.1f} s" for line in (peer, own))
        return Measured(theirs, ours, own["ratio"], own["ratio"] >= own["goal"])

    return read


def full_batch(lines: Lines) -> Measured:
    """Read the plain loss against ours in float32; memory is what the claim is about, time what is shown."""
    peer, own = last(lines, side="MultipleNegativesRankingLoss"), last(lines, side="embedkit fp32")
    theirs, ours = middle(peer["seconds"]), middle(own["seconds"])
    return Measured(f"{theirs:.1f} s", f"{ours:.1f} s", theirs / ours, ours <= theirs)


def step_memory(lines: Lines) -> Measured:
    """Read `contrastive.py --memory`: batch 8192 against 256."""
    small, large = last(lines, batch=256), last(lines, batch=8192)
    ours = f"{large['peak_mb']:.0f} MB at 8192, {small['peak_mb']:.0f} MB at 256"
    return Measured("", ours, None, large["growth"] <= large["goal"])


def in_turn(what: str) -> Callable[[Lines], Measured]:
    """Return a reader of a comparison of `maps.py` at its largest size; its goal is a share of their time."""

    def read(lines: Lines) -> Measured:
        line = last(lines, what=what)
        ours, theirs = line["seconds"]["ours"][-1], line["seconds"]["theirs"][-1]
        return Measured(f"{theirs:.2f} s", f"{ours:.2f} s", theirs / ours, ours <= line["goal"] * theirs)

    return read


def growth(what: str) -> Callable[[Lines], Measured]:
    """Return a reader of peaks of memory at ten times the rows."""

    def read(lines: Lines) -> Measured:
        line = last(lines, what=what)
        small, large = line["peak_mb"][-2:]
        ours = f"{large:.0f} MB at {line['rows'][-1]:,} rows, {small:.0f} MB at {line['rows'][-2]:,}"
        return Measured("", ours, None, line["growth"] <= line["goal"]["growth"])

    return read


def labels_memory(lines: Lines) -> Measured:
    """Read what `memory.py` says of training on few and on many labels."""
    line = [line for line in lines if "labels" in line][-1]
    few, many = line["peak_mb"]
    ours = f"{many:.0f} MB at {line['labels'][1]:,}, {few:.0f} MB at {line['labels'][0]:,}"
    return Measured("", ours, None, line["copies"] <= line["goal"]["copies"])


def kept(kind: str) -> Callable[[Lines], Measured]:
    """Return a reader of the quality that codes keep."""

    def read(lines: Lines) -> Measured:
        exact, line = last(lines, what="SciFact, --kind flat"), last(lines, what=f"SciFact, --kind {kind}")
        words = f"nDCG@10 {line['ndcg']:.4f}, {100 * line['kept']:.1f} % kept"
        return Measured(f"{exact['ndcg']:.4f}", words, None, line["kept"] >= line["goal"]["kept"])

    return read


def start_up(lines: Lines) -> Measured:
    """Read `startup.py`."""
    line = last(lines)
    return Measured("", f"{line['seconds']:.3f} s", None, line["seconds"] <= line["goal"])


def one_query(side: str, kind: str) -> Callable[[Lines], Measured]:
    """Return a reader of the time of one query to a server, by one encoder and one kind of index."""

    def read(lines: Lines) -> Measured:
        line = last(lines, side=side, kind=kind, quick=False)
        single = line["single"]
        ours = f"{single['p50_ms']:.1f} ms, p99 {single['p99_ms']:.1f} ms"
        return Measured("", ours, None, single["p50_ms"] <= line["goal"]["p50_ms"])

    return read


def many_clients(way: str) -> Callable[[Lines], Measured]:
    """Return a reader of the texts per second of many clients, which send one or several per request."""

    def read(lines: Lines) -> Measured:
        line = last(lines, side="minilm", kind=SERVED, quick=False)
        load, offline = line["load"][way], line["offline_texts_per_second"]
        ours = f"{load['texts_per_second']:.0f} a second, p99 {load['p99_ms']:.0f} ms"
        met = load["share"] >= line["goal"]["share"]
        return Measured(f"{offline:.0f} a second", ours, load["share"], met)

    return read


def building(lines: Lines) -> Measured:
    """Read what the same graph costs by `index build` and by faiss; the line's ratio is ours to theirs."""
    line = [line for line in lines if "faiss" in line][-1]
    theirs, ours = middle(line["faiss"]), middle(line["seconds"])
    return Measured(
        f"{theirs:.1f} s", f"{ours:.1f} s", 1 / line["ratio"], line["ratio"] <= line["goal"]["ratio"]
    )


def recalling(lines: Lines) -> Measured:
    """Read the recall asked for and found, and queries a second beside exact search, at most rows that were
    measured without a limit of memory.
    """
    timed = (line for line in lines if "queries_a_second" in line and "peak" not in line["goal"])
    line = sorted(timed, key=rows_of)[-1]
    low, high = line["interval"]
    ours = f"recall {line['recall']:.3f} ({low:.3f} to {high:.3f}), {line['queries_a_second']:,} queries/s"
    met = line["recall"] >= line["goal"]["recall"] and line["ratio"] >= line["goal"]["ratio"]
    return Measured(f"{line['exact']:,} queries/s", ours, line["ratio"], met)


def rows_of(line: Line) -> int:
    """Return the rows that the name of a line begins with."""
    return int(line["what"].split()[0])


def searching(lines: Lines) -> Measured:
    """Read how the time of a search grows with rows."""
    exponent = last(lines, what="seconds of a query at recall .95 as rows grow")["exponent"]
    return Measured("", f"rows^{exponent:.2f}", None, exponent < 1)


def of_peers(what: str, value: str, unit: str) -> Callable[[Lines], Measured]:
    """Return a reader of `index_peers.py`: one ratio, and the values of both sides."""

    def read(lines: Lines) -> Measured:
        line, own = last(lines, what=what), last(lines, side="embedkit fastscan")
        theirs, ours = (f"{side[value]:,} {unit}" for side in (last(lines, side=line["peer"]), own))
        return Measured(f"{line['peer']}, {theirs}", ours, line["ratio"], line["met"])

    return read


def by_wishes(lines: Lines) -> Measured:
    """Read `autotune.py`: time and recall of both."""
    own, other = last(lines, side="embedkit"), last(lines, side="autofaiss")
    theirs, ours = (f"{side['seconds']:.1f} s, recall {side['recall']:.3f}" for side in (other, own))
    ratio = other["seconds"] / own["seconds"]
    met = ratio >= own["goal"]["ratio"] and own["recall"] >= own["goal"]["recall"]
    return Measured(theirs, ours, ratio, met)


def in_memory(lines: Lines) -> Measured:
    """Read `index.py --million`: the recall found, and the peak beside the memory that was allowed."""
    line = [line for line in lines if "peak" in line.get("goal", ())][-1]
    peak, allowed = line["peak_mb"] * 2**20 / 1e6, line["goal"]["peak"] / 1e6
    ours = f"recall {line['recall']:.3f}, {peak:.0f} of {allowed:.0f} MB"
    met = line["recall"] >= line["goal"]["recall"] and peak <= allowed
    return Measured(f"{line['exact']:,} queries/s", ours, line["ratio"], met)


def on_a_cluster(lines: Lines) -> Measured:
    """Read `cluster.py`: two workers beside one process on the same processors."""
    one = last(lines, side="one process, two processors")
    many = last(lines, side="two workers, a processor each")
    theirs, ours = (f"{line['sentences_per_second']:.0f} a second" for line in (one, many))
    return Measured(theirs, ours, many["ratio"], many["met"])


def taught(name: str, loss: str, least: float) -> Callable[[Lines], Measured]:
    """Return a reader of `labels.py`: MAP of labels that training never saw, raw and over seeds."""

    def read(lines: Lines) -> Measured:
        unseen = [line for line in lines if line["set"] == name and line["what"].startswith("unseen")]
        raw, own = last(unseen, system="raw minilm"), last(unseen, system=loss)
        value, low, high = raw["map"]
        mean, deviation = own["map"]["mean"], own["map"]["deviation"]
        ours = f"MAP {mean:.2f}, deviation {deviation:.2f} over seeds"
        return Measured(f"MAP {value:.2f} ({low:.1f} to {high:.1f})", ours, None, mean >= least)

    return read


def adapted(search: str, least: float) -> Callable[[Lines], Measured]:
    """Return a reader of `domain.py`: nDCG@10 of a search before training, and after it over seeds."""

    def read(lines: Lines) -> Measured:
        raw = last(lines, system="minilm")[search]
        runs = {line["seed"]: line for line in lines if line["system"] == HARD}
        values = [line[search]["value"] for line in runs.values()]
        worst = min(line["difference"]["low"] for line in runs.values())
        mean = sum(values) / len(values)
        ours = f"{mean:.2f} ({min(values):.2f} to {max(values):.2f} over {len(values)} seeds)"
        theirs = f"{raw['value']:.2f} ({raw['low']:.1f} to {raw['high']:.1f})"
        return Measured(theirs, ours, None, mean >= least and worst > 0)

    return read


FIT, INCREMENTAL, GAUSSIAN = (
    "whitening fit from disk, against PCA(covariance_eigh) in memory",
    "whitening fit from disk, against IncrementalPCA",
    "gaussian projection, against the bare matrix product",
)
BANKING, HARD = "banking77-en", "hard negatives"
ENCODE, CACHED = "sentence-transformers `encode`, torch fp32", "CachedMultipleNegativesRankingLoss"
M2V = "model2vec, encode"
HNSW = "FAISS HNSW32, construction 40"
BEST = "the best of FAISS HNSW, hnswlib, usearch, SVS"
SERVED = "hnsw:ef_search=32"  # the kind of the index of a server
OFFLINE = "encoding offline, minilm"
ONE, SEVERAL = "one text per request", "32 texts per request"

CLAIMS = (
    Claim("encode 20 000 sentences, bf16", ENCODE, "encode", ">= 5 x", encoding("openvino", "bf16")),
    Claim("the same, fp32", ENCODE, "encode", ">= 2.5 x", encoding("openvino", "fp32")),
    Claim("the same, in torch", ENCODE, "encode", ">= 1 x", encoding("torch", "fp32")),
    Claim("the same, whole processes", ENCODE, "encode", ">= 4 x", whole_encoding),
    Claim("encode Chinese by e5, bf16", ENCODE, "encode", ">= 2 x", encoding("openvino", "bf16", "e5")),
    Claim(
        "one search of 100 000 documents, whole process",
        "script: sentence-transformers and faiss",
        "search",
        "<= 0.8 s, >= 8 x, less memory",
        one_search(),
    ),
    Claim(
        "the same, static encoder",
        "script: model2vec and faiss",
        "search",
        "<= 0.35 s, >= 1 x, less memory",
        one_search("static"),
    ),
    Claim("static encoder, 20 000 sentences", M2V, "static", ">= 1.5 x", static("sentences", "model2vec")),
    Claim("the same", "embedkit, minilm", "static", ">= 25 x", static("sentences", "embedkit minilm")),
    Claim("static encoder, long documents", M2V, "static", ">= 1.5 x", static("documents", "model2vec")),
    Claim(
        "postings of 1 000 000 short documents, with their analysis",
        "bm25s, from tokens",
        "lexical",
        ">= 1 x, a query <= 20 ms",
        postings,
    ),
    Claim("build of 20 000 sentences, with words", "without", "lexical", "<= 15 % more", with_words("build")),
    Claim("2 000 queries, vectors and words", "vectors", "lexical", "<= 5 ms more each", with_words("2 000")),
    Claim("one query, vectors and words", "vectors", "lexical", "<= 0.1 s more", with_words("a single")),
    Claim("contrastive step, batch 256, fp32", CACHED, "contrastive", ">= 2 x", step("embedkit fp32")),
    Claim("the same, ours in bf16", CACHED, "contrastive", ">= 4.5 x", step("embedkit bf16")),
    Claim("the same, fp32", "plain loss, all of the batch at once", "contrastive", ">= 1 x", full_batch),
    Claim("memory of a contrastive step, batch 8192", "", "contrastive", "+15 % at most", step_memory),
    Claim("whitening fit, 400 000 x 384", "scikit-learn PCA, in memory", "maps", ">= 0.5 x", in_turn(FIT)),
    Claim(
        "whitening fit, 100 000 x 384",
        "scikit-learn IncrementalPCA",
        "maps",
        ">= 10 x",
        in_turn(INCREMENTAL),
    ),
    Claim("Gaussian projection, 400 000 rows", "numpy's product", "maps", ">= 0.83 x", in_turn(GAUSSIAN)),
    Claim("HNSW index of 99 000 x 384", "faiss: add and write", "index", ">= 0.83 x", building),
    Claim(
        "fastscan index of 99 000 x 384",
        HNSW,
        "index_peers",
        ">= 2.5 x",
        of_peers("build", "build_seconds", "s"),
    ),
    Claim(
        "searches at once at recall .95",
        BEST,
        "index_peers",
        ">= 2 x",
        of_peers("batch", "queries_per_second", "queries/s"),
    ),
    Claim("one by one", BEST, "index_peers", ">= 1.1 x", of_peers("alone", "one_by_one", "queries/s")),
    Claim("search at recall .95, asked and found", "exact search", "index", ">= 0.95, >= 3 x", recalling),
    Claim("time of a search at recall .95 as rows grow", "", "index", "exponent below 1", searching),
    Claim(
        "a million rows within --max-memory", "exact search", "index", "recall >= 0.95, within it", in_memory
    ),
    Claim(
        "index of 99 000 x 384 in 300 MB and 5 ms a query",
        "autofaiss",
        "autotune",
        ">= 1 x, recall >= 0.95",
        by_wishes,
    ),
    Claim("binary codes, SciFact", "exact search", "codes", "97 % kept", kept("binary")),
    Claim("int8 codes, SciFact", "exact search", "codes", "99 % kept", kept("int8")),
    Claim(
        "labels never seen, banking77, softmax", "raw", "labels", ">= 72.5", taught(BANKING, "softmax", 72.5)
    ),
    Claim(
        "the same, AM-Softmax, margin .35",
        "raw",
        "labels",
        ">= 72.5",
        taught(BANKING, "am-softmax .35", 72.5),
    ),
    Claim("SciFact after training, nDCG@10", "minilm", "domain", ">= 68", adapted("dense", 68)),
    Claim("the same, vectors and words", "minilm and words", "domain", ">= 74.5", adapted("hybrid", 74.5)),
    Claim(
        "encode on two Ray nodes, a core each", "one process on both", "cluster", ">= 0.85 x", on_a_cluster
    ),
    Claim("memory of encode", "", "memory", "+10 % at most", growth("encode, hash:dim=64")),
    Claim("memory of index", "", "memory", "+10 % at most", growth("index, hash:dim=64")),
    Claim("memory of whiten", "", "maps", "+10 % at most", growth("embedkit whiten")),
    Claim("memory of apply", "", "maps", "+10 % at most", growth("embedkit apply")),
    Claim("memory of training as labels grow", "", "memory", "8 copies of vectors at most", labels_memory),
    Claim("`embedkit --help`", "", "startup", "<= 0.15 s", start_up),
    Claim("one query to a server, minilm, hnsw", "", "serve", "<= 8 ms", one_query("minilm", SERVED)),
    Claim("the same, exact search", "", "serve", "<= 8 ms", one_query("minilm", "flat")),
    Claim("the same, static encoder, hnsw", "", "serve", "<= 2 ms", one_query("static", SERVED)),
    Claim("64 clients, a query per request", OFFLINE, "serve", ">= 0.85 x", many_clients(ONE)),
    Claim("the same, 32 queries per request", OFFLINE, "serve", ">= 0.85 x", many_clients(SEVERAL)),
)


def last(lines: Lines, **wanted: Any) -> Line:
    """Return the last line whose values are those wanted (None: the line has no such value).

    Raises LookupError when there is none.
    """
    found = [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]
    if not found:
        raise LookupError(f"no line with {wanted}")
    return found[-1]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    from statistics import median

    return median(values)


def table(lines: Lines) -> str:
    """Return the page: machine and versions, then a row a claim."""
    head = (
        "# Measured against its peers\n\nMade by `make bench` from the JSON lines of the benchmarks, "
        "[results.jsonl](results.jsonl): both sides of a row were\nmeasured in one run. "
        "Losses are in bold; the ratio says how many times as fast as the peer embedkit is.\n"
    )
    rows = ["| what | peer | its figure | embedkit | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    rows += [row(claim, [line for line in lines if line["benchmark"] == claim.benchmark]) for claim in CLAIMS]
    return "\n".join([head, *circumstances(lines), "", *rows, ""])


def circumstances(lines: Lines) -> list[str]:
    """Return when, on which machines and with which versions the lines were made, a line each."""
    told = []
    if dates := sorted({line["date"] for line in lines if "date" in line}):
        told.append(f"- date: {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}")
    machines = {
        f"{line['machine']['cpus']} processors, {line['machine']['processor']}, "
        f"Python {line['machine']['python']}": None
        for line in lines
    }
    versions = {", ".join(f"{name} {number}" for name, number in line["versions"].items()) for line in lines}
    told += [f"- machine: {machine}" for machine in machines]
    return told + [f"- versions: {version}" for version in sorted(versions)]


def row(claim: Claim, lines: Lines) -> str:
    """Return the row of a claim; one that lacks lines says so."""
    name = f"[{claim.benchmark}]({claim.benchmark}.py)"
    try:
        found = claim.read(lines)
    except (LookupError, TypeError):
        return f"| {claim.what} | {claim.peer} | | not measured | | {claim.goal} | {name} |"
    ratio = "" if found.ratio is None else f"{found.ratio:.2f}"
    verdict = "met" if found.met else "**lost**"
    cells = (claim.what, claim.peer, found.theirs, found.ours, ratio, f"{claim.goal}: {verdict}", name)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the lines, write the page or print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", type=Path, nargs="+", help="files of JSON lines, oldest first")
    parser.add_argument("-o", "--output", type=Path, help="the page, instead of standard output")
    options = parser.parse_args()
    texts = (line for file in options.lines for line in file.read_text(encoding="utf-8").splitlines())
    page = table([line for text in texts if "skipped" not in (line := json.loads(text))])
    if options.output is None:
        print(page, end="")
    else:
        options.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""A server under load: the time of one query, and the rate of many clients against encoding offline.

    python benchmarks/serve.py
    python benchmarks/serve.py --documents 10000 --vectors /tmp/serve
    python benchmarks/serve.py --quick

Serves 100 000 sentences, with minilm and with a static encoder of minilm's token vectors, from an exact index
(flat) and from a graph (hnsw). Claims: a warm single query takes at most 8 ms with minilm and 2 ms with the
static encoder, as the median of many; 64 clients at once, which search with one text per request or with 32,
reach at least 85 % of the texts per second that minilm encodes offline. The clients run on the processors of
the server. Encoding one text in this process is timed too, because a query cannot take less:
`beyond_encoding` is what the server, the search and the client add to its median. `--vectors` keeps the
vectors of the documents in a folder, for the next run. `--quick` takes 2 000 documents and few requests: it
shows that the benchmark runs, and measures nothing. Prints one JSON line per encoder and kind of index. Needs
no network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
from measure import DATA, data, embedkit, emit, run, write_static

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SENTENCES = "corpus/wiki-en/sentences_100k.txt"
GOALS = {"minilm": {"p50_ms": 8, "share": 0.85}, "static": {"p50_ms": 2}}
KINDS = ("flat", "hnsw:ef_search=32")
CLIENTS, BATCH = 64, 32  # clients at once; texts per request of the clients that send several
HITS = 10
PATIENCE = 300  # seconds per request: on a slow machine, 64 times 32 texts take longer than the usual limit


def main() -> None:
    """Read the options, build an index per encoder, and measure each server."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--vectors", type=Path, metavar="FOLDER", help="Folder that keeps the vectors")
    parser.add_argument("--quick", action="store_true", help="2 000 documents and few requests")
    options = parser.parse_args()
    documents = 2_000 if options.quick else options.documents
    queries = 320 if options.quick else 6_400
    sentences = read(documents, needed=not options.quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus.txt").write_text("\n".join(sentences), encoding="utf-8")
        asked = [" ".join(text.split()[:12]) for text in sentences[:: max(1, documents // queries)]][:queries]
        for side, goal in GOALS.items():
            model = side if side == "minilm" else str(write_static(folder / side))
            vectors = (options.vectors or folder) / f"{side}-{documents}.vec"
            if not vectors.exists():
                vectors.parent.mkdir(parents=True, exist_ok=True)
                run(embedkit("encode", str(folder / "corpus.txt"), "-m", model, "-o", str(vectors), "-q"))
            offline = offline_times(model, asked)
            for kind in KINDS:
                index = folder / f"{side}-{kind.partition(':')[0]}.idx"
                run(embedkit("index", str(vectors), "--kind", kind, "-o", str(index), "-q"))
                found = measure(str(index), asked, offline, quick=options.quick)
                what = f"{documents:,} documents, {side}, {kind}"
                emit(what=what, side=side, kind=kind, quick=options.quick, **found, goal=goal)


def read(documents: int, *, needed: bool) -> list[str]:
    """Return sentences of Wikipedia; without them, made ones unless real ones are `needed`."""
    if needed or (DATA / SENTENCES).exists():
        return data(SENTENCES).read_text(encoding="utf-8").splitlines()[:documents]
    return [f"The sentence number {n} tells of the matter {n * n % 997}." for n in range(documents)]


def measure(index: str, queries: Sequence[str], offline: Offline, *, quick: bool) -> dict[str, Any]:
    """Return the times of single queries to a server, and the rates of many clients."""
    with served(index) as address:
        alone = asyncio.run(one_by_one(address, queries[: 100 if quick else 1000]))
        loads = {
            "one text per request": asyncio.run(under_load(address, queries, 1, quick)),
            f"{BATCH} texts per request": asyncio.run(under_load(address, queries, BATCH, quick)),
        }
    encoding = percentile(offline.seconds, 50)
    return {
        "single": {"p50_ms": percentile(alone, 50), "p99_ms": percentile(alone, 99), "queries": len(alone)},
        "encoding_alone": {"p50_ms": encoding, "p99_ms": percentile(offline.seconds, 99)},
        "beyond_encoding": {"p50_ms": round(percentile(alone, 50) - encoding, 2)},
        "offline_texts_per_second": round(offline.rate, 1),
        "clients": CLIENTS,
        "load": {
            name: {
                "texts_per_second": round(rate, 1),
                "share": round(rate / offline.rate, 3),
                "p50_ms": percentile(seconds, 50),
                "p99_ms": percentile(seconds, 99),
            }
            for name, (rate, seconds) in loads.items()
        },
        "load_average": round(os.getloadavg()[0], 2),
    }


class Offline(NamedTuple):
    """How fast the encoder is in this process, once it is warm."""

    seconds: list[float]  # of single texts, one after the other
    rate: float  # texts per second of all texts together


def offline_times(model: str, queries: Sequence[str]) -> Offline:
    """Return how fast the encoder is in this process."""
    from embedkit.embedding.loading import load

    encoder = load(model)
    encoder.encode(queries[:256], "query")
    seconds = []
    for query in queries[:200]:
        before = time.perf_counter()
        encoder.encode([query], "query")
        seconds.append(time.perf_counter() - before)
    before = time.perf_counter()
    encoder.encode(queries, "query")
    return Offline(seconds, len(queries) / (time.perf_counter() - before))


def percentile(seconds: Sequence[float], share: int) -> float:
    """Return a percentile of times in milliseconds."""
    return round(1000 * float(np.percentile(seconds, share)), 2)


@contextmanager
def served(index: str) -> Iterator[tuple[str, int]]:
    """Serve an index in a process of its own, and yield its host and port."""
    command = embedkit("serve", index, "--port", "0", "--json", "--limits", f"seconds={PATIENCE}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = urlsplit(json.loads(server.stdout.readline())["address"])
            yield str(address.hostname), int(address.port or 0)
        finally:
            server.terminate()


class Client:
    """A connection that stays open; it does as little as possible, because it takes the server's time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> Client:
        """Connect to a host and port."""
        return cls(*await asyncio.open_connection(*address))

    async def search(self, queries: Sequence[str]) -> float:
        """Search for one query or several, and return the seconds until the answer was read."""
        head = "Host: localhost\r\n"
        if len(queries) == 1:
            request = f"GET /search?k={HITS}&q={quote(queries[0])} HTTP/1.1\r\n{head}\r\n".encode()
        else:
            body = json.dumps({"queries": queries, "k": HITS}).encode()
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            request = f"POST /search HTTP/1.1\r\n{head}\r\n".encode() + body
        before = time.perf_counter()
        self._writer.write(request)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        content = await self._reader.readexactly(int(length))
        seconds = time.perf_counter() - before
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {answer[:40]!r}: {content[:200]!r}")
        return seconds

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


async def one_by_one(address: tuple[str, int], queries: Sequence[str]) -> list[float]:
    """Return the seconds of each query, one after the other, after a few that are not timed."""
    client = await Client.connect(address)
    for query in queries[:20]:
        await client.search([query])
    seconds = [await client.search([query]) for query in queries]
    client.close()
    return seconds


async def under_load(
    address: tuple[str, int], queries: Sequence[str], batch: int, quick: bool
) -> tuple[float, list[float]]:
    """Return the texts per second of all clients together, and the seconds of each request."""
    parts = [queries[start : start + batch] for start in range(0, len(queries), batch)]
    requests = islice(cycle(parts), max(len(parts), CLIENTS * (1 if quick else 8)))
    seconds: list[float] = []
    texts = 0

    async def ask(client: Client) -> None:
        nonlocal texts
        for request in requests:
            seconds.append(await client.search(request))
            texts += len(request)

    clients = [await Client.connect(address) for _ in range(CLIENTS)]
    before = time.perf_counter()
    await asyncio.gather(*map(ask, clients))
    taken = time.perf_counter() - before
    for client in clients:
        client.close()
    return texts / taken, seconds


if __name__ == "__main__":
    main()

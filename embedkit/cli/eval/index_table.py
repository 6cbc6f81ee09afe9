"""Format the output of `embedkit eval index`: the table, JSON values, and the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.eval.protocol import Facts, interval_facts
from embedkit.cli.printed_tables import print_table
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.evaluation.bootstrap import Estimate
    from embedkit.evaluation.index.recall import MeasuredPoint
    from embedkit.evaluation.index.tuning import QuerySet
    from embedkit.indexing.store import Index

TIMES = "per query: median and 95th percentile of 200 single queries; queries/s: all in one batch"


def print_points(points: Sequence[MeasuredPoint], exact: MeasuredPoint, k: int) -> None:
    """Print a line per setting, the last one for exact search."""
    heads = ["setting", "recall@1", "95 %", f"recall@{k}", "95 %", "per query", "p95", "queries/s", "ratio"]
    print_table(heads, [_cells(each, exact) for each in (*points, exact)])


def _cells(each: MeasuredPoint, exact: MeasuredPoint) -> list[str]:
    times = [f"{each.milliseconds:.3g} ms", f"{each.p95:.3g} ms", f"{each.queries_a_second:,.0f}"]
    ratio = f"{each.queries_a_second / exact.queries_a_second:.2f}"
    return [setting_of(each, exact), *_share(each.first), *_share(each.recall), *times, ratio]


def setting_of(each: MeasuredPoint, exact: MeasuredPoint) -> str:
    """Return words for a setting: exact search has none, nor has a kind without settings for search."""
    words = ",".join(f"{name}={value}" for name, value in each.settings.items())
    return "exact search" if each is exact else words or "as it is"


def _share(figure: Estimate) -> list[str]:
    return [f"{figure.value:.4f}", f"{figure.low:.3f} to {figure.high:.3f}"]


def point_facts(each: MeasuredPoint, exact: MeasuredPoint, k: int) -> dict[str, object]:
    """Return one setting as JSON values: recall as a share of 1 with its interval, milliseconds, queries a
    second.
    """
    shares = {"recall@1": each.first, f"recall@{k}": each.recall}
    facts: dict[str, object] = {"setting": setting_of(each, exact), "settings": dict(each.settings)}
    facts |= {
        name: {key: round(x, 6) for key, x in share._asdict().items()} for name, share in shares.items()
    }
    facts |= {"milliseconds": round(each.milliseconds, 4), "p95": round(each.p95, 4)}
    rate = each.queries_a_second
    return facts | {"queries_a_second": round(rate, 1), "ratio": round(rate / exact.queries_a_second, 4)}


def index_protocol(opened: Index, path: Path, asked: QuerySet, k: int, seed: int) -> Facts:
    """Return the facts that are needed to reproduce the values: the index, queries, processors, versions."""
    import os
    from importlib.metadata import version

    import faiss

    size = f"{counted(opened.rows, 'document')}, {opened.dimension} dimensions"
    description = f"{path} ({opened.kind}, {opened.metric}, {size})"
    threads = f"{faiss.omp_get_max_threads()} threads on {os.cpu_count()} processors"
    facts = {"index": description, "queries": f"{len(asked.vectors):,} from {asked.source}"}
    facts |= {"truth": f"the {k:,} nearest by exact search of the stored vectors; equal scores count as one"}
    if asked.copies is not None:
        facts |= {"recall@1": "for queries made from documents: of the source document"}
    facts |= {"ratio": "to `search --exact` of this index, which decodes its codes"}
    facts |= {"times": f"{TIMES}; {threads}"} | interval_facts(1000, seed, over="queries")
    versions = ", ".join(f"{name} {version(name)}" for name in ("embedkit", "numpy", "faiss-cpu"))
    return facts | {"versions": versions}

"""Draw docs/speed.svg, the chart in README: the ratio of every speed claim, losses included.

    .venv/bin/python benchmarks/chart.py benchmarks/results.jsonl -o docs/speed.svg

A bar is how many times as fast as its peer embedkit was in one run; bars below 1 are losses.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from table import CLAIMS, Lines

from embedkit.evaluation.plots.theme import COLOURS, write_picture

NAMES = {  # the claims of the chart, by their place in the table: a peer's figure must be a time or a rate
    "encode 20 000 sentences, bf16": "encode, bf16 | sentence-transformers, fp32",
    "the same, whole processes": "encode, whole process | sentence-transformers",
    "one search of 100 000 documents, whole process": "one search, whole process | script with faiss",
    "contrastive step, batch 256, fp32": "contrastive step, fp32 | CachedMNRL",
    "search at recall .95, asked and found": "search at recall .95 | exact search",
    "whitening fit, 100 000 x 384": "whitening fit | IncrementalPCA, streaming",
    "whitening fit, 400 000 x 384": "whitening fit, float64 | PCA in memory, float32",
    "HNSW index of 99 000 x 384": "HNSW build | faiss alone",
    "fastscan index of 99 000 x 384": "fastscan build | FAISS HNSW",
    "searches at once at recall .95": "fastscan, searches at once | the best of four graph libraries",
    "static encoder, 20 000 sentences": "static encoder | model2vec",
    "index of 99 000 x 384 in 300 MB and 5 ms a query": "planned index | autofaiss",
}


def ratios(lines: Lines) -> list[tuple[str, float]]:
    """Return the name and the ratio of each claim in the chart, largest first."""
    found = []
    for claim in CLAIMS:
        if claim.what in NAMES:
            ratio = claim.read([line for line in lines if line["benchmark"] == claim.benchmark]).ratio
            assert ratio is not None, claim.what
            found.append((NAMES[claim.what], ratio))
    return sorted(found, key=lambda pair: pair[1])


def draw(bars: list[tuple[str, float]]) -> Any:
    """Return the figure: a bar per claim on a logarithmic axis, losses in another colour."""
    from matplotlib.figure import Figure

    won, lost = COLOURS["light"][0], COLOURS["light"][1]
    figure = Figure(figsize=(8, 0.42 * len(bars) + 0.9), layout="constrained")
    axes = figure.subplots()
    values = [ratio for _, ratio in bars]
    axes.barh(
        range(len(bars)),
        [value - 1 for value in values],
        left=1,
        color=[won if value >= 1 else lost for value in values],
        height=0.6,
    )
    for place, value in enumerate(values):
        side = "left" if value >= 1 else "right"
        axes.annotate(
            f"{value:.1f} x" if value >= 1 else f"{value:.2f} x",
            (value, place),
            (4 if value >= 1 else -4, 0),
            textcoords="offset points",
            ha=side,
            va="center",
        )
    axes.set_yticks(range(len(bars)), [name.replace(" | ", "\nagainst ") for name, _ in bars], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(0.25, 2 * max(values))
    ticks = [0.5, 1, 2, 5, 10]
    axes.set_xticks(ticks, [f"{tick:g} x" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_title("Speed of embedkit relative to its peers (1 x: as fast)", fontsize=10)
    return figure


def main() -> None:
    """Read the lines and write the chart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", type=Path, help="a file of JSON lines, as `make bench` writes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the chart: .svg, .png or .pdf")
    options = parser.parse_args()
    texts = options.lines.read_text(encoding="utf-8").splitlines()
    bars = ratios([line for text in texts if "skipped" not in (line := json.loads(text))])
    write_picture(options.output, lambda: draw(bars), title="embedkit")


if __name__ == "__main__":
    main()

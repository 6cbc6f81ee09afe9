"""`embedkit eval index`: what an index finds of the true nearest, and how fast, over all its settings."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from embedkit.cli.console import relay_warnings
from embedkit.cli.eval.index_table import index_protocol, point_facts, print_points
from embedkit.cli.index.query_options import Queries, asked_queries
from embedkit.cli.input_options import TextEncoding
from embedkit.cli.options import Common, IndexPath
from embedkit.cli.plot_options import PlotOptions
from embedkit.cli.printed_tables import print_facts
from embedkit.data.names import with_readable_names


def index(
    path: IndexPath,
    queries: Queries = None,
    k: Annotated[int, typer.Option("-k", help="Number of hits at which recall is measured.", min=1)] = 10,
    *,
    picture: PlotOptions,
    texts: TextEncoding,
    common: Common,
) -> None:
    """Measure recall against exact search, latency and queries a second, setting by setting; changes
    nothing.
    """
    from embedkit.evaluation.index.document_queries import stored
    from embedkit.evaluation.index.recall import curve, measure_exact
    from embedkit.evaluation.index.truth import find_truth
    from embedkit.evaluation.plots.recall_plot import TITLE, draw
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    picture.require(common)
    opened = Index.open(path)
    asked = asked_queries(opened, queries, texts.reading, texts.encoding, common.seed)
    truth = find_truth(asked.vectors, stored(opened), k, asked.copies)
    exact = measure_exact(opened, truth, seed=common.seed)
    points = list(curve(opened, truth, seed=common.seed))
    picture.write(lambda: draw(points, exact, truth.k, f"{path.name}: {opened.kind}"), title=TITLE)
    protocol = index_protocol(opened, path, asked, truth.k, common.seed)
    if common.json:
        results = [point_facts(each, exact, truth.k) for each in (*points, exact)]
        facts = {"index": str(path), "k": truth.k, "results": results, "protocol": protocol}
        print(json.dumps(with_readable_names(facts)))
        return
    print_points(points, exact, truth.k)
    print()
    print_facts(protocol)

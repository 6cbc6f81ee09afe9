"""`embedkit eval`: how good something is, with intervals and the protocol the figures were made with."""

from __future__ import annotations

import typer

from embedkit.cli.command import CONTEXT, GroupedHelp
from embedkit.cli.commands.eval_geometry import geometry
from embedkit.cli.commands.eval_index import index
from embedkit.cli.commands.eval_labels import labels
from embedkit.cli.commands.eval_matching import matching
from embedkit.cli.commands.eval_retrieval import retrieval
from embedkit.cli.commands.eval_sts import sts
from embedkit.cli.option_groups import spread
from embedkit.cli.plain_values import Group

EPILOG = "Example: embedkit eval sts sts-dev.tsv -m minilm --compare whiten.safetensors"
GEOMETRY_EPILOG = "Example: embedkit eval geometry docs.vec --plot map.png --colour lang"
LABELS_EPILOG = "Example: embedkit eval labels test.csv --gallery train.csv -m minilm --compare trained/"
MATCHING_EPILOG = "Example: embedkit eval matching csl.tsv --columns title,abstract -m e5"
RETRIEVAL_EPILOG = (
    "Example: embedkit eval retrieval --qrels qrels.tsv --index docs.idx --queries queries.jsonl"
)

INDEX_EPILOG = "Example: embedkit eval index docs.idx --queries questions.txt --plot curve.png"

app = typer.Typer(
    add_completion=False,
    context_settings=CONTEXT,
    rich_markup_mode=None,
    cls=Group,
    invoke_without_command=True,
    epilog=EPILOG,
)


@app.callback()
def group(ctx: typer.Context) -> None:
    """Measure the quality of encoders, maps and indexes, with confidence intervals."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


for _function, _epilog in (
    (sts, EPILOG),
    (labels, LABELS_EPILOG),
    (matching, MATCHING_EPILOG),
    (geometry, GEOMETRY_EPILOG),
    (retrieval, RETRIEVAL_EPILOG),
    (index, INDEX_EPILOG),
):
    app.command(cls=GroupedHelp, context_settings=CONTEXT, epilog=_epilog)(spread(_function))

"""`embedkit index`: documents become an index folder; `build` is understood when no subcommand is named."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from embedkit.cli.closing import close_rows
from embedkit.cli.command import CONTEXT, GroupedHelp
from embedkit.cli.commands import index_edit
from embedkit.cli.commands.index_plan import PLAN_EPILOG, plan
from embedkit.cli.commands.index_sync import SYNC_EPILOG, sync
from embedkit.cli.commands.index_tune import TUNE_EPILOG, tune
from embedkit.cli.console import relay_warnings, say
from embedkit.cli.index.build_options import NewIndex, PlanningOptions
from embedkit.cli.input_options import Inputs
from embedkit.cli.lexical_options import LexicalOptions
from embedkit.cli.option_groups import spread
from embedkit.cli.options import ClusterOptions, Common, IndexPath
from embedkit.cli.plain_values import Group
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.text.display import counted
from embedkit.errors import UnknownNameError

if TYPE_CHECKING:
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings

EPILOG = 'Example: embedkit index docs.jsonl -o docs.idx, then embedkit search docs.idx "a question"'


class BuildByDefault(Group):
    """A group that takes anything but the name of a subcommand as the arguments of `build`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `build` in front where no subcommand is named."""
        if args[0] not in {*self.commands, "-h", "--help"} if args else not ctx.resilient_parsing:
            is_name = args and not ctx.resilient_parsing and not Path(args[0]).exists()
            if is_name and get_close_matches(args[0], self.commands, n=1, cutoff=0.7):
                raise UnknownNameError(args[0], self.commands, what="subcommand or file", where="index")
            args = ["build", *args]
        return super().parse_args(ctx, args)


def build(
    *,
    target: NewIndex,
    planning: PlanningOptions,
    words: LexicalOptions,
    clustering: ClusterOptions,
    inputs: Inputs,
    common: Common,
) -> None:
    """Build an index from text, which is encoded first, from vectors, or from folders of files.

    With a recall, memory or latency to keep, the kind is chosen as `index plan` does; a recall is measured
    once the index is there.
    """
    from embedkit.data.atomic import refuse_existing
    from embedkit.indexing.manifest import MANIFEST

    relay_warnings(common.quiet)
    lexical = words.settings()
    planning.require_queries()
    if planning.dry_run:
        from embedkit.cli.index.planned_build import dry_run

        dry_run(target, planning.wishing, inputs, common)
        return
    refuse_existing(target.output, force=common.force, marker=MANIFEST)
    wishing = planning.wishing.given
    if clustering.cluster is not None:
        from embedkit.cli.cluster import build_spread

        clustering.refuse(*["--recall, --max-memory and --latency"] * wishing, hint="name a --kind")
        build_spread(clustering.cluster, target, lexical, inputs, common)
    elif wishing:
        from embedkit.cli.index.planned_build import build_planned

        build_planned(target, planning, lexical, inputs, common)
    else:
        _build(target, lexical, inputs, common)


def _build(target: NewIndex, lexical: LexicalSettings | None, inputs: Inputs, common: Common) -> None:
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.indexing.building import build_index, takes_codes

    with open_as_vectors(inputs, common) as vectors:
        source, batches, coded = vectors.source, vectors.batches, False
        if isinstance(source, VectorSet) and takes_codes(vectors.meta, target.kind, target.metric):
            batches, coded = vectors.progress.track(source.coded_batches()), True
        index = build_index(
            target.output, vectors.meta, batches,
            kind=target.kind, metric=target.metric, coded=coded, lexical=lexical, states=vectors.states,
        )  # fmt: skip
        rows, dimension = index.rows, index.dimension
        close_rows(common, vectors.progress, target.output, rows=rows, dimension=dimension, reader=source)


def info(
    path: IndexPath,
    *,
    common: Common,
) -> None:
    """Say what an index holds and how it was made."""
    from embedkit.cli.info.show import show
    from embedkit.indexing.store import Index

    Index.open(path)
    show(path, as_json=common.json)


def verify(
    path: IndexPath,
    *,
    common: Common,
) -> None:
    """Check every file of an index against the checksum that was written."""
    from embedkit.indexing.store import Index

    index = Index.open(path)
    index.verify()
    if not common.quiet:
        say(f"{path}: {counted(index.rows, 'document')}, every file as it was written")


app = typer.Typer(
    cls=BuildByDefault,
    add_completion=False,
    context_settings=CONTEXT,
    rich_markup_mode=None,
    help="Build an index of documents, change it, measure it and check it. "
    "`index FILE -o DIR` is short for `index build`.",
    epilog=EPILOG,
)
_functions: tuple[Callable[..., None], ...] = (build, sync, plan, tune, *index_edit.COMMANDS, verify, info)
_EXAMPLES: dict[Callable[..., None], str] = {
    **index_edit.EXAMPLES,
    plan: PLAN_EPILOG,
    tune: TUNE_EPILOG,
    sync: SYNC_EPILOG,
}
for _function in _functions:
    _example = _EXAMPLES.get(_function, EPILOG)
    app.command(cls=GroupedHelp, context_settings=CONTEXT, epilog=_example)(spread(_function))

"""`embedkit demo`: the main job on real text that every machine has, the standard library's documentation."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, relay_warnings, say
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.options import Common
from embedkit.cli.printed_hits import write_hits
from embedkit.cli.query_answers import answer
from embedkit.data.text.display import counted
from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.store import Index

QUESTIONS = (
    "copy a whole directory tree",
    "run a command and read what it prints",
    "parse command line arguments",
    "find the longest common prefix of some paths",
    "wait until one of several threads has finished",
)
CHINESE_QUESTIONS = (  # for a model that reads Chinese: the documentation stays English
    "递归删除一个目录",
    "在子进程中运行命令并取得输出",
    "如何解析命令行选项",
    "求几个路径的最长公共前缀",
    "比较两个文件是否相同",
)


def demo(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder of the index [in the cache]."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Hits per query.", min=1)] = 3,
    *,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Index Python's own documentation, and answer a few questions from it.

    With `-m e5`, the questions are Chinese; the documentation is English.
    """
    from embedkit.data.text.record import Record
    from embedkit.indexing.query import Query

    relay_warnings(common.quiet)
    encoder = encoding.load()
    index = _kept(output or _place(encoder), encoder, common, cached=output is None)
    for question in _questions(encoder):
        record = Record(question, question, {})
        write_hits(
            answer(index, encoder, iter([[record]]), Query(k), "table"),
            "jsonl" if common.json else "table",
            named=False,
        )
        if not common.json:
            print()
    if not common.quiet:
        say(f'ask it yourself: embedkit search {index.path} "your question"')


def _questions(encoder: Encoder) -> tuple[str, ...]:
    from embedkit.embedding.model_finding import E5_HUB_ID, HUB_IDS

    model = encoder.identity.model
    return CHINESE_QUESTIONS if HUB_IDS.get(model, model) == E5_HUB_ID else QUESTIONS


def _place(encoder: Encoder) -> Path:
    from embedkit.data.cache_folder import cache_folder

    folder = cache_folder("demo")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"python-{platform.python_version()}-{encoder.identity.fingerprint}.idx"


def _kept(path: Path, encoder: Encoder, common: Common, *, cached: bool) -> Index:
    """Open the index of an earlier run, or build it; one in the cache that does not fit is built again."""
    from embedkit.indexing.store import Index

    if path.exists() and not common.force:
        try:
            index = Index.open(path)
            index.require_encoder(encoder)
            return index
        except EmbedkitError:
            if not cached:
                raise
    return _build(path, encoder, common)


def _build(path: Path, encoder: Encoder, common: Common) -> Index:
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.text.docstrings import standard_library
    from embedkit.embedding.encoding import describe, encode_batches
    from embedkit.indexing.building import build_index
    from embedkit.indexing.manifest import MANIFEST

    refuse_existing(path, force=True, marker=MANIFEST)
    if not common.quiet:
        say("indexing the documentation of this Python's standard library")
    progress = Progress(common.quiet)
    batches = progress.track(encode_batches(encoder, standard_library(), first=256))
    index = build_index(path, describe(encoder), batches)
    if not common.quiet:
        speed = f"{progress.seconds:.1f} s ({progress.speed:,.0f} passages/s)"
        say(f"{counted(index.rows, 'passage')} in {speed}")
    return index


app = command_app(demo, epilog="Example: embedkit demo -m e5")

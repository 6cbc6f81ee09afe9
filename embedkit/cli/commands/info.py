"""`embedkit info`: what any of embedkit's things is, how it was made, and which of them go together."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from embedkit.cli.command import command_app
from embedkit.cli.info.show import fit_sentence, print_details
from embedkit.cli.options import Common
from embedkit.data.names import readable_name


def info(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="THING",
            help="An index, vectors, a map, label vectors, a model, an unfinished training run, a "
            "run of hits, or the JSON of an evaluation. With several, the answer includes "
            "which fit together.",
        ),
    ],
    *,
    common: Common,
) -> None:
    """Describe files, folders and models, how they were made, and which fit together."""
    from embedkit.cli.info.compatible import fit
    from embedkit.cli.info.recognise import read_thing

    things = [read_thing(Path(name), name)._replace(name=readable_name(name)) for name in names]
    if len(things) == 1:
        print_details(things[0].facts, as_json=common.json)
        return
    fits = [fit(one, other) for one, other in combinations(things, 2)]
    named = {thing.name: thing.facts for thing in things}
    if common.json:
        print_details({"things": named, "fits": [each.to_json() for each in fits]}, as_json=True)
        return
    for name, facts in named.items():
        print(f"{name}\n")
        print_details(facts, as_json=False)
        print()
    for each in fits:
        print(fit_sentence(each))


app = command_app(info, epilog="Examples: embedkit info docs.idx; embedkit info docs.vec whiten.safetensors")

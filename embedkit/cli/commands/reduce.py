"""`embedkit reduce`: a map to fewer dimensions, or a vector set in fewer bits."""

from __future__ import annotations

from embedkit.cli.command import command_app
from embedkit.cli.input_options import Inputs
from embedkit.cli.maps.code_options import CODES, ReductionOptions, write_codes
from embedkit.cli.maps.fit_map import fit_to
from embedkit.cli.options import ClusterOptions, Common


def reduce(
    *, reduction: ReductionOptions, clustering: ClusterOptions, inputs: Inputs, common: Common
) -> None:
    """Make a map to fewer dimensions, random or fitted, or codes of fewer bits."""
    reduction.check()
    method = reduction.method
    if method in CODES:
        clustering.refuse(f"--method {method}")
        write_codes(reduction, inputs, common)
    else:
        kind = f"{method}:dim={reduction.dim}"
        fit_to(reduction.output, kind, inputs, common, cluster=clustering.cluster)


app = command_app(
    reduce,
    epilog="Examples: embedkit reduce docs.vec --method gaussian --dim 128 -o jl.safetensors; "
    "embedkit reduce docs.vec --method sign -o docs.sign.vec",
)

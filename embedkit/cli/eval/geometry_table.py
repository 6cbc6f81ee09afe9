"""Format the output of `embedkit eval geometry`: the table, JSON values, and the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.eval.protocol import Facts, interval_facts, version_facts
from embedkit.cli.printed_tables import print_table
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.data.text.scored_pairs import Pair
    from embedkit.data.vectors.vector_set import VectorMeta
    from embedkit.evaluation.bootstrap import Estimate
    from embedkit.evaluation.geometry.agreement import Agreement
    from embedkit.evaluation.geometry.survey import Survey
    from embedkit.evaluation.geometry.vector_measures import Geometry, GeometryProtocol

READS = {  # explanations of measures, in the order of the table
    "mean cosine": "of random pairs: 0 no common direction, 1 all one",
    "uniformity": "of random pairs: lower is more even on the sphere",
    "alignment": "of pairs that mean the same: lower is nearer",
    "IsoScore": "0 one axis holds all variance, 1 all axes alike",
    "effective rank": "axes in use, by the entropy of their variances",
    "participation ratio": "axes in use, by the squares of their variances",
    "first axis": "its share of the variance",
    "mean norm": "length of a vector",
    "norm deviation": "of lengths",
    "hub skewness": "0 all rows near to equally many; above 1 hubs",
    "anti-hubs": "share of rows that are near to none",
    "overlap": "share of nearest neighbours both sets have",
    "Jaccard": "neighbours both have, of all either has",
}


class Positives(NamedTuple):
    """Pairs of the same meaning: the pairs of a file whose score is above a threshold."""

    name: str
    pairs: list[Pair]
    above: float
    total: int


class GeometryRequest(NamedTuple):
    """The measurements to make on every set."""

    protocol: GeometryProtocol
    positives: Positives | None
    colour: str | None


class GeometryResult(NamedTuple):
    """One set of vectors with its name and its values; `alignment` is None if it was not requested."""

    name: str
    meta: VectorMeta
    found: Survey
    geometry: Geometry
    alignment: Estimate | None


def print_geometry(sets: Sequence[GeometryResult], shared: Agreement | None) -> None:
    """Print the table: each measure with its explanation, its value and its interval."""
    several = len(sets) > 1
    figures = [(each.name, _figures(each)) for each in sets]
    rows = []
    for name, reads in READS.items():
        for system, own in figures:
            if name in own:
                rows.append([name, reads, *([system] if several else []), *_cells(own[name])])
    if shared is not None:
        for name, figure in (("overlap", shared.overlap), ("Jaccard", shared.jaccard)):
            rows.append([f"{name}@{shared.k}", READS[name], "both", *_cells(figure)])
    heads = ["figure", "reads", *(["vectors"] if several else []), "value", "95 %"]
    print_table(heads, rows, texts=2 + several)


def _figures(each: GeometryResult) -> dict[str, Estimate | float]:
    """Return the available values by the names of their measures in the table."""
    found, spectrum, norms = each.geometry, each.geometry.spectrum, each.geometry.norms
    figures: dict[str, Estimate | float] = {
        "mean cosine": found.mean_cosine,
        "uniformity": found.uniformity,
        "IsoScore": spectrum.isoscore,
        "effective rank": spectrum.effective_rank,
        "participation ratio": spectrum.participation_ratio,
        "first axis": spectrum.first_share,
        "mean norm": norms.mean,
        "norm deviation": norms.deviation,
    }
    if each.alignment is not None:
        figures["alignment"] = each.alignment
    if found.hubness is not None:
        figures |= {"hub skewness": found.hubness.skewness, "anti-hubs": found.hubness.antihubs}
    return figures


def _cells(figure: Estimate | float) -> list[str]:
    if isinstance(figure, float):
        return [_shown(figure), ""]
    return [_shown(figure.value), f"{_shown(figure.low)} to {_shown(figure.high)}"]


def _shown(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def geometry_facts(each: GeometryResult) -> dict[str, object]:
    """Return the values of one set as JSON values, without scaling."""
    found = each.geometry
    facts: dict[str, object] = {"system": each.name, "rows": found.rows, "dimension": found.dimension}
    facts |= {"mean_cosine": _rounded(found.mean_cosine), "uniformity": _rounded(found.uniformity)}
    facts |= {"alignment": _rounded(each.alignment)} if each.alignment is not None else {}
    spectrum = found.spectrum
    return facts | {
        "isoscore": spectrum.isoscore,
        "rank": spectrum.rank,
        "effective_rank": spectrum.effective_rank,
        "participation_ratio": spectrum.participation_ratio,
        "first_axis": spectrum.first_share,
        "norms": found.norms._asdict(),
        "hubness": None if found.hubness is None else found.hubness._asdict(),
        "spectrum": spectrum.variances.tolist(),
    }


def agreement_facts(shared: Agreement) -> dict[str, object]:
    """Return the agreement of two sets as JSON values."""
    facts = {"overlap": _rounded(shared.overlap), "jaccard": _rounded(shared.jaccard)}
    return {**facts, "rows": shared.rows, "k": shared.k}


def _rounded(figure: Estimate) -> dict[str, float]:
    return {key: round(value, 8) for key, value in figure._asdict().items()}


def protocol_of(sets: Sequence[GeometryResult], asked: GeometryRequest, shared: Agreement | None) -> Facts:
    """Return the facts that are needed to reproduce the values."""
    facts: Facts = {}
    for number, each in enumerate(sets, 1):
        suffix = f" {number}" if len(sets) > 1 else ""
        found, identity = each.geometry, each.meta.identity
        size = f"{counted(found.rows, 'row')} of {found.dimension} dimensions, rank {found.spectrum.rank}"
        facts[f"vectors{suffix}"] = f"{each.name} ({size}; {found.norms.zeros:,} zero vectors)"
        facts[f"model{suffix}"] = "unknown" if identity is None else str(identity)
    first, protocol = sets[0].geometry, asked.protocol
    facts["drawn"] = f"rows by a hash of their ids, seed {protocol.seed}; norms and spectrum are of all rows"
    facts["pairs"] = f"{counted(first.pairs, 'random pair')} of rows, no row in two of them"
    facts["neighbours"] = f"the {protocol.k} nearest by cosine, exact; {_neighbours(first, protocol)}"
    if (positives := asked.positives) is not None:
        pairs = f"{len(positives.pairs):,} of {counted(positives.total, 'pair')}"
        facts["alignment"] = f"{positives.name}: {pairs}, which score above {positives.above:g}"
    if shared is not None:
        facts["agreement"] = (
            f"of {counted(shared.rows, 'row')} drawn that both sets have; intervals by the logit"
        )
    facts |= interval_facts(protocol.resamples, protocol.seed, over="pairs or rows")
    models = [each.meta.identity.model for each in sets if each.meta.identity is not None]
    return facts | version_facts(models)


def _neighbours(found: Geometry, protocol: GeometryProtocol) -> str:
    if found.hubness is None:
        return f"too few rows: {protocol.k + 1} that are not zero are needed"
    return f"hubs and anti-hubs among {counted(found.hubness.rows, 'row')}"

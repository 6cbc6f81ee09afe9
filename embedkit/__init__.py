"""embedkit: sentence embeddings and retrieval, from a pile of text to a search engine; what the commands do,
as functions.

Names are resolved when they are first used, so that `import embedkit` costs nothing.
"""

from importlib import import_module
from typing import Any

from embedkit.version import __version__

_PUBLIC = {
    "load": "embedkit.embedding.encoder",
    "Encoder": "embedkit.embedding.encoder",
    "EncoderSettings": "embedkit.embedding.encoder",
    "Mapped": "embedkit.embedding.encoder",
    "encode_records": "embedkit.embedding.batching",
    "encode_batches": "embedkit.embedding.corpus",
    "describe": "embedkit.embedding.corpus",
    "Record": "embedkit.data.records",
    "TextFormat": "embedkit.data.records",
    "open_records": "embedkit.data.records",
    "open_input": "embedkit.data.inputs",
    "VectorSet": "embedkit.data.vectors",
    "VectorSetWriter": "embedkit.data.vectors",
    "VectorMeta": "embedkit.data.vectors",
    "Affine": "embedkit.transforms.affine",
    "fit_map": "embedkit.transforms.fitting",
    "parse": "embedkit.spec",
    "Index": "embedkit.indexing.store",
    "build_index": "embedkit.indexing.building",
    "Wishes": "embedkit.indexing.plan",
    "plan_index": "embedkit.indexing.plan",
    "this_machine": "embedkit.indexing.machine",
    "at_recall": "embedkit.indexing.operating_points",
    "find_truth": "embedkit.evaluation.index.truth",
    "export_model": "embedkit.embedding.export",
    "Pair": "embedkit.data.pairs",
    "read_pairs": "embedkit.data.pairs",
    "cosines": "embedkit.evaluation.sts",
    "spearman": "embedkit.evaluation.sts",
    "Examples": "embedkit.data.examples",
    "read_examples": "embedkit.data.examples",
    "TwoView": "embedkit.losses.two_view",
    "NTXent": "embedkit.losses.nt_xent",
    "Contrastive": "embedkit.training.objective",
    "SimCSESettings": "embedkit.training.settings",
    "train_simcse": "embedkit.training.simcse",
    "AMSoftmaxSettings": "embedkit.training.settings",
    "train_amsoftmax": "embedkit.training.margin",
    "LabelledText": "embedkit.data.labelled",
    "Labelled": "embedkit.data.labelled",
    "read_labelled": "embedkit.data.labelled",
    "label_figures": "embedkit.evaluation.labels.figures",
    "read_qrels": "embedkit.data.qrels",
    "read_run": "embedkit.data.runs",
    "parse_measures": "embedkit.evaluation.measures",
    "task_of": "embedkit.evaluation.retrieval",
    "run_figures": "embedkit.evaluation.retrieval",
    "evaluate_retrieval": "embedkit.evaluation.retrieval",
    "search_corpus": "embedkit.evaluation.exact",
    "cached": "embedkit.embedding.cached",
    "open_cache": "embedkit.embedding.cached",
    "LabelVectors": "embedkit.data.label_vectors",
    "Labeller": "embedkit.embedding.labelling",
    "label_records": "embedkit.embedding.labelling",
    "calibrate": "embedkit.evaluation.labels.calibration",
    "survey": "embedkit.evaluation.geometry.survey",
    "geometry": "embedkit.evaluation.geometry.figures",
    "MTEBEncoder": "embedkit.evaluation.mteb",
    "report": "embedkit.evaluation.report.page",
    "EmbedkitError": "embedkit.errors",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 (the keys are strings)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'embedkit' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

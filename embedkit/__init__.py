"""embedkit: sentence embeddings and retrieval, from a pile of text to a search engine; what the commands do,
as functions.

Names are resolved when they are first used, so that `import embedkit` costs nothing.
"""

from __future__ import annotations

from embedkit.version import __version__

TYPE_CHECKING = False  # type checkers take it for true; an import of typing would delay the program
if TYPE_CHECKING:
    from typing import Any

_PUBLIC = {
    "load": "embedkit.embedding.loading",
    "Encoder": "embedkit.embedding.encoder",
    "EncoderSettings": "embedkit.embedding.encoder",
    "Mapped": "embedkit.embedding.encoder",
    "encode_records": "embedkit.embedding.batching",
    "encode_batches": "embedkit.embedding.encoding",
    "describe": "embedkit.embedding.encoding",
    "Record": "embedkit.data.text.record",
    "TextFormat": "embedkit.data.text.records",
    "open_records": "embedkit.data.inputs",
    "open_input": "embedkit.data.inputs",
    "VectorSet": "embedkit.data.vectors.vector_set",
    "VectorSetWriter": "embedkit.data.vectors.vector_set_writing",
    "VectorMeta": "embedkit.data.vectors.vector_set",
    "AffineMap": "embedkit.data.affine",
    "fit_map": "embedkit.transforms.fitting",
    "parse": "embedkit.spec",
    "Index": "embedkit.indexing.store",
    "build_index": "embedkit.indexing.building",
    "index_folders": "embedkit.indexing.folder_building",
    "FolderSettings": "embedkit.data.folders.folder_settings",
    "sync": "embedkit.indexing.syncing",
    "Wishes": "embedkit.indexing.planning.plan",
    "plan_index": "embedkit.indexing.planning.plan",
    "this_machine": "embedkit.indexing.planning.machine",
    "at_recall": "embedkit.indexing.query",
    "Query": "embedkit.indexing.query",
    "hits": "embedkit.indexing.query",
    "Fusion": "embedkit.indexing.lexical.fusion",
    "LexicalSettings": "embedkit.indexing.lexical.lexical_settings",
    "literal_query": "embedkit.indexing.lexical.operators",
    "parse_query": "embedkit.indexing.lexical.operators",
    "tune_weight": "embedkit.evaluation.fusion_tuning",
    "keep_weight": "embedkit.indexing.edit",
    "find_truth": "embedkit.evaluation.index.truth",
    "export_model": "embedkit.embedding.export.sentence_transformers",
    "Pair": "embedkit.data.text.scored_pairs",
    "read_pairs": "embedkit.data.text.scored_pairs",
    "cosines": "embedkit.evaluation.sts",
    "spearman": "embedkit.evaluation.sts",
    "Examples": "embedkit.data.text.examples",
    "read_examples": "embedkit.data.text.examples",
    "TwoView": "embedkit.losses.kinds.two_view",
    "NTXent": "embedkit.losses.kinds.nt_xent",
    "judged_files": "embedkit.evaluation.judged_sets",
    "read_judged_set": "embedkit.evaluation.judged_sets",
    "KL": "embedkit.losses.kinds.kl",
    "MarginMSE": "embedkit.losses.kinds.margin_mse",
    "BatchKL": "embedkit.losses.kinds.batch_kl",
    "VectorMSE": "embedkit.losses.kinds.vector_mse",
    "Contrastive": "embedkit.training.objective",
    "SimCSESettings": "embedkit.training.simcse_settings",
    "train_simcse": "embedkit.training.simcse",
    "Corpus": "embedkit.training.pretraining.corpus",
    "read_corpus": "embedkit.training.pretraining.corpus",
    "PretrainSettings": "embedkit.training.pretraining.pretrain_settings",
    "pretrain": "embedkit.training.pretraining.pretraining",
    "AMSoftmaxSettings": "embedkit.training.amsoftmax_settings",
    "train_amsoftmax": "embedkit.training.amsoftmax",
    "make_pairs": "embedkit.adaptation.pairs",
    "PairCounts": "embedkit.adaptation.pairs",
    "mine": "embedkit.adaptation.mining",
    "MiningSettings": "embedkit.adaptation.mining",
    "Question": "embedkit.adaptation.questions",
    "Distillation": "embedkit.training.distillation.distillation",
    "DistillSettings": "embedkit.training.distillation.distill_settings",
    "LabelledText": "embedkit.data.text.labelled",
    "Labelled": "embedkit.data.text.labelled",
    "read_labelled": "embedkit.data.text.labelled",
    "label_figures": "embedkit.evaluation.labels.label_retrieval",
    "measure_labels": "embedkit.evaluation.labels.text_retrieval",
    "read_qrels": "embedkit.data.text.qrels",
    "read_run": "embedkit.data.text.runs",
    "parse_measures": "embedkit.evaluation.measures",
    "task_of": "embedkit.evaluation.retrieval",
    "run_figures": "embedkit.evaluation.retrieval",
    "evaluate_retrieval": "embedkit.evaluation.retrieval",
    "search_corpus": "embedkit.evaluation.exact_search",
    "cached": "embedkit.embedding.cached",
    "open_cache": "embedkit.embedding.cached",
    "LabelVectors": "embedkit.data.vectors.label_vectors",
    "Labeller": "embedkit.embedding.labelling",
    "label_records": "embedkit.embedding.labelling",
    "calibrate": "embedkit.evaluation.labels.calibration",
    "survey": "embedkit.evaluation.geometry.survey",
    "geometry": "embedkit.evaluation.geometry.vector_measures",
    "MTEBEncoder": "embedkit.evaluation.mteb",
    "report": "embedkit.evaluation.report.page",
    "serve": "embedkit.serving.server",
    "ServeSettings": "embedkit.serving.serve_settings",
    "SearchService": "embedkit.serving.search_service",
    "EmbedkitError": "embedkit.errors",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 (the keys are strings)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module 'embedkit' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

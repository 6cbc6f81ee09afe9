"""Vectors of unchanged texts are copied, only the others are encoded."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import embedkit.embedding.reused_vectors
from embedkit.data.text.record import Record
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoding import encode_to
from embedkit.embedding.loading import load
from embedkit.embedding.reused_vectors import Reusing
from embedkit.errors import MismatchError


class Counting:
    """An encoder that counts what it is asked to encode."""

    def __init__(self):
        self.encoder, self.asked = load("hash:dim=16"), Counter()

    @property
    def identity(self):
        return self.encoder.identity

    def encode(self, texts, role="document"):
        self.asked.update(texts)
        return self.encoder.encode(texts, role)


def write(path, texts, encoder=None, **options):
    records = [Record(str(number), text, {}) for number, text in enumerate(texts)]
    for _ in encode_to(Path(path), encoder or load("hash:dim=16"), records, shard_rows=4, **options):
        pass
    return VectorSet.open(Path(path))


OLD = [f"text {number}" for number in range(10)]
NEW = ["text 3", "new", "text 9", "text 3", "text 0", "", "newer"]


def test_only_new_texts_are_encoded_and_the_result_is_the_same(folder):
    encoder = Counting()
    reusing = Reusing(encoder, write("old", OLD))
    vectors = reusing.encode(NEW)
    assert set(encoder.asked) == {"new", "", "newer"}
    assert reusing.reused == 4
    np.testing.assert_array_equal(vectors, load("hash:dim=16").encode(NEW))


def test_a_set_made_by_reuse_is_the_set_made_without(folder):
    write("reused", NEW, Reusing(load("hash:dim=16"), write("old", OLD)))
    write("plain", NEW)
    for file in Path("plain").iterdir():
        assert (Path("reused") / file.name).read_bytes() == file.read_bytes()


def test_texts_that_share_a_digest_are_told_apart(folder, monkeypatch):
    monkeypatch.setattr(
        embedkit.embedding.reused_vectors, "_digests", lambda texts: np.full(len(texts), 7, dtype=np.uint64)
    )
    vectors = Reusing(load("hash:dim=16"), write("old", OLD)).encode(NEW)
    np.testing.assert_array_equal(vectors, load("hash:dim=16").encode(NEW))


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("hash:dim=8", {}, "old: it comes from hash:dim=16 .*, the new set from hash:dim=8 .*"),
        (
            "hash:dim=16",
            {"with_text": False},
            "old: stores no texts, so unchanged texts cannot be recognised",
        ),
        (
            "hash:dim=16",
            {"dtype": "float16"},
            "old: stores float16, the new set float32; use `dtype=float16`",
        ),
    ],
)
def test_an_old_set_that_does_not_fit_is_refused(folder, encoder, options, message):
    old = write("old", OLD, **options)
    with pytest.raises(MismatchError, match=message):
        Reusing(load(encoder), old)

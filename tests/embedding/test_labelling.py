"""Prediction of labels against plain loops, and label vectors in the folder of a model."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit.data.text.record import Record
from embedkit.data.vectors.label_vectors import Calibration, LabelVectors
from embedkit.embedding import labelling
from embedkit.embedding.labelling import (
    Labeller,
    Prediction,
    class_cosines,
    label_records,
    load_labels,
    nearest,
    usual_threshold,
)
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError, MismatchError, ModelError
from tests.embedding.conftest import ModelMaker

FOUND = Calibration(2.0, 0.25, 10, 3, 0.9, 0.4, 0.3, 0.1, 0.05, 0.95, 0.5)


def made(classes: int, centres: int = 1, dim: int = 5, seed: int = 0, **fields: Any) -> LabelVectors:
    vectors = np.random.default_rng(seed).normal(size=(classes * centres, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(f"label {number}" for number in range(classes))
    return LabelVectors(names, vectors, centres, scale=7.0, **fields)


TEXTS = np.random.default_rng(9).normal(size=(23, 5)).astype(np.float32)  # of no particular length


def cosine(one: Any, other: Any) -> float:
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return dot / math.dist(one, [0] * len(one)) / math.dist(other, [0] * len(other))


def by_hand(row: Any, labels: LabelVectors) -> tuple[list[float], list[float]]:
    """Return cosines and probabilities of a text by slow loops."""
    cosines = [
        max(cosine(row, labels.vectors[place * labels.centres + centre]) for centre in range(labels.centres))
        for place in range(len(labels.names))
    ]
    temperature = labels.calibration.temperature if labels.calibration else 1
    scores = [labels.scale * (c - labels.offset) / temperature for c in cosines]
    if labels.multiple:
        return cosines, [1 / (1 + math.exp(-2 * score)) for score in scores]
    total = sum(math.exp(score) for score in scores)
    return cosines, [math.exp(score) / total for score in scores]


@pytest.mark.parametrize("calibration", [None, FOUND])
@pytest.mark.parametrize("centres", [1, 3])
@pytest.mark.parametrize("k", [None, 1, 2, 6, 99])
@pytest.mark.parametrize("threshold", [None, 0.4, -1.0, 1.0])
def test_one_label_a_text(k: Any, centres: int, calibration: Any, threshold: Any) -> None:
    labels = made(6, centres, calibration=calibration)
    predictions = Labeller(labels, k, threshold).predict(TEXTS)
    for row, found in zip(TEXTS, predictions, strict=True):
        cosines, probability = by_hand(row, labels)
        order = sorted(range(6), key=lambda place: -cosines[place])[: k or 1]
        some = threshold is None or cosines[order[0]] >= threshold
        assert found.label == (labels.names[order[0]] if some else None)
        assert found.cosine == pytest.approx(cosines[order[0]], abs=1e-6)
        assert found.score == pytest.approx(probability[order[0]], abs=1e-6)
        assert [name for name, _ in found.ranked] == [labels.names[place] for place in order]
        assert [score for _, score in found.ranked] == pytest.approx(
            [probability[p] for p in order], abs=1e-6
        )


@pytest.mark.parametrize("calibration", [None, FOUND])
@pytest.mark.parametrize("centres", [1, 3])
@pytest.mark.parametrize("k", [None, 1, 2, 99])
@pytest.mark.parametrize("threshold", [None, 0.5, 0.9, 0.0, 1.0])
def test_lists_of_labels(k: Any, centres: int, calibration: Any, threshold: Any) -> None:
    labels = made(6, centres, calibration=calibration, multiple=True, offset=0.3)
    predictions = Labeller(labels, k, threshold).predict(TEXTS)
    for row, found in zip(TEXTS, predictions, strict=True):
        cosines, probability = by_hand(row, labels)
        order = sorted(range(6), key=lambda place: -cosines[place])
        own = [p for p in order if threshold is None or probability[p] > threshold][: k or 99]
        assert [name for name, _ in found.ranked] == [labels.names[place] for place in own]
        assert found.label == (labels.names[own[0]] if own else None)
        assert found.cosine == pytest.approx(cosines[order[0]], abs=1e-6)
        assert found.score == pytest.approx(probability[order[0]], abs=1e-6)
    assert {0.5: True, 1.0: True}.get(threshold, any(found.label for found in predictions))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = made(40, 2, multiple=True)
    whole = Labeller(labels, threshold=0.9).predict(TEXTS)
    monkeypatch.setattr(labelling, "_CELLS", 250)
    for one, other in zip(Labeller(labels, threshold=0.9).predict(TEXTS), whole, strict=True):
        assert [name for name, _ in one.ranked] == [name for name, _ in other.ranked]
        assert (one.label, one.score) == (other.label, pytest.approx(other.score, abs=1e-6))


def test_no_text_no_prediction() -> None:
    assert Labeller(made(3)).predict(TEXTS[:0]) == []


def test_a_vector_of_zeros_is_far_from_all() -> None:
    (found,) = Labeller(made(3), threshold=0.1).predict(np.zeros((1, 5), np.float32))
    assert found == Prediction(None, pytest.approx(1 / 3), 0.0, found.ranked)


def test_on_the_threshold_a_label_applies_and_on_a_list_it_does_not() -> None:
    labels = LabelVectors(("a", "b"), np.eye(2, dtype=np.float32), offset=0.5)
    text = np.array([[0.5, -np.sqrt(0.75)]], dtype=np.float32)
    (found,) = Labeller(labels, threshold=0.5).predict(text)
    assert (found.label, found.cosine) == ("a", 0.5)
    (found,) = Labeller(replace(labels, multiple=True), threshold=0.5).predict(text)
    assert (found.label, found.score, found.ranked) == (None, 0.5, [])


def test_of_equal_cosines_the_first_label_comes_first() -> None:
    cosines = np.array([[0.5, 0.9, 0.5, 0.9, 0.1], [1, 1, 1, 1, 1]], dtype=np.float32)
    assert nearest(cosines, 5).tolist() == [[1, 3, 0, 2, 4], [0, 1, 2, 3, 4]]
    assert nearest(cosines, 1).tolist() == [[1], [0]]


def test_a_label_is_as_near_as_its_nearest_centre() -> None:
    labels = LabelVectors(("a", "b"), np.eye(4, dtype=np.float32), centres=2)
    found = class_cosines(np.array([[0, 3, 0, 4]], np.float32), labels)
    np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "threshold"),
    [
        ({}, None),
        ({"calibration": FOUND}, 0.25),
        ({"calibration": FOUND._replace(threshold=None)}, None),
        ({"multiple": True}, 0.5),
        ({"multiple": True, "calibration": FOUND._replace(threshold=None)}, 0.5),
    ],
)
def test_the_usual_threshold_is_the_one_that_was_found(fields: Any, threshold: float | None) -> None:
    assert usual_threshold(made(2, **fields)) == threshold


def test_records_get_the_predictions_of_their_vectors() -> None:
    encoder: Any = load("hash:dim=5")
    labels = made(4, fingerprint=encoder.identity.fingerprint)
    records = [Record(str(number), f"text {number}", {}) for number in range(9)]
    found = list(label_records(encoder, records, Labeller(labels), first=2))
    assert [len(window) for window, _ in found] == [2, 7]
    assert [record for window, _ in found for record in window] == records
    expected = Labeller(labels).predict(encoder.encode([record.text for record in records]))
    predicted = [prediction for _, predictions in found for prediction in predictions]
    assert [prediction.label for prediction in predicted] == [one.label for one in expected]


def test_the_label_vectors_of_another_encoder_are_refused() -> None:
    labels = made(4, fingerprint=load("hash:dim=5").identity.fingerprint)
    with pytest.raises(MismatchError, match=r"^hash:dim=5,seed=1: label vectors belong to encoder "):
        list(label_records(load("hash:dim=5,seed=1"), [Record("1", "a", {})], Labeller(labels)))


def test_a_vector_that_is_not_finite_is_named() -> None:
    class Broken:
        identity = load("hash:dim=5").identity

        def encode(self, texts: Any, role: str = "document") -> Any:
            return np.where(np.array(texts)[:, None] == "bad", np.inf, np.ones((len(texts), 5)))

    records = [Record("a", "good", {}), Record("b", "bad", {})]
    with pytest.raises(DataError, match=r"^the vector of id 'b' is not finite$"):
        list(label_records(Broken(), records, Labeller(made(2))))


def test_a_model_is_the_same_encoder_with_label_vectors_in_its_folder(
    tiny: ModelMaker, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny("bert"), folder)
    before = load(str(folder)).identity
    labels = made(3, dim=32, fingerprint=before.fingerprint)
    labels.save(folder)
    assert load(str(folder)).identity == before
    labels.require_encoder(load(str(folder)).identity, where="m")
    assert load_labels(str(folder)).names == labels.names


@pytest.mark.parametrize("model", ["minilm", "hash:dim=8", "tiny"])
def test_a_model_without_label_vectors_is_named(tiny: ModelMaker, model: str) -> None:
    name = str(tiny("bert")) if model == "tiny" else model
    with pytest.raises(FormatError, match=r": has no label vectors; ") as raised:
        load_labels(name)
    assert raised.value.where == name


def test_label_vectors_do_not_vouch_for_pickled_weights(tiny: ModelMaker, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny("plain-bert"), folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    replace(made(3, dim=32)).save(folder)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle"):
        load(str(folder))

"""Labelled texts are encoded and measured; the figures are worked by hand from angles between vectors."""

import numpy as np
import pytest

from embedkit.data.text.labelled import Labelled, LabelledText
from embedkit.evaluation.labels.text_retrieval import measure_labels


class Angles:
    """An encoder whose vector of a text is a direction in the plane, at that many degrees."""

    def encode(self, texts, role="document"):
        assert role == "document"
        turned = np.deg2rad([float(text) for text in texts])
        return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def labelled(**names):
    return Labelled([LabelledText(text.strip("_"), (name,), (1.0,)) for text, name in names.items()], False)


def test_each_text_searches_the_others():
    found = measure_labels(Angles(), labelled(_0="x", _10="y", _50="x", _55="y"))
    assert found.top1.tolist() == [0, 0, 0, 0]
    assert found.top5.tolist() == [1, 1, 1, 1]
    assert found.average_precision.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 3, 1 / 2])
    assert found.influence is not None


def test_queries_search_a_gallery():
    found = measure_labels(Angles(), labelled(_0="x", _90="z", _37="y"), labelled(_1="x", _30="x", _50="y"))
    assert found.left_out.tolist() == [1]
    assert found.top1.tolist() == [1, 0]
    assert found.average_precision.tolist() == [1, 1 / 2]
    assert found.influence is None

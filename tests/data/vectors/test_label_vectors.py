"""Label vectors on disk: everything comes back, and what does not belong together is refused."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from embedkit.data.affine import AffineMap
from embedkit.data.identity import Identity
from embedkit.data.vectors.label_vectors import (
    LABELS,
    Calibration,
    LabelVectors,
    holds_labels,
    read_names,
)
from embedkit.errors import FormatError, MismatchError

FOUND = Calibration(1.5, 0.25, 10, 3, 0.9, 0.4, 0.3, 0.1, 0.05, 0.95, 0.5)


def unit(rows, dim=4, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


FULL = LabelVectors(
    ("b", "a", "词 \"'"), unit(6), 2, True, 20.0, 0.5, FOUND, ("x", "y"), "zlpr", "0123456789abcdef"
)  # fmt: skip
PLAIN = LabelVectors(("b", "a", "c"), unit(3))


@pytest.mark.parametrize("made", [FULL, PLAIN, replace(PLAIN, calibration=FOUND._replace(threshold=None))])
@pytest.mark.parametrize("path", ["model", "model/labels.safetensors", "other.bin"])
def test_everything_comes_back(folder, made, path):
    Path("model").mkdir()
    made.save(path)
    read = LabelVectors.load(path)
    np.testing.assert_array_equal(read.vectors, made.vectors)
    assert read.vectors.dtype == np.float32
    for field in fields(made):
        if field.name != "vectors":
            assert getattr(read, field.name) == getattr(made, field.name)


def test_other_programs_find_names_in_order_and_vectors(folder):
    FULL.save("x.safetensors")
    with safe_open("x.safetensors", "np") as file:
        assert file.metadata()["names"] == '["b","a","词 \\"\'"]'
        assert file.get_tensor("vectors").shape == (6, 4)


def test_names_are_read_from_a_model_s_folder(folder):
    assert read_names(Path()) is None
    FULL.save(Path())
    assert read_names(Path()) == ["b", "a", "词 \"'"]


def test_the_names_of_50_000_labels_are_read_without_their_vectors(folder):
    names = tuple(f"label {number} 标签" for number in range(50_000))
    LabelVectors(names, np.tile(unit(1, 2), (50_000, 1))).save(Path())
    content = Path(LABELS).read_bytes()
    Path(LABELS).write_bytes(content[: -50_000 * 8])  # the vectors are gone
    assert read_names(Path()) == list(names)
    with pytest.raises(
        FormatError, match=r"^labels\.safetensors: is truncated, or not a file of label vectors: "
    ):
        LabelVectors.load(LABELS)


def test_a_vector_s_id_is_its_label_or_one_of_its_centres():
    assert PLAIN.ids == ["b", "a", "c"]
    hashes = LabelVectors(("a", "a#1", "a#2"), unit(6), centres=2)  # no two of its centres meet
    assert hashes.ids == ["a#1", "a#2", "a#1#1", "a#1#2", "a#2#1", "a#2#2"]


@pytest.mark.parametrize(
    ("names", "vectors", "centres", "message"),
    [
        (("a", "b"), unit(3), 1, r"^2 labels of 1 centres need 2 vectors, these have shape \(3, 4\)$"),
        (("a", "b"), unit(2), 2, r"^2 labels of 2 centres need 4 vectors, these have shape \(2, 4\)$"),
        ((), unit(0), 1, r"^0 labels of 1 centres need 0 vectors, "),
        (("a",), unit(1)[0], 1, r"^1 labels of 1 centres need 1 vectors, these have shape \(4,\)$"),
        (
            ("a", "b"),
            unit(4) * [[1], [1], [1.5], [1]],
            2,
            r"^the vector of label 'b' has length 1\.5, not 1$",
        ),
        (("a",), unit(1) * np.nan, 1, r"^the vector of label 'a' has length nan, not 1$"),
        (("a", "b", "a"), unit(3), 1, r"^label 'a' occurs 2 times$"),
    ],
)
def test_what_does_not_fit_together_is_refused(names, vectors, centres, message):
    with pytest.raises((MismatchError, FormatError), match=message):
        LabelVectors(names, vectors, centres)


@pytest.mark.parametrize("opening", [LabelVectors.load, lambda path: read_names(path.parent)])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b'"version":"1"',
            b'"version":"2"',
            "is a file of label vectors of version 2, this embedkit reads version 1$",
        ),
        (b'"embedkit-labels"', b'"embedkit-lapels"', "is not a file of label vectors$"),
        (b'"names"', b'"games"', "is truncated, or not a file of label vectors: "),
        (b"{", b"(", "is truncated, or not a file of label vectors: its header is not JSON "),
    ],
)
def test_another_version_or_format_is_refused(folder, opening, old, new, message):
    FULL.save(Path())
    Path(LABELS).write_bytes(Path(LABELS).read_bytes().replace(old, new, 1))
    with pytest.raises(FormatError, match=rf"^labels\.safetensors: {message}"):
        opening(Path(LABELS))


@pytest.mark.parametrize("path", [".", "no.safetensors"])
def test_where_there_are_none_it_says_what_makes_them(folder, path):
    with pytest.raises(FormatError, match=r": has no label vectors; train a model with labels") as raised:
        LabelVectors.load(path)
    assert raised.value.where == path


def test_vectors_that_do_not_fit_the_names_of_a_file_name_it(folder):
    FULL.save(Path())
    content = Path(LABELS).read_bytes()
    Path(LABELS).write_bytes(content.replace(b'\\"centres\\":2', b'\\"centres\\":3'))
    with pytest.raises(MismatchError, match=r"^labels\.safetensors: 3 labels of 3 centres need 9 vectors"):
        LabelVectors.load(LABELS)


def test_only_files_of_label_vectors_say_that_they_are(folder):
    FULL.save(Path())
    AffineMap(np.eye(2), np.zeros(2), {}).save(Path("map.safetensors"))
    Path("a.txt").write_text("one\n")
    names = [LABELS, "map.safetensors", "a.txt", "none"]
    assert [holds_labels(Path(name)) for name in names] == [True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fingerprint": "f" * 16},
            "x: label vectors belong to encoder 0123456789abcdef, texts are encoded by m f{16}; ",
        ),
        (
            {"maps": ("abc",)},
            "x: label vectors belong to encoder 0123456789abcdef, texts are encoded by m .*maps abc",
        ),
        ({"dimension": 5}, "x: label vectors have 4 dimensions, m gives 5$"),
    ],
)
def test_another_encoder_is_refused_naming_both(changes, message):
    own = Identity("m", FULL.fingerprint, 4, True)
    FULL.require_encoder(own, where="x")
    PLAIN.require_encoder(replace(own, fingerprint="any"), where="x")  # which does not say whose it is
    with pytest.raises(MismatchError, match=f"^{message}"):
        FULL.require_encoder(replace(own, **changes), where="x")

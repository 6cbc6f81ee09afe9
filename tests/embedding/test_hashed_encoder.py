"""The hashed encoder gives the same unit vectors on every machine, however texts are put together."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.embedding import hashed_encoder as hashed
from embedkit.embedding.loading import load
from embedkit.errors import EmbedkitError

TEXTS = ["Copy a whole directory tree.", "复制整个目录树", "ＦＵＬＬ width\tand  spaces"]


def vectors(texts, spec="hash:dim=32"):
    return load(spec).encode(texts)


def test_the_vectors_are_those_of_version_1():
    digest = hashlib.sha256(vectors(TEXTS, "hash:dim=8").astype("<f4").tobytes()).hexdigest()
    assert digest == "b711d1bd509598c04a2e52844c8584b9ad7859e6358c63be5b8a310f58f15705"


def test_the_vectors_are_those_of_a_slow_loop():
    """Count each n-gram in plain Python, as the module's first paragraph describes it."""
    counts = [0] * 8
    text = " copy a tree "
    for size in (1, 2, 3, 4):
        for start in range(len(text) - size + 1):
            bits = 0
            for letter in text[start : start + size]:
                bits = (bits * 0x9E3779B97F4A7C15 + ord(letter)) % 2**64
            bits = (bits + size) % 2**64
            bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
            bits ^= bits >> 31
            counts[(bits >> 32) * 8 >> 32] += 1 - 2 * (bits & 1)
    expected = np.array(counts) / np.linalg.norm(counts)
    np.testing.assert_allclose(vectors(["Copy a tree"], "hash:dim=8")[0], expected, rtol=1e-6)


def test_vectors_have_unit_length():
    np.testing.assert_allclose(np.linalg.norm(vectors(TEXTS), axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_a_text_without_characters_is_a_zero_vector(text):
    assert not vectors([text]).any()


@given(texts=st.lists(st.text(max_size=20), max_size=6))
def test_a_vector_does_not_depend_on_its_neighbours(texts):
    alone = [vectors([text])[0] for text in texts]
    np.testing.assert_array_equal(vectors(texts), np.reshape(alone, (len(texts), 32)))


@pytest.mark.parametrize("limits", [{"_BLOCK_CHARACTERS": 3}, {"_BLOCK_NUMBERS": 32}])
def test_a_vector_does_not_depend_on_the_size_of_blocks(monkeypatch, limits):
    at_once = vectors(TEXTS)
    for name, limit in limits.items():
        monkeypatch.setattr(hashed, name, limit)
    np.testing.assert_array_equal(vectors(TEXTS), at_once)


def test_case_width_and_spacing_make_no_difference():
    np.testing.assert_array_equal(*vectors([TEXTS[2], " full WIDTH and spaces "]))


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("copy a directory tree", "copying directory trees", "parse command line arguments"),
        ("复制整个目录树", "复制一个目录树", "解析命令行参数"),
    ],
)
def test_what_is_written_alike_is_near(text, near, far):
    one, two, three = vectors([text, near, far], "hash:dim=512")
    assert one @ two > one @ three + 0.3


def test_a_million_characters_are_one_vector():
    assert np.isfinite(vectors(["word " * 200_000])).all()


def test_lone_surrogates_and_nul_are_characters_too():
    np.testing.assert_allclose(np.linalg.norm(vectors(["\ud800", "a\0b"]), axis=1), 1, rtol=1e-6)


def test_seeds_and_widths_are_other_encoders():
    specs = ["hash:dim=8", "hash:dim=8,seed=1", "hash:dim=9"]
    assert len({load(spec).identity.fingerprint for spec in specs}) == 3
    assert not np.array_equal(vectors(TEXTS, specs[0]), vectors(TEXTS, specs[1]))


def test_the_name_in_the_identity_loads_the_same_encoder():
    identity = load("hash:seed=3,dim=8").identity
    assert load(identity.model).identity == identity


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("hash:dim=0", {}, "hash:dim=0: dim=0 is not between 1 and 65536"),
        ("hash:seed=-1", {}, "hash:seed=-1: seed=-1 is not between 0 and 4294967295"),
        ("hash:dm=4", {}, "hash:dm=4: unknown setting 'dm'; did you mean dim?"),
        ("hash", {"pooling": "cls"}, "`pooling=cls`: the hash encoder has no such setting"),
        ("hash", {"max_length": 9}, "`max_length=9`: the hash encoder has no such setting"),
        ("hash", {"normalize": False}, "`normalize=False`: the hash encoder has no such setting"),
        ("hash", {"query_prompt": "q:"}, "`query_prompt=q:`: the hash encoder has no such setting"),
    ],
)
def test_settings_that_it_cannot_honour_are_refused(model, settings, message):
    with pytest.raises(EmbedkitError) as caught:
        load(model, **settings)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_text_of_many_megabytes_needs_little_more_than_itself():
    import tracemalloc

    text = "the quick brown fox jumps over the lazy dog " * 100_000  # 4.4 MB
    tracemalloc.start()
    try:
        found = vectors([text])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40e6  # it was 98 bytes per character
    assert np.linalg.norm(found) == pytest.approx(1)


@given(text=st.text(alphabet="ab \t\u3000\u0301\ufb01\u03a3\u4e2d", max_size=60))
def test_a_long_text_is_cut_without_a_trace(text):
    whole = vectors([text])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashed, "_BLOCK_CHARACTERS", 5)
        np.testing.assert_array_equal(vectors([text]), whole)

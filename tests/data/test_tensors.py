"""safetensors files against the library itself: what it reads back, and the same bytes every time."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, load_file

from embedkit.data.tensors import metadata_in, metadata_of, read_header, tensor_bytes, write_tensors

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "a": np.array([1.5])}  # b is no C order
METADATA = {f"key {n}": f"词 {n}" for n in range(8)}


def test_the_library_reads_tensors_and_metadata(folder):
    Path("t.safetensors").write_bytes(tensor_bytes(TENSORS, METADATA))
    with safe_open("t.safetensors", "np") as file:
        assert file.metadata() == METADATA
        assert set(file.keys()) == {"a", "b"}
        for name, array in TENSORS.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_the_bytes_do_not_depend_on_chance():
    assert len({tensor_bytes(TENSORS, METADATA) for _ in range(20)}) == 1


def test_the_header_is_read_without_the_tensors(folder):
    content = tensor_bytes(TENSORS, METADATA)
    Path("t.safetensors").write_bytes(content)
    assert read_header(Path("t.safetensors")).keys() - {"__metadata__"} == load(content).keys()
    assert metadata_of(Path("t.safetensors")) == metadata_in(content) == METADATA


@pytest.mark.parametrize("length", [0, 5, 8, 60, -8, -1])
def test_a_file_is_whole_when_the_library_opens_it(folder, length):
    content = tensor_bytes(TENSORS, METADATA)
    Path("t").write_bytes(content[:length])
    with pytest.raises(SafetensorError), safe_open("t", "np"):
        pass
    with pytest.raises(ValueError, match=r"it is (empty|[0-9,]+ bytes long)"):
        read_header(Path("t"))


def test_a_git_lfs_pointer_says_what_to_do(folder):
    Path("t").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    with pytest.raises(ValueError, match=r"is a Git LFS pointer; run git lfs pull$"):
        read_header(Path("t"))


@pytest.mark.parametrize(
    "content", [b"", b"text of more than eight bytes", b"\xff" * 20, b"\2" + b"\0" * 7 + b"[]"]
)
def test_anything_else_is_a_value_error(folder, content):
    Path("t").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_header(Path("t"))


def test_tensors_written_in_parts_are_those_that_the_library_reads(folder):
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float16)
    bias = np.arange(4, dtype=np.float16)
    write_tensors(
        Path("a.safetensors"),
        {"rows": (7, 3), "bias": (4,)},
        np.float16,
        [rows[:5], rows[5:], bias],
        {"a": "b"},
    )
    found = load_file("a.safetensors")
    np.testing.assert_array_equal(found["rows"], rows)
    np.testing.assert_array_equal(found["bias"], bias)
    assert metadata_of(Path("a.safetensors")) == {"a": "b"}


def test_parts_that_do_not_fill_the_tensors_are_refused_and_nothing_is_written(folder):
    with pytest.raises(ValueError, match="the blocks have 8 bytes, the tensors 12"):
        write_tensors(Path("a.safetensors"), {"a": (3,)}, np.float32, [np.zeros(2)], {})
    assert not list(folder.iterdir())

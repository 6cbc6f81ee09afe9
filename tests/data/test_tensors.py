"""safetensors files against the library itself: what it reads back, and the same bytes every time."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from embedkit.data.tensors import metadata_in, read_header, tensor_bytes

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


def test_the_metadata_are_in_the_beginning_alone(folder):
    content = tensor_bytes(TENSORS, METADATA)
    Path("t.safetensors").write_bytes(content)
    head = read_header(Path("t.safetensors"))
    assert content.startswith(head)
    assert len(content) - len(head) == sum(array.nbytes for array in load(content).values())
    assert metadata_in(head) == metadata_in(content) == METADATA


@pytest.mark.parametrize(
    "content", [b"", b"text of more than eight bytes", b"\xff" * 20, b"\2" + b"\0" * 7 + b"[]"]
)
def test_anything_else_is_a_value_error(folder, content):
    Path("t").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        metadata_in(read_header(Path("t")))

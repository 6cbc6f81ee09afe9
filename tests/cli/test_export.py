"""`export`: folders and map files from the command line, faults in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.loading import load
from tests.embedding.conftest import _bert

TEXTS = ["the quick brown fox", "how do i copy a whole directory tree?", ""]


@pytest.fixture
def model(folder, tmp_path_factory):
    """A tiny model's folder."""
    return _bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def turn(folder):
    """The file `turn.safetensors` of a map of 32 columns to 5."""
    AffineMap(np.random.default_rng(0).normal(size=(5, 32)), np.ones(5), {}).save(Path("turn.safetensors"))
    return Path("turn.safetensors")


def test_a_folder_is_written_and_gives_the_vectors_of_encode(run, model, turn):
    done = run("export", "-m", model, "-t", turn, "--max-length", "9", "-o", "out/")
    made = load("out").identity
    line = f"embedkit: the model and 1 map: 5 dimensions, fingerprint {made.fingerprint} -> out\n"
    assert done == (0, "", line)
    Path("docs.txt").write_text("\n".join(TEXTS))
    torch = ("--runtime", "torch", "--device", "cpu")
    run("encode", "docs.txt", "-m", model, "-t", turn, "--max-length", "9", *torch, "-o", "a.npy")
    run("encode", "docs.txt", "-m", "out", *torch, "-o", "b.npy")
    np.testing.assert_allclose(np.load("a.npy"), np.load("b.npy"), atol=1e-5)


def test_json_says_what_was_made(run, model):
    facts = json.loads(run("export", "-m", model, "--pooling", "cls", "-o", "out", "--json").out)
    assert (facts["output"], facts["format"], facts["maps"], facts["pooling"]) == ("out", "folder", [], "cls")


@pytest.mark.parametrize(
    ("args", "output", "format"),
    [
        ([], "m.faiss", "faiss"),
        ([], "m.safetensors", "safetensors"),
        (["--format", "faiss"], "m.bin", "faiss"),
    ],
)
def test_a_map_is_written_alone_by_extension_or_format(run, turn, args, output, format):
    facts = json.loads(run("export", "-t", turn, "-o", output, "--json", *args).out)
    assert (facts["format"], facts["input_dimension"], facts["dimension"]) == (format, 32, 5)
    assert Path(output).is_file()


def test_no_model_is_needed_for_a_map_and_one_that_is_named_must_fit(run, turn):
    said = run("export", "-t", turn, "-o", "m.faiss").said
    assert (
        said == "embedkit: the map alone: 32 -> 5 dimensions; it does not scale to unit length -> m.faiss\n"
    )
    done = run("export", "-t", turn, "-m", "hash:dim=8", "-o", "n.faiss")
    assert done == (1, "", "embedkit: the map expects 32 dimensions, hash:dim=8 gives 8\n")


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (
            ["-t", "turn.safetensors", "-o", "out"], 1,
            "hash:dim=8: sentence-transformers cannot load hashed n-grams; "
            "export the map alone, as map.faiss or map.safetensors",
        ),
        (["-o", "m.faiss"], 2, "--transform: is missing; name a map with -t"),
        (
            ["-t", "turn.safetensors", "-o", "turn.safetensors", "--force"], 2,
            "turn.safetensors: is the map to export; choose another name",
        ),
        (
            ["-t", "turn.safetensors", "-o", "m.faiss", "--pooling", "cls"], 2,
            "--pooling: does not apply to a faiss file, which contains only the map",
        ),
        (
            ["-o", "out", "--precision", "bf16"], 2,
            "--precision: is set where the exported model is used, and is not part of it",
        ),
        (["-t", "none.safetensors", "-o", "m.faiss"], 1, "none.safetensors: no such map"),
        (
            ["-t", "turn.safetensors", "-o", "mine.faiss"], 1,
            "mine.faiss: already exists; overwrite it with --force",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(run, turn, args, code, line):
    Path("mine.faiss").write_text("mine")
    before = sorted(os.listdir())
    assert run("export", *args) == (code, "", f"embedkit: {line}\n")
    assert sorted(os.listdir()) == before
    assert Path("mine.faiss").read_text() == "mine"
    assert AffineMap.load(turn).output_dimension == 5


def test_some_layers_are_a_student(run, model):
    done = run("export", "-m", model, "--layers", "0,2", "-o", "student")
    assert done.code == 0
    assert done.said.startswith("embedkit: the model with layers 0, 2: ")
    assert json.loads(run("info", "student", "--json").out)["layers"] == [0, 2]
    for args, line in (
        (("--layers", "0,9", "-o", "no"), "embedkit: --layers: must be rising numbers from 0 to "),
        (("--layers", "a", "-o", "no"), "embedkit: --layers: 'a' is not a list of numbers; --layers 0,2,5"),
        (("--layers", "0", "-o", "no.faiss"), "embedkit: --layers: does not apply to a faiss file"),
    ):
        done = run("export", "-m", model, *args)
        assert done.code == 2
        assert done.said.startswith(line)
        assert not Path(args[-1]).exists()

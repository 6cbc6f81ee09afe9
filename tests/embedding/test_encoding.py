"""Encoding a corpus can stop anywhere and go on later, to the same bytes."""

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap, Space
from embedkit.data.text.record import Record
from embedkit.data.vectors import vector_files
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.encoding import describe, encode_batches, encode_to, is_complete, map_batches
from embedkit.embedding.loading import load
from embedkit.errors import DataError, EmbedkitError, ExistsError, FormatError, MismatchError

HASH = load("hash:dim=8")
RECORDS = [Record(str(n), f"text {n}", {"n": n}) for n in range(10)]
TURN = AffineMap(np.array([[0.0, 1.0], [1.0, 0.0]]) @ np.eye(2, 8), np.zeros(2), {})


class StopError(Exception):
    pass


def encode(name="x.vec", records=RECORDS, encoder=HASH, **options):
    """Encode in shards of four."""
    yield from encode_to(Path(name), encoder, iter(records), shard_rows=4, **options)


def finish(name="x.vec", **options):
    for _ in encode(name, **options):
        pass


def stop_after(batches, name="x.vec", **options):
    run = encode(name, **options)
    for _ in range(batches):
        next(run)
    run.close()


def files(name):
    path = Path(name)
    paths = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    return {file.name.removeprefix(path.name): file.read_bytes() for file in paths if file.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("batches", [1, 2, 3])
@pytest.mark.parametrize("name", ["x.vec", "x.npy", "x.parquet", "x.jsonl"])
def test_a_run_closed_after_any_batch_is_resumed_to_the_same_bytes(folder, batches, name):
    whole = f"whole.{name.partition('.')[2]}"
    finish(whole)
    stop_after(batches, name)
    assert not Path(name).exists()
    finish(name, resume=True)
    assert files(name) == files(whole)
    assert not Path(f"{name}.partial").exists()


@pytest.mark.parametrize("place", range(10))
def test_an_input_that_breaks_anywhere_is_resumed_to_the_same_bytes(folder, place):
    def breaking():
        yield from RECORDS[:place]
        raise StopError

    finish("whole.vec")
    with pytest.raises(StopError):
        finish(records=breaking())
    assert names(folder) == (
        ["whole.vec", "x.vec.partial"] if place >= 8 else ["whole.vec"]
    )  # two windows ahead
    finish(resume=True)
    assert files("x.vec") == files("whole.vec")


@pytest.mark.parametrize("step", ["put_in_place", "write_meta", "drop_journal"])
def test_a_failure_in_the_last_steps_is_resumed_to_the_same_bytes(folder, monkeypatch, step):
    def fail(*_):
        raise StopError

    finish("whole.vec")
    with monkeypatch.context() as patch:
        patch.setattr(f"embedkit.data.vectors.vector_set_writing.{step}", fail)
        with pytest.raises(StopError):
            finish()
    if not is_complete(Path("x.vec")):
        finish(resume=True)
        assert files("x.vec") == files("whole.vec")
    VectorSet.open(Path("x.vec")).verify()


def test_a_full_disk_keeps_what_is_sealed(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(vector_files, "export", full)
        with pytest.raises(OSError, match="No space left"):
            finish("x.npy")
    assert names(folder) == ["x.npy.partial"]
    finish("x.npy", resume=True)
    assert names(folder) == ["x.npy", "x.npy.ids.jsonl"]


@pytest.mark.parametrize(
    "records",
    [
        [*RECORDS[:2], Record("2", "other", {})],
        RECORDS[:5],
        RECORDS[1:],
        [replaced._replace(fields={}) for replaced in RECORDS],
    ],
)
def test_an_input_that_has_changed_is_refused(folder, records):
    stop_after(2)
    with pytest.raises(DataError, match=r"^x.vec.partial: the input has changed since the unfinished run"):
        finish(records=records, resume=True)


def test_an_input_that_has_grown_behind_what_is_sealed_is_taken_as_it_is(folder):
    stop_after(2)
    finish(records=[*RECORDS, Record("new", "new", {})], resume=True)
    assert VectorSet.open(Path("x.vec")).rows == 11


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": load("hash:dim=8,seed=1")},
        {"dtype": "float16"},
        {"with_text": False},
        {"settings": {"a": 1}},
    ],
)
def test_other_settings_are_refused(folder, change):
    stop_after(2)
    with pytest.raises(FormatError, match=r"^x.vec.partial: the unfinished run had other settings: "):
        finish(resume=True, **change)


def test_an_unfinished_run_is_neither_lost_nor_taken_for_finished(folder):
    stop_after(2)
    assert not is_complete(Path("x.vec"))
    with pytest.raises(
        ExistsError, match=r"continue it with `resume=True`, or start again with `force=True`$"
    ):
        finish()
    finish(force=True)
    assert is_complete(Path("x.vec"))


def test_force_keeps_the_old_set_until_the_new_one_is_whole(folder):
    finish(records=RECORDS[:1])
    stop_after(2, force=True)
    assert VectorSet.open(Path("x.vec")).rows == 1
    finish(resume=True)
    assert VectorSet.open(Path("x.vec")).rows == 10


@pytest.mark.parametrize("there", ["x.npy", "x.npy.ids.jsonl"])
def test_neither_file_of_npy_is_overwritten_unasked(folder, there):
    (folder / there).write_text("mine")
    with pytest.raises(ExistsError, match=rf"^{there}: already exists"):
        finish("x.npy")
    assert (folder / there).read_text() == "mine"


@pytest.mark.parametrize("part", [None, "1/2", "2/2"])
def test_an_empty_input_leaves_nothing(folder, part):
    with pytest.raises(DataError, match=r"^the input contains no text$"):
        finish(records=[], part=part)
    assert names(folder) == []


def test_a_part_without_text_is_a_set_without_rows_but_no_file(folder):
    finish(part="2/2")
    assert VectorSet.open(Path("x.vec")).rows == 0
    with pytest.raises(DataError, match=r"^part 2/2 contains no text$"):
        finish("x.npy", part="2/2")
    assert names(folder) == ["x.vec"]


class Faulty:
    """An encoder that gives a vector that is not finite."""

    identity = HASH.identity

    def encode(self, texts, role="document"):
        vectors = HASH.encode(texts, role).copy()
        vectors[-1, 0] = np.nan
        return vectors


def test_a_vector_that_is_not_finite_stops_every_stream():
    with pytest.raises(DataError, match=r"^the vector of id '9' is not finite$"):
        list(encode_batches(Faulty(), iter(RECORDS)))


def test_a_map_that_leads_beyond_float32_is_no_stream_of_infinities(capfd):
    vast = AffineMap(np.eye(8) * 1e30, np.zeros(8), {})
    table, vectors = next(encode_batches(HASH, iter(RECORDS)))
    _, batches = map_batches(VectorMeta(8), [Batch(table, vectors * np.float32(1e20))], [vast], None)
    with pytest.raises(DataError, match=r"^the vector of id '0' is not finite$"):
        list(batches)
    assert capfd.readouterr() == ("", "")


def test_mapped_vectors_are_those_of_the_mapped_encoder():
    meta, batches = map_batches(describe(HASH), encode_batches(HASH, iter(RECORDS)), [TURN], None)
    mapped = with_maps(HASH, [TURN])
    np.testing.assert_allclose(
        next(iter(batches)).vectors, mapped.encode([record.text for record in RECORDS])
    )
    assert meta == describe(mapped)


@pytest.mark.parametrize(("model", "behind"), [("hash:dim=2", []), ("hash:dim=8,seed=1", [TURN])])
def test_vectors_mapped_to_a_target_are_known_as_the_target_is(model, behind):
    new = with_maps(load(model), behind)
    chain = replace(TURN, target=Space(new.identity, *behind))
    meta, batches = map_batches(describe(HASH), encode_batches(HASH, iter(RECORDS)), [chain], None)
    assert meta == describe(new)
    expected = with_maps(HASH, [TURN]).encode([record.text for record in RECORDS])
    np.testing.assert_array_equal(next(iter(batches)).vectors, expected)


def test_a_model_that_did_not_make_the_vectors_is_refused():
    with pytest.raises(MismatchError, match=r"^`model`: the input comes from hash:dim=8 "):
        map_batches(describe(HASH), [], [], load("hash:dim=8,seed=1").identity)
    with pytest.raises(MismatchError, match=r"^vectors have 9 dimensions, hash:dim=8 gives 8$"):
        map_batches(VectorMeta(9), [], [], HASH.identity)


def test_vectors_of_nobody_may_be_declared():
    meta, _ = map_batches(VectorMeta(8), [], [], HASH.identity)
    assert meta == replace(VectorMeta(8), identity=HASH.identity)


PROGRAM = [
    str(Path(sys.executable).with_name("embedkit")),
    "encode",
    "-m",
    "hash:dim=32",
    "-q",
    "big.txt",
    "-o",
]


def kill(wait):
    """Run or resume the program and kill it after a while; say whether the kill came before the end."""
    with subprocess.Popen([*PROGRAM, "x.vec", "--resume"], stderr=subprocess.DEVNULL) as process:
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_program_killed_at_any_moment_is_resumed_to_the_same_bytes(folder, kills):
    (folder / "big.txt").write_text("".join(f"line {n} of a text\n" for n in range(80_000)))
    start = time.monotonic()
    subprocess.run([*PROGRAM, "whole.vec"], check=True)
    longest = time.monotonic() - start
    numbers = random.Random(kills)
    hits = tries = 0
    while hits < kills and tries < 20 * kills:
        tries += 1
        if kill(numbers.uniform(0.2, 1) * longest):
            hits += 1
        else:  # it was done before: begin again, so that every kill hits a run
            shutil.rmtree("x.vec")
    assert hits == kills
    subprocess.run([*PROGRAM, "x.vec", "--resume"], check=True)
    assert files("x.vec") == files("whole.vec")
    assert names(folder) == ["big.txt", "whole.vec", "x.vec"]


def test_a_wrong_name_is_refused_before_anything_is_written(folder):
    with pytest.raises(EmbedkitError, match=r"^x.csv: vectors are not written as .csv"):
        finish("x.csv")
    assert names(folder) == []

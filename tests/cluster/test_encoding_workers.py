"""What many encode is what one process encodes: the same files, byte for byte, resumed or not."""

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest

from embedkit.cluster import encoding_workers
from embedkit.cluster.encoders import EncoderRecipe
from embedkit.cluster.encoding_workers import Work, encode_on, survey_texts
from embedkit.data.inputs import open_text
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding import batching
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.encoding import encode_to
from embedkit.errors import ClusterError, DataError, ExistsError, FormatError

RECIPE = EncoderRecipe(EncoderSettings("hash:dim=8"))
NAMES = ["a.jsonl", "b.txt", "c.txt"]
FORMAT = TextFormat()


@pytest.fixture(autouse=True)
def texts(folder):
    """Three files of 25, 0 and 13 records; a field changes its type on the way."""
    rows = [{"_id": f"i{n}", "text": f"a text {n}", "n": n if n < 12 else n / 2} for n in range(25)]
    (folder / "a.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    (folder / "b.txt").write_text("\n")
    (folder / "c.txt").write_text("".join(f"line {n}\n" for n in range(13)))


def one_process(path, **options):
    with open_text(NAMES, FORMAT) as reader:
        for _ in encode_to(path, RECIPE.load(), reader, shard_rows=10, **options):
            pass


def many(cluster, path="many.vec", *, names=NAMES, recipe=RECIPE, stop=None, **options):
    """Encode with a cluster; `stop`: leave after so many shards."""
    sealed = encode_on(
        cluster, Path(path), recipe, survey_texts(cluster, names, FORMAT), shard_rows=10, **options
    )
    done = list(islice(sealed, stop))
    sealed.close()
    return done


def files(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "binary", "int8"])
@pytest.mark.parametrize("with_text", [True, False])
def test_the_vector_set_is_that_of_one_process(here, dtype, with_text):
    one_process("one.vec", dtype=dtype, with_text=with_text)
    sealed = many(here, dtype=dtype, with_text=with_text)
    assert [each.rows for each in sealed] == [10, 10, 10, 8]
    assert files("many.vec") == files("one.vec")
    assert not Path("many.vec.partial").exists()


def test_what_lost_workers_leave_is_no_part_of_the_set(here, monkeypatch):
    seal, left = encoding_workers._seal, [".part-00000.arrow.77.tmp", ".part-00001.arrow.piece-1.77.tmp"]

    def sealed(unit, pieces, work):
        for name in (*left, "part-00000.arrow.piece-3"):
            (work.folder / name).touch()
        return seal(unit, pieces, work)

    one_process("one.vec")
    monkeypatch.setattr(encoding_workers, "_seal", sealed)
    monkeypatch.setattr(
        here, "map", lambda work, items, *more, share=None: (work(each, *more) for each in items)
    )
    many(here)
    assert files("many.vec") == files("one.vec")


def test_a_file_is_that_of_one_process(here):
    one_process("one.npy")
    many(here, "many.npy")
    for end in (".npy", ".npy.ids.jsonl"):
        assert Path(f"many{end}").read_bytes() == Path(f"one{end}").read_bytes()
    assert not Path("many.npy.partial").exists()


@pytest.mark.parametrize("then", ["many", "one"])
@pytest.mark.parametrize("stop", [1, 3, 4])
def test_what_is_sealed_is_not_done_again_here_or_in_one_process(here, stop, then):
    one_process("one.vec")
    many(here, stop=stop)
    here.done.clear()
    if then == "many":
        assert len(many(here, resume=True)) == 4 - stop
        assert here.done.count("_seal") == 4 - stop
    else:
        one_process("many.vec", resume=True)
    assert files("many.vec") == files("one.vec")


def test_what_one_process_began_is_continued(here):
    with open_text(NAMES, FORMAT) as reader:
        begun = encode_to("many.vec", RECIPE.load(), reader, shard_rows=10)
        next(begun), next(begun)
        begun.close()
    assert len(many(here, resume=True)) == 2
    one_process("one.vec")
    assert files("many.vec") == files("one.vec")


@pytest.mark.parametrize(
    ("change", "where"), [("longer", "31 to 38"), ("other", "1 to 10"), ("shorter", "31 to 38")]
)
def test_an_input_that_has_changed_since_is_refused(here, change, where):
    many(here, stop=4)
    c = Path("c.txt").read_text()
    if change == "other":
        Path("a.jsonl").write_text(Path("a.jsonl").read_text().replace("text 3", "text x"))
    else:
        Path("c.txt").write_text(c + "more\n" if change == "longer" else "".join(c.splitlines(True)[:-1]))
    with pytest.raises(DataError, match=f"has changed since the unfinished run, in records {where}"):
        many(here, resume=True)


def test_other_settings_are_refused(here):
    many(here, stop=1, settings={"precision": "fp32"})
    with pytest.raises(FormatError, match="other settings: precision"):
        many(here, resume=True, settings={"precision": "bf16"})
    with pytest.raises(ExistsError, match="is an unfinished run"):
        many(here)
    many(here, force=True)
    one_process("one.vec")
    assert files("many.vec") == files("one.vec")


def test_a_record_that_cannot_be_read_leaves_nothing(here, folder):
    (folder / "c.txt").write_bytes(b"good\n\xff\n")
    before = sorted(folder.iterdir())
    with pytest.raises(DataError, match=r"^c.txt:2: is not UTF-8"):
        many(here)
    assert sorted(folder.iterdir()) == before


def test_a_worker_that_fails_leaves_what_was_sealed_before(here, monkeypatch):
    texts = survey_texts(here, NAMES, FORMAT)
    Path("c.txt").write_bytes(Path("c.txt").read_bytes()[:-30] + b"\xff\n")
    with pytest.raises(DataError, match=r"^c.txt:"):
        list(encode_on(here, Path("many.vec"), RECIPE, texts, shard_rows=10))
    assert {"part-00000.arrow", "part-00001.arrow"} <= set(files("many.vec.partial"))
    assert not Path("many.vec").exists()


def test_a_file_that_becomes_shorter_is_refused(here):
    texts = survey_texts(here, NAMES, FORMAT)
    Path("c.txt").write_text("line 0\n")
    with pytest.raises(DataError, match=r"has changed while it was read: 6 records, 10 before$"):
        list(encode_on(here, Path("many.vec"), RECIPE, texts, shard_rows=10))


def test_a_folder_that_is_not_shared_is_named(here):
    texts = survey_texts(here, NAMES, FORMAT)
    work = Work(Path("x.partial"), None, RECIPE, None, FORMAT, True, 1)
    with pytest.raises(ClusterError, match=r"^x.partial: is not on machine \S+; work in a folder that all"):
        encoding_workers._seal(next(texts.corpus.units(10)), [], work)


@pytest.mark.parametrize("even", [1, 100])
def test_shards_dealt_out_in_pieces_are_the_same(here, monkeypatch, even):
    monkeypatch.setattr(batching, "WINDOW_ROWS", 3)
    monkeypatch.setattr(encoding_workers, "EVEN", even)
    one_process("one.vec")
    many(here)
    assert files("many.vec") == files("one.vec")
    assert here.done.count("_encode") == (16 if even == 100 else 4)


def test_no_text_is_refused(here):
    with pytest.raises(DataError, match=r"^b.txt: the input contains no text$"):
        many(here, names=["b.txt"])


def test_the_texts_of_a_vector_set_are_an_input(here):
    one_process("one.vec")
    many(here, names=["one.vec"])
    assert VectorSet.open("many.vec").rows == 38
    shutil.rmtree("many.vec")
    with open_text(["one.vec"], FORMAT) as reader:
        list(encode_to("two.vec", RECIPE.load(), reader, shard_rows=10))
    many(here, names=["one.vec"])
    assert files("many.vec") == files("two.vec")

"""`embedkit search`: questions by every door, hits in every format."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def idx(run, docs):
    """The index `x.idx` of `docs.jsonl`."""
    assert run("index", docs, "-o", "x.idx", "-q") == (0, "", "")
    return "x.idx"


QUERY = "copy a directory tree"


@pytest.mark.parametrize("door", ["argument", "file", "pipe", "jsonl"])
def test_a_question_comes_by_every_door(run, idx, door):
    Path("q.txt").write_text(f"{QUERY}\n")
    done = {
        "argument": lambda: run("search", idx, QUERY, "-k", 1),
        "file": lambda: run("search", idx, "-i", "q.txt", "-k", 1),
        "pipe": lambda: run("search", idx, "-k", 1, stdin=f"{QUERY}\n"),
        "jsonl": lambda: run("search", idx, "-k", 1, stdin=json.dumps({"id": "q7", "text": QUERY})),
    }[door]()
    hit = json.loads(done.out)
    assert (done.code, done.said) == (0, "")
    assert (hit["query"], hit["rank"], hit["id"]) == (QUERY, 1, "tree")
    assert hit.get("query_id") == {"argument": None, "file": "1", "pipe": "1", "jsonl": "q7"}[door]


@pytest.mark.parametrize("query", ["-", "docs.jsonl", ".", "*", "词", "a\0b"])
def test_the_argument_is_always_text(run, idx, query):
    done = run("search", idx, query, "-k", 1)
    assert json.loads(done.out)["query"] == query


def test_a_question_that_begins_with_a_hyphen_stands_behind_two(run, idx):
    assert json.loads(run("search", idx, "-k", 1, "--", "-5 degrees").out)["query"] == "-5 degrees"


def test_formats(run, idx):
    tsv = run("search", idx, "-k", 1, "--format", "tsv", stdin=QUERY).out
    trec = run("search", idx, "-k", 1, "--format", "trec", stdin=QUERY).out
    assert tsv.split("\t")[:3] == ["1", "1", "tree"]
    assert tsv.endswith("\tshutil copy a directory tree\n")
    assert trec.split()[:4] == ["1", "Q0", "tree", "1"]
    assert trec.endswith(" embedkit\n")
    assert float(trec.split()[4]) == pytest.approx(float(tsv.split("\t")[3]), abs=1e-6)
    assert run("search", idx, QUERY, "-k", 1, "--format", "ids").out == "tree\n"
    assert "tree  shutil copy" in run("search", idx, QUERY, "-k", 1, "--format", "table").out


def test_fields_by_our_names_are_all_kept(run, idx):
    hits = [json.loads(line) for line in run("search", idx, QUERY).out.splitlines()]
    (hit,) = [hit for hit in hits if hit["id"] == "args"]
    assert (hit["score__"], hit["score_"]) == (5, 6)


@pytest.mark.parametrize("k", [3, 4, 10**30])
def test_k_beyond_the_size_gives_what_there_is(run, idx, k):
    hits = [json.loads(line) for line in run("search", idx, QUERY, "-k", k).out.splitlines()]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert {hit["id"] for hit in hits} == {"tree", "args", "词"}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["x.idx", ""], 2, "QUERY: the question is empty"),
        (["x.idx", " \t"], 2, "QUERY: the question is empty"),
        (
            ["x.idx", "\udcff"],
            2,
            "QUERY: is not UTF-8 (byte 1); encode it as UTF-8; only names of files may contain other bytes",
        ),
        (["x.idx", "one", "-i", "docs.jsonl"], 2, "a question and -i were both given; give one of them"),
        (["no.idx", "one"], 1, "no.idx: no such index"),
        (["docs.jsonl", "one"], 1, "docs.jsonl: is not an index: it has no manifest.json"),
        (["x.idx", "-i", "no.txt"], 1, "no.txt: no such file"),
        ([], 2, "Missing argument 'INDEX'."),
    ],
)
def test_a_mistake_is_one_line(run, idx, args, code, message):
    assert run("search", *args) == (code, "", f"embedkit: {message}\n")


@pytest.mark.parametrize("model", ["hash:dim=8,seed=1", "hash:dim=9"])
def test_another_encoder_is_refused_naming_both_fingerprints(run, idx, model):
    from embedkit.embedding.loading import load

    done = run("search", idx, "one", "-m", model)
    assert done.code == 1
    assert done.said.startswith("embedkit: x.idx: the index ")
    for name in ("hash:dim=8", model):
        assert load(name).identity.fingerprint in done.said


def test_the_encoder_is_the_index_s_own_whatever_the_default(run, idx, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_MODEL", "hash:dim=9")
    assert run("search", idx, QUERY).code == 0


@pytest.mark.parametrize("id", ["a b", "a\tb", "a\nb", "a\u3000b"])
def test_an_id_that_a_trec_run_cannot_hold_is_refused(run, id):
    run("index", "-o", "x.idx", stdin=json.dumps({"id": id, "text": "one"}))
    done = run("search", "x.idx", "one", "--format", "trec")
    what = f"id {id!r} cannot be written as a TREC run: it must be one word"
    assert done == (1, "", f"embedkit: {what}; use --format jsonl\n")


def test_a_closed_pipe_ends_silently(shell, idx):
    done = shell("seq 20000 | embedkit search x.idx | head -2 > out; wc -l < out")
    assert (done.out.strip(), done.said) == ("2", "")


def test_a_full_disk_is_one_line(shell, idx):
    assert shell("embedkit search x.idx one > /dev/full").said == "embedkit: no space left on device\n"


def found(done):
    assert done.code == 0, done.said
    return [json.loads(line)["id"] for line in done.out.splitlines()]


def test_documents_are_chosen_by_their_fields(run, idx):
    assert found(run("search", idx, QUERY, "--where", "year >= 2020")) == ["tree"]
    assert found(run("search", idx, QUERY, "--where", "year > 2020")) == []
    done = run("search", idx, QUERY, "--where", "yeer > 2020")
    assert (done.code, done.out, done.said.count("\n")) == (2, "", 1)
    assert done.said.startswith("embedkit: --where: ")


def test_only_good_hits(run, idx):
    assert found(run("search", idx, "parse command line arguments", "--min-score", ".99")) == ["args"]


def test_more_like_a_document_leaves_it_out(run, idx):
    assert sorted(found(run("search", idx, "--more-like", "tree"))) == ["args", "词"]
    message = "embedkit: x.idx: has no document of id 'tre'\n"
    assert run("search", idx, "--more-like", "tre") == (1, "", message)
    done = run("search", idx, QUERY, "--more-like", "tree")
    assert done == (2, "", "embedkit: a question and --more-like were both given; give one of them\n")


def test_how_it_is_searched(run, docs):
    run("index", docs, "-o", "x.idx", "--kind", "binary", "-q")
    best = run("search", "x.idx", QUERY, "-k", 1)
    assert run("search", "x.idx", QUERY, "-k", 1, "--exact").out == best.out
    assert run("search", "x.idx", QUERY, "-k", 1, "--oversample", 9).out == best.out
    run("index", docs, "-o", "x.idx", "-q", "--force")
    done = run("search", "x.idx", QUERY, "--oversample", 9)
    message = "x.idx: flat is not searched with oversample; its settings for search: none"
    assert done == (2, "", f"embedkit: {message}\n")


def test_copies_of_a_better_hit_are_left_out(run):
    run("index", "-o", "x.idx", stdin="one two\none two\nsomething else\n")
    assert found(run("search", "x.idx", "one two", "--dedupe", ".98")) == ["1", "3"]


def test_an_emptied_index_answers_nothing(run, idx):
    run("index", "delete", idx, "tree", "args", "词")
    assert run("search", idx, QUERY) == (0, "", "")
    assert run("search", idx, QUERY, "--where", "year > 1", "--exact", "--dedupe", ".9") == (0, "", "")


@pytest.mark.parametrize("id", ["a  b", "a\u3000b", "a\xa0b"])
def test_an_id_with_blanks_stands_in_a_cell_as_it_is(run, id):
    run("index", "-o", "x.idx", stdin=json.dumps({"id": id, "text": "one\ttwo\nthree"}))
    cells = run("search", "x.idx", "one", "--format", "tsv").out.rstrip("\n").split("\t")
    assert (cells[2], cells[4:]) == (id, ["one two three"])


ODD_IDS = ["a\nb", "a\rb", "a\u2028b", "a\x85b", "a\tb", " a", "a ", "\ufeffa", " ", "a\x0bb", "a\x1eb"]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_a_line_cannot_hold_is_refused_and_nothing_else_deleted(run, odd):
    """`--format ids` printed `a\\nb` as two lines, and `index delete --ids` deleted a and b."""
    ids = [odd, "a", "b", "c d"]
    Path("d.jsonl").write_text("".join(json.dumps({"id": id, "text": id}) + "\n" for id in ids))
    assert run("index", "d.jsonl", "-o", "x.idx", "-q").code == 0
    for format in ("ids", "tsv", "trec"):
        done = run("search", "x.idx", "what", "-k", 9, "--format", format)
        assert (done.code, done.out, done.said.count("\n")) == (1, "", 1)
        assert "cannot be written as" in done.said
    jsonl = run("search", "x.idx", "what", "-k", 9, "--format", "jsonl").out
    assert sorted(json.loads(line)["id"] for line in jsonl.split("\n")[:-1]) == sorted(ids)
    assert run("index", "delete", "x.idx", "--", odd).code == 0
    out = run("search", "x.idx", "what", "-k", 9, "--format", "ids").out
    assert sorted(out.split("\n")) == ["", "a", "b", "c d"]
    assert sorted(
        line.split("\t")[2] for line in run("search", "x.idx", "what", "--format", "tsv").out.splitlines()
    ) == ["a", "b", "c d"]
    Path("ids.txt").write_text(out, newline="")
    assert "3 documents deleted" in run("index", "delete", "x.idx", "--ids", "ids.txt").said


def test_a_run_never_holds_a_query_id_twice(run, idx):
    lines = [json.dumps({"id": id, "text": QUERY}) for id in ("1", "2", "1")]
    for format in ("trec", "jsonl", "tsv"):
        done = run("search", idx, "--format", format, stdin="\n".join(lines))
        assert done[::2] == (
            1, "embedkit: -: query id '1' occurs twice; give every query an id of its own\n"
        )  # fmt: skip


def test_a_query_that_is_not_a_number_is_named(run, idx, monkeypatch):
    """It was reported as damage of the index."""
    from embedkit.embedding.hashed_encoder import HashedEncoder

    real = HashedEncoder.encode

    def encode(self, texts, role="document"):
        vectors = real(self, texts, role)
        vectors[[text == "bad" for text in texts]] = float("nan")
        return vectors

    monkeypatch.setattr(HashedEncoder, "encode", encode)
    for options in ((), ("--exact",), ("--dedupe", ".9")):
        done = run("search", idx, *options, stdin="good\nbad\n")
        assert done.code == 1
        assert done.said == "embedkit: the vector of 'bad' has a number that is not finite\n"


def test_an_empty_query_among_many_is_refused_as_one_alone_is(run, idx):
    """Its hits were whatever a vector of zeros is nearest to."""
    done = run("search", idx, "--format", "trec", stdin='{"id": "q", "text": " "}\n')
    assert done == (1, "", "embedkit: -: the query of id 'q' is empty\n")

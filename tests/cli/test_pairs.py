"""`embedkit pairs`: documents by every door in, pairs that training reads as they are out."""

import json
from pathlib import Path

import pytest

from embedkit.data.text.examples import read_examples

TEXTS = [
    "The heart pumps the blood. The lungs take in the air.",
    "心脏把血液输送到全身的各个器官里去。肺部从空气里吸收氧气。",
]


@pytest.fixture
def corpus(folder):
    """Four documents: two with titles, one too short, one a copy but for its id."""
    rows = [
        {"_id": "heart", "title": "Body", "text": TEXTS[0]},
        {"_id": "心", "title": "身体", "text": TEXTS[1]},
        {"_id": "short", "title": "", "text": "One."},
        {"_id": "copy", "title": "Body", "text": TEXTS[0]},
    ]
    Path("docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "docs.jsonl"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_titles_find_their_texts_and_training_reads_the_pairs(run, corpus):
    done = run("pairs", corpus, "--method", "title", "-o", "pairs.jsonl")
    said = "2 pairs from 4 documents; 1 without a title or text; 1 exact repeat left out -> pairs.jsonl"
    assert done == (0, "", f"embedkit: {said}\n")
    assert lines(Path("pairs.jsonl").read_text()) == [
        {"query": "Body", "positive": TEXTS[0], "positive_id": "heart"},
        {"query": "身体", "positive": TEXTS[1], "positive_id": "心"},
    ]
    examples = read_examples(["pairs.jsonl"])
    assert (examples.columns, examples.rows) == (
        ("query", "positive"), [("Body", TEXTS[0]), ("身体", TEXTS[1])],
    )  # fmt: skip


@pytest.mark.parametrize("method", ["gap-sentences", "inverse-cloze:keep=0", "neighbours"])
def test_the_same_seed_writes_the_same_bytes_from_every_input(run, shell, corpus, method):
    assert run("pairs", corpus, "--method", method, "-o", "pairs.jsonl", "-q").code == 0
    written = Path("pairs.jsonl").read_text()
    assert lines(written)
    piped = shell(f"cat {corpus} | embedkit pairs --method {method} -q")
    assert piped == (0, written, "")
    assert run("pairs", "-", "--method", method, "-q", stdin=Path(corpus).read_text()).out == written
    other = run("pairs", corpus, "--method", method, "--seed", "1").out
    assert [each["positive_id"] for each in lines(other)] == [each["positive_id"] for each in lines(written)]
    assert (other == written) == (method == "gap-sentences")


def test_a_document_stands_behind_its_title(run, corpus):
    (first, *_) = lines(run("pairs", corpus, "--method", "inverse-cloze:keep=1").out)
    assert first["positive"] == f"Body {TEXTS[0]}"


def test_other_tables_and_plain_text_are_read(run, folder):
    Path("docs.csv").write_text(f'id,title,body\na,Body,"{TEXTS[0]}"\n')
    Path("docs.txt").write_text(f"{TEXTS[0]}\n\n{TEXTS[1]}\n")
    (named,) = lines(run("pairs", "docs.csv", "--text-field", "body", "--method", "inverse-cloze:keep=0").out)
    assert {named["query"], named["positive"]} == {
        "The heart pumps the blood.", "The lungs take in the air.",
    }  # fmt: skip
    done = run("pairs", "docs.txt", "docs.csv", "--text-field", "text", "--method", "gap-sentences")
    assert done.said == (
        "embedkit: docs.csv:2: has no text field 'text'; it has title, body; name one as `text_field`\n"
    ).replace("`text_field`", "--text-field")
    both = lines(run("pairs", "docs.txt", "docs.txt", "--method", "gap-sentences").out)
    assert [each["positive_id"] for each in both] == ["docs.txt:1", "docs.txt:3"]


def test_passages_of_folders_have_their_headings_as_titles(run, folder):
    Path("notes").mkdir()
    Path("notes/guide.md").write_text(f"# Guide\n\n{TEXTS[0]}\n\n## Chinese\n\n{TEXTS[1]}\n")
    Path("notes/plain.txt").write_text("No heading, no title.")
    Path("notes/.hidden").write_text("x")
    done = run("pairs", "notes", "--chunk", "25", "--method", "title", "-o", "pairs.jsonl")
    found = [(each["query"], each["positive_id"]) for each in lines(Path("pairs.jsonl").read_text())]
    assert ("Guide > Chinese", "notes/guide.md:5") in found
    assert all(query.split(" > ")[0] == "Guide" for query, _ in found)
    assert done.said.endswith("without a title or text; 2 files, skipped 1 hidden -> pairs.jsonl\n")
    facts = json.loads(
        run("pairs", "notes", "--method", "title", "-o", "pairs.jsonl", "--force", "--json").out
    )
    assert (facts["pairs"], facts["folders"]["files"], facts["without"]) == (1, 2, 1)


def test_faults_are_one_line(run, corpus):
    assert run("pairs", corpus).said == "embedkit: Missing option '--method'.\n"
    done = run("pairs", corpus, "--method", "titel")
    assert (done.code, done.said) == (2, "embedkit: unknown pair kind 'titel'; did you mean title?\n")
    Path("pairs.jsonl").write_text("mine")
    done = run("pairs", corpus, "--method", "title", "-o", "pairs.jsonl")
    assert done.said == "embedkit: pairs.jsonl: already exists; overwrite it with --force\n"
    done = run("pairs", "--method", "title", "-o", "new.jsonl", stdin="One line.\nAnother line.\n")
    said = "-: gives no pair: every document is without a title or text; use another --method"
    assert (done.code, done.out, done.said) == (1, "", f"embedkit: {said}\n")
    assert run("pairs", "--method", "title", stdin="").said == "embedkit: -: the input contains no text\n"
    assert run("pairs", corpus, "--method", "title", "--chunk", "9").said == (
        "embedkit: --chunk: applies only to folders\n"
    )
    assert not Path("new.jsonl").exists()

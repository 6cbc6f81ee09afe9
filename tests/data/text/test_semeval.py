"""Folders of SemEval: every scored pair of every file, and no other."""

from pathlib import Path

import pytest

from embedkit.data.text.scored_pairs import Pair
from embedkit.data.text.semeval import read_pair_sets
from embedkit.errors import DataError


def put(name: str, content: str | bytes) -> None:
    Path("STS14").mkdir(exist_ok=True)
    (Path("STS14") / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def refusal() -> str:
    with pytest.raises(DataError) as caught:
        read_pair_sets("STS14")
    return str(caught.value)


def test_a_folder_gives_its_files_with_scores_and_leaves_out_pairs_without_one(folder: Path) -> None:
    put("STS.input.deft.txt", 'say "hi\tto me\r\nsecond\tpair\tsource\turl\n\tempty first\n')
    put("STS.gs.deft.txt", "3.8\r\n\n0\n")
    put("STS.input.answers-forums.txt", "\ufeff甲\t乙\n")
    put("STS.gs.answers-forums.txt", "5\n")
    put("readme.txt", "nothing")
    assert read_pair_sets("STS14/") == [
        ("STS14/answers-forums", [Pair("甲", "乙", 5.0)]),
        ("STS14/deft", [Pair('say "hi', "to me", 3.8), Pair("", "empty first", 0.0)]),
    ]


def test_the_file_of_all_pairs_counts_only_alone(folder: Path) -> None:
    put("STS.input.ALL.txt", "a\tb\n")
    put("STS.gs.ALL.txt", "1\n")
    assert [each.name for each in read_pair_sets("STS14")] == ["STS14/ALL"]
    put("STS.input.x.txt", "a\tb\n")
    put("STS.gs.x.txt", "1\n")
    assert [each.name for each in read_pair_sets("STS14")] == ["STS14/x"]


def test_a_file_of_pairs_is_one_set(folder: Path) -> None:
    Path("a.tsv").write_text("a\tb\t1\n")
    assert read_pair_sets("a.tsv") == [("a.tsv", [Pair("a", "b", 1.0)])]


@pytest.mark.parametrize(
    ("texts", "scores", "says"),
    [
        (None, None, "STS14: is a folder without files named STS.input.*.txt"),
        ("a\tb\n", None, "STS14/STS.input.x.txt: has no STS.gs.x.txt beside it"),
        ("a\tb\nc\td\n", "1\n", "STS14/STS.input.x.txt: has 2 lines, STS.gs.x.txt has 1"),
        ("a\tb\nc\n", "1\n2\n", "STS14/STS.input.x.txt:2: has 1 cell, expected two texts"),
        ("a\tb\n", "x\n", "STS14/STS.input.x.txt:1: has the score 'x', which is not a number"),
        ("a\tb\n", "\n", "STS14/STS.gs.x.txt: has no score"),
        (b"a\t\xff\n", "1\n", "STS14/STS.input.x.txt:1: is not UTF-8 (byte 3)"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    folder: Path, texts: str | bytes | None, scores: str | None, says: str
) -> None:
    put("other.txt", "")
    for name, content in (("STS.input.x.txt", texts), ("STS.gs.x.txt", scores)):
        if content is not None:
            put(name, content)
    assert refusal().startswith(says)

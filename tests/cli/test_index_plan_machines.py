"""`index plan --machines`: a table with its arithmetic, JSON, and what does not go together."""

import json

import pytest

ASKED = ("index", "plan", "--rows", "1e9", "--dim", "384", "--machines", "8", "--max-memory", "64GB")


def test_hours_memory_storage_and_cost_are_shown_with_their_arithmetic(run):
    done = run(*ASKED, "--rate", "1000")
    assert (done.code, done.said) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(">")] == [">"]
    assert "8 machines: 1,000,000,000 rows / 8 = 125,000,000 rows each" in lines
    assert "  rate       1,000 texts per second, set by --rate" in lines
    told = (
        "  encoding   125,000,000 rows / 1,000 = 1.45 d per machine = 278 machine-hours; memory does not grow"
    )
    assert [line for line in lines if line.startswith(told)]
    assert "  vectors    1,000,000,000 rows x 384 dimensions x 4 = 1.54 TB" in lines
    assert sum("for the process +" in line for line in lines) == 2


def test_json_has_every_figure_of_the_table(run):
    facts = json.loads(run(*ASKED, "--rate", "1000", "--json").out)
    assert (facts["machines"], facts["rows_each"], facts["rate"]) == (8, 125_000_000, 1000.0)
    assert facts["encode_hours"] == pytest.approx(34.722222)
    assert facts["machine_hours"] == pytest.approx(8 * (facts["encode_hours"] + facts["build_hours"]))
    shape = facts["shape"]
    assert [each["machines"] for each in shape if each["machines"] != 1] == [4, 8, 16]
    assert shape[-2].items() <= facts.items()
    assert facts["segment"]["rows"] == 125_000_000


def test_without_a_rate_the_model_is_measured(run):
    facts = json.loads(run(*ASKED, "-m", "hash:dim=64", "--json").out)
    assert facts["rate_from"] == "hash:dim=64 here, measured on Python's documentation"
    assert facts["rate"] > 100
    assert facts["encode_hours"] == pytest.approx(125e6 / facts["rate"] / 3600, rel=1e-4)


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["--rate", "5"], 2, "--rate: applies only with --machines"),
        (["-m", "hash:dim=8"], 2, "--model: applies only with --machines"),
        (["--machines", "2", "--rate", "0"], 2, "--rate: must be above 0 texts per second, got 0"),
        (
            ["--machines", "2", "--rate", "5", "-m", "minilm"], 2,
            "--rate: replaces the measurement that --model sets; omit one of them",
        ),
        (["--machines", "2000", "--rate", "5"], 2, "--machines: must be at most the 1,000 rows, got 2,000"),
        (
            ["--machines", "2", "-m", "nothing"],
            2,
            "--model: unknown model 'nothing'; known: e5, hash, minilm",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(run, args, code, line):
    done = run("index", "plan", "--rows", "1000", "--dim", "8", *args)
    assert (done.code, done.out, done.said) == (code, "", f"embedkit: {line}\n")

"""`train-simcse` from the command line: what it says, writes, repeats and refuses."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file

from tests.embedding.conftest import BUILDERS, WORDS
from tests.evaluation.test_judged_sets import written

PROGRAM = str(Path(sys.executable).with_name("embedkit"))


def sentence(seed):
    return " ".join(random.Random(seed).choices(WORDS, k=3 + seed % 9))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(autouse=True)
def corpus(folder, tiny, monkeypatch):
    """The files `a.txt` of 40 sentences and `dev.tsv` of 30 pairs; the model is a tiny one."""
    Path("a.txt").write_text("".join(f"{sentence(seed)}\n" for seed in range(40)))
    rows = (f"{sentence(seed)}\t{sentence(seed + seed % 3)}\t{-(seed % 3)}\n" for seed in range(100, 130))
    Path("dev.tsv").write_text("".join(rows))
    monkeypatch.setenv("EMBEDKIT_MODEL", tiny)


def weights(path):
    return load_file(Path(path) / "model.safetensors")


def same(one, other):
    one, other = weights(one), weights(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_says_what_came_of_it(run):
    done = run(
        "train-simcse", "a.txt", "--batch-size", "8", "--eval", "dev.tsv", "--eval-steps", "3", "-o", "out"
    )
    assert (done.code, done.out) == (0, "")
    lines = done.said.splitlines()
    assert lines[0].startswith("embedkit: training on cpu in ")
    told = "in one pass; dropout: hidden_dropout_prob 0.1, attention_probs_dropout_prob 0.1"
    assert lines[0].endswith(told)
    assert lines[1].startswith("embedkit: step 0 of 5: Spearman ")
    assert lines[-1].startswith("embedkit: seed 0: 5 steps in ")
    assert lines[-1].endswith(", which is kept -> out")
    assert run("info", "out", "--json").code == 0


def test_json_for_machines(run):
    done = run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "2", "-o", "out", "--json", "-q")
    facts = json.loads(done.out)
    assert (facts["output"], facts["runs"][0]["steps"], facts["mean"]) == ("out", 2, None)
    assert done.said == ""


def test_standard_input_and_a_preset(run):
    text = Path("a.txt").read_text()
    done = run("train-simcse", "--preset", "paper-unsup", "--batch-size", "8", "-o", "out", "-q", stdin=text)
    assert done == (0, "", "")
    settings = orjson.loads(Path("out/embedkit.json").read_bytes())["settings"]
    told = (settings["pooling"], settings["head"], settings["max_length"], settings["batch_size"])
    assert told == ("cls", True, 32, 8)


def test_the_file_of_settings_repeats_the_run_from_anywhere(run, monkeypatch):
    run("train-simcse", "a.txt", "--batch-size", "8", "--learning-rate", "1e-3", "-o", "out", "-q")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run("train-simcse", "--config", "../out/train.toml", "-o", "again", "-q") == (0, "", "")
    assert same("../out", "again")
    run("train-simcse", "--config", "../out/train.toml", "--learning-rate", "1e-4", "-o", "other", "-q")
    assert not same("../out", "other")


def test_a_seed_of_zero_is_one_too_and_overrides_that_of_the_file(run):
    run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "2", "--seed", "3", "-o", "three", "-q")
    for name, given in (("again", []), ("zero", ["--seed", "0"])):
        run("train-simcse", "--config", "three/train.toml", "-o", name, "-q", *given)
    told = [
        orjson.loads(Path(name, "embedkit.json").read_bytes())["settings"]["seed"]
        for name in ("again", "zero")
    ]
    assert told == [3, 0]
    assert same("three", "again")
    assert not same("three", "zero")


def test_check_exact_alone_trains_nothing(run):
    done = run("train-simcse", "a.txt", "--batch-size", "16", "--check-exact")
    assert done.code == 0
    assert done.out.startswith("relative error of the accumulated gradient, float32: ")
    assert float(done.out.rpartition(" ")[2]) < 1e-5
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "dev.tsv"]


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["a.txt"], 2, "--output: is missing; name a folder with -o"),
        (["b.txt", "-o", "out"], 1, "b.txt: no such file"),
        (["a.txt", "-o", "out"], 2, "--batch-size 64: exceeds the 40 examples; lower it"),
        (
            ["a.txt", "-o", "out", "--chunk-size", "half"], 2,
            "--chunk-size: half is neither auto nor a positive number",
        ),
        (["a.txt", "-o", "out", "--temperature", "0"], 2, "temperature=0.0 is not a positive number"),
        (["a.txt", "-o", "dev.tsv"], 1, "dev.tsv: already exists; overwrite it with --force"),
        (
            ["a.txt", "-o", "no/out"], 1,
            "no/out: its parent folder does not exist; mkdir -p no",
        ),
        (["a.txt", "-o", "out", "--eval", "no.tsv"], 1, "no.tsv: no such file"),
        (["a.txt", "-o", "out", "--config", "no.toml"], 1, "no.toml: no such file"),
        (
            ["a.txt", "-o", "out", "--columns", "x"], 1,
            "a.txt: has no column 'x'; it has text",
        ),
        (
            ["a.txt", "-o", "out", "--batch-size", "8", "-m", "hash:dim=8"], 1,
            "hash:dim=8: hashed n-grams cannot be trained; name a folder or a hub id as the --model",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, args, code, line):
    done = run("train-simcse", *args)
    assert (done.code, done.out) == (code, "")
    assert done.said.splitlines()[-1].endswith(line)
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "dev.tsv"]


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights():
    command = [PROGRAM, "train-simcse", "a.txt", "--batch-size", "8", "--epochs", "6", "--eval-steps", "4"]
    command += ["--log-steps", "1", "-q"]
    subprocess.run([*command, "-o", "whole"], check=True)
    for lines in [1, 7, 20]:
        out = f"out{lines}"
        process = subprocess.Popen([*command, "-o", out])
        log = Path(f"{out}.partial/log.jsonl")
        while not log.is_file() or log.read_bytes().count(b"\n") < lines:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not Path(out).exists()
        subprocess.run([*command, "-o", out, "--resume"], check=True)
        assert same("whole", out)


def test_resuming_what_is_done_does_nothing(run):
    run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "1", "-o", "out", "-q")
    before = Path("out/model.safetensors").stat().st_mtime_ns
    again = run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "1", "-o", "out", "--resume")
    assert again == (0, "", "embedkit: out: is already trained\n")
    assert Path("out/model.safetensors").stat().st_mtime_ns == before


def test_resuming_what_is_done_with_other_settings_is_refused(run):
    run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "1", "-o", "out", "-q")
    again = run("train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "2", "-o", "out", "--resume")
    said = "embedkit: out: the run there has max_steps 1, not 2; start again with --force\n"
    assert again == (1, "", said)


def test_resuming_what_is_done_after_the_data_changed_is_refused(run):
    command = ["train-simcse", "a.txt", "--batch-size", "8", "--max-steps", "1", "-o", "out", "-q"]
    run(*command)
    data = Path("a.txt").read_bytes()
    Path("a.txt").write_bytes(data)  # the same content, written again
    os.utime("a.txt", (1, 1))
    assert run(*command, "--resume") == (0, "", "")
    Path("a.txt").write_bytes(data.replace(b"e", b"o"))
    code, out, said = run(*command, "--resume")
    assert (code, out) == (1, "")
    assert said.startswith("embedkit: out: ")
    assert "a.txt changed after the run had begun" in said


@pytest.mark.slow
@pytest.mark.parametrize("head", [[], ["--head"]])
def test_two_processes_train_as_one(head):
    given = ["train-simcse", "a.txt", "--batch-size", "8", "--dropout", "0", "--attention-dropout", "0"]
    given += ["--precision", "fp32", "--device", "cpu", "--learning-rate", "1e-3", "--log-steps", "1", *head]
    subprocess.run([PROGRAM, *given, "-o", "one", "-q"], check=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "-m", "embedkit", *given, "-o", "two", "-q"], check=True, env=environment)
    one, two = (
        map(orjson.loads, Path(name, "log.jsonl").read_bytes().splitlines()) for name in ("one", "two")
    )
    norms = [[line["gradient_norm"] for line in lines] for lines in (one, two)]
    assert len(norms[0]) == 5
    assert norms[1][0] == pytest.approx(norms[0][0], rel=1e-4)
    assert norms[1] == pytest.approx(norms[0], rel=5e-2)  # other rounding, and AdamW makes a step of any


def test_scores_and_a_guide_are_options(run):
    rows = [
        {"query": sentence(n), "positive": sentence(100 + n), "negatives": [sentence(200 + n)],
         "teacher": 2.0, "others": [n / 40]}
        for n in range(40)
    ]  # fmt: skip
    Path("mined.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("train-simcse", "mined.jsonl", "--batch-size", "8", "--max-steps", "2", "-o", "out")
    given = ("--distill", "kl:teacher_temperature=1", "--score-columns", "teacher,others", "--distinct")
    done = run(*command, *given, "--distill-weight", "0.3", "--guide", "hash:dim=64")
    assert done.code == 0
    assert "scores = teacher, others" in done.said
    assert "false negatives are masked by hash:dim=64" in done.said
    settings = orjson.loads(Path("out/embedkit.json").read_bytes())["settings"]
    kept = {
        name: settings[name] for name in ("distill", "distill_weight", "score_columns", "guide", "distinct")
    }
    assert list(kept.values()) == [given[1], 0.3, ["teacher", "others"], "hash:dim=64", True]
    again = run("train-simcse", "--config", "out/train.toml", "-o", "again", "-q")
    assert again.code == 0
    assert same("out", "again")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("--distill", "kl"), "a.tsv: has no columns with common names for scores"),
        (("--loss", "none"), "--loss: none leaves nothing to learn; set --distill"),
        (("--guide", "nothing"), "--guide: unknown model 'nothing'"),
        (("--guide-margin", "0.1"), "--guide-margin: needs a guide; name an encoder as the --guide"),
    ],
)
def test_teaching_that_cannot_be_is_one_line(run, given, line):
    rows = (f"{sentence(n)}\t{sentence(n + 50)}\t{sentence(n + 90)}\n" for n in range(20))
    Path("a.tsv").write_text("anchor\tpositive\tnegative\n" + "".join(rows))
    done = run("train-simcse", "a.tsv", "--batch-size", "8", "-o", "out", *given)
    assert done.code in (1, 2)
    assert done.said.splitlines()[-1].startswith(f"embedkit: {line}")


def test_a_retrieval_set_is_scored_while_training(run):
    written("set", qrels="qrels/dev.tsv")
    command = ("train-simcse", "a.txt", "--batch-size", "8", "--eval-steps", "3", "-o", "out")
    done = run(*command, "--eval", "set")
    assert done.code == 0
    assert [line for line in done.said.splitlines() if line.startswith("embedkit: step 0 of 5: nDCG@10 ")]
    settings = orjson.loads(Path("out/embedkit.json").read_bytes())["settings"]
    assert settings["eval"] == str(Path("set").absolute())
    files = ("--eval-qrels", "set/qrels/dev.tsv", "--eval-corpus", "set/corpus.jsonl")
    again = run(*command[:-1], "again", "--eval", "set/queries.jsonl", *files)
    assert again.code == 0
    assert same("out", "again")
    wrong = run(*command[:-1], "no", "--eval", "set/queries.jsonl", *files[:2])
    assert wrong.said.startswith("embedkit: --eval-corpus: is missing for a retrieval set of files")
    assert run(*command[:-1], "no", *files).said.startswith("embedkit: --eval-qrels: needs --eval")

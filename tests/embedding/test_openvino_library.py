"""OpenVINO is imported without its tools, which are there as soon as somebody uses them."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

TOOLS = "'openvino.tools.ovc' in sys.modules"


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (f"openvino(); print({TOOLS})", "False"),
        (f"openvino(); openvino(); print({TOOLS})", "False"),
        ("f = openvino().convert_model; import openvino.tools.ovc as t; print(f is t.convert_model)", "True"),
        ("openvino(); from openvino import convert_model as f; print(callable(f))", "True"),
        ("import openvino as first; print(openvino() is first, callable(first.convert_model))", "True True"),
        ("print(hasattr(openvino(), 'nothing_of_this_name'))", "False"),
    ],
)
def test_the_tools_are_imported_when_they_are_used(program, printed):
    start = "import sys; from embedkit.embedding.openvino_library import openvino\n"
    command = [sys.executable, "-c", start + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (printed, "")


def test_a_missing_library_is_named():
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from embedkit.embedding.openvino_library import openvino\n"
        "from embedkit.errors import MissingPackageError\n"
        "try: openvino()\n"
        "except MissingPackageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "openvino" in done.stdout

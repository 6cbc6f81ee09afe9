"""Imports point one way; a folder that is not in the table fails."""

import ast
from pathlib import Path

import pytest

import embedkit.errors
from embedkit.spec import FAMILIES

PACKAGE = Path(embedkit.errors.__file__).parent
LEVELS = [
    {"version"},
    {"errors", "spec"},
    {"data"},
    {"embedding", "transforms", "losses"},
    {"training", "indexing", "evaluation"},
    {"adaptation", "cluster", "serving"},
    {"cli", "", "__main__"},  # "" is embedkit itself, which names anything, lazily
]
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
KIND_PACKAGES = set(FAMILIES.values())


def violations(root: Path) -> list[str]:
    """Return what is wrong with the imports below `root`, a folder named embedkit, a line each."""
    files = {module_name(root, path): path for path in sorted(root.rglob("*.py"))}
    graph = {module: imports(ast.parse(path.read_text()), files) for module, path in files.items()}
    runs = {(part(a), part(b)) for a, targets in graph.items() for b, typing in targets.items() if not typing}
    wrong = [f"{module} is in no level" for module in files if part(module) not in LEVEL]
    for module, targets in graph.items():
        for target in targets:
            if LEVEL.get(part(target), 0) > LEVEL.get(part(module), 99):
                wrong.append(f"{module} imports {target}, which is above it")
            if is_kind(module, files) and is_kind(target, files) and parent(module) == parent(target):
                wrong.append(f"{module} imports {target}, another kind")
            if is_command(module) and is_command(target) and not target.startswith(f"{module}_"):
                wrong.append(f"{module} imports {target}, another command")
    edges = {(a, b) for a, targets in graph.items() for b in targets}
    for module in sorted(graph):
        if part_reaches(module, module, edges):
            wrong.append(f"{module} is in a circle of imports")
    for one, other in sorted(runs):
        if one != other and part_reaches(other, one, runs):
            wrong.append(f"{one} imports {other}, which imports it back")
    return wrong


def imports(tree: ast.AST, files: dict[str, Path]) -> dict[str, bool]:
    """Return the modules of embedkit that a file imports, in functions too; True: only for type checking."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{name}" for name in names]
            names = [name if name in files else str(node.module) for name in inner]
        for name in names:
            if name.split(".")[0] == "embedkit":
                found[name] = found.get(name, True) and id(node) in typing_only
    return found


def part_reaches(start: str, goal: str, edges: set[tuple[str, str]]) -> bool:
    """Say whether imports lead from `start` to `goal` in one step or more."""
    targets: dict[str, set[str]] = {}
    for a, b in edges:
        targets.setdefault(a, set()).add(b)
    reached: set[str] = set()
    ahead = targets.get(start, set())
    while ahead:
        reached |= ahead
        ahead = set().union(*(targets.get(name, set()) for name in ahead)) - reached
    return goal in reached


def module_name(root: Path, path: Path) -> str:
    return ".".join(("embedkit", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")


def part(module: str) -> str:
    return [*module.split("."), ""][1]


def parent(module: str) -> str:
    return module.rpartition(".")[0]


def is_command(module: str) -> bool:
    return parent(module) == "embedkit.cli.commands"


def is_kind(module: str, files: dict[str, Path]) -> bool:
    is_package = module in files and files[module].name == "__init__.py"
    return parent(module) in KIND_PACKAGES and not is_package


def test_imports_point_one_way():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "violation"),
    [
        (
            "data/x.py",
            "from embedkit.cli import app",
            "embedkit.data.x imports embedkit.cli, which is above it",
        ),
        ("spec.py", "import embedkit.data.y", "embedkit.spec imports embedkit.data.y, which is above it"),
        (
            "embedding/x.py",
            "def f():\n    from embedkit.indexing import store",
            "embedkit.embedding.x imports embedkit.indexing, which is above it",
        ),
        (
            "version.py",
            "import embedkit.errors",
            "embedkit.version imports embedkit.errors, which is above it",
        ),
        ("data/x.py", "from embedkit import encode", "embedkit.data.x imports embedkit, which is above it"),
        ("extras/x.py", "", "embedkit.extras.x is in no level"),
        (
            "transforms/kinds/x.py",
            "from embedkit.transforms.kinds import y",
            "embedkit.transforms.kinds.x imports embedkit.transforms.kinds.y, another kind",
        ),
        (
            "indexing/kinds/x.py",
            "from embedkit.indexing.kinds.y import Y",
            "embedkit.indexing.kinds.x imports embedkit.indexing.kinds.y, another kind",
        ),
        (
            "embedding/x.py",
            "from embedkit.transforms.fitting import fit",
            "embedding imports transforms, which imports it back",
        ),
        (
            "cli/commands/x.py",
            "from embedkit.cli.commands.y import f",
            "embedkit.cli.commands.x imports embedkit.cli.commands.y, another command",
        ),
        (
            "data/x.py",
            "def f():\n    from embedkit.data.z import g",
            "embedkit.data.x is in a circle of imports",
        ),
        (
            "data/x.py",
            "if TYPE_CHECKING:\n    from embedkit.data.z import Z",
            "embedkit.data.x is in a circle of imports",
        ),
    ],
)
def test_a_wrong_import_is_found(tmp_path, file, line, violation):
    for name in ("data/y.py", "transforms/kinds/y.py", "indexing/kinds/y.py", "indexing/kinds/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "cli/commands").mkdir(parents=True)
    (tmp_path / "cli/commands/y.py").touch()
    (tmp_path / "data/z.py").write_text("import embedkit.data.x")
    (tmp_path / "transforms/fitting.py").write_text("def later():\n    import embedkit.embedding.encoder")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line)
    assert violation in violations(tmp_path)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("cli/x.py", "from embedkit.cli.y import f"),
        ("cli/commands/index.py", "from embedkit.cli.commands.index_plan import plan"),
        ("transforms/kinds/x.py", "from embedkit.transforms.fitting import fit"),
        ("embedding/x.py", "from embedkit.transforms.fitting import fit"),
        ("transforms/x.py", "if TYPE_CHECKING:\n    from embedkit.embedding.encoder import Encoder"),
        ("data/x.py", "import numpy, embedkit_other"),
    ],
)
def test_a_right_import_is_left_alone(tmp_path, file, line):
    (tmp_path / "embedding").mkdir()
    (tmp_path / "embedding/encoder.py").write_text("import embedkit.transforms.fitting")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line)
    assert violations(tmp_path) == []

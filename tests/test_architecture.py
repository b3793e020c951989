"""The walls of the house: who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnoisy

PACKAGE = Path(jaxnoisy.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up. A part may import its own parts and those on lower floors.
FLOORS = [
    {"types", "check", "files", "mesh", "tree", "timing", "recurrence", "temporal"},
    {"losses", "metrics", "noise", "stats", "curvature", "dynamics", "models", "data"},
    {"influence", "weights", "robust"},
    {"detect", "repair"},
    {"findings", "influences", "repaired"},
    {"report", "training"},
    {"audit", "explain", "refine", "retrain", "video", "progress", "arguments"},
    {"cli"},
]
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
LATERAL = {("report", "training"), ("training", "report")}  # one floor, and still apart
FLAX = {"models", "training", "audit", "explain", "refine", "retrain", "video", "progress", "cli"}
HEAVY = ("flax", "tensorflow_datasets", "tensorflow", "orbax", "matplotlib")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, lazy: bool = True):
    """Absolute names that a file imports, those inside functions too unless ``lazy`` is False."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "jaxnoisy" and len(parts) > 1} & {part_of(f) for f in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_part_imports_only_from_below(path):
    part = part_of(path)
    if part == "__init__":
        assert parts_imported(path) == set()
        return
    assert part in FLOOR, f"{part} has no place in the house yet: give it one here"
    for other in parts_imported(path) - {part}:
        assert (part, other) not in LATERAL, f"{part} and {other} know nothing of each other"
        assert FLOOR[other] <= FLOOR[part], f"{part} imports {other}, which stands above it"


def test_no_two_parts_import_each_other():
    edges = {(part_of(path), other) for path in FILES for other in parts_imported(path) if other != part_of(path)}
    assert {(a, b) for a, b in edges if (b, a) in edges} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_where_they_belong(path):
    roots = {name.split(".")[0] for name in imports(path)}
    if part_of(path) not in FLAX:
        assert "flax" not in roots
    if part_of(path) != "training":
        assert "orbax" not in roots
    if part_of(path) != "report":
        assert "matplotlib" not in roots
    at_once = {name.split(".")[0] for name in imports(path, lazy=False)}
    assert "tensorflow_datasets" not in at_once


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_run_nothing_they_read(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert not {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"} & {n.split(".")[0] for n in imports(path)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", None)
            assert called not in ("eval", "exec", "compile", "__import__"), f"{called} in line {node.lineno}"
            for keyword in node.keywords:
                if keyword.arg in ("allow_pickle", "shell"):
                    assert isinstance(keyword.value, ast.Constant), f"{keyword.arg} in line {node.lineno}"
                    assert keyword.value.value is False, f"{keyword.arg} in line {node.lineno}"


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import jaxnoisy",
        "import jaxnoisy.detect, jaxnoisy.dynamics, jaxnoisy.noise, jaxnoisy.data, jaxnoisy.findings, jaxnoisy.report",
        "import jaxnoisy.cli",
    ],
)
def test_importing_stays_light(statement):
    assert loaded_after(statement) & set(HEAVY) == set()


def test_training_is_what_brings_flax():
    assert {"flax", "orbax"} <= loaded_after("import jaxnoisy.training")

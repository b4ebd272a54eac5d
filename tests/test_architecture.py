"""The packages of the house, the one direction between them, and no circle of files."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import assumed

PACKAGE = Path(assumed.__file__).parent
ORDER = (
    *("model", "redact", "errors", "paths", "clock", "privacy", "files", "state", "store", "events", "logs"),
    *("engine", "config", "credentials", "aws", "doctor", "snapshot", "hooks", "metrics", "runtime", "jobs"),
    *("service", "demo", "cli"),
)
"""What lies at the top of the package. Each may import itself and those before it."""

# What the engine may use: pure parts of the standard library. No clock, no randomness, no files, no logging.
PURE = {
    *("__future__", "bisect", "codecs", "collections", "configparser", "dataclasses", "datetime", "enum", "functools"),
    *("hashlib", "itertools", "json", "math", "re", "shlex", "string", "typing", "unicodedata"),
}
IMPURE = re.compile(r"\.now\(|\.utcnow\(|\.today\(|(?<![\w.])open\(|(?<![\w.])print\(")
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
MODULES = {".".join(path.with_suffix("").parts).removesuffix("__init__").rstrip("."): path for path in FILES}


def imports(path: Path) -> set[str]:
    """The absolute names that a file imports, at any depth of its code."""
    package = ("assumed", *path.parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{name.name}" for name in node.names}
    return found


def module_of(name: str) -> str:
    """The module that an imported name below `assumed` is, or lies in."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def ours(path: Path) -> set[str]:
    """The modules of this package that a file imports."""
    return {module_of(name.removeprefix("assumed.")) for name in imports(path) if name.startswith("assumed.")}


@pytest.mark.parametrize("module", sorted(MODULES), ids=lambda module: module or "assumed")
def test_imports_run_one_way(module: str) -> None:
    """From cli down to model; nothing but its command uses `demo`."""
    place = module.partition(".")[0]
    if place in {"", "__main__"}:
        return
    allowed = set(ORDER[: ORDER.index(place) + 1])
    assert {name for name in ours(MODULES[module]) if name and name.partition(".")[0] not in allowed} == set()


def test_no_files_import_one_another_in_a_circle() -> None:
    """Each file can be read after those that it imports."""
    graph = {name: ours(path) - {name, ""} for name, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("engine")))
def test_the_engine_is_pure(module: str) -> None:
    """Decisions only: time and randomness come in as arguments."""
    outside = {name.split(".")[0] for name in imports(MODULES[module])} - {"assumed"}
    assert outside <= PURE
    assert not IMPURE.findall((PACKAGE / MODULES[module]).read_text())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_stay_small(path: Path) -> None:
    """A file that passes 350 lines is two."""
    assert len((PACKAGE / path).read_text().splitlines()) <= 350

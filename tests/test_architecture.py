"""The rooms of the house and the one direction between them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import assumed

PACKAGE = Path(assumed.__file__).parent
ROOMS = ["core", "paths", "files", "config", "edge", "keeper", "demo", "cli"]
"""A room may import itself and those to its left."""

# What the core may use: pure parts of the standard library. No clock, no randomness, no files, no logging.
PURE = {
    *("__future__", "bisect", "codecs", "collections", "configparser", "dataclasses", "datetime", "enum", "functools"),
    *("hashlib", "itertools", "json", "math", "re", "shlex", "string", "typing", "unicodedata"),
}
IMPURE = re.compile(r"\.now\(|\.utcnow\(|\.today\(|(?<![\w.])open\(|(?<![\w.])print\(")
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    """The room that a module lies in."""
    return module.parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """The absolute names that a module imports, at any depth of its code."""
    package = ("assumed", *module.parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{name.name}" for name in node.names}
    return found


def ours(module: Path) -> set[tuple[str, ...]]:
    """What a module imports of this package, as paths below it."""
    return {tuple(name.split(".")[1:]) for name in imports(module) if name.startswith("assumed.")}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_run_one_way(module: Path) -> None:
    """core ← config ← edge ← keeper ← cli; `demo` uses the daemon, nothing but its command uses `demo`."""
    if room(module) not in ROOMS:
        assert room(module) in {"__init__", "__main__", "redact"}
        return
    allowed = set(ROOMS[: ROOMS.index(room(module)) + 1])
    if room(module) in {"config", "files"}:
        allowed = {"core", "paths", room(module)}
    wrong = {path for path in ours(module) if path[0] in ROOMS and path[0] not in allowed}
    assert not wrong


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) == "edge"], ids=str)
def test_no_adapter_imports_another(module: Path) -> None:
    """Each edge stands for one thing outside; what two need is wired in the keeper."""
    own = module.parts[1].removesuffix(".py")
    wrong = {path for path in ours(module) if path[0] == "edge" and len(path) > 1 and path[1] != own}
    assert not wrong


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) == "core"], ids=str)
def test_the_core_is_pure(module: Path) -> None:
    """Decisions only: time and randomness come in as arguments."""
    outside = {name.split(".")[0] for name in imports(module)} - {"assumed"}
    assert outside <= PURE
    assert not IMPURE.findall((PACKAGE / module).read_text())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_stay_small(module: Path) -> None:
    """A file that passes 350 lines is two."""
    assert len((PACKAGE / module).read_text().splitlines()) <= 350

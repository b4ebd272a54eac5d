"""Black-box tests survive a rebuild of the inside: they know the commands, files and protocols of `assumed` alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
OUTSIDE = ("canary", "fault", "interop", "outside", "process", "rivals", "units", "world", "world_tests")
UNIT_TESTS = {path.name for path in HERE.iterdir() if path.is_dir()} - {*OUTSIDE}
INSIDE = re.compile(rf"assumed(?!\.demo\b)(\.|$)|({'|'.join(sorted(UNIT_TESTS))})\.")
"""Modules of the package, and of tests that know it."""
FILES = sorted(path for name in OUTSIDE for path in (HERE / name).rglob("*") if path.suffix in (".py", ".sh"))
IN_TEXT = re.compile(r"\b(?:from|import) +(assumed(?:\.\w+)*)|\"(assumed\.\w+(?:\.\w+)+)\"")
"""An import in a program that a test writes or gives to `python -c`; a module's name for monkeypatch or `python -m`."""


def named(file: Path) -> Iterator[str]:
    """The modules that a file imports or names, wherever in it, its texts included."""
    text = file.read_text()
    yield from (one or other for one, other in IN_TEXT.findall(text))
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_a_black_box_test_knows_nothing_of_the_inside() -> None:
    """The demo's embedded AWS is no inside: it is the world. Helpers of the unit tests are."""
    found = {(str(file.relative_to(HERE)), name) for file in FILES for name in named(file)}
    assert len(FILES) > 100
    assert {(file, name) for file, name in found if INSIDE.match(name)} == set()

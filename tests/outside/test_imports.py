"""What is tried from outside survives a rebuild of the inside: these tests import nothing of `assumed`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FREE = sorted([*HERE.rglob("*.py"), *(HERE.parent / "world").rglob("*.py")])


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("file", FREE, ids=lambda file: file.name)
def test_a_black_box_test_imports_nothing_of_the_package(file: Path) -> None:
    """The demo's embedded AWS is no inside: it is the world."""
    inside = [name for name in imported(file) if name == "assumed" or name.startswith("assumed.")]
    assert [name for name in inside if not name.startswith("assumed.demo")] == []

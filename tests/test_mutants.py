"""What `make mutants` breaks, and what it leaves alone."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "proof" / "mutator.py"


def _loaded() -> Any:
    """The module by its path: `proof` is not a package of the tests."""
    spec = importlib.util.spec_from_file_location("mutator", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


mutator = _loaded()

BROKEN = {
    "a < b": {"(a >= b)", "(a <= b)"},
    "a is b": {"(a is not b)"},
    "a == b": {"(a != b)"},
    "a in b": {"(a not in b)"},
    "0 < a < 9": {"(0 >= a < 9)", "(0 <= a < 9)", "0 < a < 18", "0 < a < 4"},
    "a and b": {"(a or b)"},
    "not a": {"(a)"},
    "a if b else c": {"a if (not (b)) else c"},
    "x = 5": {"x = 10", "x = 2"},
    "x = 0.5": {"x = 1.0", "x = 0.25"},
    "x = True": {"x = False"},
    "min(a, b)": {"max(a, b)", "pass"},
    "send(a)": {"pass"},
    "if a: return": {"if (not (a)): return", "if a: pass"},
    "if a < b: x = c\nelse: return": {"if (a >= b): x = c", "if (a <= b): x = c"},
    "for a in b:\n    if a: continue": {"if (not (a)): continue", "if a: pass"},
    "if a: raise ValueError(1)": {"if (not (a)): raise ValueError(1)", "if a: pass"},
    "try: a\nexcept KeyError: raise": {"except KeyError: pass"},
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_decision_is_broken_in_every_way_that_is_known(source: str) -> None:
    assert {one.after for one in mutator.mutants(source.encode())} == BROKEN[source]


QUIET = {
    "a docstring": '"""Twice 2."""',
    "a log call": 'self._log.warning("gone", after=5)',
    "a log call by structlog": "structlog.get_logger().info(5)",
    "a message": 'raise ValueError(f"not {a < b}" if a else 5)',
    "a text with values": 'f"{a < b} {5}"',
    "an annotation": "def f(a: Literal[5]) -> Literal[True]: ...",
    "a decorator": "@dataclass(frozen=True)\nclass A: ...",
    "an index": "a[5]",
    "an import for types": "if TYPE_CHECKING:\n    x = 5",
    "zero": "x = 0",
}


@pytest.mark.parametrize("what", QUIET)
def test_what_decides_nothing_is_left_alone(what: str) -> None:
    assert mutator.mutants(QUIET[what].encode()) == []


SOURCE = """
class Café:
    def bien(self, é: int, b: int) -> bool:
        café = "é" if é < b else "è"
        for i in range(12):
            if not é:
                continue
            send(
                b,
                café,
            )
        return True
""".encode()


def test_every_mutant_is_a_program_that_differs_where_it_says() -> None:
    found = mutator.mutants(SOURCE)
    assert len(found) >= 8
    for one in found:
        lines, broken = SOURCE.decode().splitlines(), one.applied(SOURCE).decode().splitlines()
        ast.parse(one.applied(SOURCE))
        assert lines[: one.line - 1] == broken[: one.line - 1]
        assert lines[one.line - 1] != broken[one.line - 1]
        assert one.function == "Café.bien"


def test_a_sample_is_the_same_for_a_seed_and_is_spread() -> None:
    sources = {f"{name}.py": SOURCE for name in "abcdef"}
    taken = mutator.sample(sources, seed=1, count=12, per_file=2)
    assert taken == mutator.sample(sources, seed=1, count=12, per_file=2)
    assert taken != mutator.sample(sources, seed=2, count=12, per_file=2)
    assert {name: sum(one.file == name for one in taken) for name in sources} == dict.fromkeys(sources, 2)
    assert len({(one.file, one.line) for one in taken}) == 12
    assert len({one.operator for one in taken}) > 5


def test_a_sample_is_no_larger_than_there_are_mutants() -> None:
    assert len(mutator.sample({"a.py": b"x = not a"}, seed=1, count=40, per_file=3)) == 1


PROGRAM = b"""
def low(a, b=5):
    if a < b and not a == 3:
        note(
            a,
        )
        return min(a, b)
    return True
"""


def test_a_watched_program_does_the_same_and_notes_who_comes_by() -> None:
    every = mutator.mutants(PROGRAM)
    notes = {one: f"seen.append({one.operator!r})" for one in every}
    seen: list[str] = []
    noted: list[int] = []
    space: dict[str, Any] = {"seen": seen, "note": noted.append}
    exec(compile(mutator.watched(PROGRAM, notes), "watched", "exec"), space)  # noqa: S102
    assert {"number doubled", "number halved"} == set(seen), "a default is read when the function is made"
    assert [space["low"](2), space["low"](3), space["low"](9)] == [2, True, True]
    assert noted == [2]
    assert set(seen) == {one.operator for one in every}

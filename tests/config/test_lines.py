"""The line of every key, in every way that TOML has to write it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.config.lines import KeyPath, key_lines
from config.cases import BAD, GOOD


def paths(value: Any, at: KeyPath = ()) -> set[KeyPath]:
    """Every key and item of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {at}.union(*(paths(item, (*at, key)) for key, item in inner))


@pytest.mark.parametrize(
    ("text", "at", "line"),
    [
        ("a = 1\nb = 2\n", ("b",), 2),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
        ("# a = 1\n\n  b = 2", ("b",), 3),
        ('a = """\nb = 1\n"""\nb = 2\n', ("b",), 4),
        ('a = """x\\"""" \nb = 2\n', ("b",), 2),
        ('a = """x"""""\nb = 2\n', ("b",), 2),
        ("a = '''\n'b' = \"1'''\nb = 2\n", ("b",), 3),
        ('a = "# \\" \'"\nb = 2\n', ("b",), 2),
        ('a = ""\nb = 2\n', ("b",), 2),
        ("a = [\n1,\n[2, # ]\n3]]\nb = 2", ("a", 1, 1), 1),
        ("a = [\n1,\n[2, # ]\n3]]\nb = 2", ("b",), 5),
        ("a = { b = 1, c = { d = [\n2] } }", ("a", "c", "d", 0), 1),
        ("a.b.c = 1", ("a", "b", "c"), 1),
        ('a."b.c"."\\u0064" = 1', ("a", "b.c", "d"), 1),
        ("[a.b]\n'c d' = 1", ("a", "b", "c d"), 2),
        ("[ a . b ]\nc = 1", ("a", "b", "c"), 2),
        ("[[r]]\n[[r]]\n[r.t]\nx = 1", ("r", 1, "t", "x"), 4),
        ("[[r]]\n[[r.s]]\n[[r]]\n[[r.s]]\n[[r.s]]\nx = 1", ("r", 1, "s", 1, "x"), 6),
        ("[[r]]\n", ("r", 0), 1),
        ("1.2 = 3\n3 = 1.5\n4 = 1", ("4",), 3),
        ("a = 1979-05-27 07:32:00\nb = 1", ("b",), 2),
    ],
)
def test_a_key_is_found_on_its_line(text: str, at: KeyPath, line: int) -> None:
    """Lines count from 1, as editors count."""
    assert key_lines(text)[at] == line


@pytest.mark.parametrize("text", [case.text for case in BAD] + list(GOOD.values()))
def test_every_key_of_a_document_has_a_line(text: str) -> None:
    """The places found are the places that tomllib sees."""
    assert paths(tomllib.loads(text)) - {()} <= key_lines(text).keys()


@given(st.text(alphabet="ab.=[]{},'\"\\# \n1", max_size=60))
def test_reading_ends_whatever_the_text(text: str) -> None:
    """Text that is no TOML never comes here, but must not hang it either; what is TOML has all its places."""
    lines = key_lines(text) if _is_toml(text) else {}
    if lines:
        assert paths(tomllib.loads(text)) - {()} <= lines.keys()
        assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True

"""Whatever the file holds, the answer is a `Config` or a `ConfigError` of single lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.config import Config, load
from assumed.config.keys import ROLE_KEYS, TOP_KEYS
from assumed.errors import ConfigError
from config.cases import ENVIRON, FILE, GOOD, HOST, SOURCED

EVERYTHING = GOOD["everything"]
TOML = ["[[roles]]\n", "[defaults]\n", "[roles]\n", "[roles.tags]\n", "\n", " = ", '"', "'''", "[", "]", "{", "}", "\\"]
VALUES = [
    "1",
    "-1",
    "1.5",
    "inf",
    "true",
    "2026-01-01",
    '""',
    '"x"',
    '"\\u0000"',
    '"\\n"',
    "[]",
    "[[]]",
    "{}",
    "{ a = 1 }",
]
VALUES += [key.example for key in (*ROLE_KEYS, *TOP_KEYS)] + ["9" * 30, "0x" + "f" * 5000, '"😀"', '["a", "A"]', '"~x"']
LINES = st.builds(
    "{} = {}\n".format, st.sampled_from([key.name for key in (*ROLE_KEYS, *TOP_KEYS)]), st.sampled_from(VALUES)
)


def outcome(text: str) -> Config | list[str]:
    """What loading says; anything but a ConfigError goes through and fails the test."""
    try:
        return load(text, FILE, ENVIRON, host=HOST)
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(problem.isprintable() for problem in problems), problems
    return problems


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    """Mostly no TOML at all."""
    outcome(text)


@given(st.lists(st.sampled_from(TOML) | LINES | st.text(max_size=3), max_size=30).map("".join))
def test_any_pieces_of_toml_are_answered(text: str) -> None:
    """Often TOML, seldom right."""
    outcome(text)


@given(st.lists(LINES, max_size=8), st.lists(LINES, max_size=8))
def test_any_values_in_the_right_tables_are_answered(defaults: list[str], role: list[str]) -> None:
    """Every key with every kind of value, inherited and own."""
    outcome("[defaults]\n" + "".join(sorted(set(defaults))) + SOURCED + "".join(role))


@given(st.integers(0, len(EVERYTHING)), st.integers(0, 10), st.text(max_size=5))
def test_any_edit_of_a_good_file_is_answered(start: int, length: int, put: str) -> None:
    """As someone types."""
    outcome(EVERYTHING[:start] + put + EVERYTHING[start + length :])


def test_a_file_cut_at_any_byte_is_answered() -> None:
    """Half-written TOML is often valid TOML: then it is a configuration, and a role in it is complete."""
    data = EVERYTHING.encode()
    for end in range(len(data)):
        answer = outcome(data[:end].decode(errors="ignore"))
        if isinstance(answer, Config):
            assert all(role.role_arn and role.source_profile for role in answer.roles)


@pytest.mark.parametrize("text", ["\ud800", 'a = "\ud800"', "\0", "\ufeff", "\r", "roles = [[]]", "roles = [[[{}]]]"])
def test_odd_text_is_answered(text: str) -> None:
    """Lone surrogates, a NUL, a byte order mark, lists in lists."""
    assert isinstance(outcome(text), list)

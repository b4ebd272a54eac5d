"""Profile names, and the file names that stand for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.credentials.ini import is_profile_name
from assumed.paths import safe_name

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


@pytest.mark.parametrize(
    "name", ["default", "my-role", "a", "AdministratorAccess-123456789012", "me@corp/prod.eu", "50%", "a:b+c"]
)
def test_names_that_every_sdk_reads_are_profile_names(name: str) -> None:
    assert is_profile_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "DEFAULT",
        "__proto__",
        "profile x",
        "a b",
        "a]",
        "[a",
        "a\n",
        "a\nb",
        "ä",
        "a#b",
        "a;b",
        "a=b",
        "\x00",
    ],
)
def test_names_that_some_sdk_reads_otherwise_are_not(name: str) -> None:
    assert not is_profile_name(name)


def test_a_simple_name_stays_and_everything_else_is_spelled_in_hex() -> None:
    assert safe_name("my-role_2") == "my-role_2"
    assert safe_name("Prod") == "=50rod"
    assert safe_name("a/b.c") == "a=2Fb=2Ec"
    assert safe_name("..") == "=2E=2E"


@given(NAMES, NAMES)
def test_two_profiles_never_share_a_file_even_where_case_is_folded(one: str, other: str) -> None:
    assert (safe_name(one).casefold() == safe_name(other).casefold()) == (one == other)


@given(NAMES)
def test_a_file_name_fits_every_file_system_and_stays_in_its_directory(name: str) -> None:
    safe = safe_name(name)
    assert safe.isascii()
    assert "/" not in safe
    assert not safe.startswith(".")
    assert len(safe) <= 180


def test_profiles_that_differ_in_case_or_far_behind_have_files_of_their_own() -> None:
    names = ["prod", "Prod", "PROD", "x" * 300, "x" * 301, "X" * 120, "X" * 121]
    assert len({safe_name(name).casefold() for name in names}) == len(names)

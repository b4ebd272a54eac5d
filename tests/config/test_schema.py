"""The schema, the example and the loader agree: all three come from one table."""

from __future__ import annotations

import importlib.resources
import re
import runpy
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.config import SMALLEST_USEFUL, validate
from assumed.config.keys import HOOK_KEYS, ROLE, ROLE_KEYS, TOP_KEYS, Key
from assumed.credentials.ini import is_profile_name
from assumed.model import Role
from config.cases import BAD, GOOD, Bad, loaded

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"
GENERATOR = runpy.run_path(str(ROOT / "docs" / "schema.py"))
SCHEMA = GENERATOR["schema"]()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_shipped_schema_is_the_one_that_the_table_gives() -> None:
    """When this fails: python docs/schema.py"""
    shipped = importlib.resources.files("assumed.config").joinpath("schema.json").read_text("utf-8")
    assert shipped == GENERATOR["text"]()


def test_the_schema_is_one() -> None:
    """By the metaschema of its draft."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [*GOOD.values(), SMALLEST_USEFUL, EXAMPLE.read_text("utf-8")])
def test_the_schema_accepts_what_is_good(text: str) -> None:
    """What loads must not be underlined in the editor."""
    VALIDATOR.validate(tomllib.loads(text))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_the_schema_rejects_what_a_schema_can_see(case: Bad) -> None:
    """And what it cannot see is marked so in the table of cases: the marks are exact."""
    assert VALIDATOR.is_valid(tomllib.loads(case.text)) is not case.seen


def test_the_example_loads_and_so_it_does_with_every_option_set() -> None:
    """A commented-out line is a right value: taking its # away gives a file that says what is wrong with it at most."""
    text = EXAMPLE.read_text("utf-8")
    assert [role.profile for role in loaded(text).roles] == ["my-role", "my-role/reports"]
    assert loaded(text).role("my-role/reports") == Role(
        profile="my-role/reports",
        role_arn="arn:aws:iam::210987654321:role/Reports",
        source_profile="my-role",
        role_session_name="assumed-alice-laptop",
        region="us-west-2",
        deliver="process",
        parent="my-role",
    )
    others = r"(?m)^# (?!credential_source|web_identity_token_file|mfa_serial)(\w+ = )"
    opened = loaded(re.sub(others, r"\1", text)).roles[0]
    assert opened.tags == (("project", "billing"),)
    assert loaded(re.sub(others, r"\1", text)).hooks.after_failure == ("logger", "-t", "assumed", "renewal", "failed")
    assert opened.policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)


@pytest.mark.parametrize("key", [*TOP_KEYS, *HOOK_KEYS, *ROLE_KEYS], ids=lambda key: key.name)
def test_every_option_stands_in_the_example_with_its_own_example_value(key: Key) -> None:
    """An option that nobody can find is none. The value shown is one that loads."""
    lines = re.findall(rf"(?m)^(?:# )?{key.name} = (.*)$", EXAMPLE.read_text("utf-8"))
    assert key.example in lines
    assert list(validate.check(key, tomllib.loads(f"v = {key.example}")["v"])) == []
    assert key.doc.endswith(".")


def test_the_table_and_the_role_have_the_same_keys() -> None:
    """`parent` is found, not set."""
    assert set(ROLE) == set(Role.__dataclass_fields__) - {"parent"}


@given(st.from_regex(r"[A-Za-z0-9_.@/% -]{1,6}", fullmatch=True) | st.text(max_size=10))
def test_what_loads_as_a_profile_is_one_to_the_rest_of_the_program(name: str) -> None:
    """The loader is the stricter one, by the names that start with a hyphen."""
    loads = not list(validate.check(ROLE["profile"], name))
    assert loads == (is_profile_name(name) and not name.startswith("-"))

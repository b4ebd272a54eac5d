"""What a change of the two AWS files means for our sources."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.configloader import build_profile_map, raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import given, settings
from hypothesis import strategies as st

from assumed.aws.files import AwsFiles, Sections
from assumed.model import Role

KEYS = "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
KEPT = "[kept]\naws_access_key_id = ASIA1\naws_session_token = T\n"


def role(profile: str = "kept", **facts: Any) -> Role:
    if not {"credential_source", "web_identity_token_file"} & facts.keys():
        facts.setdefault("source_profile", "default")
    return Role(profile, "arn:aws:iam::123456789012:role/r", **facts)


@dataclass
class Machine:
    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    inherited: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.credentials, self.config = self.path / "credentials", self.path / "config"
        self.credentials.write_text(KEYS)
        self.config.write_text("[default]\nregion = us-west-2\n")
        self.files = AwsFiles(self.credentials, self.config, self.environ, self.inherited)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_seen_for_the_first_time_has_not_changed(machine: Machine) -> None:
    assert machine.files.look([role()]) == set()
    assert machine.files.look([role()]) == set()


def test_our_own_rewriting_of_the_file_changes_no_source(machine: Machine) -> None:
    machine.files.look([role()])
    machine.credentials.write_text("# ours\n" + KEPT + KEYS)

    assert machine.files.look([role()]) == set()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("credentials", KEYS.replace("= A", "= B")),
        ("credentials", KEYS + "aws_session_token = T\n"),
        ("config", "[default]\nregion = eu-west-1\n"),
        ("config", "[default]\nregion = us-west-2\nendpoint_url = http://sts.example\n"),
    ],
)
def test_a_change_of_the_source_is_seen(machine: Machine, file: str, text: str) -> None:
    machine.files.look([role()])
    (machine.path / file).write_text(text)

    assert machine.files.look([role()]) == {"profile:default"}
    assert machine.files.look([role()]) == set()


def test_two_sources_change_apart(machine: Machine) -> None:
    roles = [role(), role("second", source_profile="other")]
    machine.credentials.write_text(KEYS + "[other]\naws_access_key_id = O\naws_secret_access_key = S\n")
    machine.files.look(roles)
    machine.credentials.write_text(KEYS + "[other]\naws_access_key_id = P\naws_secret_access_key = S\n")

    assert machine.files.look(roles) == {"profile:other"}


@pytest.mark.parametrize("instant", ["", "[defa", "[other]\nx = 1\n"])
def test_a_source_that_is_gone_for_an_instant_keeps_its_facts(machine: Machine, instant: str) -> None:
    """The AWS CLI truncates the file and then writes it: a missing endpoint would look like another identity."""
    machine.config.write_text("[default]\nendpoint_url = http://sts.example\n")
    roots = [role(), role("pod", web_identity_token_file="/t")]
    machine.files.look(roots)
    machine.credentials.write_text(instant)
    machine.config.write_text("")

    assert machine.files.look(roots) == set()
    assert set(machine.files.endpoints(roots).values()) == {"http://sts.example"}


@pytest.mark.parametrize(
    "root",
    [role(), role(web_identity_token_file="/t"), role(credential_source="Ec2InstanceMetadata")],
    ids=lambda r: r.source(),
)
@pytest.mark.parametrize(
    ("config", "environ", "endpoint"),
    [
        ("", {}, None),
        ("[default]\nendpoint_url = http://c\n", {}, "http://c"),
        ("[default]\nendpoint_url = http://c\n", {"AWS_ENDPOINT_URL": "http://e"}, "http://e"),
        ("", {"AWS_ENDPOINT_URL": "http://e", "AWS_ENDPOINT_URL_STS": "http://s"}, "http://s"),
        ("", {"AWS_ENDPOINT_URL": "http://e", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
        ("[default]\nservices = l\n[services l]\nsts =\n  endpoint_url = http://l\n", {}, "http://l"),
    ],
)
def test_each_kind_of_source_has_the_endpoint_that_botocore_gives_it(
    tmp_path: Path, root: Role, config: str, environ: dict[str, str], endpoint: str | None
) -> None:
    machine = Machine(tmp_path, environ)
    machine.config.write_text(config)
    machine.files.look([root])

    assert machine.files.endpoints([root]) == {root.source(): endpoint}


def test_another_endpoint_is_another_source_also_where_it_has_no_profile(machine: Machine) -> None:
    root = role(credential_source="EcsContainer")
    machine.files.look([root])
    machine.config.write_text("[default]\nendpoint_url = http://c\n")

    assert machine.files.look([root]) == {"environment:EcsContainer"}


def test_a_new_token_is_a_changed_source_and_is_looked_for_beside_the_files(machine: Machine) -> None:
    token = machine.path / "token"
    token.write_text("one")
    root = role(web_identity_token_file=str(token))
    machine.files.look([root])
    assert token in machine.files.beside()
    token.write_text("another")

    assert machine.files.look([root]) == {f"web-identity:{token}"}


def test_a_login_changes_the_source_that_waits_for_it(machine: Machine, home: Path) -> None:
    machine.config.write_text("[profile sso]\nsso_session = corp\n[sso-session corp]\nsso_region = r\n")
    root = role(source_profile="sso")
    machine.files.look([root])
    (cache,) = [path for path in machine.files.beside() if path != machine.config]
    assert cache.is_relative_to(home)
    cache.parent.mkdir(parents=True)
    cache.write_text("{}")

    assert machine.files.look([root]) == {"profile:sso"}


@pytest.mark.parametrize(
    ("config", "profile", "region"),
    [
        ("", "kept", "eu-north-1"),
        ("[profile kept]\noutput = json\n", "kept", "eu-north-1"),
        ("[profile kept]\nregion = us-east-1\n", "kept", None),
        ('[profile "kept"]\nregion = us-east-1\n', "kept", None),
        ("[default]\nregion = us-east-1\n", "kept", "eu-north-1"),
        ("[default]\nregion = us-east-1\n", "default", None),
        ("[profile default]\nregion = us-east-1\n", "default", None),
    ],
)
def test_the_region_is_written_where_the_person_has_not_set_one(
    machine: Machine, config: str, profile: str, region: str | None
) -> None:
    machine.config.write_text(config)
    machine.files.look([])

    assert machine.files.region_of(role(profile, source_profile="s", region="eu-north-1")) == region


def test_files_that_are_not_there_or_are_none_are_empty(machine: Machine) -> None:
    machine.credentials.unlink()
    machine.config.unlink()
    os.mkfifo(machine.config)

    machine.files.look([role()])

    assert not machine.files.sources["profile:default"].exists


@pytest.mark.parametrize(
    "broken", ["[default]\n[default]\n", "x = 1\n", "[defa", "\ufeff[default]\n", "[default]\n\0\n"]
)
@pytest.mark.parametrize("which", ["config", "credentials"])
def test_a_broken_file_is_named_and_changes_no_source(machine: Machine, which: str, broken: str) -> None:
    machine.config.write_text("[default]\nendpoint_url = http://sts.example\n")
    machine.files.look([role()])
    path = machine.path / which
    good = path.read_text()
    path.write_text(broken)

    assert machine.files.look([role()]) == set()
    assert machine.files.broken[path].message.startswith("line ")
    assert machine.files.endpoints([role()]) == {"profile:default": "http://sts.example"}
    path.write_text(good)
    assert machine.files.look([role()]) == set()
    assert machine.files.broken == {}


HEADERS = [
    "[default]",
    "[profile default]",
    "[DEFAULT]",
    "[profile a]",
    '[profile "a b"]',
    "[profile a b]",
    "[profilex c]",
    " [profile d]",
]
LINES = [
    *HEADERS,
    '[sso-session "s"]',
    "[services l] # x",
    "[plain]",
    "x = 1",
    "z = 3",
    "y: 2",
    "sts =",
    "  endpoint_url = u",
    "",
]


@settings(max_examples=66)
@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(["\n", "\r\n"])), max_size=12))
def test_the_config_file_is_read_as_botocore_reads_it(lines: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config")
        path.write_bytes("".join(line + end for line, end in lines).encode())
        found = Sections(path)
        try:
            raw = raw_config_parse(str(path), parse_subsections=False)
            maps = build_profile_map(raw_config_parse(str(path)))
        except ConfigParseError:
            assert found.error is not None
            return
    assert found.error is None
    for prefix, kind in (("profile", "profiles"), ("sso-session", "sso_sessions"), ("services", "services")):
        for name, values in maps[kind].items():
            assert (found(f"{prefix} {name}") or {}).keys() == values.keys()
    assert found("profile a b") is None or "a b" in maps["profiles"]
    assert dict(found("plain") or {}) == raw.get("plain", {})

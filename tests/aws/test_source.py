"""A source profile as the two AWS files describe it, beside botocore's own reading of the same files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from botocore.configloader import load_config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assumed.aws.files import Sections
from assumed.aws.source import SourceProfile, fingerprint, read_source


def source_of(
    profile: str, credentials: str = "", config: str = "", environ: Mapping[str, str] | None = None
) -> SourceProfile:
    """The source as the text of the two files says."""
    return read_source(profile, _lookup(credentials), _lookup(config), environ or {})


def _lookup(text: str) -> Sections:
    path = Path("file")
    path.write_text(text)
    return Sections(path)


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def values(source: SourceProfile) -> dict[str, dict[str, str]]:
    return {name: dict(pairs) for name, pairs in source.values}


def test_the_credentials_file_wins_key_by_key() -> None:
    source = source_of(
        "a",
        credentials="[a]\naws_access_key_id = FROM_CREDENTIALS\n",
        config="[profile a]\naws_access_key_id = FROM_CONFIG\nregion = eu-west-1\n",
    )

    assert values(source) == {"profile a": {"aws_access_key_id": "FROM_CREDENTIALS", "region": "eu-west-1"}}


@pytest.mark.parametrize(
    ("profile", "config"),
    [
        ("default", "[default]\nregion = eu-west-1\n"),
        ("default", "[profile default]\nregion = eu-west-1\n"),
        ("a", "[profile a]\nregion = eu-west-1\n"),
        ("a", '[profile "a"]\nregion = eu-west-1\n'),
        ("a b", '[profile "a b"]\nregion = eu-west-1\n'),
        ("a", "[profile   a]\nregion = eu-west-1\n"),
        ("a", "[profile a]\r\nregion = eu-west-1\r\n"),
        ("default", "[default]\noutput = json\n[profile default]\nregion = eu-west-1\n"),
        ("default", "[profile default]\noutput = json\n[default]\nregion = eu-west-1\n"),
    ],
)
def test_a_profile_is_found_under_every_spelling_that_botocore_takes(profile: str, config: str) -> None:
    Path("config").write_text(config, newline="")

    assert load_config("config")["profiles"][profile] == {"region": "eu-west-1"}
    assert values(source_of(profile, config=config)) == {f"profile {profile}": {"region": "eu-west-1"}}


@pytest.mark.parametrize("config", ["[a]\nregion = x\n", "[profile b]\nregion = x\n", "[profile a]\n", ""])
def test_a_profile_that_says_nothing_does_not_exist(config: str) -> None:
    assert not source_of("a", config=config).exists


def test_what_a_profile_links_to_belongs_to_it() -> None:
    source = source_of(
        "a",
        credentials="[base]\naws_access_key_id = BASE\n",
        config=(
            "[profile a]\nrole_arn = arn\nsource_profile = base\nservices = local\n"
            "[profile base]\nsso_session = corp\n"
            "[sso-session corp]\nsso_start_url = https://sso.example\n"
            "[services local]\nsts =\n  endpoint_url = http://sts.example\n"
            "[profile stranger]\nregion = x\n"
        ),
    )

    assert set(values(source)) == {"profile a", "profile base", "sso-session corp", "services local"}
    assert source.endpoint == "http://sts.example"


@pytest.mark.parametrize("links", [["a"], ["b", "a"], [f"p{n}" for n in range(50)]])
def test_links_that_lead_in_a_circle_or_far_away_come_to_an_end(links: list[str]) -> None:
    chain = ["a", *links]
    text = "".join(f"[profile {one}]\nsource_profile = {other}\n" for one, other in zip(chain, links, strict=False))

    assert source_of("a", config=text).exists


@pytest.mark.parametrize(
    ("config", "serial"),
    [
        ("[profile a]\nrole_arn = r\nmfa_serial = arn:mfa\nsource_profile = b\n", "arn:mfa"),
        ("[profile a]\nsource_profile = b\nrole_arn = r\n[profile b]\nrole_arn = s\nmfa_serial = arn:mfa\n", "arn:mfa"),
        ("[profile a]\nmfa_serial = arn:mfa\n", None),
        ("[profile a]\nrole_arn = r\nmfa_serial = arn:mfa\nweb_identity_token_file = /t\n", None),
    ],
)
def test_a_code_is_asked_for_only_where_a_role_is_assumed(config: str, serial: str | None) -> None:
    asking = source_of("a", config=config).asking

    assert (asking.serial if asking else None) == serial


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ("[profile a]\nsso_session = corp\n", f"sso/cache/{hashlib.sha1(b'corp').hexdigest()}.json"),  # noqa: S324
        ("[profile a]\nsso_start_url = u\n", f"sso/cache/{hashlib.sha1(b'u').hexdigest()}.json"),  # noqa: S324
        ("[profile a]\nlogin_session = arn\n", f"login/cache/{hashlib.sha256(b'arn').hexdigest()}.json"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_the_file_that_a_login_writes_is_watched_also_behind_a_link(config: str, file: str, linked: bool) -> None:
    above = "[profile top]\nrole_arn = r\nsource_profile = a\n"

    source = source_of("top" if linked else "a", config=config + above)

    assert source.token_files == (f"~/.aws/{file}",)


def test_the_fingerprint_changes_with_what_the_source_resolves_from_and_with_nothing_else() -> None:
    def seen(credentials: str, config: str, *more: object, **environ: str) -> str:
        return fingerprint(source_of("a", credentials, config, environ), *more)

    keys, config = "[a]\naws_access_key_id = A\n", "[profile a]\nregion = r\n"
    before = seen(keys, config)

    assert seen("# ours\n[kept]\nx = 1\n" + keys + "[other]\ny = 2\n", config) == before
    changed = [
        seen(keys.replace("= A", "= B"), config),
        seen(keys, config.replace("= r", "= s")),
        seen(keys, config, AWS_ENDPOINT_URL_STS="http://sts.example"),
        seen(keys, config, [1, 2, 3]),
        seen("", ""),
    ]
    assert len({before, *changed}) == 6


ENDPOINTS = st.sampled_from([None, "", "http://a.example", "http://b.example"])
SWITCHES = st.sampled_from([None, "", "true", "TRUE", "false", "yes"])


SETTINGS = st.fixed_dictionaries(
    dict.fromkeys(("service variable", "variable", "service", "config", "credentials"), ENDPOINTS)
    | dict.fromkeys(("ignored", "ignored in config"), SWITCHES)
)


@given(SETTINGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
def test_the_endpoint_is_the_one_that_botocore_finds(given_: dict[str, str | None]) -> None:
    variables = {
        "AWS_ENDPOINT_URL_STS": given_["service variable"],
        "AWS_ENDPOINT_URL": given_["variable"],
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": given_["ignored"],
    }
    environ = {name: value for name, value in variables.items() if value is not None}
    config = "[profile a]\nregion = r\n" + _line("endpoint_url", given_["config"])
    config += _line("ignore_configured_endpoint_urls", given_["ignored in config"])
    if given_["service"] is not None:
        config += "services = local\n[services local]\ns3 =\n  endpoint_url = http://s3.example\nsts =\n"
        config += "  " + _line("endpoint_url", given_["service"])
    credentials = "[a]\naws_access_key_id = A\n" + _line("endpoint_url", given_["credentials"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        assert source_of("a", credentials, config, environ).endpoint == _botocore(credentials, config, patch)


def _line(key: str, value: str | None) -> str:
    return "" if value is None else f"{key} = {value}\n"


def _botocore(credentials: str, config: str, patch: pytest.MonkeyPatch) -> str | None:
    """The endpoint that botocore's own parts find in the same files and environment."""
    for name, variable, text in (
        ("credentials", "AWS_SHARED_CREDENTIALS_FILE", credentials),
        ("config", "AWS_CONFIG_FILE", config),
    ):
        Path(name).write_text(text)
        patch.setenv(variable, str(Path(name).absolute()))
    session = Session(profile="a")
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    found = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "sts").provide()
    return found if found is None else str(found)

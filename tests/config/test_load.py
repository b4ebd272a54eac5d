"""What a good configuration means."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from assumed.config import Hooks, load
from assumed.errors import ConfigError
from assumed.model import Role
from config.cases import ARN, ENVIRON, FILE, GOOD, HOST, ROLE, SOURCED, loaded

R = "arn:aws:iam::123456789012:role/R"


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_good_configuration_loads(text: str) -> None:
    """Each of the good examples has one role, `r`."""
    config = loaded(text)
    assert [role.profile for role in config.roles] == ["r"]
    assert config.text == text
    assert config.path == FILE


def test_the_smallest_configuration_has_every_default() -> None:
    """A role without options is what `Role` says a role is, named after the user and the host."""
    config = loaded(SOURCED)
    assert config.roles == (
        Role(profile="r", role_arn=R, source_profile="default", role_session_name="assumed-alice-laptop"),
    )
    assert (config.log_level, config.log_format) == ("info", "auto")
    assert config.credentials_file == Path("/home/alice/.aws/credentials")


def test_every_key_of_a_role_arrives() -> None:
    """Tags are sorted: their order means nothing to AWS, and must not look like a change."""
    (role,) = loaded(GOOD["everything"]).roles
    assert role == Role(
        profile="r",
        role_arn=R,
        source_profile="default",
        external_id="a:b/c",
        role_session_name="n@x",
        duration_seconds=43200,
        mfa_serial="arn:aws:iam::123456789012:mfa/alice",
        region="aws-global",
        policy='{"Version": "2012-10-17", "Statement": []}',
        policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::123456789012:policy/path/Own"),
        tags=(("Name mit Umläuten", ""), ("z", "1/2 @x")),
        transitive_tag_keys=("Name mit Umläuten",),
        source_identity="alice",
        deliver="process",
        enabled=False,
    )


def test_a_policy_table_becomes_compact_json() -> None:
    """Spaces count against STS's limit; what is beyond ASCII is escaped, for STS takes Latin-1 alone."""
    (role,) = loaded(f'{SOURCED}[roles.policy]\nVersion = "2012-10-17"\n[[roles.policy.Statement]]\nSid = "→"\n').roles
    assert role.policy == '{"Version":"2012-10-17","Statement":[{"Sid":"\\u2192"}]}'
    assert json.loads(role.policy)["Statement"] == [{"Sid": "→"}]


@pytest.mark.parametrize(
    ("own", "source"),
    [
        ('source_profile = "x"', "profile:x"),
        ('credential_source = "EcsContainer"', "environment:EcsContainer"),
        ('web_identity_token_file = "~/token"', "web-identity:/home/alice/token"),
        ('web_identity_token_file = "../token"', "web-identity:/home/alice/.config/token"),
    ],
)
@pytest.mark.parametrize(
    "inherited", ['source_profile = "s"', 'credential_source = "Environment"', 'web_identity_token_file = "/t"']
)
def test_a_source_of_the_role_replaces_an_inherited_one(own: str, source: str, inherited: str) -> None:
    """Whatever the kinds: a role has one source."""
    (role,) = loaded(f"[defaults]\n{inherited}\n{ROLE}{own}\n").roles
    assert role.source() == source


def test_what_web_identity_cannot_have_is_not_inherited() -> None:
    """[defaults] may serve roles of both kinds."""
    (role,) = loaded(
        '[defaults]\nsource_profile = "s"\nexternal_id = "x1"\ntags = { a = "b" }\ntransitive_tag_keys = ["a"]\n'
        f'source_identity = "alice"\nmfa_serial = "123456789"\n{ROLE}web_identity_token_file = "/t"\n'
    ).roles
    assert role == Role("r", R, web_identity_token_file="/t", role_session_name="assumed-alice-laptop")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('["notify-send", "a b", "$X"]', ("notify-send", "a b", "$X")),
        ("\"notify-send 'a b' c\"", ("notify-send", "a b", "c")),
        ('"~/bin/told"', ("/home/alice/bin/told",)),
        ('["./told", "./told"]', ("/home/alice/.config/assumed/told", "./told")),
        ('"/bin/../bin/told ~"', None),
    ],
)
def test_a_hook_is_a_list_of_words_whose_program_is_found_as_any_path_is(
    toml: str, words: tuple[str, ...] | None
) -> None:
    """A text is cut at its spaces as a shell would; its arguments are the program's own business."""
    text = f"[hooks]\nafter_renewal = {toml}\n{SOURCED}"
    if words is None:
        with pytest.raises(ConfigError):
            loaded(text)
        return
    hooks = loaded(text).hooks
    assert hooks == Hooks(after_renewal=words)
    assert hooks.commands() == {"after_renewal": words}


def test_without_hooks_nothing_is_run() -> None:
    """And ten seconds are what a command has where nothing else is said."""
    assert loaded(SOURCED).hooks == loaded(f"[hooks]\n{SOURCED}").hooks == Hooks(timeout_seconds=10)
    assert loaded(SOURCED).hooks.commands() == {}


def chain(*links: tuple[str, str], defaults: str = "", first: str = "") -> str:
    roles = [f'[[roles]]\nprofile = "{name}"\n{ARN}source_profile = "{source}"\n' for name, source in links]
    return f"[defaults]\n{defaults}\n" + "".join(role + (first if n == 0 else "") for n, role in enumerate(roles))


def test_a_role_that_another_kept_profile_signs_for_has_a_parent() -> None:
    """In any order of the file, over any number of links."""
    config = loaded(chain(("c", "b"), ("b", "a"), ("a", "outside"), ("d", "a")))
    assert {role.profile: role.parent for role in config.roles} == {"c": "b", "b": "a", "a": None, "d": "a"}
    assert [role.profile for role in config.roles] == ["c", "b", "a", "d"]


def test_an_inherited_duration_is_capped_in_a_chain() -> None:
    """AWS ends chained sessions after an hour; the role that begins the chain may have twelve."""
    config = loaded(chain(("a", "outside"), ("b", "a"), defaults="duration_seconds = 43200"))
    assert [role.duration_seconds for role in config.roles] == [43200, 3600]


def test_an_inherited_mfa_device_stays_with_the_role_whose_source_is_a_user() -> None:
    """A role has no MFA device."""
    config = loaded(chain(("a", "outside"), ("b", "a"), defaults='mfa_serial = "123456789"'))
    assert [role.mfa_serial for role in config.roles] == ["123456789", None]


def test_inherited_tags_that_the_chain_passes_on_are_not_asked_for_again() -> None:
    """STS refuses a request that sets a tag which its own session passes on; others are set as usual."""
    defaults = 'tags = { Team = "x", cost = "7" }\ntransitive_tag_keys = ["team"]'
    config = loaded(chain(("a", "outside"), ("b", "a"), ("c", "b"), defaults=defaults))
    assert [role.tags for role in config.roles] == [(("Team", "x"), ("cost", "7"))] + [(("cost", "7"),)] * 2
    assert [role.transitive_tag_keys for role in config.roles] == [("team",), (), ()]


def test_a_disabled_role_may_hang_on_a_disabled_one() -> None:
    """Nobody asks for either."""
    config = loaded(chain(("a", "outside"), ("b", "a"), defaults="enabled = false"))
    assert config.enabled() == ()
    assert [role.parent for role in config.roles] == [None, "a"]


def test_a_role_is_found_by_its_profile_also_when_disabled() -> None:
    """`Prod` and `prod` are two profiles to AWS."""
    config = loaded(chain(("prod", "s"), ("Prod", "s"), first="enabled = false\n"))
    assert config.role("prod") is config.roles[0]
    assert config.role("Prod") is config.roles[1]
    assert config.role("PROD") is None
    assert config.enabled() == config.roles[1:]


def test_the_owner_mark_is_the_digest_of_the_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same file, named from where it lies, owns the same sections."""
    monkeypatch.chdir(tmp_path)
    here = load(SOURCED, Path("c.toml"), ENVIRON, host=HOST)
    there = load(SOURCED, tmp_path / "c.toml", ENVIRON, host=HOST)
    assert here.config_id == there.config_id
    assert len(here.config_id) == 12
    assert here.config_id != loaded(SOURCED).config_id


@pytest.mark.parametrize(
    ("line", "environ", "path"),
    [
        ("", {}, "/home/alice/.aws/credentials"),
        ("", {"AWS_SHARED_CREDENTIALS_FILE": "/x/y"}, "/x/y"),
        ("", {"AWS_SHARED_CREDENTIALS_FILE": "~/y"}, "/home/alice/y"),
        ("", {"AWS_SHARED_CREDENTIALS_FILE": "$WHERE/y", "WHERE": "/w"}, "/w/y"),
        ("", {"AWS_SHARED_CREDENTIALS_FILE": "/${WHERE}/$NOT", "WHERE": "w"}, "/w/$NOT"),
        ('credentials_file = "/a/b"\n', {"AWS_SHARED_CREDENTIALS_FILE": "/x/y"}, "/a/b"),
        ('credentials_file = "~/b"\n', {}, "/home/alice/b"),
        ('credentials_file = "b"\n', {}, "/home/alice/.config/assumed/b"),
        ('credentials_file = "../b"\n', {"HOME": ""}, "/home/alice/.config/b"),
    ],
)
def test_the_credentials_file_is_where_the_sdks_look(line: str, environ: dict[str, str], path: str) -> None:
    """Unless the configuration says otherwise."""
    assert loaded(line + SOURCED, **environ).credentials_file == Path(path)


def test_the_environment_overrides_how_it_logs() -> None:
    """In either case of letters; an empty variable is none."""
    text = 'log_level = "error"\nlog_format = "console"\n' + SOURCED
    config = loaded(text, ASSUMED_LOG_LEVEL="DEBUG", ASSUMED_LOG_FORMAT="")
    assert (config.log_level, config.log_format) == ("debug", "console")


@pytest.mark.parametrize("wrong", [False, True], ids=["good", "each wrong"])
def test_eight_times_the_roles_take_about_eight_times_as_long_to_load(wrong: bool) -> None:
    """In one chain, and also when each of them is wrong: nothing here is quadratic (which would take 64 times)."""

    def seconds(roles: int) -> float:
        text = chain(*((f"p{n}", f"p{n - 1}") for n in range(roles)))
        if wrong:
            text = text.replace('role/R"', 'role/R"\nduration_seconds = 1')
        return min(_cpu_seconds(text, 101 if wrong else 0) for _ in range(3))

    assert seconds(1600) < 24 * seconds(200)


def _cpu_seconds(text: str, problems: int) -> float:
    """Of this process: what else the machine does is not in it."""
    begun = time.process_time()
    found: list[str] = []
    try:
        loaded(text)
    except ConfigError as error:
        found = error.problems
    seconds = time.process_time() - begun
    assert len(found) == problems
    return seconds

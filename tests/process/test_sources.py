"""What signs: rotated keys, chains, web identity tokens, inherited variables."""

from __future__ import annotations

import time

import pytest

from process.kit import arn, in_words, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually


def rotate(home: Home, old: str, new: str) -> None:
    """Replace the user's keys in the credentials file, and nothing else."""
    home.credentials.write_text(home.credentials.read_text().replace(old, new))


def test_rotated_source_keys_are_picked_up_automatically(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The old key is dead: roles fail until the new one is in the file, then renew at once."""
    aws_home.configure(role("a", arn("a")), role("b", arn("b")))
    daemon.start().wait_until_fresh("a", "b")
    sts.revoke(sts.source.access_key_id)
    daemon.wait_until(lambda status: any(entry["last_error"] for entry in status["roles"]), within=6)
    said = next(entry for entry in daemon.status()["roles"] if entry["last_error"])
    assert said["last_error"]["code"] == "InvalidClientTokenId"
    assert "aws configure" in said["last_error"]["advice"]
    new = sts.add_key("AKIAFAKESOURCE01", "fake-secret-number-two")
    rotate(aws_home, sts.source.access_key_id, new.access_key_id)
    rotate(aws_home, sts.source.secret_access_key, new.secret_access_key)
    eventually(lambda: sts.calls[-1].access_key_id == new.access_key_id, 6)
    daemon.wait_until_fresh("a", "b", within=6)


def test_rotated_source_keys_are_used_while_the_old_ones_still_work(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Rotation in the right order: new key in the file, old key deleted later. Nothing fails."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    new = sts.add_key("AKIAFAKESOURCE01", "fake-secret-number-two")
    rotate(aws_home, sts.source.access_key_id, new.access_key_id)
    rotate(aws_home, sts.source.secret_access_key, new.secret_access_key)
    eventually(lambda: sts.calls[-1].access_key_id == new.access_key_id, 6)
    sts.revoke(sts.source.access_key_id)
    done = rounds(daemon, "a")
    eventually(lambda: rounds(daemon, "a") >= done + 2, 8)
    assert not daemon.events("role.renewal_failed")


def test_without_a_region_the_error_names_the_key_to_set(sts: FakeSts, aws_home: Home) -> None:
    """A region in ~/.aws/config is enough to fix it."""
    aws_home.configure(role("a", arn("a")), defaults='[defaults]\nsource_profile = "default"\n')
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, AWS_STS_REGIONAL_ENDPOINTS="regional") as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["last_error"])
        assert 'region = "us-east-1"' in in_words(daemon.role("a"))
        aws_home.aws_config.write_text("[default]\nregion = eu-west-1\n")
        daemon.wait_until_fresh("a", within=6)


def test_a_chain_is_renewed_from_the_top(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """grandparent → parent → child: each is signed by the session above it from the start."""
    aws_home.configure(
        role("child", arn("child"), source_profile="parent"),
        role("parent", arn("parent"), source_profile="grandparent"),
        role("grandparent", arn("grandparent")),
    )
    daemon.start().wait_until_fresh("child", "parent", "grandparent", within=8)
    order = [(call.role_arn, call.outcome) for call in sts.calls[:3]]
    assert order == [(arn(name), "ok") for name in ("grandparent", "parent", "child")]
    for call in sts.calls[1:3]:
        assert ":assumed-role/" in sts.key(call.access_key_id or "").arn
    done = rounds(daemon, "child")
    eventually(lambda: rounds(daemon, "child") >= done + 2, 10)
    assert not daemon.events("role.renewal_failed")


def test_a_child_of_a_denied_parent_says_what_it_waits_for(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The child is not requested, because it could only fail; when the parent works, it follows at once."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("parent"), error="AccessDenied")
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    child = daemon.role("child")
    assert "parent" in child["waits"]
    assert "AccessDenied" in child["waits"]
    assert child["state"] == "pending"
    assert not sts.calls_for(arn("child"))
    sts.rule(arn("parent"), session_seconds=900)
    daemon.ask("refresh", profiles=["parent"])
    daemon.wait_until_fresh("parent", "child", within=5)


def test_a_child_that_is_always_refused_causes_no_hot_loop(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A disabled region always answers InvalidClientTokenId, so renewing the parent does not help."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("child"), error="InvalidClientTokenId")
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until_fresh("parent")
    eventually(lambda: sts.calls_for(arn("child")), 5)
    time.sleep(3)  # time for a loop, if there is one
    assert len(sts.calls) <= 4, [(call.role_arn, call.outcome) for call in sts.calls]
    assert daemon.role("parent")["state"] == "fresh"
    assert daemon.role("child")["state"] == "failing"


def test_inherited_keys_and_aws_profile_are_ignored(sts: FakeSts, aws_home: Home) -> None:
    """The daemon's shell exports them, but the configured source signs."""
    sts.add_key("AKIAINHERITED000", "fake-inherited-secret")
    aws_home.configure(role("a", arn("a")))
    inherited = {
        "AWS_ACCESS_KEY_ID": "AKIAINHERITED000",
        "AWS_SECRET_ACCESS_KEY": "fake-inherited-secret",
        "AWS_PROFILE": "does-not-exist",
    }
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **inherited) as daemon:
        daemon.wait_until_fresh("a")
    assert {call.access_key_id for call in sts.calls} == {sts.source.access_key_id}


def test_inherited_keys_sign_if_configured(sts: FakeSts, aws_home: Home) -> None:
    """`credential_source = "Environment"`."""
    sts.add_key("AKIAINHERITED000", "fake-inherited-secret")
    defaults = '[defaults]\nregion = "us-west-2"\ncredential_source = "Environment"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    inherited = {"AWS_ACCESS_KEY_ID": "AKIAINHERITED000", "AWS_SECRET_ACCESS_KEY": "fake-inherited-secret"}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **inherited) as daemon:
        daemon.wait_until_fresh("a")
    assert {call.access_key_id for call in sts.calls} == {"AKIAINHERITED000"}


@pytest.mark.parametrize("rotation", ["in place", "by link"])
def test_a_rotated_web_identity_token_is_read_again(
    rotation: str, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Kubernetes rotates it under the same name, and the old one is refused."""
    token = aws_home.path / "token"
    sts.web_tokens.add("first")
    if rotation == "by link":
        (aws_home.path / "token-1").write_text("first")
        token.symlink_to("token-1")
    else:
        token.write_text("first")
    defaults = f'[defaults]\nregion = "us-west-2"\nweb_identity_token_file = "{token}"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    daemon.start().wait_until_fresh("a")
    if rotation == "by link":
        (aws_home.path / "token-2").write_text("second")
        link = aws_home.path / "token-new"
        link.symlink_to("token-2")
        link.replace(token)
    else:
        token.write_text("second")
    sts.web_tokens.clear()
    sts.web_tokens.add("second")
    done = rounds(daemon, "a")
    eventually(lambda: rounds(daemon, "a") >= done + 2, 8)
    assert not daemon.events("role.renewal_failed")


def test_roles_recover_once_an_expired_web_identity_token_is_rotated(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Soon after the new token is there."""
    token = aws_home.path / "token"
    token.write_text("stale")
    sts.web_tokens.add("second")
    defaults = f'[defaults]\nregion = "us-west-2"\nweb_identity_token_file = "{token}"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert str(token) in in_words(daemon.role("a"))
    token.write_text("second")
    daemon.wait_until_fresh("a", within=5)


@pytest.mark.parametrize("settings", ["endpoint_url = {url}", "services = of-{name}"])
def test_each_source_profile_is_asked_at_its_own_endpoint(settings: str, sts: FakeSts, aws_home: Home) -> None:
    """Profiles that say the same share a client; these two do not, whichever way they name their endpoint."""
    with FakeSts() as other:
        text = ""
        for name, server in (("one", sts), ("two", other)):
            aws_home.add_source(server.source.access_key_id, server.source.secret_access_key, name)
            text += f"[profile {name}]\nregion = us-west-2\n{settings.format(url=server.url, name=name)}\n"
            text += f"[services of-{name}]\nsts =\n  endpoint_url = {server.url}\n"
        aws_home.aws_config.write_text(text)
        aws_home.configure(
            role("a", arn("a"), source_profile="one"),
            role("b", arn("b"), source_profile="two"),
            role("c", arn("c"), source_profile="one"),
        )
        with Daemon(aws_home) as daemon:
            daemon.wait_until_fresh("a", "b", "c")
        assert {call.role_arn for call in sts.calls} == {arn("a"), arn("c")}
        assert {call.role_arn for call in other.calls} == {arn("b")}

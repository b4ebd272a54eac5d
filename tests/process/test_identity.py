"""A profile never holds credentials of anything but what its role says now."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from process.kit import arn, in_words, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

OTHER = "arn:aws:iam::999999999999:role/other"


class Witness:
    """Records file and store when STS receives the call for a role, before it answers."""

    def __init__(self, sts: FakeSts, home: Home, role_arn: str, count: int = 0) -> None:
        self.saw: tuple[str, list[str]] | None = None
        self._thread = threading.Thread(target=self._watch, args=[sts, home, role_arn, count], daemon=True)
        self._thread.start()

    def _watch(self, sts: FakeSts, home: Home, role_arn: str, count: int) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if len(sts.calls_for(role_arn)) > count:
                stored = [path.read_text() for path in (home.state / "sessions").glob("*.json")]
                self.saw = (home.credentials.read_text(), stored)
                return
            time.sleep(0.002)

    def seen(self) -> str:
        """Everything a reader could find at that moment."""
        self._thread.join()
        assert self.saw is not None, "the call never came"
        return "\n".join([self.saw[0], *self.saw[1]])


def secrets_of(sts: FakeSts, key_id: str) -> tuple[str, str, str]:
    key = sts.key(key_id)
    assert key.session_token
    return key.access_key_id, key.secret_access_key, key.session_token


def test_the_old_accounts_keys_are_removed_before_the_new_account_is_called(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The new role denies access: the profile stays empty through retries and a restart."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("app", arn("app")), role("other", arn("bystander")))
    daemon.start().wait_until_fresh("app", "other")
    old = secrets_of(sts, key_of(aws_home, "app"))
    bystander = key_of(aws_home, "other")

    sts.rule(OTHER, error="AccessDenied", latency=0.5)
    witness = Witness(sts, aws_home, OTHER)
    aws_home.configure(role("app", OTHER), role("other", arn("bystander")))
    seen = witness.seen()
    assert not any(secret in seen for secret in old)
    daemon.wait_until(lambda status: status["roles"][0]["last_error"])
    assert key_of(aws_home, "app") == ""
    assert OTHER in in_words(daemon.role("app"))

    daemon.kill9()
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert key_of(aws_home, "app") == ""
    assert key_of(aws_home, "other") == bystander
    everything = "\n".join(p.read_text() for p in aws_home.credentials.parent.rglob("*") if p.is_file())
    assert not any(secret in everything for secret in old)

    sts.rule(OTHER)
    assert daemon.home.assumed("refresh", "app", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    daemon.wait_until_fresh("app", "other")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"policy": '{"Version":"2012-10-17","Statement":[]}'}),
        ({"policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}, {}),
        ({"tags.team": "a"}, {"tags.team": "b"}),
        ({}, {"source_identity": "alice"}),
        ({}, {"source_profile": "second"}),
    ],
    ids=["policy", "policy_arns", "tags", "source_identity", "source_profile"],
)
def test_a_change_of_identity_withdraws_the_old_session_first(
    before: dict[str, Any], after: dict[str, Any], sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """After narrowing a policy, the wider session must not stay in use until it expires."""
    sts.rule("*", session_seconds=900)
    aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key, profile="second")
    aws_home.configure(role("app", arn("app"), **before))
    daemon.start().wait_until_fresh("app")
    old = secrets_of(sts, key_of(aws_home, "app"))
    sts.rule(arn("app"), latency=0.4, session_seconds=900)
    witness = Witness(sts, aws_home, arn("app"), count=1)
    aws_home.configure(role("app", arn("app"), **after))
    seen = witness.seen()
    assert not any(secret in seen for secret in old)
    daemon.wait_until_fresh("app")
    assert key_of(aws_home, "app") not in ("", old[0])


def test_a_changed_request_keeps_the_session_until_the_new_one_arrives(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Another session name is the same identity: the profile is never empty, and a refusal changes nothing."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("app", arn("app")))
    daemon.start().wait_until_fresh("app")
    old = key_of(aws_home, "app")
    sts.rule(arn("app"), error="AccessDenied")
    aws_home.configure(role("app", arn("app"), external_id="mistyped"))
    daemon.wait_until(lambda status: status["roles"][0]["last_error"])
    assert key_of(aws_home, "app") == old
    sts.rule(arn("app"), session_seconds=900)
    aws_home.configure(role("app", arn("app"), external_id="right-one"))
    eventually(lambda: key_of(aws_home, "app") not in ("", old), 5)


def test_another_endpoint_is_another_identity(sts: FakeSts, aws_home: Home, tmp_path: Path) -> None:
    """If the source's `endpoint_url` in ~/.aws/config changes, sessions of the old endpoint are withdrawn."""
    with FakeSts() as second:
        second.rule("*", session_seconds=900, latency=0.5)
        sts.rule("*", session_seconds=900)
        aws_home.aws_config.write_text(f"[default]\nendpoint_url = {sts.url}\n")
        aws_home.configure(role("app", arn("app")))
        with Daemon(aws_home) as daemon:
            daemon.wait_until_fresh("app")
            old = secrets_of(sts, key_of(aws_home, "app"))
            witness = Witness(second, aws_home, arn("app"))
            aws_home.aws_config.write_text(f"[default]\nendpoint_url = {second.url}\n")
            seen = witness.seen()
            assert not any(secret in seen for secret in old)
            daemon.wait_until_fresh("app")
            assert second.key(key_of(aws_home, "app"))

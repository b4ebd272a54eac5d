"""The status document: what a reader of each profile gets, by the last snapshot, or by what is on the disk."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assumed.cli.health import is_healthy, trouble
from assumed.config import Config, HostFacts, load
from assumed.credentials.ownership import Refusal
from assumed.engine.state import RoleState, State
from assumed.model import Decision, FailureKind, Role, Session
from assumed.snapshot import Delivered, Planned, Snapshot, offline
from assumed.snapshot import document as status
from assumed.store import Store
from engine.make import START, at, failure, role, session

PRINCIPAL = "arn:aws:sts::123456789012:assumed-role/p/s"
HOUR = session(life=3600, principal_arn=PRINCIPAL)


def written(of: Session) -> dict[str, str]:
    """The section that a reader of the profile finds."""
    return {
        "aws_access_key_id": of.access_key_id,
        "aws_secret_access_key": of.secret_access_key,
        "aws_session_token": of.session_token,
        "x_assumed": f"{of.profile} 0123456789ab",
    }


GOOD = RoleState(session=HOUR)
BEFORE = replace(HOUR, access_key_id="ASIABEFORE")
OTHER = replace(HOUR, access_key_id="ASIAOTHER", identity="another")


def document(
    facts: RoleState = GOOD,
    *,
    after: float = 600,
    of: Role | None = None,
    due_in: float = 1234.5,
    reason: str = "scheduled",
    unsaved: bool = False,
    **files: Any,
) -> dict[str, Any]:
    """What status says of one role `after` seconds. `files`: how the AWS files stand, well if not said."""
    one = of or role()
    session = facts.session
    delivered = Delivered(**{"sessions": {"p": session} if session else {}, **files})
    known = State("m", {"p": one}, {"p": facts}, identities={"p": HOUR.identity}) if one.enabled else State("m")
    config = Config(path=Path("/c.toml"), text="", roles=(one,), credentials_file=Path("/aws/credentials"))
    snapshot = Snapshot(
        config=config,
        config_error=None,
        state=known,
        planned={"p": Planned(Decision(reason, "renewed some day", due_in), at(after))} if one.enabled else {},
        delivered=delivered,
        started=at(0),
        beaten=at(0),
        unsaved=frozenset({"p"} if unsaved else ()),
    )
    return dict(status(snapshot, at(after))["roles"][0])


def failing(kind: FailureKind = FailureKind.DENIED, session: Session | None = HOUR) -> RoleState:
    return RoleState(session=session, failure=failure(kind, count=3))


REFUSAL = Refusal("p", "it holds long-term keys", "rename it")

# what → (the document's arguments, state, whether it is healthy)
NOTHING = RoleState()
STATES: dict[str, tuple[dict[str, Any], str, bool]] = {
    "a good session, delivered": ({}, "fresh", True),
    "no session yet": ({"facts": NOTHING}, "pending", False),
    "a session that nobody can read yet": ({"sessions": {}}, "pending", False),
    "a session of which readers get the one before": ({"sessions": {"p": BEFORE}}, "fresh", True),
    "a session of which readers get one that has ended": ({"sessions": {"p": BEFORE}, "after": 3601}, "expired", False),
    "a session of which readers find another role's": ({"sessions": {"p": OTHER}}, "pending", False),
    "a session that was overwritten a moment ago": ({"displaced": frozenset({"p"})}, "pending", False),
    "a session that the disk did not take": ({"unsaved": True}, "fresh", True),
    "the same, where readers ask for what is stored": (
        {"unsaved": True, "of": role(deliver="process")}, "pending", False),
    "a session that has ended": ({"after": 3601}, "expired", False),
    "a session that has just ended": ({"after": 3600}, "expired", False),
    "a failure with much time left": ({"facts": failing()}, "failing", True),
    "a failure with little time left": ({"facts": failing(), "after": 3000}, "failing", False),
    "a failure without any session": ({"facts": failing(session=None)}, "failing", False),
    "a failure after the end": ({"facts": failing(), "after": 4000}, "expired", False),
    "a login that is needed": ({"facts": failing(FailureKind.NEEDS_LOGIN)}, "needs_login", False),
    "a login that is needed after the end": (
        {"facts": failing(FailureKind.NEEDS_LOGIN), "after": 4000}, "needs_login", False),
    "a profile that is not ours to take": ({"refused": {"p": REFUSAL}, "sessions": {}}, "failing", False),
    "a profile that another program overwrites": (
        {"overwritten_by": {"p": "saml2aws"}, "displaced": frozenset({"p"})}, "failing", False),
    "a role that is switched off": ({"of": role(enabled=False)}, "pending", True),
}  # fmt: skip


@pytest.mark.parametrize("what", STATES)
def test_the_state_says_what_readers_get_and_health_follows_from_it(what: str) -> None:
    arguments, state, healthy = STATES[what]

    found = document(**arguments)

    assert found["state"] == state
    assert (trouble(found) is None) is healthy
    assert is_healthy({"roles": [found]}) is healthy


def test_the_figures_of_a_role() -> None:
    found = document(after=600.04, reason="retry")

    assert {key: found[key] for key in ("left_seconds", "life_seconds", "failures", "last_error", "waits")} == {
        "left_seconds": 3000.0,
        "life_seconds": 3600,
        "failures": 0,
        "last_error": None,
        "waits": "renewed some day",
    }
    assert found["issued_at"] == "2027-01-15T08:00:00Z"
    assert found["expiration"] == "2027-01-15T09:00:00Z"
    assert found["next_renewal"] == "2027-01-15T08:30:34Z"


@pytest.mark.parametrize(("due_in", "next_renewal"), [(math.inf, None), (-50.0, "2027-01-15T08:10:00Z")])
def test_a_role_that_waits_for_no_time_has_no_next_renewal_and_an_overdue_one_is_due_now(
    due_in: float, next_renewal: str | None
) -> None:
    assert document(due_in=due_in)["next_renewal"] == next_renewal


@pytest.mark.parametrize(
    ("known", "code", "advice"),
    [
        ({"facts": failing()}, "Code", "advice"),
        ({"refused": {"p": REFUSAL}, "facts": failing()}, "ProfileRefused", "rename it"),
        ({"overwritten_by": {"p": "saml2aws"}}, "ProfileContested", "stop saml2aws"),
    ],
)
def test_the_last_error_is_the_one_that_stands_in_the_way(known: dict[str, Any], code: str, advice: str) -> None:
    error = document(**known)["last_error"]

    assert error["code"] == code
    assert advice in error["advice"]


@pytest.mark.parametrize("life", [900.0, 3600.0, 43200.0])
@pytest.mark.parametrize("short", [False, True])
def test_a_failing_role_is_ill_with_less_than_a_quarter_of_an_hour_or_of_its_life(life: float, short: bool) -> None:
    bound = min(900.0, life / 4)
    one = session(life=life, expiration=START + life, principal_arn=PRINCIPAL)
    after = life - bound + (1 if short else -1)

    found = document(RoleState(one, failure(FailureKind.TRANSIENT)), after=after)

    assert (trouble(found) is not None) is short


def config(home: Path) -> Config:
    text = (
        '[[roles]]\nprofile = "p"\nrole_arn = "arn:aws:iam::123456789012:role/p"\nsource_profile = "s"\n'
        'region = "us-west-2"\n'
    )
    return load(text, home / "config.toml", {"HOME": str(home)}, host=HostFacts("n", "h"))


def test_without_a_daemon_and_without_anything_there_is_a_document_all_the_same(home: Path) -> None:
    found = offline(config(home))

    assert found["daemon"] is None
    assert found["roles"][0]["state"] == "pending"
    assert not (home / ".aws").exists(), "looking makes nothing"


def test_without_a_daemon_the_disk_speaks(home: Path) -> None:
    from assumed.clock import SystemClock

    now = SystemClock().now()
    one = session(received=now, expiration=now.wall + 3600, issued_at=now.wall, principal_arn=PRINCIPAL)
    Store(home / ".aws" / "assumed").save(one)
    lines = "\n".join(f"{key} = {value}" for key, value in written(one).items())
    (home / ".aws" / "credentials").write_text(f"[p]\n{lines}\n")

    found = offline(config(home))["roles"][0]

    assert (found["state"], found["delivered"]) == ("fresh", True)


@pytest.mark.parametrize("kind", ["a directory", "a broken file"])
def test_without_a_daemon_a_file_that_cannot_be_read_is_said(home: Path, kind: str) -> None:
    (home / ".aws").mkdir()
    path = home / ".aws" / "credentials"
    if kind == "a directory":
        path.mkdir()
    else:
        path.write_text("no section\n")

    assert str(path) in offline(config(home))["credentials_file"]["error"] or kind == "a broken file"
    assert offline(config(home))["credentials_file"]["error"]

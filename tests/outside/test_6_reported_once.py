"""One message for each thing that fails as one, and no message twice."""

from __future__ import annotations

import json

import pytest

from outside.machine import arn
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

WITHIN = 40.0
REFUSALS = ["AccessDenied", "InvalidClientTokenId", "ValidationError"]


@pytest.mark.parametrize("code", REFUSALS)
def test_once_reports_each_failure_once(code: str, aws_home: Home, sts: FakeSts) -> None:
    """Without a terminal, as in cron's mail."""
    aws_home.configure(role("works", arn("works")), role("broken", arn("broken")))
    sts.rule(arn("broken"), error=code)
    done = aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "works: renewed" in line]
    assert len([line for line in done.stderr.splitlines() if "broken" in line]) == 1, done.stderr


@pytest.mark.parametrize("code", REFUSALS)
def test_refresh_reports_each_failure_once(code: str, aws_home: Home, daemon: Daemon, sts: FakeSts) -> None:
    """The same through the daemon."""
    aws_home.configure(role("works", arn("works")), role("broken", arn("broken")))
    daemon.start().wait_until_fresh("works", "broken")
    sts.rule(arn("broken"), error=code)
    done = aws_home.assumed("refresh", "broken", AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if "broken: " in line]) == 1, done.stderr


@pytest.mark.parametrize("options", [["--config", "C"], ["--config=C"], ["--help"]])
def test_exec_says_that_options_come_before_the_profile(options: list[str], aws_home: Home) -> None:
    """`--config: no such command` would not help."""
    aws_home.configure(role("kept", arn("kept")))
    words = [word.replace("C", str(aws_home.config)) for word in options]
    done = aws_home.assumed("exec", "kept", *words, "--", "true")
    assert done.returncode == 2
    assert "no such command" not in done.stderr
    assert options[0].partition("=")[0] in done.stderr


def test_exec_accepts_options_before_the_profile(aws_home: Home, sts: FakeSts) -> None:
    """Control; what follows `--` belongs to the command."""
    aws_home.configure(role("kept", arn("kept")))
    command = ["exec", "--config", str(aws_home.config), "kept", "--", "sh", "-c", "exit 7"]
    assert aws_home.assumed(*command, AWS_ENDPOINT_URL_STS=sts.url).returncode == 7


def sso_profile(name: str) -> str:
    return f"[profile {name}]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = X\n"


SESSION = "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n"
LOST = {
    "one source": lambda n: "login-0",
    "a source each, one sign-in": lambda n: f"login-{n}",
    "two sources, one sign-in": lambda n: f"login-{n % 2}",
}
ROLES = 12


def lost_logins(home: Home, how: str, defaults: str = DEFAULTS) -> None:
    """A dozen roles without a login, and a healthy one."""
    names = [LOST[how](n) for n in range(ROLES)]
    home.aws_config.write_text(SESSION + "".join(sso_profile(name) for name in sorted(set(names))))
    roles = [role(f"r{n}", arn(f"r{n}"), source_profile=name) for n, name in enumerate(names)]
    home.configure(*roles, role("works", arn("works")), defaults=defaults)


def needs_login(daemon: Daemon) -> bool:
    states = [entry["state"] for entry in daemon.status()["roles"]]
    return states.count("needs_login") == ROLES and states.count("fresh") == 1


@pytest.mark.parametrize("how", ["one source", "two sources, one sign-in"])
def test_roles_that_fail_alike_are_one_line_of_status(how: str, aws_home: Home, daemon: Daemon) -> None:
    """At the top, with their number; `--all` shows each; the JSON has every role."""
    lost_logins(aws_home, how)
    daemon.start()
    eventually(lambda: needs_login(daemon), WITHIN)
    groups = len({LOST[how](n) for n in range(ROLES)})
    lines = aws_home.assumed("status").stdout.splitlines()
    rows = [line for line in lines if "needs login" in line]
    assert len(rows) == groups
    assert all(f" {ROLES // groups - 1} more" in row for row in rows)
    assert lines.index(rows[0]) < next(n for n, line in enumerate(lines) if line.startswith("works"))
    everything = aws_home.assumed("status", "--all").stdout.splitlines()
    assert len([line for line in everything if "needs login" in line]) == ROLES
    assert len(json.loads(aws_home.assumed("status", "--json").stdout)["roles"]) == ROLES + 1


def test_roles_with_different_failures_have_a_line_each(aws_home: Home, daemon: Daemon, sts: FakeSts) -> None:
    """Control: the message names the role."""
    for n in range(3):
        sts.rule(arn(f"r{n}"), error="AccessDenied")
    aws_home.configure(*(role(f"r{n}", arn(f"r{n}")) for n in range(4)))
    daemon.start()
    daemon.wait_until(lambda status: sum(1 for entry in status["roles"] if entry["last_error"]) == 3, WITHIN)
    lines = aws_home.assumed("status").stdout.splitlines()
    assert {line.split()[0] for line in lines if line.startswith("r")} == {"r0", "r1", "r2", "r3"}


@pytest.mark.parametrize("how", LOST)
def test_a_lost_login_runs_one_hook(how: str, aws_home: Home, daemon: Daemon) -> None:
    """However many profiles need it."""
    called = aws_home.path / "called"
    script = aws_home.path / "call"
    script.write_text(f'#!/bin/sh\necho "$ASSUMED_EVENT" >> {called}\n')
    script.chmod(0o755)
    lost_logins(aws_home, how, f'[hooks]\nwhen_needed = ["{script}"]\nafter_renewal = ["{script}"]\n{DEFAULTS}')
    daemon.start()
    eventually(lambda: needs_login(daemon), WITHIN)
    eventually(lambda: called.exists() and "needed" in called.read_text(), WITHIN)
    # Hooks run one at a time: once this renewal's has run, all earlier ones have, too.
    renewed = called.read_text().count("renewed")
    daemon.ask("refresh", profiles=["works"])
    eventually(lambda: called.read_text().count("renewed") > renewed, WITHIN)
    assert called.read_text().split().count("needed") == 1

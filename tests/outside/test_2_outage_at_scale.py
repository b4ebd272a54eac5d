"""A thousand roles and a dead source: the daemon's work grows linearly, not quadratically."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outside.machine import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

FEW, MANY = 200, 1000
ASKED = 8
DEAD = {
    "its key is refused": {"error": "InvalidClientTokenId"},
    "its answers are cut off": {"fault": "reset"},
    "it is unavailable": {"error": "ServiceUnavailable", "status": 503},
}


def seconds_of(pid: int) -> float:
    """CPU used by a process, which does not depend on the machine's load."""
    facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def cost(home: Home, sts: FakeSts, roles: int, command: str, is_down: bool) -> float:
    """CPU seconds of this many answers while the source is down (or not)."""
    home.configure(*(role(f"r{n}", arn(f"r{n}")) for n in range(roles)))
    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:

        def settled() -> bool:
            entries = daemon.status()["roles"]
            if not is_down:
                return all(entry["state"] == "fresh" for entry in entries)
            failing = [entry for entry in entries if entry["last_error"]]
            return len(failing) >= 2 and all(entry["last_error"] or entry["waits"] for entry in entries)

        eventually(settled, 50, every=1.0)
        before = seconds_of(daemon.pid)
        for _ in range(ASKED):
            daemon.ask(command)
        return seconds_of(daemon.pid) - before


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("command", ["status", "metrics"])
@pytest.mark.parametrize("why", DEAD)
def test_the_cost_of_an_answer_in_an_outage_is_linear_in_the_roles(
    why: str, command: str, aws_home: Home, sts: FakeSts
) -> None:
    """Five times the roles: five times the work, not twenty-five times."""
    sts.rule("*", **DEAD[why])
    few, many = (cost(aws_home, sts, roles, command, is_down=True) for roles in (FEW, MANY))
    assert many <= 10 * max(few, 0.05), f"{few:.2f} s for {FEW} roles, {many:.2f} s for {MANY}"


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("command", ["status", "metrics"])
def test_the_cost_of_an_answer_without_an_outage_is_linear_in_the_roles(
    command: str, aws_home: Home, sts: FakeSts
) -> None:
    """Control."""
    few, many = (cost(aws_home, sts, roles, command, is_down=False) for roles in (FEW, 400))
    assert many <= 6 * max(few, 0.05), f"{few:.2f} s for {FEW} roles, {many:.2f} s for 400"

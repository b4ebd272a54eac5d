"""A server or proxy echoes what it received: no secret in it is passed on, in any encoding."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

SECRETS = ("odd+s3cret/of=a;sourc3", "odd/s3cret+of=a:s3ssion", "odd-tok3n/of+a=session,sh0rt")
"""They match no known pattern; an STS-compatible server may issue such secrets."""

QUOTED: dict[str, Callable[[str], str]] = {
    "as they are": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a URL in small letters": lambda secret: quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "among other words": lambda secret: f"Credential='{secret}',X-Amz-Security-Token={secret}&x",
}


def leaked(*texts: str) -> list[str]:
    """Pieces of secrets, decoded or not."""
    pieces = [piece for secret in SECRETS for piece in (secret, secret[:6], secret[-6:])]
    return [piece for text in texts for piece in pieces if piece in text or piece in unquote(text)]


@pytest.fixture
def issued(sts: FakeSts, aws_home: Home) -> str:
    """A home whose source and sessions have unusual secrets; returns the role's ARN."""
    sts.add_key("AKIAODDSOURCE", SECRETS[0])
    aws_home.add_source("AKIAODDSOURCE", SECRETS[0], profile="odd")
    sts.rule("*", session_seconds=900, credentials={"SecretAccessKey": SECRETS[1], "SessionToken": SECRETS[2]})
    return arn("a")


def test_secrets_echoed_by_a_server_appear_nowhere(sts: FakeSts, aws_home: Home, tmp_path: Path, issued: str) -> None:
    """Log at debug, status, metrics, hooks, and the commands beside the daemon."""
    told = tmp_path / "told"
    hook = json.dumps(["sh", "-c", f"env | grep ^ASSUMED_ >> {told}; echo done >> {told}"])
    aws_home.configure(role("a", issued, source_profile="odd"), f"[hooks]\nafter_failure = {hook}\n")
    environment = {"AWS_ENDPOINT_URL_STS": sts.url, "ASSUMED_LOG_LEVEL": "debug"}
    with Daemon(aws_home, **environment) as daemon:
        daemon.wait_until_fresh("a")
        for how, quoting in QUOTED.items():
            sts.rule(issued, error="AccessDenied", message=f"{how}: " + " ".join(map(quoting, SECRETS)))
            refreshed = aws_home.assumed("refresh", "a", **environment)
            assert refreshed.returncode == 1
            said = [json.dumps(daemon.status()), refreshed.stdout, refreshed.stderr]
            assert (how, leaked(*said)) == (how, [])
            assert any(how in text for text in said), "the message has been said"
        shown = aws_home.assumed("status", "--all", **environment)
        metrics = aws_home.assumed("metrics", **environment)
        daemon.wait_until(lambda _: told.exists() and "done" in told.read_text(), 30)
    assert leaked(shown.stdout, shown.stderr, metrics.stdout, metrics.stderr) == []
    assert leaked(daemon.stdout, daemon.stderr, told.read_text()) == []


ALONE = [
    ["once"],
    pytest.param(["credential-process", "a"], marks=pytest.mark.slow),
    pytest.param(["env", "a"], marks=pytest.mark.slow),
    pytest.param(["exec", "a", "--", "true"], marks=pytest.mark.slow),
]


@pytest.mark.parametrize("command", ALONE, ids=str)
def test_a_command_without_a_daemon_does_not_print_them_either(
    command: list[str], sts: FakeSts, aws_home: Home, issued: str
) -> None:
    """It knows the source's secrets and those of a stored session."""
    sts.rule(issued, session_seconds=1, credentials={"SecretAccessKey": SECRETS[1], "SessionToken": SECRETS[2]})
    aws_home.configure(role("a", issued, source_profile="odd", deliver="process"))
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    words = "as they are: " + " ".join(quoting(secret) for quoting in QUOTED.values() for secret in SECRETS)
    sts.rule(issued, error="AccessDenied", message=words)
    time.sleep(1)
    done = aws_home.assumed(*command, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode != 0
    assert "as they are" in done.stderr
    assert leaked(done.stdout, done.stderr) == []

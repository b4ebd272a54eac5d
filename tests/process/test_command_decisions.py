"""Decisions of commands: what is accepted, what is refused, and what is printed without a daemon."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from process.kit import arn, key_of
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts

KEY = "A" + "SIA" + "Q3EGRJ4ZBHDKX7UO"
SECRET = "zzzzzzzz" * 5


def more(*values: Any) -> list[Any]:
    """Inputs that only `make proof` tries."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def checked(home: Home, **more: str) -> tuple[int, dict[str, Any]]:
    """Exit status and document of `check --json`."""
    ran = home.assumed("check", "--json", **more)
    return ran.returncode, json.loads(ran.stdout)


def said_of(document: dict[str, Any], subject: str) -> list[str]:
    """Severities of the findings about a subject."""
    return [finding["severity"] for finding in document["findings"] if subject in finding["subject"]]


@pytest.mark.parametrize("policy", ['"{}"', *more("{ Version = '2012-10-17' }", '"[]"')])
def test_a_policy_without_a_statement_is_refused(aws_home: Home, policy: str) -> None:
    """STS would refuse it at each renewal."""
    aws_home.configure(role("a", arn("a")) + f"policy = {policy}\n")
    status, document = checked(aws_home)
    assert status == 2
    assert [problem for problem in document["problems"] if "policy" in problem and "Statement" in problem]


def test_a_default_mfa_serial_is_ignored_for_a_role_signed_by_a_role(aws_home: Home) -> None:
    """A role has no MFA device; only a serial in the role's own entry is an error."""
    defaults = DEFAULTS + 'mfa_serial = "arn:aws:iam::123456789012:mfa/natan"\n'
    chained = role("b", arn("b"), source_profile="a")
    aws_home.configure(role("a", arn("a")), chained, defaults=defaults)
    assert checked(aws_home)[1]["problems"] == []
    own = role("b", arn("b"), source_profile="a", mfa_serial="arn:aws:iam::123456789012:mfa/natan")
    aws_home.configure(role("a", arn("a")), own, defaults=defaults)
    assert "mfa_serial" in " ".join(checked(aws_home)[1]["problems"])


@pytest.mark.parametrize(("token", "severities"), [("aws_session_token = IQoJb3JpZ2lu\n", []), ("", ["error"])])
def test_temporary_keys_need_a_session_token(aws_home: Home, token: str, severities: list[str]) -> None:
    """Two of the three values are never enough."""
    aws_home.credentials.write_text(f"[src]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n{token}")
    aws_home.configure(role("a", arn("a"), source_profile="src"))
    _, document = checked(aws_home)
    assert [severity for severity in said_of(document, "src") if severity == "error"] == severities


def test_a_profile_named_by_aws_profile_must_exist(aws_home: Home) -> None:
    """Otherwise every command without --profile fails."""
    aws_home.configure(role("a", arn("a")))
    for name, severities in (("default", []), ("a", []), ("gone", ["warning"])):
        assert said_of(checked(aws_home, AWS_PROFILE=name)[1], "AWS_PROFILE") == severities


def test_metrics_are_printed_without_a_daemon(aws_home: Home) -> None:
    """From the disk; the exit status says that no daemon runs."""
    aws_home.configure(role("a", arn("a")))
    ran = aws_home.assumed("metrics")
    assert ran.returncode == 3
    assert "assumed_" in ran.stdout
    aws_home.config.unlink()
    ran = aws_home.assumed("metrics")
    assert ran.stdout == ""
    assert ran.returncode in {2, 3}


@pytest.mark.parametrize(
    "arguments",
    [("--token-file", "t"),
     *more(("liveness", "readiness", "--token-file", "t"), ("liveness", "--token-file", "t", "--port", "70000"))],
)  # fmt: skip
def test_a_wrong_probe_command_line_is_a_usage_error(aws_home: Home, arguments: tuple[str, ...]) -> None:
    """A pod's events show the error, not a traceback."""
    ran = aws_home.assumed("probe", *arguments)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


def test_an_error_after_multi_line_values_is_reported_with_its_line(aws_home: Home) -> None:
    """Arrays and tables are not taken for headers and keys."""
    before = """tags = { a = 'b', c = 'd' }\npolicy_arns = [\n  "arn:aws:iam::aws:policy/ReadOnlyAccess",\n]\n"""
    aws_home.configure(role("a", arn("a")), role("b", arn("b")) + before + "duration_seconds = 5\n")
    line = aws_home.config.read_text().splitlines().index("duration_seconds = 5") + 1
    (problem,) = checked(aws_home)[1]["problems"]
    assert f":{line}:" in problem


NESTED = "[DEFAULT]\ns3 =\n  not a setting\n"


def test_nothing_is_written_if_botocore_could_not_read_the_defaults(
    aws_home: Home, sts: FakeSts, daemon: Daemon
) -> None:
    """A nested setting of `[DEFAULT]` is read in every section that has none of its own."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    text = f"{NESTED}[other]\nregion = us-west-2\n"
    aws_home.credentials.write_text(text)
    daemon.wait_until(lambda status: "line 3" in (status["credentials_file"]["error"] or ""))
    assert aws_home.assumed("refresh", "a").returncode == 1
    assert aws_home.credentials.read_text() == text


def test_stdin_of_exec_belongs_to_its_command(aws_home: Home, sts: FakeSts) -> None:
    """Even if exec renews by itself."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    ran = subprocess.run(
        [aws_home.interpreter, "-m", "assumed", "exec", "a", "--", "cat"],
        env=aws_home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        input="a line\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout == "a line\n"


def test_credential_process_uses_the_configured_endpoint_not_the_callers(aws_home: Home, sts: FakeSts) -> None:
    """The daemon had none in its environment, so the configuration's endpoint counts."""
    sts.rule("*", session_seconds=900)
    aws_home.aws_config.write_text(f"[default]\nregion = us-west-2\nendpoint_url = {sts.url}\n")
    aws_home.configure(role("a", arn("a"), deliver="process"))
    with Daemon(aws_home) as daemon:
        daemon.wait_until_fresh("a")
    stored = aws_home.state / "sessions" / "a.json"
    stored.unlink()
    ran = aws_home.assumed("credential-process", "a", AWS_ENDPOINT_URL_STS="http://127.0.0.1:1")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["AccessKeyId"] == sts.calls[-1].issued


def test_a_usage_error_of_credential_process_exits_with_2(aws_home: Home, tmp_path: Path) -> None:
    """Status 1 is reserved for a failing role."""
    assert aws_home.assumed("credential-process").returncode == 2
    assert aws_home.assumed("credential-process", "a", "b").returncode == 2


def test_a_request_that_sts_can_never_grant_is_made_once_an_hour(aws_home: Home, sts: FakeSts) -> None:
    """Not less often: what it names may have been created since."""
    sts.rule("*", error="MalformedPolicyDocument")
    aws_home.configure(role("a", arn("a")))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        for failures in (1, 2, 3):
            status = daemon.wait_until(lambda status, n=failures: status["roles"][0]["failures"] == n)
            due = datetime.fromisoformat(status["roles"][0]["next_renewal"])
            assert timedelta(minutes=50) < due - datetime.now(UTC) < timedelta(minutes=70)
            assert aws_home.assumed("refresh", "a").returncode == 1


SOCKET = ".aws/assumed/control.sock"


@pytest.mark.parametrize("length", [100, *more(99)])
def test_credential_process_finds_the_daemon_at_any_path_length(
    sts: FakeSts, tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    """A socket's name holds about 100 bytes; both sides switch to another place at the same length."""
    sts.rule("*", session_seconds=900)
    base = tmp_path_factory.mktemp("h")
    home = Home(base / ("x" * (length - len(f"{base}//{SOCKET}"))))
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("a", arn("a"), deliver="process"))
    assert len(str(home.path / SOCKET)) == length
    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        (home.state / "sessions" / "a.json").unlink()
        assert home.assumed("credential-process", "a").returncode == 0
        assert len(daemon.events("role.renewed")) == len(sts.calls), "the daemon has made every call"


@pytest.mark.parametrize("section", ["[a]\n", *more("[a]\n\n# mine\n", "[a]\nregion = eu-north-1\n")])
def test_a_section_without_keys_is_filled(aws_home: Home, sts: FakeSts, section: str) -> None:
    """Its other lines stay."""
    sts.rule("*", session_seconds=900)
    aws_home.credentials.write_text(section + aws_home.credentials.read_text())
    aws_home.configure(role("a", arn("a")))
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    kept = aws_home.profile("a") or {}
    assert kept["aws_access_key_id"] == sts.calls[-1].issued
    assert [line for line in section.splitlines() if line not in aws_home.credentials.read_text()] == []


def test_the_error_names_long_term_keys_that_cannot_satisfy_mfa(aws_home: Home) -> None:
    """So that the user knows which keys."""
    aws_home.add_source("A" + "KIAQ3EGRJ4ZBHDKX7UO", SECRET, profile="natan")
    serial = "arn:aws:iam::123456789012:mfa/natan"
    aws_home.configure(role("a", arn("a"), source_profile="natan", mfa_serial=serial))
    (finding,) = [found for found in checked(aws_home)[1]["findings"] if serial in found["subject"]]
    assert finding["severity"] == "error"
    assert "natan holds" in finding["message"]


def test_after_a_reboot_the_expiry_from_sts_counts_too(aws_home: Home, sts: FakeSts, daemon: Daemon) -> None:
    """The clock was wrong when the session arrived, so by the wall clock an hour would be left."""
    sts.rule("*", session_seconds=3600)
    aws_home.configure(role("a", arn("a")))
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    stored = aws_home.state / "sessions" / "a.json"
    document = json.loads(stored.read_text())
    now = time.time()
    document["Assumed"] |= {"boot_id": "an earlier one", "received_wall": now, "expiration": now + 60}
    stored.write_text(json.dumps(document))
    daemon.start().wait_until_fresh("a")
    daemon.wait_until(lambda _: len(sts.calls) == 2 and key_of(aws_home, "a") == sts.calls[1].issued)


def test_a_renewal_keeps_the_region_in_the_profile(aws_home: Home, sts: FakeSts) -> None:
    """Once, before and after."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a"), region="eu-west-1"))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        assert (aws_home.profile("a") or {})["region"] == "eu-west-1"
        assert aws_home.assumed("refresh", "a").returncode == 0
        daemon.wait_until(lambda _: len(sts.calls) == 2 and key_of(aws_home, "a") == sts.calls[1].issued)
        assert (aws_home.profile("a") or {})["region"] == "eu-west-1"

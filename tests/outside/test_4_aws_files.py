"""Both AWS files are read as botocore reads them: role claims, regions, endpoints; a broken one ends no role."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

ARN = "arn:aws:iam::123456789012:role/r"


def findings(home: Home, *severities: str) -> list[dict[str, str]]:
    document = json.loads(home.assumed("check", "--json").stdout)
    assert document["problems"] == []
    return [finding for finding in document["findings"] if finding["severity"] in (severities or ("error", "warning"))]


# -- 4.4: one parser ------------------------------------------------------------------------------------------------

CLAIMS = {
    "in [DEFAULT]": f"[DEFAULT]\nrole_arn = {ARN}\nsource_profile = default\n[profile kept]\noutput = json\n",
    "under an indented header": f"  [profile kept]\nrole_arn = {ARN}\nsource_profile = default\n",
    "under a quoted header": f'[profile "kept"]\nrole_arn = {ARN}\nsource_profile = default\n',
    "after a comment and CRLF": f"# x\r\n[profile kept]\r\nrole_arn = {ARN}\r\nsource_profile = default\r\n",
    "under a header with a comment": f"[profile kept] # mine\nrole_arn: {ARN}\nsource_profile: default\n",
}


@pytest.mark.parametrize("how", CLAIMS)
def test_a_role_claim_is_found_however_it_is_written(aws_home: Home, how: str) -> None:
    """The advice leaves nothing behind that breaks another SDK."""
    aws_home.aws_config.write_bytes(CLAIMS[how].encode())
    aws_home.configure(role("kept", ARN))

    found = [finding for finding in findings(aws_home, "error") if finding["subject"] == "kept"]

    assert len(found) == 1
    assert "role_arn" in found[0]["advice"]
    assert "source_profile" in found[0]["advice"]


@pytest.mark.parametrize(
    "section",
    ["source_profile = default", "credential_source = Environment", "region = us-west-2\nsource_profile = default"],
)
def test_a_source_profile_without_role_arn_under_a_managed_name_is_found(aws_home: Home, section: str) -> None:
    """Go's SDK (Terraform, rclone) refuses such a profile."""
    aws_home.aws_config.write_text(f"[profile kept]\n{section}\n")
    aws_home.configure(role("kept", ARN))

    found = [finding for finding in findings(aws_home) if finding["subject"] == "kept"]

    assert len(found) == 1
    assert "Go" in found[0]["message"]
    assert section.rpartition("\n")[2].partition(" ")[0] in found[0]["advice"]


@pytest.mark.parametrize("section", ["output = json", "region = us-west-2", "s3 =\n  max_queue_size = 1\n"])
def test_a_section_with_only_settings_under_a_managed_name_is_fine(aws_home: Home, section: str) -> None:
    """Control."""
    aws_home.aws_config.write_text(f"[profile kept]\n{section}\n")
    aws_home.configure(role("kept", ARN))

    assert [finding for finding in findings(aws_home) if finding["subject"] == "kept"] == []


REGIONS = {
    "in [DEFAULT]": "[DEFAULT]\nregion = eu-north-1\n[profile kept]\noutput = json\n",
    "under an indented header": " [profile kept]\nregion = eu-north-1\n",
    "under a header with a comment": "[profile kept] # mine\nregion = eu-north-1\n",
    "quoted, with a colon": '[profile "kept"]\nregion: eu-north-1\n',
}


@pytest.mark.parametrize("how", REGIONS)
def test_a_region_in_the_aws_config_is_not_overridden(aws_home: Home, sts: FakeSts, daemon: Daemon, how: str) -> None:
    """The credentials file would take precedence in every SDK."""
    aws_home.aws_config.write_text(REGIONS[how])
    aws_home.configure(role("kept", ARN, region="us-west-2"))
    daemon.start().wait_until_fresh("kept", within=45)

    assert "region" not in (aws_home.profile("kept") or {})


SERVICES = {
    "plain": "[profile kept]\nservices = local\n[services local]\ns3 =\n  endpoint_url = http://127.0.0.1:9\n",
    "indented": " [profile kept]\n services = local\n [services local]\n s3 =\n   endpoint_url = http://127.0.0.1:9\n",
    "by [DEFAULT]": (
        "[DEFAULT]\nservices = local\n[profile kept]\noutput = json\n"
        "[services local]\ns3 =\n  endpoint_url = http://127.0.0.1:9\n"
    ),
    "quoted": '[profile kept]\nservices = local\n[services "local"]\ns3 =\n\n  # x\n  endpoint_url = http://127.0.0.1:9\n',
}
TELLS = "import boto3; print(boto3.session.Session().client('s3', region_name='us-west-2').meta.endpoint_url)"  # as set


@pytest.mark.slow
@pytest.mark.parametrize("how", SERVICES)
def test_exec_passes_on_the_services_section_of_a_profile(aws_home: Home, sts: FakeSts, how: str) -> None:
    """Nested settings, wherever botocore finds them."""
    aws_home.aws_config.write_text(SERVICES[how])
    aws_home.configure(role("kept", ARN))

    ran = aws_home.assumed("exec", "kept", "--", sys.executable, "-c", TELLS, AWS_ENDPOINT_URL_STS=sts.url, within=60)

    assert ran.stdout.strip() == "http://127.0.0.1:9", ran.stderr


# -- 4.5: a broken file ---------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, int]] = {
    "a section twice": (b"[default]\nregion = us-west-2\n[profile x]\n[default]\noutput = json\n", 4),
    "a key before a section": (b"region = us-west-2\n[default]\n", 1),
    "a byte order mark": (b"\xef\xbb\xbf[default]\nregion = us-west-2\n", 1),
    "a NUL": (b"[default]\nregion = us-west-2\n\0\0\0\n", 3),
    "latin-1": (b"[default]\n# caf\xe9\n", 2),
    "half a line": (b"[default]\nregion = us-west-2\noutp", 3),
}


def with_broken_file(home: Home, which: str, how: str) -> tuple[Path, int]:
    """Break one of the two AWS files; returns the file and the line."""
    broken, line = BROKEN[how]
    if which == "config":
        home.aws_config.write_bytes(broken)
        return home.aws_config, line
    text = home.credentials.read_bytes()
    if how in ("a key before a section", "a byte order mark"):
        home.credentials.write_bytes(broken.splitlines(keepends=True)[0].replace(b"[default]\n", b"") + text)
        return home.credentials, 1
    home.credentials.write_bytes(text + broken.replace(b"[default]\n", b"[other]\n", 1).replace(b"[profile x]\n", b""))
    return home.credentials, 0


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_config_file_is_named_with_its_line_everywhere(aws_home: Home, sts: FakeSts, how: str) -> None:
    """By status, `once` and the log, as by `check`; the last good content stays in effect."""
    aws_home.aws_config.write_text("[default]\nregion = us-west-2\n")
    aws_home.configure(role("a", ARN))
    sts.rule("*", session_seconds=900)
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a", within=45)
        file, line = with_broken_file(aws_home, "config", how)
        named = f"line {line} "
        daemon.wait_until(lambda status: status.get("unreadable") or len(daemon.events()) > 40, 45)
        shown = aws_home.assumed("status").stdout
        logged = [event for event in daemon.events() if event.get("path") == str(file)]
        before = len(sts.calls)
        refreshed = aws_home.assumed("refresh", "a", within=60)
        once = aws_home.assumed("once", within=60)
        after = len(sts.calls)
    alone = aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)

    assert str(file) in " ".join(shown.split())
    assert named in " ".join(shown.split())
    assert any(named in event["message"] for event in logged)
    assert refreshed.returncode == 0, "the last good knowledge goes on"
    assert after > before
    for ran in (once, alone):
        assert ran.returncode == 1
        assert str(file) in ran.stderr
        assert named in ran.stderr


@pytest.mark.parametrize("how", ["a section twice", "latin-1", "half a line"])
def test_a_role_that_fails_because_of_a_broken_file_names_its_line(aws_home: Home, sts: FakeSts, how: str) -> None:
    """The file was already broken at the start."""
    file, line = with_broken_file(aws_home, "config", how)
    aws_home.configure(role("a", ARN))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        document = daemon.wait_until(lambda status: status["roles"][0]["last_error"], 45)

    error = document["roles"][0]["last_error"]
    assert f"{file}: line {line} " in error["message"]


@pytest.mark.parametrize("how", ["a section twice", "half a line", "latin-1"])
def test_a_broken_credentials_file_is_named_with_its_line(aws_home: Home, sts: FakeSts, how: str) -> None:
    """It cannot be written, and status says where it is broken. Sessions are still renewed in the store."""
    aws_home.configure(role("a", ARN, deliver="process"))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a", within=45)
        with_broken_file(aws_home, "credentials", how)
        document = daemon.wait_until(lambda status: status["credentials_file"]["error"], 45)
        once = aws_home.assumed("once", within=60)

    assert "line " in document["credentials_file"]["error"]
    assert once.returncode == 1
    assert "line " in once.stderr


@pytest.mark.parametrize("text", ["", "# nothing\n", "[default]\r\nregion = us-west-2\r\n", "[profile x]\nregion: y\n"])
def test_a_readable_file_has_no_finding(aws_home: Home, sts: FakeSts, text: str) -> None:
    """Control."""
    aws_home.aws_config.write_bytes(text.encode())
    aws_home.configure(role("a", ARN))

    ran = aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)

    assert ran.returncode == 0, ran.stderr

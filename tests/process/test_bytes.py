"""All bytes of the credentials file that are not managed stay the same, while a profile is managed and afterwards."""

from __future__ import annotations

import stat

import pytest

from process.kit import arn, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ENVIRONMENT = '[defaults]\ncredential_source = "Environment"\nregion = "us-west-2"\n'
"""The source is in no file."""
SHAPES = {
    "everything that INI can be": (
        b"; mine\n\n[default]  # keys\nAWS_Access_Key_Id: x\n\ts3 = a\n[kept]\n  # deep\n  output = json\n\n"
        b"  s3 =\n    a = b\n\n\n[\xc3\xa9 / x] \nregion=y\n\n\n# the end"
    ),
    "Windows": b"[default]\r\nregion = x\r\n\r\n[kept]\r\noutput = json\r\n[last]\r\nregion = y\r\n",
    "no newline at the end": b"[default]\nregion = x",
    "a section in the middle": b"[default]\nregion = x\n[kept]\noutput = json\n[also]\n# mine\n[last]\nregion = y\n",
    "empty lines at the end": b"[default]\nregion = x\n\n\n",
    "a comment alone": b"# nothing yet\n",
}


def source(sts: FakeSts) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_STS": sts.url,
        "AWS_ACCESS_KEY_ID": sts.source.access_key_id,
        "AWS_SECRET_ACCESS_KEY": sts.source.secret_access_key,
    }


EVERY_DAY = ("everything that INI can be", "Windows", "a section in the middle", "a comment alone")


@pytest.mark.parametrize(
    "shape", [pytest.param(name, marks=() if name in EVERY_DAY else pytest.mark.slow) for name in SHAPES]
)
def test_adding_and_removing_a_profile_leaves_every_other_byte_unchanged(
    shape: str, sts: FakeSts, aws_home: Home
) -> None:
    """In a symbolic link's target that was open to others: it stays in place and becomes 0600. What another program
    appends right after our section stays."""
    sts.rule("*", session_seconds=900)
    ending = b"\r\n" if shape == "Windows" else b"\n"
    appended = b"[later]\nregion = z\n".replace(b"\n", ending) if SHAPES[shape].endswith(b"\n") else b""
    real = aws_home.path / "dotfile"
    real.write_bytes(SHAPES[shape])
    real.chmod(0o644)
    aws_home.credentials.unlink()
    aws_home.credentials.symlink_to(real)
    roles = [role("kept", arn("kept"), deliver="keys"), role("also", arn("also"), deliver="process")]
    aws_home.configure(*roles, defaults=ENVIRONMENT)
    with Daemon(aws_home, **source(sts)) as daemon:
        daemon.wait_until_fresh("kept", "also", within=30)
        with real.open("ab") as file:
            file.write(appended)
        text = real.read_bytes()
        rest = iter(text.splitlines(keepends=True))
        lost = [line for line in SHAPES[shape].splitlines() if not any(line == other.rstrip(b"\r\n") for other in rest)]
        aws_home.configure(
            role("kept", arn("kept"), enabled=False), role("also", arn("also"), enabled=False), defaults=ENVIRONMENT
        )
        eventually(lambda: not key_of(aws_home, "kept") and b"assumed" not in real.read_bytes(), 30)
    assert lost == []
    ends_in_both = {line.endswith(b"\r\n") for line in text.splitlines(keepends=True)}
    assert ends_in_both == {shape == "Windows"}
    assert real.read_bytes() == SHAPES[shape] + appended
    assert aws_home.credentials.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.slow
def test_a_section_that_only_looks_like_ours_stays(sts: FakeSts, aws_home: Home) -> None:
    """A copy of a managed section under another name, and one of another configuration."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")), role("stays", arn("stays")), defaults=ENVIRONMENT)
    with Daemon(aws_home, **source(sts)) as daemon:
        daemon.wait_until_fresh("kept", "stays")
        text = aws_home.credentials.read_text()
        ours = text[text.index("[kept]") :].partition("\n\n")[0] + "\n"
        copy = ours.replace("[kept]", "[copy]")
        theirs = "[theirs]\nregion = x\nx_assumed = theirs 0123456789ab\n"
        with aws_home.credentials.open("a") as file:
            file.write(copy + theirs)
        aws_home.configure(role("stays", arn("stays")), defaults=ENVIRONMENT)
        eventually(lambda: aws_home.profile("kept") is None, 30)
        assert copy + theirs in aws_home.credentials.read_text()


UNSAFE = {
    "a header that is indented": (b"[a]\n  [b]\ny = 1\n", 2),
    "a NUL byte": (b"[a]\nx = 1\ny = \0\n", 3),
    "a lone carriage return": (b"[a]\nx = 1\ry = 2\n", 2),
    "a byte order mark": (b"\xef\xbb\xbf[a]\nx = 1\n", 1),
    "a section twice": (b"[a]\nx = 1\n[a]\ny = 1\n", 3),
    "a key twice": (b"[a]\nx = 1\nX: 2\n", 3),
    "a key before all sections": (b"x = 1\n[a]\n", 1),
    "a nested line of no key": (b"[a]\ns3 =\n  nonsense\n", 3),
    "a merge gone wrong": (b"[a]\n<<<<<<< HEAD\nx = 1\n", 2),
    "no key": (b"[a]\n= 1\n", 2),
}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.slow if n > 2 else ()) for n, how in enumerate(UNSAFE)]
)
def test_a_file_that_sdks_could_not_read_is_left_alone_and_its_line_is_reported(
    how: str, sts: FakeSts, aws_home: Home
) -> None:
    """botocore or another SDK could not read the file, or not with our section in it."""
    text, line = UNSAFE[how]
    aws_home.credentials.write_bytes(text)
    aws_home.configure(role("kept", arn("kept")), defaults=ENVIRONMENT)
    once = aws_home.assumed("once", **source(sts))
    assert once.returncode == 1
    assert f"line {line} " in once.stderr
    assert aws_home.credentials.read_bytes() == text

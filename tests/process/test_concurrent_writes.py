"""Another program writes the credentials file at the worst moment: while it is read, or right before it is replaced.

strace stops the daemon there, and the other program writes.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from process.kit import arn, key_of
from process.stops import Traced
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

EDIT = "[edited]\nregion = eu-west-1\n"
MINE = [f"mine{n}" for n in range(5)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture(autouse=True)
def _mine(sts: FakeSts, aws_home: Home) -> None:
    """Some profiles of the user, and one role."""
    sts.rule("*", session_seconds=900)
    with aws_home.credentials.open("a") as file:
        file.write("".join(f"[{name}]\nregion = us-west-2\n" for name in MINE))
    os.utime(aws_home.credentials, (1e9, 1e9))
    aws_home.configure(role("kept", arn("kept")))


def missing(home: Home) -> list[str]:
    """Profiles that botocore does not find."""
    return [name for name in ["default", *MINE, "edited", "kept"] if not home.profile(name)]


def test_a_slow_in_place_write_during_a_read_loses_nothing(sts: FakeSts, aws_home: Home, trace: Path) -> None:
    """It truncates and writes half after we have read the old text, and the rest when we read again."""
    text = aws_home.credentials.read_text() + EDIT
    halves = [text[: len(text) // 2], text[len(text) // 2 :]]
    traced = Traced(trace, "pread64", "-P", str(aws_home.credentials.resolve()))
    with aws_home.credentials.open("r+") as writer:

        def write_a_half() -> None:
            if not halves or not sts.calls:  # without a session nothing is written
                return
            if len(halves) == 2:
                writer.truncate(0)
            writer.write(halves.pop(0))
            writer.flush()

        with traced.at_each_stop("pread64", write_a_half):
            once = aws_home.assumed("once", before=traced.command, AWS_ENDPOINT_URL_STS=sts.url)
    assert once.returncode == 0, once.stderr
    assert halves == []
    assert missing(aws_home) == []


def by_rename(path: Path, text: str) -> None:
    """As vim and most editors save."""
    new = path.with_name("4913")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


def in_place(path: Path, text: str) -> None:
    """As the AWS CLI writes."""
    path.write_text(text)


@pytest.mark.parametrize("save", [by_rename, in_place])
def test_a_save_right_before_the_exchange_is_merged(
    save: Callable[[Path, str], None], sts: FakeSts, aws_home: Home, trace: Path
) -> None:
    """Between the last check and the exchange."""
    credentials, saved = aws_home.credentials, []
    traced = Traced(trace, "renameat")

    def save_an_edit() -> None:
        if not saved and list(credentials.parent.glob(".*.parked")) and "[kept]" in credentials.read_text():
            text = credentials.read_text().replace("[kept]\n", "[kept]\noutput = json\n")
            saved.append(save(credentials, text + EDIT))

    with (
        traced.at_each_stop("renameat", save_an_edit),
        Daemon(aws_home, under=traced.command, AWS_ENDPOINT_URL_STS=sts.url) as daemon,
    ):
        daemon.wait_until_fresh("kept", within=60)
        first = key_of(aws_home, "kept")
        daemon.ask("refresh", profiles=["kept"])
        eventually(lambda: saved and key_of(aws_home, "kept") not in ("", first), 30)
        eventually(lambda: missing(aws_home) == [], 30, saying="the edit is merged")
    assert (aws_home.profile("kept") or {})["output"] == "json"
    assert not list(credentials.parent.glob(".*.parked"))
    assert not list(credentials.parent.glob("*.not-merged-*"))


def test_a_half_written_file_is_waited_for(sts: FakeSts, aws_home: Home, trace: Path) -> None:
    """A script truncates it, and appends the rest after we have read it once."""
    credentials = aws_home.credentials
    rest: list[str] = []
    reads: list[float] = []
    traced = Traced(trace, "pread64", "-P", str(credentials.resolve()))

    def append_the_rest() -> None:
        with credentials.open("a") as file:
            file.write(rest.pop())

    def append_it_later() -> None:
        reads.append(time.monotonic())
        if rest and reads[-1] - reads[0] > 0.5:
            append_the_rest()

    with (
        traced.at_each_stop("pread64", append_it_later),
        Daemon(aws_home, under=traced.command, AWS_ENDPOINT_URL_STS=sts.url) as daemon,
    ):
        daemon.wait_until_fresh("kept", within=60)
        text = credentials.read_text() + EDIT
        reads.clear()
        rest.append(text[text.index("[mine2]") :])
        credentials.write_text(text[: text.index("[mine2]")])
        inode = credentials.stat().st_ino
        eventually(lambda: not rest or credentials.stat().st_ino != inode, 30)
        if rest:  # it did not wait
            append_the_rest()
        eventually(lambda: missing(aws_home) == [], 30)
        daemon.wait_until_fresh("kept", within=60)
        assert daemon.status()["credentials_file"]["error"] is None


_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += 0\b")
_OPEN = re.compile(r"\d+<([^>]*)>")
_NAMED = re.compile(r"<([^>]*)>, \"([^\"]*)\"")


def published(calls: list[str], file: Path) -> list[tuple[bool, bool]]:
    """For each time another file takes this name: was it flushed before, and its directory after?"""
    flushed: set[str] = set()
    found: list[tuple[bool, bool]] = []
    for call in calls:
        parsed = _CALL.match(call)
        if parsed is None:
            continue
        name, arguments = parsed.groups()
        if name == "fsync" and (of := _OPEN.search(arguments)):
            flushed.add(of[1])
            if of[1] == str(file.parent) and found:
                found[-1] = found[-1][0], True
        if name.startswith("rename"):
            old, new = (f"{directory}/{one}" for directory, one in _NAMED.findall(arguments))
            if new == str(file):
                found.append((old in flushed, False))
            if old in flushed:
                flushed.add(new)
    return found


PUBLISHED = {
    "names that trade places": ((), True),
    "a system that cannot": (("-e", "inject=renameat2:error=EINVAL"), True),
    "the first write": ((), False),
}


@pytest.mark.parametrize("how", PUBLISHED)
def test_a_new_file_and_its_directory_are_flushed(how: str, sts: FakeSts, aws_home: Home, trace: Path) -> None:
    """A power cut leaves the old file or the new one: flush, rename, flush of the directory. Both AWS files."""
    options, exists = PUBLISHED[how]
    aws_home.aws_config.write_text("[profile mine]\nregion = us-west-2\n")
    source = {"AWS_ACCESS_KEY_ID": sts.source.access_key_id, "AWS_SECRET_ACCESS_KEY": sts.source.secret_access_key}
    aws_home.configure(
        role("kept", arn("kept")),
        role("served", arn("served"), deliver="process"),
        defaults='[defaults]\ncredential_source = "Environment"\nregion = "us-west-2"\n',
    )
    if not exists:
        aws_home.credentials.unlink()
        aws_home.aws_config.unlink()
    traced = Traced(trace, "fsync,rename,renameat,renameat2", *options)
    once = aws_home.assumed("once", before=traced.command, AWS_ENDPOINT_URL_STS=sts.url, **source)
    assert once.returncode == 0, once.stderr
    for file in (aws_home.credentials.resolve(), aws_home.aws_config.resolve()):
        times = published(traced.calls(), file)
        assert times, traced.calls()
        assert set(times) == {(True, True)}, traced.calls()

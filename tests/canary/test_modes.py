"""No file, directory or socket is ever open to others, not for an instant: checked by the system calls."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.scores import Record
from world.traces import whole_lines

CALLS = "umask,open,openat,creat,mkdir,mkdirat,mknod,mknodat,bind,chmod,fchmod,fchmodat"
LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
WITH_UMASK_000 = ["/bin/sh", "-c", 'umask 000; exec "$@"', "sh"]


@dataclass(frozen=True, slots=True)
class Made:
    """Something that was created or got another mode."""

    call: str
    arguments: str
    mode: int
    """With the umask at that time."""

    def is_open_to_others(self) -> bool:
        return bool(self.mode & 0o077)


def made(trace: str) -> Iterator[Made]:
    """Everything that a process and its helpers created, in order. Only the process itself sets a umask."""
    umask = 0o777
    for line in whole_lines(trace):
        match = LINE.match(line)
        if match is None or int(match["result"]) < 0:
            continue
        call, arguments = match["call"], match["arguments"]
        if call == "umask":
            umask = int(arguments, 8)
        elif call == "bind" and "sun_path=" in arguments:
            yield Made(call, arguments, 0o777 & ~umask)
        elif call in ("chmod", "fchmod", "fchmodat"):
            yield Made(call, arguments, octal(arguments))
        elif call in ("mkdir", "mkdirat", "creat", "mknod", "mknodat") or re.search(r"O_CREAT|O_TMPFILE", arguments):
            yield Made(call, arguments, octal(arguments) & ~umask)


def octal(arguments: str) -> int:
    """The mode among the arguments of a call: the last octal number."""
    return int(re.findall(r"(?<=, )0[0-7]*\b", arguments)[-1], 8)


@dataclass
class Traced:
    """Runs commands under strace with umask 000."""

    directory: Path
    count: int = 0

    def under(self) -> list[str]:
        self.count += 1
        file = self.directory / f"trace-{self.count}"
        return [*WITH_UMASK_000, "strace", "-D", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(file)]

    def traces(self) -> list[str]:
        return [path.read_text() for path in sorted(self.directory.iterdir())]


def assumed(traced: Traced, home: Home, *words: str, **environment: str) -> None:
    """Run one command; its output and exit status do not matter here."""
    subprocess.run(
        [*traced.under(), sys.executable, "-m", "assumed", *words],
        env=home.environment(**environment),
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_trace_reader_detects_wide_modes() -> None:
    """Interrupted calls, failed calls, modes narrowed by the umask, and modes set afterwards."""
    trace = """\
7 umask(000) = 022
7 openat(AT_FDCWD, "read", O_RDONLY|O_CLOEXEC) = 3
7 openat(AT_FDCWD, "wide, 0600", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3
7 mkdir("there", 0777) = -1 EEXIST (File exists)
7 mkdir("d", 0777 <unfinished ...>
8 fchmod(3, 0640) = 0
7 <... mkdir resumed>) = 0
7 umask(077) = 000
7 openat(AT_FDCWD, "narrowed", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3
8 bind(4, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
8 bind(4, {sa_family=AF_INET, sin_port=htons(0)}, 16) = 0
7 chmod("narrowed", 0600) = 0
"""
    found = list(made(trace))
    assert [(one.call, oct(one.mode)) for one in found] == [
        ("openat", "0o666"),
        ("fchmod", "0o640"),
        ("mkdir", "0o777"),
        ("openat", "0o600"),
        ("bind", "0o700"),
        ("chmod", "0o600"),
    ]
    assert [one.is_open_to_others() for one in found] == [True, True, True, False, False, False]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_nothing_that_the_daemon_or_a_command_creates_is_open_to_others(
    tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    """A whole life: start, renew, edit, a bad edit, a crash, a restart, a stop, and every command meanwhile."""
    traced = Traced(tmp_path_factory.mktemp("traces"))
    try:
        subprocess.run([*traced.under(), "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("strace is not installed, or may not trace here")
    home = Home(tmp_path_factory.mktemp("h"))
    with FakeSts() as sts:
        sts.rule("*", session_seconds=900)
        environment = {"AWS_ENDPOINT_URL_STS": sts.url, "PYTHONDONTWRITEBYTECODE": "1"}
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("a", arn("a")), role("b", arn("b"), deliver="process"))
        assumed(traced, home, "once", **environment)
        shutil.rmtree(home.state)
        with Daemon(home, under=traced.under(), **environment) as daemon:
            daemon.wait_until_fresh("a", "b", within=40)
            home.configure(role("a", arn("a")), role("b", arn("b"), deliver="process"), role("c", arn("c")))
            daemon.ask("reload")
            daemon.wait_until_fresh("c", within=40)
            home.config.write_text("[[roles")
            daemon.ask("reload")
            daemon.wait_until(lambda status: status["daemon"]["config_error"])
            home.configure(role("a", arn("a")), role("b", arn("b"), deliver="process"))
            for words in whole_commands(home):
                assumed(traced, home, *words, **environment)
        assumed(traced, home, "credential-process", "b", **environment)
        with Daemon(home, under=traced.under(), **environment) as daemon:
            daemon.wait_until_fresh("a", within=40)

    everything = [one for trace in traced.traces() for one in made(trace) if "/dev/" not in one.arguments]
    wide = [one for one in everything if one.is_open_to_others()]
    record("modes.files", len(everything))
    record("modes.too_wide", len(wide))
    assert len(everything) > 40
    assert any("control.sock" in one.arguments for one in everything)
    assert wide == []


def whole_commands(home: Home) -> list[tuple[str, ...]]:
    """Every command with its arguments."""
    arguments = {
        "wait": ("--timeout", "1"),
        "credential-process": ("a",),
        "exec": ("a", "--", "true"),
        "env": ("a",),
        "completion": ("bash",),
    }
    for_ever = {"run", "demo", "serve"}
    return [(name, *arguments.get(name, ())) for name in home.commands() if name not in for_ever]

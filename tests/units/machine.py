"""A machine with a real systemd: PID 1, journald, logind, and alice, whose user manager lingers.

with Machine(tmp_path) as machine:
    service = machine.user_service()
    machine.home.configure(...)
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}")
    service.systemctl("start")
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from world.daemon import Home

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
PROGRAM = (sys.executable, "-m", "assumed")
USER, UID = "alice", 1000
SCRIPT = Path(__file__).with_name("system_manager.sh")
ENTER = ("nsenter", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--wd=/")
COMMAND_SECONDS, END_SECONDS = 100, 30
NEEDED = {
    "libpam-systemd": "usr/lib/*/security/pam_systemd.so",
    "dbus-user-session": "usr/lib/systemd/user/dbus.socket",
}
TRIAL = (
    "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/a && "
    "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w o /mnt/a"
)
"""What a container without the rights for it refuses."""


@functools.cache
def missing() -> str | None:
    """What keeps a machine of its own from being made here; None when nothing does."""
    if os.geteuid() != 0:
        return "only root can make a machine of its own"
    lacks = [name for name in ("unshare", "nsenter", "setpriv", "systemctl", "dbus-daemon") if not shutil.which(name)]
    if lacks or not Path("/lib/systemd/systemd").exists():
        return f"not installed: {', '.join(lacks or ['systemd'])}"
    places = (ROOT.resolve(), Path(sys.prefix).resolve())
    if any(place.is_relative_to(hidden) for place in places for hidden in ("/tmp", "/var/tmp")):
        return "the checkout lies where PrivateTmp= hides it from the service; clone it elsewhere"
    for package, file in NEEDED.items():
        if not list(Path("/").glob(file)):
            return f"not installed: {package}"
    if not re.search(r"^\S+ \S+ cgroup2 rw", Path("/proc/mounts").read_text(encoding="utf-8"), re.MULTILINE):
        return "no cgroup2 hierarchy that can be written"
    trial = ["unshare", "--fork", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "sh", "-c", TRIAL]
    tried = subprocess.run(trial, capture_output=True, text=True, check=False)
    return f"no namespaces or no overlay: {tried.stderr.strip()}" if tried.returncode else None


needs_machine = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Machine:
    """Boots in half a second. As a context manager it is up inside, and gone without a trace after."""

    def __init__(self, base: Path) -> None:
        """`base`: an empty directory of the test's."""
        self.base = base
        self.home = Home(base / "home")
        self._script: subprocess.Popen[str] | None = None
        self.pid = 0

    def __enter__(self) -> Self:
        readable = dict.fromkeys(str(Path(path).resolve()) for path in (ROOT, sys.prefix, sys.base_prefix))
        with (self.base / "stderr").open("w") as stderr:
            self._script = subprocess.Popen(
                [str(SCRIPT), str(self.base), USER, *readable],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._script.stdout is not None
        line = self._script.stdout.readline()  # ends by itself: the script gives up after a while
        if not line.strip():
            self.__exit__()
            raise AssertionError(f"it did not boot:\n{(self.base / 'stderr').read_text()}")
        self.pid = int(line)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._script is not None
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.close()
        self._script.wait(END_SECONDS)
        self._script.stdout.close()

    def path(self, inside: str) -> Path:
        """A file of that machine, seen from here."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def root(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of root's on that machine."""
        return self._run([], command)

    def alice(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of hers, with what a login gives her."""
        who = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "env", "-i", f"HOME=/home/{USER}"]
        path = "PATH=/usr/local/bin:/usr/bin:/bin"
        return self._run([*who, f"USER={USER}", f"XDG_RUNTIME_DIR=/run/user/{UID}", path], command)

    def hand_over(self) -> None:
        """What a test has written into her home becomes hers."""
        for directory, _, names in os.walk(self.home.path):
            for one in (directory, *(os.path.join(directory, name) for name in names)):
                os.lchown(one, UID, UID)

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries of the journal, oldest first, by journalctl's own options and matches."""
        shown = self.root("journalctl", "--all", "--output=json", *matches)
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def _run(self, who: Sequence[str], command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ENTER, f"--target={self.pid}", *who, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


@dataclass(frozen=True, slots=True)
class Service:
    """One of our units on such a machine."""

    machine: Machine
    unit: str
    """The file's name; the service's is the same, of alice for the template."""
    sandbox: bool = False

    @property
    def is_template(self) -> bool:
        return "@" in self.unit

    @property
    def name(self) -> str:
        return self.unit.replace("@", f"@{USER}")

    @property
    def pid(self) -> int:
        """As that machine's own processes know it."""
        return int(self.show("MainPID"))

    def install(self, *settings: str) -> None:
        """Puts the unit where systemd finds it, with the program of this checkout and `settings` in a drop-in."""
        machine = self.machine
        if self.sandbox and machine.alice("unshare", "--user", "true").returncode:
            pytest.skip("this system forbids unprivileged user namespaces")
        directory = (
            machine.path("/etc/systemd/system") if self.is_template else machine.home.path / ".config/systemd/user"
        )
        drop_ins = directory / f"{self.unit}.d"
        drop_ins.mkdir(parents=True, exist_ok=True)
        text = (UNITS / self.unit).read_text(encoding="utf-8")
        text = re.sub(r"^ExecStart=.*", lambda _: f"ExecStart={' '.join(PROGRAM)} run", text, flags=re.MULTILINE)
        (directory / self.unit).write_text(text, encoding="utf-8")
        if self.sandbox:
            shutil.copy(UNITS / f"{self.unit}.d" / "10-sandbox.conf", drop_ins)
        (drop_ins / "test.conf").write_text("\n".join(["[Service]", *settings, ""]), encoding="utf-8")
        machine.hand_over()
        self.manager("daemon-reload")

    def program(self, *arguments: str) -> tuple[str, ...]:
        """An `assumed` command of the same program."""
        return (*PROGRAM, *arguments)

    def manager(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """systemctl, of the manager that this unit belongs to."""
        machine = self.machine
        if self.is_template:
            return machine.root("systemctl", *arguments)
        return machine.alice("systemctl", "--user", *arguments)

    def systemctl(self, verb: str) -> None:
        """One that has to succeed."""
        done = self.manager(verb, self.name)
        assert done.returncode == 0, f"systemctl {verb}: {done.stderr}\n{self.log()}"

    def show(self, name: str) -> str:
        """A property of the unit, as systemd knows it now."""
        return self.manager("show", "--property", name, "--value", self.name).stdout.strip()

    def journal(self, *options: str) -> list[dict[str, Any]]:
        """What the service itself has written."""
        kind = "_SYSTEMD_UNIT" if self.is_template else "_SYSTEMD_USER_UNIT"
        self.machine.root("journalctl", "--sync")
        return self.machine.journal(*options, f"{kind}={self.name}", "_TRANSPORT=stdout")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of one name."""
        messages = [json.loads(entry["MESSAGE"]) for entry in self.journal()]
        return [message for message in messages if message["event"] == name]

    def log(self) -> str:
        """The end of everything that is known of it, for a failure's message."""
        kind = "UNIT" if self.is_template else "USER_UNIT"
        either = [f"_SYSTEMD_{kind}={self.name}", "+", f"{kind}={self.name}"]
        return self.machine.root("journalctl", "--quiet", "--no-pager", "--lines=40", *either).stdout

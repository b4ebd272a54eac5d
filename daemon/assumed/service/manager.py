"""Asking systemd or launchd, and telling them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assumed.errors import AssumedError

from .plan import Command
from .site import NEITHER, Site
from .unit_settings import settings

SECONDS = 120.0
"""For a command of the manager: a start may wait for READY, a stop for the daemon's end."""
SETTLE_SECONDS = 15.0
"""launchd keeps the label for some seconds after a bootout, and answers 5 (EIO) or 37 (in progress) until then."""
SHOWN = (
    *("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "StatusText", "Result", "NRestarts"),
    *("ExecMainCode", "ExecMainStatus"),
)
BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs (sd_booted(3))."""
_NO_SESSION = "failed: 125:"
_LOG_IN = "an agent lives in a graphical session: log in at the screen once, then install again (by SSH, too)"
NOT_OF_A_TRIAL = {
    *("Type", "ExecStart", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec"),
    *("TimeoutStartSec", "TimeoutStopSec", "EnvironmentFile", "LoadCredential", "User"),
}
"""Settings of a unit that are about its life, not about what its processes may do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the manager says of the service."""

    loaded: bool = False
    enabled: bool = False
    running: bool = False
    pid: int = 0
    said: str = ""
    """Its own words about itself, or how it ended."""
    restarts: int = 0
    loops: bool = False
    """Whether it ends again and again: the manager waits, and then starts it anew."""


class Manager:
    """The service manager of one site. Every method raises AssumedError where no such manager answers."""

    def __init__(self, site: Site, environ: Mapping[str, str]) -> None:
        self.site = site
        self._environ = dict(environ)
        runtime = f"/run/user/{site.account.uid}"
        if not site.system and not environ.get("XDG_RUNTIME_DIR") and os.path.isdir(runtime):  # noqa: PTH112
            # Left out by su and some cron jobs; systemctl finds the user's manager by it.
            self._environ["XDG_RUNTIME_DIR"] = runtime

    def settled(self) -> Site:
        """The site, its directory one that the manager reads. Raises AssumedError where no manager answers."""
        site = self.site
        if site.manager == "launchd":
            return site
        if not BOOTED.is_dir():
            raise AssumedError(NEITHER)
        done = self.run([*site.systemctl, "show", "--property=UnitPath"])
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or ["it does not answer"])[0]
            if site.system:
                raise AssumedError(f"systemd cannot be asked: {why}")
            raise AssumedError(
                f"no service manager of {site.account.name} answers ({why}); log in as that user (not by su or sudo), "
                f"or let the machine's own run it: {replace(site, system=True).again}"
            )
        read = done.stdout.partition("=")[2].split()
        theirs = [path for path in read if path.endswith("/systemd/user") and path.startswith(f"{site.account.home}/")]
        if site.system or str(site.units) in read or not theirs:
            return site
        return replace(site, units=Path(theirs[0]))

    def seen(self) -> Seen:
        """How the service stands."""
        return self._seen_by_launchd() if self.site.manager == "launchd" else self._seen_by_systemd()

    def lingers(self) -> bool:
        """Whether the account's user manager runs without a login."""
        done = self.run(["loginctl", "show-user", self.site.account.name, "--property=Linger"])
        return done.stdout.strip() == "Linger=yes"

    def variables(self) -> dict[str, str]:
        """The environment that the manager gives to every service; empty where it says none."""
        if self.site.manager == "launchd" or self.site.system:
            return {}
        lines = self.run([*self.site.systemctl, "show-environment"]).stdout.splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines) if not value.startswith("$'")}

    def can_confine(self, unit: str, drop_in: str, program: Sequence[str]) -> str:
        """Starts the program once under the settings of these two texts; returns why that fails, "" when it works.

        A user manager needs unprivileged user namespaces for a sandbox, which some systems forbid.
        """
        held = settings([unit, drop_in])
        options = [
            f"--property={key}={value.replace('%%', '%')}"
            for key, values in held.items()
            if key not in NOT_OF_A_TRIAL
            for value in values
        ]
        # Not --wait, which needs D-Bus: the start of a oneshot lasts until it has ended.
        words = ["systemd-run", "--user", "--quiet", "--collect", "--property=Type=oneshot", *options]
        done = self.run([*words, "--", *program, "--version"])
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it fails"])[0]

    def tell(self, command: Command) -> str | None:
        """Gives a command. Returns why it was refused, where the plan knows what to do then.

        Raises AssumedError where it does not.
        """
        settle = time.monotonic() + SETTLE_SECONDS
        while True:
            done = self.run(command.words)
            if done.returncode == 0:
                break
            passing = command.words[:2] == ("launchctl", "bootstrap") and _NO_SESSION not in done.stderr
            if not passing or time.monotonic() > settle:
                why = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
                if command.instead or command.optional:
                    return why
                hint = f"; {_LOG_IN}" if _NO_SESSION in done.stderr else ""
                raise AssumedError(f"`{command}` fails: {why}{hint}")
            time.sleep(0.5)
        if command.words[:2] == ("launchctl", "bootout"):
            self._wait_until(lambda: not self.seen().loaded)
        return None

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """One command; one that is not installed, or hangs, fails in words of its own."""
        try:
            return subprocess.run(
                words,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            return subprocess.CompletedProcess(words, 127, "", f"{words[0]} is not installed")
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no end of it within {SECONDS:.0f} s")

    def _wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _seen_by_systemd(self) -> Seen:
        done = self.run([*self.site.systemctl, "show", self.site.unit, f"--property={','.join(SHOWN)}"])
        said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        if done.returncode != 0 or said.get("LoadState") != "loaded":
            return Seen()
        state, result = said.get("ActiveState", ""), said.get("Result", "success")
        # Between two tries a unit is "activating", too: systemd.service(5), RestartSec=.
        loops = said.get("SubState", "").startswith("auto-restart")
        running = state in {"active", "reloading", "activating"} and not loops
        how = said.get("StatusText", "") if running else state if result == "success" else f"{state}: {result}"
        if loops:
            how = f"ends again and again ({_ended(said)})"
        return Seen(
            loaded=True,
            enabled=said.get("UnitFileState") == "enabled",
            running=running,
            pid=int(said.get("MainPID") or 0),
            said=how,
            restarts=int(said.get("NRestarts") or 0),
            loops=loops,
        )

    def _seen_by_launchd(self) -> Seen:
        done = self.run(["launchctl", "print", self.site.unit])
        if done.returncode != 0:
            return Seen()
        return printed(done.stdout)


def _ended(said: Mapping[str, str]) -> str:
    """How the main process has ended (waitid(2): CLD_EXITED is 1, all other codes come with a signal's number)."""
    number = said.get("ExecMainStatus", "")
    return f"exit status {number}" if said.get("ExecMainCode") == "1" else f"signal {number}"


def printed(text: str) -> Seen:
    """What `launchctl print` says of a service. Its form is no interface: only the plain lines at one tab are read."""
    said = dict(re.findall(r"^\t([a-z ]+) = (.*)$", text, re.MULTILINE))
    running = said.get("state") == "running"
    ended = said.get("last exit code", "")
    return Seen(
        loaded=True,
        enabled=True,
        running=running,
        pid=int(said["pid"]) if said.get("pid", "").isdigit() else 0,
        said="" if running else f"{said.get('state', 'not running')}, last exit code {ended or 'unknown'}",
        restarts=max(0, int(said["runs"]) - 1) if said.get("runs", "").isdigit() else 0,
    )

"""One case: a scene under a fault, and what is found after it, after the next start, and after the next write."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from credentials.fault.scenes import ALL, restart, said
from credentials.fault.traced import Outcome, Stage, fallible

ERRORS = (
    *("EACCES", "EBUSY", "EDQUOT", "EINTR", "EIO", "EMFILE", "ENOMEM"),
    *("ENOSPC", "EPERM", "EROFS", "ESTALE", "EXDEV"),
)
"""What a call may come back with. Not among them: ENOENT, EEXIST and their like, which are answers."""
NOT_HERE = ("EINVAL", "ENOSYS", "EOPNOTSUPP")
"""What a file system or a kernel says to a way of renaming that it does not have."""
CHANGE_NOTHING = (
    "newfstatat",
    "read",
    "pread64",
    "readlink",
    "readlinkat",
    "close",
    "flock",
    "lseek",
    "getdents64",
    "getrandom",
)


@dataclass(slots=True)
class Tally:
    """Of many cases: `torn` files are neither the old nor the new one; `swept` and `leftovers` are files beside it that
    the next start removes, and those that it does not."""

    cases: int = 0
    fired: int = 0
    torn: int = 0
    swept: int = 0
    leftovers: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    """What else was not as it should be, in words."""


class Trial:
    """Tries one scene in a directory, over and over."""

    def __init__(self, stage: Stage, scene: str, directory: Path, *always: str) -> None:
        """`always` is injected whatever else is; only kills are counted as faults then."""
        self._stage, self._scene, self._directory, self._always = stage, scene, directory, always
        self.tally = Tally()
        self._prepare()
        self.old = self._target()
        self.clean = stage.act(scene, directory, *always)
        assert self.clean.said == "written"
        self.new = self._target()
        assert self.new not in (None, self.old)
        restart(directory)
        self._names = names(directory)

    def run(self, *inject: str) -> Outcome:
        """The scene with these faults, judged into `tally`."""
        self._prepare()
        strays = self._strays()
        outcome = self._stage.act(self._scene, self._directory, *self._always, *inject)
        self.tally.cases += 1
        if self._is_hit(outcome):
            self.tally.fired += 1
            self._judge(outcome, ", ".join(inject), strays)
        return outcome

    def fail_each(self, errors: tuple[str, ...] = ERRORS, only: str = "") -> None:
        """Every call (whose name contains `only`) fails once in each of these ways."""
        for call in (name for name in fallible(self.clean.calls) if only in name):
            for error in _ways(call, errors):
                self._each(f"{call}:error={error}")

    def fail_from_each_on(self, error: str, sparing: tuple[str, ...] = CHANGE_NOTHING) -> None:
        """From each call on the disk is broken: every call that changes something fails, to the end."""
        names = [name for name in fallible(self.clean.calls) if name not in sparing]
        seen: Counter[str] = Counter()
        for call in (call.name for call in self.clean.calls if call.name in names):
            self.run(*(f"{name}:error={error}:when={seen[name] + 1}+" for name in names))
            seen[call] += 1

    def kill_at_each(self, only: str = "") -> None:
        """SIGKILL before every call (of strace's name `only`)."""
        for call in [only] if only else dict.fromkeys(call.name for call in self.clean.calls):
            self._each(f"{call}:signal=KILL")

    def kill_while_cleaning_up(self) -> None:
        """Every call fails once, and what is removed because of it is not removed any more."""
        for call in fallible(self.clean.calls):
            n = 1
            while self.run(f"{call}:error=EIO:when={n}", "/unlink:signal=KILL:when=1").failed:
                n += 1

    def fail_together(self, chance: random.Random) -> None:
        """Two or three calls fail in one act, here and there, and sometimes it is killed after that: what is done
        about a fault meets another one."""
        made = Counter(call.name for call in self.clean.calls)
        calls = [name for name in fallible(self.clean.calls) if name != "close"]
        chosen = chance.sample(calls, chance.choice((2, 2, 3)))
        faults = [f"{call}:error={chance.choice(ERRORS)}" for call in chosen]
        if chance.random() < 0.3:
            chosen += [chance.choice([name for name in calls if name not in chosen])]
            faults += [f"{chosen[-1]}:signal=KILL"]
        nth = [chance.randint(1, made[call] + 1) for call in chosen]
        self.run(*(f"{fault}:when={n}" for fault, n in zip(faults, nth, strict=True)))

    def _each(self, inject: str) -> None:
        """The first, the second, … until it does not fire any more: a fault may lead to calls that no clean act makes,
        and they fail as well."""
        n = 1
        while self._is_hit(self.run(f"{inject}:when={n}")):
            n += 1

    def _is_hit(self, outcome: Outcome) -> bool:
        return outcome.killed or (outcome.failed and not self._always)

    def _prepare(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        ALL[self._scene].prepare(self._directory)

    def _target(self) -> bytes | None:
        path = self._directory / ALL[self._scene].target
        return path.read_bytes() if path.exists() else None

    def _strays(self) -> int:
        return len(names(self._directory) - self._names)

    def _judge(self, outcome: Outcome, fault: str, strays: int) -> None:
        tally, found = self.tally, self._target()
        for call in outcome.calls:
            if "O_CREAT" in call.args and int(call.args.rpartition(", ")[2], 8) & 0o077:
                tally.wrong[f"{fault}: a file that others may read from its first instant: {call.args}"] += 1
        told = outcome.said.partition(":")[0]
        if found not in (self.old, self.new):
            tally.torn += 1
        if told not in ("", "written", "written, not durable", "refused") or "canary" in outcome.said:
            tally.wrong[f"{fault}: {outcome.said}"] += 1
        if told.startswith("written") and found != self.new:
            tally.wrong[f"{fault}: called {told}, and is not"] += 1
        if told == "refused" and found != self.old and not fault.endswith("+"):  # on a dead disk nothing is put back
            tally.wrong[f"{fault}: {outcome.said}, and yet it is written"] += 1
        if told and "unlink" not in fault and self._strays() > strays:
            tally.wrong[f"{fault}: a temporary file is left"] += 1
        strays = self._strays()
        restart(self._directory)
        tally.swept += strays - self._strays()
        tally.leftovers += self._strays()
        if self._target() != found:
            tally.wrong[f"{fault}: a start changes the file"] += 1
        again = said(ALL[self._scene].act, self._directory)
        if again != "written" or self._target() != self.new or self._strays():
            tally.wrong[f"{fault}: the next write: {again}"] += 1


def names(directory: Path) -> set[Path]:
    """Of everything in it."""
    return {path.relative_to(directory) for path in directory.rglob("*")}


def _ways(call: str, errors: tuple[str, ...]) -> tuple[str, ...]:
    if call == "close":
        return errors[:1]  # strace does not close it at all, as no system would, and a lock stays taken
    return (*errors, *NOT_HERE) if "rename" in call else errors

"""Another program edits the file after any system call of our rewrite, and the rewrite may be killed before any later
one that changes something: the edit is in the file, and so is ours, after the next start and write. (F4, T12)"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from credentials.fault.cases import CHANGE_NOTHING, names
from credentials.fault.scenes import ALL, LATER, MINE, restart, said
from credentials.fault.traced import Stage, fallible
from fault.once import Call
from world.scores import Record
from world.waiting import eventually

SCENE = "a rewrite"
EDIT = b"\n[edited]\nregion = x\n"


def in_place(path: Path) -> None:
    """As the AWS CLI does it."""
    text = path.read_bytes()
    with path.open("wb") as file:
        file.write(text + EDIT)


def by_rename(path: Path) -> None:
    """As vim and most editors do it."""
    new = path.with_name("4913")
    new.write_bytes(path.read_bytes() + EDIT)
    new.chmod(0o600)
    new.rename(path)


EDITORS = {"in place": in_place, "by rename": by_rename}


class Desk:
    """Where the two meet."""

    def __init__(self, stage: Stage, directory: Path, edit: Callable[[Path], None]) -> None:
        self._stage, self._directory, self._edit = stage, directory, edit
        self._path = directory / ALL[SCENE].target
        self.cases = 0
        self.lost: list[str] = []
        self._prepare()
        self.clean = stage.act(SCENE, directory).calls
        restart(directory)
        self._names = names(directory)

    def meet(self, *inject: str) -> bool:
        """An edit at the first injected SIGSTOP; a second one kills. Whether we were killed."""
        self._prepare()
        stops = (lambda _: self._edit(self._path), _kill)[: 2 if "+" in inject[0] else 1]
        outcome = self._stage.act(SCENE, self._directory, *inject, stops=stops)
        self.cases += 1
        restart(self._directory)
        # An edit may look unfinished for a second.
        eventually(lambda: said(ALL[SCENE].act, self._directory) == "written", 10)
        text = self._path.read_bytes()
        whole = MINE in text and LATER in text and EDIT in text and b"token-canary-2" in text
        if not whole or names(self._directory) != self._names:
            self.lost.append(f"{inject}: {sorted(names(self._directory) - self._names)}")
        return not outcome.said

    def _prepare(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        ALL[SCENE].prepare(self._directory)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def moments(calls: tuple[Call, ...], first: str) -> list[tuple[str, Counter[str]]]:
    """From the first call of that name on: each call, and how often every call had been made then."""
    seen: Counter[str] = Counter()
    found: list[tuple[str, Counter[str]]] = []
    for call in calls:
        seen[call.name] += 1
        if first in seen:
            found.append((call.name, seen.copy()))
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("editor", EDITORS)
def test_no_edit_is_lost_at_any_moment(editor: str, stage: Stage, scratch: Path, record: Record) -> None:
    desk = Desk(stage, scratch, EDITORS[editor])
    for call, seen in moments(desk.clean, desk.clean[0].name):
        desk.meet(f"{call}:signal=STOP:when={seen[call]}")
    record("crash.edits", desk.cases)
    record("crash.edits_lost", len(desk.lost))
    assert desk.lost == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("editor", EDITORS)
def test_no_edit_is_lost_when_we_are_killed_after_it(editor: str, stage: Stage, scratch: Path, record: Record) -> None:
    """The file that was replaced may be the only copy of the edit by then."""
    desk = Desk(stage, scratch, EDITORS[editor])
    changing = [name for name in fallible(desk.clean) if name not in CHANGE_NOTHING]
    for call, seen in moments(desk.clean, "fchmod"):
        for other in changing:
            for n in itertools.count(1):
                if other == call:  # strace takes one order for each call
                    inject = [f"{call}:signal=STOP:when={seen[call]}+{n}"]
                else:
                    inject = [f"{call}:signal=STOP:when={seen[call]}", f"{other}:signal=KILL:when={seen[other] + n}"]
                if not desk.meet(*inject):
                    break
    record("crash.edits", desk.cases)
    record("crash.edits_lost", len(desk.lost))
    assert desk.lost == []

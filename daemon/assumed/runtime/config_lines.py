"""The AWS config file's part of `deliver = "process"`: written where it can be, and a role never fails by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from assumed.credentials.config_lines import advice_for, line_for
from assumed.credentials.file import WriteResult
from assumed.credentials.ownership import Refusal
from assumed.credentials.profiles import KeptProfile
from assumed.credentials.snapshot import Signature
from assumed.errors import FileRefused, FileUnsettled

AGAIN, LONGEST, QUIET = 5.0, 625.0, 600.0
"""Seconds until a line that another program has taken out is written again: each time so many times as long, up to the
longest, and from the beginning after a quiet time."""


class File(Protocol):
    """What is needed of the config file (ConfigFile)."""

    path: Path

    def write(self, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool) -> WriteResult:
        """The whole sequence of one rewrite."""
        ...

    def signature(self) -> Signature | None:
        """Changes whenever another program has written the file; None when there is none."""
        ...


@dataclass(slots=True)
class ConfigLines:
    """Main thread only. `notices` and `signature` may be read from any."""

    file: File
    config_id: str
    say: Callable[..., None]
    notices: Mapping[str, Refusal] = field(default_factory=dict)
    """Profile → why the config file has no line for it."""
    signature: Signature | None = None
    """Of the file as our last write left it."""
    due_at: float | None = None
    """When to write again what could not be written now; None: with the next change."""
    _commands: Mapping[str, str] = field(default_factory=dict)
    """Profile → what the last write was to say."""
    _tried: Mapping[str, str] = field(default_factory=dict)
    _done: tuple[object, ...] = ()
    _undone: int = 0
    _held_until: float = float("-inf")

    def add(self, kept: Iterable[KeptProfile], refused: Callable[[], Iterable[Refusal]], now: float) -> None:
        """Write the lines of profiles that are new here, before the credentials file loses their keys.

        `refused()`: the profiles that the credentials file will not take.
        """
        commands = _commands_of(kept)
        tried, self._tried = self._tried, dict(commands)
        if commands.items() <= tried.items():
            return
        for refusal in refused():
            commands.pop(refusal.profile, None)
        self._write({**self._commands, **commands}, [], False, now)

    def settle(self, kept: Iterable[KeptProfile], refused: Iterable[str], orphans: bool, now: float) -> None:
        """Make the file say what the credentials file says now: lines that are not needed any more go."""
        kept = list(kept)
        commands = _commands_of(kept)
        for profile in refused:
            commands.pop(profile, None)
        released = [role.profile for role in kept if role.profile not in commands and role.refusal is None]
        self._write(commands, released, orphans, now)

    def _write(self, commands: Mapping[str, str], released: Sequence[str], orphans: bool, now: float) -> None:
        self.due_at = None
        try:
            before = self.file.signature()
            if before is None and not commands:
                return  # nothing to take out, and no file is made for nothing
            target = (commands, released, orphans)
            undone = self._done[:3] == target
            if undone and self._done[3] == before:
                return
            if undone and now < self._held_until:
                self.due_at = self._held_until
                return
            lines = [line_for(profile, command) for profile, command in commands.items()]
            lines += [line_for(profile, None) for profile in released]
            result = self.file.write(lines, self.config_id, orphans)
        except FileUnsettled as unsettled:
            self.due_at = now + unsettled.retry_in
            return
        except FileRefused as refusal:
            self._done = ()
            self._note({profile: Refusal(profile, refusal.message, refusal.advice) for profile in commands})
            return
        if result.written:
            self.signature = result.signature
            self.say("debug", "config_file.written", path=str(self.file.path), message="wrote the AWS config file")
            if undone:
                self._undone = 1 if now > self._held_until + QUIET else self._undone + 1
                self._held_until = now + min(AGAIN**self._undone, LONGEST)
        self._commands, self._done = commands, (*target, result.signature)
        self._note({refusal.profile: refusal for refusal in result.refused})
        for path in result.set_aside:
            self.say(
                "error",
                "edit.set_aside",
                path=path,
                message="could not merge a concurrent edit of the AWS config file by another program; saved here",
                advice="copy what is missing back by hand, then delete it",
            )

    def _note(self, notices: Mapping[str, Refusal]) -> None:
        """Say each reason once, however many profiles it concerns."""
        said = {refusal.reason for refusal in self.notices.values()}
        for reason, advice in {r.reason: r.advice for r in notices.values() if r.reason not in said}.items():
            profiles = [profile for profile, refusal in notices.items() if refusal.reason == reason]
            self.say(
                "info",
                "config_file.line_missing",
                path=str(self.file.path),
                profiles=profiles,
                message=f"no credential_process line in the AWS config file: {reason}",
                advice=advice_for(profiles[0], advice),
            )
        self.notices = notices


def _commands_of(kept: Iterable[KeptProfile]) -> dict[str, str]:
    return {role.profile: role.command for role in kept if role.command is not None}

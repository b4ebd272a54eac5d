"""The AWS config file's part of `deliver = "process"`: written where it can be, and a role never fails by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from assumed.credentials.merge import KeptProfile
from assumed.credentials.ownership import UNKNOWN, Conflicts, Refusal
from assumed.credentials.process import ConfigFile, advice_for, line_for
from assumed.errors import FileRefused, FileUnsettled

FILE = ""
"""The config file is one conflict, whichever of its lines another program has removed."""


@dataclass(slots=True)
class ConfigLines:
    """Main thread only."""

    file: ConfigFile
    config_id: str
    log: Callable[..., None]
    notices: Mapping[str, Refusal] = field(default_factory=dict)
    """Profile → why the config file has no line for it; a new mapping each time."""
    due_at: float | None = None
    """When to write again what could not be written now; None: with the next change."""
    _commands: Mapping[str, str] = field(default_factory=dict)
    """Profile → its command in the last write."""
    _tried: Mapping[str, str] = field(default_factory=dict)
    _done: tuple[object, ...] = ()
    """What the last write was to say, and the signature that it left."""
    _conflicts: Conflicts = field(default_factory=Conflicts)

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
        self._conflicts.expire(now)
        try:
            before = self.file.signature()
            if before is None and not commands:
                return  # nothing to remove, and no file is made for nothing
            target = (commands, released, orphans)
            if self._done == (*target, before):
                return
            if self._done[:3] == target:
                self._conflicts.note(FILE, UNKNOWN, "", now)
                if self._conflicts.is_held(FILE, "", now):
                    self.due_at = self._conflicts.next_at
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
            self.log("debug", "config_file.written", path=str(self.file.path), message="wrote the AWS config file")
        self._conflicts.written([FILE], [], now)
        self._commands, self._done = commands, (*target, result.signature)
        self._note({refusal.profile: refusal for refusal in result.refused})
        for path in result.set_aside:
            log_set_aside(self.log, path)

    def _note(self, notices: Mapping[str, Refusal]) -> None:
        """Log each reason once, however many profiles it concerns."""
        known = {refusal.reason for refusal in self.notices.values()}
        for reason, advice in {r.reason: r.advice for r in notices.values() if r.reason not in known}.items():
            profiles = [profile for profile, refusal in notices.items() if refusal.reason == reason]
            self.log(
                "info",
                "config_file.line_missing",
                path=str(self.file.path),
                profiles=profiles,
                message=f"no credential_process line in the AWS config file: {reason}",
                advice=advice_for(profiles[0], advice),
            )
        self.notices = notices


def log_set_aside(log: Callable[..., None], path: str) -> None:
    """Name the file that holds an edit of another program."""
    message = f"could not merge a concurrent edit by another program; saved as {path}"
    log("error", "edit.set_aside", path=path, message=message, advice="copy what is missing back, then delete it")


def _commands_of(kept: Iterable[KeptProfile]) -> dict[str, str]:
    return {role.profile: role.command for role in kept if role.command is not None}

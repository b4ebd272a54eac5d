"""When an edit of the configuration takes effect: debounced, validated whole, removals confirmed.

Half-written TOML is often valid TOML: additions and changes take effect at once, a removal only when the same content
is read again 5 s later, and so does a change of the last role of a file that looks truncated, which may have lost keys.
A bad edit changes nothing but the status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from assumed.config import Config, diff
from assumed.errors import ConfigError
from assumed.model import Role
from assumed.store import Stamp, stamp_of

QUIET = 0.25
"""Seconds without a further change before an edit is read: one save is up to nine events."""
PATIENCE = 5.0
"""Seconds after which a file that keeps changing is read anyway."""
CONFIRM = 5.0
"""Seconds after which the same content is read again before a role is removed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit that takes effect: `config` is what to run now, `leaving` are the roles to be removed once confirmed."""

    config: Config
    leaving: tuple[str, ...]
    confirmed: bool = True
    """Whether all of it takes effect now; the rest does when the same content is read again."""


class ConfigWatch:
    """Follows one configuration file. `read` and `parse` raise ConfigError; times are seconds of the boot clock."""

    def __init__(
        self,
        config: Config,
        read: Callable[[Path], str],
        parse: Callable[[str], Config],
        stamp: Callable[[Path], Stamp | None] = stamp_of,
    ) -> None:
        self.running = config
        self.checked: Stamp | None = None
        """The version of the file that `running` stands for: its content, or the last good one where it is bad."""
        self.error: ConfigError | None = None
        """Why the file as it is now cannot be used; the last good configuration stays in use."""
        self._read = read
        self._parse = parse
        self._stamp = stamp
        self._settled = config.text
        self._pending: str | None = None
        self._pending_stamp: Stamp | None = None
        self._since = 0.0
        self._changed_at = 0.0
        self._confirm_at: float | None = None
        self._confirm: Config | None = None

    def reject(self, error: ConfigError) -> None:
        """The file was bad at the start: it is not read again until it changes."""
        self.error, self.checked = error, self._stamp(self.running.path)
        self._settled = self._text()

    def look(self, now: float) -> None:
        """Compare the file with its last known content. Cheap: a read of some kilobytes."""
        stamp = self._stamp(self.running.path)  # before the text: what is written in between has another one
        text = self._text()
        if text == self._settled:
            self._pending, self.checked = None, stamp
            return
        if self._pending is None:
            self._since = now
        if text != self._pending:
            self._pending, self._changed_at = text, now
        self._pending_stamp = stamp

    @property
    def is_settled(self) -> bool:
        """Whether the last known content has been acted on."""
        return self._pending is None

    def next_look(self) -> float | None:
        """When to call `settle` next; None while nothing is pending."""
        # A pending edit goes first: `settle` would be called for the confirmation behind it over and over.
        return self._confirm_at if self._pending is None else min(self._changed_at + QUIET, self._since + PATIENCE)

    def settle(self, now: float, at_once: bool = False) -> Edit | None:
        """Read an edit once the file is quiet (or `at_once`, when a person asks). None: nothing takes effect now."""
        self.look(now)
        if self._pending is not None:
            if not at_once and now < min(self._changed_at + QUIET, self._since + PATIENCE):
                return None
            self._settled, self._pending = self._pending, None
            self.checked = self._pending_stamp
            self._confirm, self._confirm_at = None, None
            return self._take(now)
        if self._confirm is not None and self._confirm_at is not None and now >= self._confirm_at:
            self.running, self._confirm, self._confirm_at = self._confirm, None, None
            return Edit(self.running, ())
        return None

    def _take(self, now: float) -> Edit | None:
        try:
            new = self._parse(self._read_settled())
            self._check_place(new)
        except ConfigError as error:
            self.error = error
            return None
        self.error = None
        leaving = diff(self.running, new).removed
        staying = tuple(role for role in self.running.roles if role.profile in leaving)
        roles = self._without_truncated_role(new, leaving)
        confirmed = not leaving and roles == new.roles
        if not confirmed:
            self._confirm, self._confirm_at = new, now + CONFIRM
        self.running = replace(new, roles=roles + staying)
        return Edit(self.running, leaving, confirmed)

    def _without_truncated_role(self, new: Config, leaving: tuple[str, ...]) -> tuple[Role, ...]:
        """The roles of `new`; where the file may be truncated, its last one as it was: without its policy, for
        example, it would be another role and lose its session."""
        before = self.running.role(new.roles[-1].profile)
        is_truncated = bool(leaving) or self.running.text.startswith(new.text)
        return (*new.roles[:-1], before) if is_truncated and before is not None else new.roles

    def _check_place(self, new: Config) -> None:
        """Lock, state and managed profiles belong to the old file: only a restart can move them."""
        if new.credentials_file != self.running.credentials_file:
            problem = (
                f"{new.path}: credentials_file: is {new.credentials_file} now, but this daemon keeps "
                f"{self.running.credentials_file}; restart assumed to use another credentials_file"
            )
            raise ConfigError([problem])

    def _read_settled(self) -> str:
        if self._settled.startswith("\0"):
            raise ConfigError(self._settled[1:].split("\0"))
        return self._settled

    def _text(self) -> str:
        """The file's text. The reason why there is none is a text, too, so that it is debounced alike."""
        try:
            return self._read(self.running.path)
        except ConfigError as error:
            return "\0" + "\0".join(error.problems)

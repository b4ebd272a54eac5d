"""What is written, when, and what stands in the way: one write for all sessions that arrived together."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from assumed.core.errors import FileRefused, FileUnsettled
from assumed.core.model import Instant, Role, Session
from assumed.core.ownership import Refusal
from assumed.core.plan import RoleState
from assumed.core.profiles import KeptProfile, Merge, merge
from assumed.core.reading import read_section
from assumed.core.rivals import rival_of
from assumed.edge.credentials_file import WriteResult

RETRY = 5.0
"""Seconds until a file that was refused is tried again: a person is mending it, or another program is."""
QUIET = 1.0
"""Seconds for which another program that has just overwritten our sections is left to finish."""
FIGHTS, FIGHT_WINDOW, TRUCE = 5, 120.0, 1800.0
"""So many overwritings within so many seconds are another manager at work: leave it the profile for half an hour."""
WRITE_SHARE = 4.0
"""After a write, wait this many times as long as it took: a burst of renewals spends a fifth of its time here."""
GATHER, GATHER_SHARE = 0.25, 0.05
"""Seconds between two writes, and share of the old session's remaining life, for which a renewal that nobody waits for
may wait for others: sessions that began together are renewed one after the other, and each write costs all of them."""


class File(Protocol):
    """What delivery needs of the credentials file (edge.credentials_file.CredentialsFile)."""

    path: Path

    def write(self, kept: list[KeptProfile], config_id: str, remove_orphans: bool) -> WriteResult:
        """The whole sequence of one rewrite."""
        ...

    def read(self) -> bytes:
        """The file as it is; empty when it does not exist."""
        ...

    def signature(self) -> object:
        """Changes whenever another program has written the file."""
        ...


@dataclass(slots=True)
class Delivery:
    """Keeps the credentials file saying what the sessions say. Main thread only; logs through `say`."""

    file: File
    config_id: str
    region_of: Callable[[Role], str | None]
    command_of: Callable[[Role], str]
    say: Callable[..., None]
    wall: Callable[[], float]
    error: FileRefused | None = None
    written_at: float | None = None
    refused: dict[str, Refusal] = field(default_factory=dict)
    rivals: dict[str, str] = field(default_factory=dict)
    """Contested profile → the rival's name; ours again when the truce is over."""
    delivered: Mapping[str, str] = field(default_factory=dict)
    """Profile → the access key id of the session that the last write left there for readers; a new one each time."""
    due_at: float | None = None
    """When the next write is due, by the boot clock; None while there is nothing to write."""
    orphans: bool = False
    """Whether sections of ours whose role is gone are taken out: once the configuration has been confirmed."""
    _truce_until: dict[str, float] = field(default_factory=dict)
    _fights: dict[str, deque[float]] = field(default_factory=dict)
    _seen: object = None
    _compare_at: float | None = None
    """When a change that another program has made may be judged; None while there is none."""
    _cost: float = 0.0
    _ended: float = float("-inf")

    def want(self, now: float, at_once: bool = False, patience: float = 0.0) -> None:
        """There is something to write: soon, or with the next burst, `patience` seconds after the last at most."""
        at = now if at_once else max(now, self._ended + max(WRITE_SHARE * self._cost, patience))
        self.due_at = at if self.due_at is None else min(self.due_at, at)

    def write(
        self, roles: Iterable[Role], states: Mapping[str, RoleState], clock: Callable[[], float], last: bool = False
    ) -> bool:
        """Write every kept profile. False when the file was not written: it is due again, `error` says why.

        Another program that has just written is left to finish first, unless this is the `last` write.
        """
        began = clock()
        if self._is_being_written(began) and not last:
            self.due_at = self._compare_at
            return False
        roles = list(roles)
        self._compare(roles, states, began)
        kept = [self._kept(role, states[role.profile]) for role in roles if role.profile not in self.rivals]
        try:
            result = self.file.write(kept, self.config_id, self.orphans and not self.rivals)
        except FileUnsettled as unsettled:
            self.due_at = clock() + unsettled.retry_in
            return False
        except FileRefused as refusal:
            if self.error is None or self.error.message != refusal.message:
                self.say(
                    "error", "file.refused", path=str(self.file.path), message=refusal.message, advice=refusal.advice
                )
            self.error = refusal
            self.due_at = clock() + RETRY
            return False
        self._ended = clock()
        self._cost = self._ended - began
        self.due_at = None
        self._record(result)
        self.delivered = {
            k.profile: k.session.access_key_id for k in kept if k.session is not None and k.profile not in self.refused
        }
        return True

    def _kept(self, role: Role, state: RoleState) -> KeptProfile:
        command = self.command_of(role) if role.deliver == "process" else None
        return KeptProfile(role.profile, role.deliver, state.session, self.region_of(role), command)

    def _record(self, result: WriteResult) -> None:
        if self.error is not None:
            self.say("info", "file.accepted", message="the credentials file can be written again")
        self.error = None
        self._seen = result.signature
        if result.written:
            self.written_at = self.wall()
            self.say("debug", "file.written", path=str(self.file.path), took_seconds=round(self._cost, 4))
        if not result.durable:
            self.say("warning", "file.durability_unknown", message="written, but a crash may bring back the old file")
        for profile in result.adopted:
            self.say(
                "warning",
                "profile.adopted",
                profile=profile,
                message="a section with a session of another tool is kept by us from now on; its other lines stay",
            )
        for refusal in result.refused:
            if self.refused.get(refusal.profile) != refusal:
                self.say(
                    "error", "profile.refused", profile=refusal.profile, message=refusal.reason, advice=refusal.advice
                )
        self.refused = {refusal.profile: refusal for refusal in result.refused}
        for profile in result.removed:
            self.say("info", "profile.removed", profile=profile)
        for path in result.set_aside:
            self.say(
                "error",
                "edit.set_aside",
                path=path,
                message="another program saved the file while we did, and nobody can merge that: it is here",
                advice="take over by hand what is missing, then delete it",
            )

    def look(self, now: float) -> bool:
        """Whether another program has changed the file since. If so, it is compared with what we keep when that
        program has had time to finish: half a file names no rival, and one save is one fight, not three."""
        for profile in [p for p, until in self._truce_until.items() if now >= until]:
            self.forgive(profile)
            self.want(now)
        try:
            signature = self.file.signature()
        except FileRefused as refusal:
            signature = str(refusal)  # the write that is now due says it
        if signature == self._seen:
            return False
        self._seen = signature
        self._compare_at = self._compare_at or now + QUIET
        self.due_at = min(self.due_at or self._compare_at, self._compare_at)
        return True

    def _is_being_written(self, now: float) -> bool:
        if self._compare_at is None and self._seen is not None:
            with contextlib.suppress(FileRefused):  # the write that follows says it
                if self.file.signature() != self._seen:
                    self._compare_at = now + QUIET
        return self._compare_at is not None and now < self._compare_at

    def _compare(self, roles: Iterable[Role], states: Mapping[str, RoleState], now: float) -> None:
        """Count a fight for each profile that another program has overwritten."""
        if self._compare_at is None or now < self._compare_at:
            return
        self._compare_at = None
        kept = [self._kept(role, states[role.profile]) for role in roles if role.profile not in self.rivals]
        try:
            text = self.file.read()
            merged = merge(text, kept, self.config_id, remove_orphans=False)
        except FileRefused:
            return  # the write that follows says it
        if merged.text is not text:
            overwritten = {k.profile for k in kept if _is_overwritten(k, read_section(text, k.profile))}
            self._fought(text, merged, overwritten, now)

    def _fought(self, text: bytes, merged: Merge, overwritten: set[str], now: float) -> None:
        refused = {refusal.profile for refusal in merged.refused}
        for profile in (p for p in merged.meant if p in overwritten and p not in refused):
            fights = self._fights.setdefault(profile, deque(maxlen=FIGHTS))
            fights.append(now)
            rival = rival_of(read_section(text, profile))
            if len(fights) == FIGHTS and now - fights[0] <= FIGHT_WINDOW:
                self.rivals[profile] = rival
                self._truce_until[profile] = now + TRUCE
                self.say(
                    "error",
                    "profile.contested",
                    profile=profile,
                    rival=rival,
                    message=f"{rival} keeps overwriting this profile; it is left alone for half an hour",
                    advice=f"stop {rival}, or take the profile out of one of the two; then: assumed refresh",
                )
            else:
                self.say("warning", "profile.overwritten", profile=profile, rival=rival)

    def forgive(self, profile: str) -> None:
        """Forget the fights about a profile: a person asks for it, or the truce is over."""
        self.rivals.pop(profile, None)
        self._truce_until.pop(profile, None)
        self._fights.pop(profile, None)


def patience(old: Session | None, now: Instant) -> float:
    """Seconds for which readers are well served by the session that they have."""
    return 0.0 if old is None else max(0.0, min(GATHER, old.left(now) * GATHER_SHARE))


def _is_overwritten(kept: KeptProfile, section: Mapping[str, str] | None) -> bool:
    """Whether readers of a profile get another session than ours. A lost comment is no fight: many tools that
    rewrite the file for a profile of their own drop all of them."""
    if section is None:
        return True
    if kept.deliver == "process":
        return section.get("credential_process") != kept.command
    return kept.session is not None and section.get("aws_access_key_id") != kept.session.access_key_id

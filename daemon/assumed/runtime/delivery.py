"""What is written, when, and what stands in the way: one write for all sessions that arrived together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from assumed.credentials.file import CredentialsFile, WriteResult
from assumed.credentials.ini import read_sections
from assumed.credentials.merge import KeptProfile, merge
from assumed.credentials.ownership import OWNER_KEY, Conflicts, Refusal, Unfit, life_left, writer_of
from assumed.engine.state import RoleState
from assumed.errors import FileRefused, FileUnsettled
from assumed.model import Instant, Role, Session

from .config_lines import ConfigLines, log_set_aside

RETRY = 5.0
"""Seconds until a file that was refused is tried again: a person is mending it, or another program is."""
QUIET = 1.0
"""Seconds that another program that has just written the file has to finish."""
WRITE_SHARE = 4.0
"""After a write, wait this many times as long as it took: a burst of renewals spends a fifth of its time here."""
GATHER, GATHER_SHARE = 0.25, 0.05
"""Seconds between two writes, and share of the old session's remaining life, for which a renewal that no reader waits
for may wait for others: sessions that began together are renewed one after the other, and each write rewrites all."""


@dataclass(slots=True)
class Delivery:
    """Keeps the credentials file in step with the sessions. Main thread only."""

    file: CredentialsFile
    config_id: str
    region_of: Callable[[Role], str | None]
    command_of: Callable[[Role], str]
    log: Callable[..., None]
    wall: Callable[[], float]
    lines: ConfigLines | None = None
    """The AWS config file's part."""
    error: FileRefused | None = None
    unsettled: FileUnsettled | None = None
    """Set while the last write has found another program in the middle of writing the file."""
    written_at: float | None = None
    refused: dict[str, Refusal] = field(default_factory=dict)
    delivered: Mapping[str, Session] = field(default_factory=dict)
    """Profile → the session that the last write left there for readers; a new mapping each time."""
    due_at: float | None = None
    """When the next write is due, by the boot clock; None while there is nothing to write."""
    orphans: bool = False
    """Whether sections of roles that are gone are removed: once the configuration has been confirmed."""
    conflicts: Conflicts = field(default_factory=Conflicts)
    _left: dict[str, KeptProfile] = field(default_factory=dict)
    """Profile → what the last write that concerned it left there: an overwriting is judged against that."""
    _seen: object = None
    _merged: bool = False
    """A write has found a change of another program before a look did."""
    _compare_at: float | None = None
    """When a change that another program has made may be judged; None while there is none."""
    _cost: float = 0.0
    _ended: float = float("-inf")
    _changed: float = float("-inf")
    """When a write last ended that changed the file."""

    def want(self, now: float, at_once: bool = False, patience: float = 0.0) -> None:
        """There is something to write: soon, or with the next burst, `patience` seconds after the last at most."""
        at = now if at_once else max(now, self._ended + WRITE_SHARE * self._cost, self._changed + patience)
        self.due_at = at if self.due_at is None else min(self.due_at, at)

    def write(
        self, roles: Iterable[Role], states: Mapping[str, RoleState], clock: Callable[[], float], last: bool = False
    ) -> bool:
        """Write every kept profile. False when the file was not written: it is due again, `error` says why.

        Another program that has just written is left to finish first, unless this is the `last` write.
        """
        began = clock()
        if self._seen is not None:
            self._merged = self._has_changed(began) or self._merged
        if self._compare_at is not None and began < self._compare_at and not last:
            self.due_at = self._compare_at
            return False
        self._compare(began)
        all_kept = [self._kept(role, states[role.profile]) for role in roles]
        held = set() if last else {one.profile for one in all_kept if self._is_held(one, began)}
        kept = [one for one in all_kept if one.profile not in held]
        if self.lines is not None:
            self.lines.add(all_kept, lambda: self._would_refuse(all_kept), began)
        try:
            result = self.file.write(kept, self.config_id, self.orphans, held)
        except FileUnsettled as unsettled:
            self.unsettled = unsettled
            self.due_at = clock() + unsettled.retry_in
            return False
        except FileRefused as refusal:
            self.unsettled = None
            if self.error is None or self.error.message != refusal.message:
                self.log(
                    "error", "file.refused", path=str(self.file.path), message=refusal.message, advice=refusal.advice
                )
            self.error = refusal
            self.due_at = clock() + RETRY
            self._note_what_is_read(all_kept)
            return False
        self._ended = clock()
        self._changed = self._ended if result.written else self._changed
        self._cost = self._ended - began
        self._record(result)
        self._note_delivered(kept, held)
        times = [self.conflicts.next_at]
        if self.lines is not None:
            written = [one for one in all_kept if one.command is not None or one.profile not in held]
            self.lines.settle(written, self.refused, self.orphans, self._ended)
            times.append(self.lines.due_at)
        self.due_at = min((at for at in times if at is not None), default=None)
        return True

    def _would_refuse(self, kept: list[KeptProfile]) -> tuple[Refusal, ...]:
        try:
            return merge(self.file.read(), kept, self.config_id, remove_orphans=False).refused
        except FileRefused:
            return ()  # the write that follows reports it

    def _kept(self, role: Role, state: RoleState) -> KeptProfile:
        command, refusal = None, None
        if role.deliver == "process":
            try:
                command = self.command_of(role)
            except Unfit as unfit:
                refusal = Refusal(role.profile, unfit.reason, unfit.advice)
        return KeptProfile(role.profile, role.deliver, state.session, self.region_of(role), command, refusal)

    def _record(self, result: WriteResult) -> None:
        if self.error is not None:
            self.log("info", "file.accepted", message="the credentials file can be written again")
        self.error = self.unsettled = None
        self._seen = result.signature
        self._merged = self._merged or result.merged
        if result.written:
            self.written_at = self.wall()
            self.log("debug", "file.written", path=str(self.file.path), took_seconds=round(self._cost, 4))
        if not result.durable:
            self.log("warning", "file.durability_unknown", message="written, but a crash may bring back the old file")
        for profile in result.adopted:
            self.log(
                "warning",
                "profile.adopted",
                profile=profile,
                message="adopted a section with another tool's session; its other lines stay",
            )
        for refusal in result.refused:
            if self.refused.get(refusal.profile) != refusal:
                self.log(
                    "error", "profile.refused", profile=refusal.profile, message=refusal.reason, advice=refusal.advice
                )
        self.refused = {refusal.profile: refusal for refusal in result.refused}
        for profile in result.removed:
            self.log("info", "profile.removed", profile=profile, message="keys removed from the credentials file")
        for path in result.set_aside:
            log_set_aside(self.log, path)

    def look(self, now: float) -> bool:
        """Whether another program has changed the file since; what it changed is judged by a write that is due then."""
        self.conflicts.expire(now)
        merged, self._merged = self._merged, False
        if not self._has_changed(now):
            return merged
        self.due_at = min(at for at in (self.due_at, self._compare_at) if at is not None)
        return True

    def _has_changed(self, now: float) -> bool:
        """Whether the file has changed since the last look. It is compared with what was delivered once the other
        program has had time to finish: half a file shows no profile, and one save is one overwriting, not three."""
        try:
            signature: object = self.file.signature()
        except FileRefused as refusal:
            signature = str(refusal)  # the write that is now due reports it
        if signature == self._seen:
            return False
        self._seen = signature
        self._compare_at = self._compare_at or now + QUIET
        return True

    def _compare(self, now: float) -> None:
        """Count an overwriting for each profile of which readers do not get what was delivered last."""
        if self._compare_at is None or now < self._compare_at:
            return
        overwritten_at, self._compare_at = self._compare_at - QUIET, None
        try:
            sections = read_sections(self.file.read(), list(self._left))
        except FileRefused:
            return  # the write that follows reports it
        for profile, left in self._left.items():
            if _is_overwritten(left, sections[profile]):
                self._overwritten(left, sections[profile], overwritten_at)
            else:
                self._log_edited_region(left, sections[profile] or {})

    def _log_edited_region(self, left: KeptProfile, section: Mapping[str, str]) -> None:
        """Log that the file had another region than the configuration sets."""
        edited, is_managed = section.get("region"), "region" in section.get(OWNER_KEY, "").split()[2:]
        if is_managed and left.region is not None and edited not in (None, left.region):
            message = f"region was edited to {edited}; {left.region}, which the configuration says, is written again"
            advice = "set region of the role in the configuration, or of the profile in the AWS config file"
            self.log("warning", "profile.region_restored", profile=left.profile, message=message, advice=advice)

    def _overwritten(self, left: KeptProfile, section: Mapping[str, str] | None, at: float) -> None:
        served = life_left(section, self.wall())
        conflict = self.conflicts.note(left.profile, writer_of(section), _session_id(left), at, served)
        if conflict is None:
            return
        by, delay = conflict.overwritten_by, round((conflict.put_back_at or at) - at)
        again = f" again ({conflict.count} times)" if conflict.count > 1 else ""
        self.log(
            "warning",
            "profile.overwritten" if conflict.count == 1 else "profile.contested",
            profile=left.profile,
            overwritten_by=by,
            times=conflict.count,
            put_back_in_seconds=delay,
            message=f"overwritten{again} by {by}; put back in {delay} s",
        )

    def _is_held(self, kept: KeptProfile, now: float) -> bool:
        return not _is_empty(kept) and self.conflicts.is_held(kept.profile, _session_id(kept), now)

    def _note_what_is_read(self, kept: list[KeptProfile]) -> None:
        """What readers find where nothing can be written: what the last write has left, or an earlier daemon."""
        left = list(self._left.values()) or [one for one in kept if not _is_empty(one)]
        self.delivered = {}
        with contextlib.suppress(FileRefused):  # readers find nothing either
            sections = read_sections(self.file.read(), [one.profile for one in left])
            there = [one for one in left if not _is_overwritten(one, sections[one.profile])]
            self.delivered = {one.profile: one.session for one in there if one.session is not None}

    def _note_delivered(self, kept: list[KeptProfile], held: Collection[str]) -> None:
        before = {profile: left for profile, left in self._left.items() if profile in held}
        written = {one.profile: one for one in kept if not _is_empty(one) and one.profile not in self.refused}
        self._left = before | written
        self.delivered = {p: left.session for p, left in self._left.items() if left.session is not None}
        self.conflicts.written(written, held, self._ended)


def patience(old: Session | None, now: Instant) -> float:
    """Seconds for which readers are well served by the session that they have."""
    return 0.0 if old is None else max(0.0, min(GATHER, old.left(now) * GATHER_SHARE))


def _is_empty(kept: KeptProfile) -> bool:
    """Whether there is nothing for readers: our keys are taken out."""
    return kept.deliver == "keys" and kept.session is None


def _session_id(kept: KeptProfile) -> str:
    return kept.session.access_key_id if kept.session else ""


def _is_overwritten(left: KeptProfile, section: Mapping[str, str] | None) -> bool:
    """Whether readers of a profile get something else than what was left there. A lost comment is no conflict: many
    tools that rewrite the file for a profile of their own drop all of them."""
    if section is None:
        return True
    if left.deliver == "process":
        return section.get("credential_process") != left.command
    return left.session is not None and section.get("aws_access_key_id") != left.session.access_key_id

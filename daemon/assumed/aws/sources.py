"""The credentials that sign AssumeRole, each source's resolved apart, and clients that sign with them.

A `credential_process` that hangs or asks for input must not hold a worker of the role pool, so what needs botocore's
chain is resolved in a thread of its own, one at a time, with a deadline. Keys that a profile holds itself need no such
thing. Sources whose settings are alike share a client: 240 of their own would cost 100 MB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant, Role, Session

from .chain import Chain
from .client import Keys, StsClient, new_client
from .refusals import AGAIN, needs_session
from .source import SourceProfile
from .source_failures import source_timeout

DEADLINE = 30.0
"""Seconds for a source without a helper to resolve: some calls over the network."""
MOST_ABANDONED = 20
"""Threads still stuck in attempts that are over: with more, none is replaced."""
SOURCE_CHANGED = "SourceChanged"
"""Code of what is no failure: the source was forgotten between a role's turn and its request."""
FRESH_FOR = 15.0
"""Seconds for which keys that botocore may refresh are used without asking it again."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A source was resolved, or was not: the message that wakes the keeper."""

    source: str
    failure: RenewalFailed | None
    generation: int
    """Of the settings that it was resolved by."""


@dataclass(slots=True)
class _Attempt:
    """One resolution of one source: it ends once, in its answer or at its deadline."""

    source: str
    root: Role
    profile: SourceProfile | None
    generation: int
    chain: Chain | None
    """None, too, once it has run to its end."""
    running: bool = True
    abandoned: bool = False
    """Its deadline passed while its thread still ran: what it brings is dropped once another attempt has keys."""
    ended: threading.Lock = field(default_factory=threading.Lock)

    def deadline(self) -> float:
        """Seconds that it may take: a helper has its own, a server a fixed one."""
        helped = self.profile is None or self.profile.runs_helper()
        return self.root.helper_timeout_seconds if helped else DEADLINE


@dataclass(slots=True)
class _Source:
    resolved_at: float | None = None
    """None: it cannot sign."""
    keys: Keys | None = None
    """None for web identity, which signs nothing."""
    chain: Chain | None = None
    settings: Any = None
    """Sources with equal ones share their clients."""
    attempt: _Attempt | None = None
    """The last one; while it runs it may have helper processes."""
    generation: int = 0


class Sources:
    """Resolves sources and hands out STS clients. `post` is called from its threads with a Resolved."""

    def __init__(
        self,
        credentials_file: Path,
        inherited: Mapping[str, str],
        now: Callable[[], Instant],
        post: Callable[[Resolved], None],
        *,
        passed: Path | None = None,
        learned: Callable[[str, Keys], None] | None = None,
    ) -> None:
        """`passed`: an AWS credentials file for this process alone, see Chain.

        `learned` is told each source's keys as they come: the log must know what never to print.
        """
        self._credentials_file = credentials_file
        self._inherited = inherited
        self._passed = passed
        self._now = now
        self._post = post
        self._learned = learned
        self._sources: dict[str, _Source] = {}
        self._clients: dict[tuple[str | None, Any], Any] = {}
        """(region, settings) → botocore's client."""
        self._making = threading.Lock()
        self._abandoned = 0
        self._lock = threading.Lock()

    def ready(self, root: Role) -> bool:
        """Whether `root`'s source can sign right now without being asked."""
        with self._lock:
            source = self._sources.get(root.source())
            if source is None or source.resolved_at is None:
                return False
            refreshable = source.keys is not None and source.keys.refreshable
            return not refreshable or self._now().boot - source.resolved_at < FRESH_FOR

    def forget(self, name: str) -> None:
        """Start from scratch the next time: the source's values have changed, or STS refused its keys."""
        with self._lock:
            source = self._sources.get(name)
            if source is None:
                return
            source.resolved_at, source.keys, source.chain = None, None, None
            source.generation += 1
            self._clients = {key: it for key, it in self._clients.items() if key[1] != source.settings}
            chain = source.attempt.chain if source.attempt is not None else None
        if chain is not None:
            chain.kill()  # a helper of the old settings must not keep the new ones waiting

    def is_current(self, message: Resolved) -> bool:
        """Whether the source has not been forgotten since: an attempt by settings of the past has failed nobody."""
        with self._lock:
            return self._sources[message.source].generation == message.generation

    def resolve(self, root: Role, profile: SourceProfile | None) -> bool:
        """Begin to resolve `root`'s source; False while the last attempt still runs (one at a time each): one that is
        over and still holds its thread is replaced, as long as there are not too many of those."""
        name = root.source()
        with self._lock:
            source = self._sources.setdefault(name, _Source())
            last = source.attempt
            if last is not None and last.running:
                hopeless = last.abandoned or last.generation != source.generation
                if not hopeless or self._abandoned >= MOST_ABANDONED:
                    return False
            attempt = source.attempt = _Attempt(name, root, profile, source.generation, source.chain)
        keys = self._keys_at_hand(root, profile)
        if keys is not NotImplemented:
            self._settle(attempt, keys)
            self._end(attempt, None)
            return True
        try:
            threading.Thread(target=self._run, args=[attempt], name=f"source {name}", daemon=True).start()
        except RuntimeError as error:  # the user's processes have used up what there is of them
            self._end(attempt, RenewalFailed(FailureKind.TRANSIENT, "NoThread", f"{name}: {error}", AGAIN))
        return True

    def _keys_at_hand(self, root: Role, profile: SourceProfile | None) -> Any:
        """The keys of a source that nothing has to be asked for; NotImplemented where botocore's chain has to."""
        if root.web_identity_token_file is not None:
            return None
        static = profile.static_keys(str(root.source_profile)) if profile and self._passed is None else None
        return Keys(*static) if static else NotImplemented

    def client(self, root: Role, role: Role, parent: Session | None) -> StsClient:
        """An STS client that signs for `role`: with its source's keys, or with those of the kept role above it.

        Raises RenewalFailed when the source has been forgotten in the meantime, or would need a person's code.
        """
        with self._lock:
            source = self._sources.get(root.source())
            if source is None or source.resolved_at is None:
                message = f"{root.source()} has just changed"
                raise RenewalFailed(FailureKind.TRANSIENT, SOURCE_CHANGED, message, "it is read again")
            keys = source.keys
            if parent is not None:
                keys = Keys(parent.access_key_id, parent.secret_access_key, parent.session_token)
            if role.mfa_serial is not None and keys is not None and keys.session_token is None:
                raise needs_session(role)  # long-term keys carry no code: STS could only deny the request
            name = (role.region, source.settings)
        with self._making:
            client = self._clients.get(name)
            if client is None:
                client = new_client(root, role.region, self._credentials_file, self._passed)
                self._clients[name] = client
            return StsClient(client, keys)

    def close(self) -> None:
        """Kill every helper process that is still being waited for."""
        with self._lock:
            chains = [s.chain for s in self._sources.values()]
            chains += [s.attempt.chain for s in self._sources.values() if s.attempt is not None]
        for chain in chains:
            if chain is not None:
                chain.kill()

    def _run(self, attempt: _Attempt) -> None:
        """The thread of one attempt."""
        timer = threading.Timer(attempt.deadline(), self._give_up, [attempt])
        timer.daemon = True
        failure: RenewalFailed | None = None
        try:
            timer.start()
            if attempt.chain is None:
                files = self._credentials_file, self._inherited, self._passed
                attempt.chain = Chain(attempt.root, attempt.profile, *files)
            self._settle(attempt, attempt.chain.keys())
        except RenewalFailed as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a broken provider must not leave its roles waiting for ever
            message = f"{attempt.source}: {error}"
            failure = RenewalFailed(FailureKind.SOURCE_DEAD, type(error).__name__, message, "see the daemon's log")
        finally:
            timer.cancel()
        self._end(attempt, failure)

    def _settle(self, attempt: _Attempt, keys: Keys | None) -> None:
        if keys is not None and self._learned is not None:
            self._learned(attempt.source, keys)
        profile = attempt.root.source_profile
        settings: object = (attempt.source, attempt.generation)
        if attempt.profile and profile:
            settings = attempt.profile.client_settings(profile)
        with self._lock:
            source = self._sources[attempt.source]
            superseded = source.attempt is not attempt and source.resolved_at is not None
            if source.generation == attempt.generation and not superseded:
                source.chain = attempt.chain if keys is not None and keys.refreshable else None
                source.keys, source.settings = keys, settings
                source.resolved_at = self._now().boot

    def _end(self, attempt: _Attempt, failure: RenewalFailed | None) -> None:
        """Report an attempt that has run to its end."""
        with self._lock:
            attempt.running, attempt.chain = False, None
            self._abandoned -= attempt.abandoned
        self._report(attempt, failure)

    def _give_up(self, attempt: _Attempt) -> None:
        """The deadline has passed: the thread may live on, but another attempt may begin, whose answer counts."""
        seconds = attempt.deadline()
        with self._lock:
            # A helper that cannot be killed is not started a second time.
            chain = attempt.chain
            waits = chain is not None and chain.waits_for_helper()
            attempt.abandoned = attempt.running and not waits
            self._abandoned += attempt.abandoned
            source = self._sources[attempt.source]
            if attempt.abandoned and source.attempt is attempt:
                source.chain, source.resolved_at = None, None  # the stuck thread may hold the lock of its credentials
        self._report(attempt, source_timeout(attempt.root, seconds, by_helper=waits))
        if chain is not None:
            chain.kill()

    def _report(self, attempt: _Attempt, failure: RenewalFailed | None) -> None:
        if attempt.ended.acquire(blocking=False):  # never released: only the first of the two ends is told
            self._post(Resolved(attempt.source, failure, attempt.generation))

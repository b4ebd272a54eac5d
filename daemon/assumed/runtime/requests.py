"""What the control socket answers, in its own threads: from the newest snapshot. What is to be done is a message."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from assumed import __version__
from assumed.engine.decide import due
from assumed.engine.events import Refresh
from assumed.events import FAULT
from assumed.metrics.counters import Counters, facts
from assumed.model import Instant
from assumed.snapshot import Snapshot, beat_document, document

from .control import Answer, Request
from .inbox import Message, Reload, Wanted
from .recent import Recent


@dataclass(frozen=True, slots=True)
class Requests:
    """Answers requests. Thread-safe, and never raises: a fault of ours is an answer, too."""

    snapshot: Callable[[], Snapshot]
    put: Callable[[Message], None]
    now: Callable[[], Instant]
    recent: Recent
    counters: Counters
    log: Callable[..., None]

    def answer(self, request: Request) -> Answer:
        """One request of the control socket."""
        profiles = request.get("profiles", [])
        if not isinstance(profiles, list) or not all(isinstance(profile, str) for profile in profiles):
            return {"error": "profiles is a list of names"}
        try:
            return self._answer(request, profiles)
        except Exception as error:  # noqa: BLE001 - the next request must find an answer
            self.log("error", "control.crashed", command=str(request.get("command")), message=FAULT, exc_info=error)
            return {"error": f"a fault in assumed ({type(error).__name__}); see its log"}

    def _answer(self, request: Request, profiles: list[str]) -> Answer:
        snapshot, config = self.snapshot(), request.get("config")
        if isinstance(config, str) and os.path.realpath(config) != os.path.realpath(snapshot.config.path):
            return {"another": str(snapshot.config.path)}
        match request.get("command"):
            case "ping":
                return {"pid": os.getpid(), "version": __version__, **beat_document(snapshot.beaten, self.now())}
            case "status":
                return {**document(snapshot, self.now()), "events": self.recent.document()}
            case "metrics":
                return facts(snapshot, self.counters, self.now())
            case "reload":
                self.put(Reload())
                return {"accepted": True}
            case "look":
                return self._look(snapshot, profiles)
            case "refresh":
                return self._refresh(snapshot, profiles, bool(request.get("due_only")))
            case other:
                return {"error": f"unknown command {other!r}; this is assumed {__version__}"}

    def _look(self, snapshot: Snapshot, wanted: list[str]) -> Answer:
        """A reader wants these profiles. They are renewed if they are due, at the pace of their backoff.

        An SDK asks again for every request it signs: were each of them a `refresh`, a denied role would be a storm.
        """
        # By the configuration: a daemon that has just begun to listen has not taken its roles over yet.
        config = snapshot.config
        known = [profile for profile in wanted if (role := config.role(profile)) is not None and role.enabled]
        for profile in known:
            self.put(Wanted(profile))
        return {"accepted": known}

    def _refresh(self, snapshot: Snapshot, wanted: list[str], due_only: bool) -> Answer:
        """Have profiles renewed; none named means all (`due_only`: all that are due or failing)."""
        # By the configuration, as in `_look`; of roles that have not been taken over yet none is known to be fresh.
        state, enabled = snapshot.state, dict.fromkeys(role.profile for role in snapshot.config.enabled())
        known = [profile for profile in wanted or enabled if profile in enabled]
        if due_only and not wanted:
            are_due = set(due(state, self.now()))
            known = [profile for profile in enabled if profile in are_due or profile not in state.roles]
        self.put(Refresh(tuple(known)))
        return {"accepted": known, "unknown": sorted(set(wanted) - set(known))}

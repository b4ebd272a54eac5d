"""A session file as `credential-process` finds it: the session, or a sentence that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .credential_process import OLD, early, is_checked, is_sound, left, parse, session_path

MISSING = "no session of profile {profile!r} in {state}; start the daemon (`assumed run`), or run `assumed once`"
UNREADABLE = "the session of profile {profile!r} in {state} cannot be read; `ls -l` there shows whose it is"
DAMAGED = "the session of profile {profile!r} in {state} is damaged; `assumed refresh {profile}` writes it anew"


@dataclass(frozen=True, slots=True)
class Found:
    """A stored session, or why there is none that can be handed out."""

    session: dict[str, Any] | None
    why: str = ""
    wanted: str = ""
    """The path of the configuration that a person has named; empty: the one that the session was checked against."""

    @property
    def is_live(self) -> bool:
        """Whether it has life left."""
        return self.session is not None and left(self.session) > 0

    @property
    def is_fit(self) -> bool:
        """Whether the end that readers are told is still to come."""
        return self.session is not None and left(self.session) > early(self.session)

    @property
    def is_checked(self) -> bool:
        """Whether it was checked against the configuration as it is now, as far as that can be seen from here."""
        try:
            return self.session is not None and is_checked(self.session, self.wanted)
        except (OSError, TypeError, LookupError):
            return False

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be done about it: it is checked, and nobody should have renewed it by now."""
        return (
            self.is_checked and self.session is not None and left(self.session) >= OLD * self.session["Assumed"]["life"]
        )

    @property
    def configuration(self) -> str:
        """The path of the configuration to check it against; empty where nothing says."""
        if self.wanted:
            return self.wanted
        checked = self.session["Assumed"].get("checked") if self.session is not None else None
        return str(checked[0]) if isinstance(checked, list) and checked else ""


def read(state: str, profile: str, wanted: str = "") -> Found:
    """The stored session of a profile. `wanted`: see Found."""
    try:
        with open(session_path(state, profile), encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs 6 ms)
            text = file.read()
    except FileNotFoundError:
        return Found(None, MISSING, wanted)
    except OSError:
        return Found(None, UNREADABLE, wanted)
    except UnicodeDecodeError:
        return Found(None, DAMAGED, wanted)
    try:
        session = parse(text)
        if is_sound(session):
            return Found(session, "", wanted)
    except (ValueError, TypeError, LookupError, StopIteration):
        pass  # without the parser's own message: it quotes what it could not read
    return Found(None, DAMAGED, wanted)

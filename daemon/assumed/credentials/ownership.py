"""Which sections may be changed, and what happens when another program overwrites one of them.

Only sessions are replaced, never long-term keys. A program that overwrites a kept profile once is answered after a
second. One that goes on is answered ever later, so that two managers of one profile do not rewrite the file all day;
but readers of a profile without a session never wait for that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from assumed.model import Deliver, Session

from .ini import Section

OWNER_KEY = "x_assumed"
"""Its value is `<profile> <config_id>` and then what else in the section is known: `region` (that line is ours too),
`header` (the empty section was there before us)."""

TOKENS = frozenset({"aws_session_token", "aws_security_token"})
STATIC_KEYS = TOKENS | {"aws_access_key_id", "aws_secret_access_key"}
MANAGED_KEYS = STATIC_KEYS | {
    "expiration",
    "x_security_token_expires",
    "x_principal_arn",
    "credential_process",
    OWNER_KEY,
}
"""What a kept section says through us alone. `aws_security_token` is read by botocore before `aws_session_token`,
and a zone-less `expiration` hides ours from starship: both are taken out."""
PREFERRED_KEYS = frozenset(
    {
        "role_arn",
        "source_profile",
        "credential_source",
        "web_identity_token_file",
        "login_session",
        "sso_session",
        "sso_start_url",
        "sso_account_id",
        "sso_role_name",
    }
)
"""SDKs take these before the keys beside them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A profile that was left as it is: why, and what a person can do about it."""

    profile: str
    reason: str
    advice: str


class Unfit(Exception):
    """This section cannot be kept. Becomes a Refusal; never leaves the merge."""

    def __init__(self, reason: str, advice: str) -> None:
        self.reason = reason
        self.advice = advice


def check_tails(section: Section, managed: frozenset[str]) -> None:
    """Raises Unfit where a line that we would replace is more than a line."""
    long = managed & section.tails.keys()
    if long:
        key = min(long, key=lambda key: section.tails[key])
        raise Unfit(
            f"in [{section.name}] the line under {key} is indented, which makes it a part of that key's value",
            "Move its text to the beginning of the line, or delete it",
        )


def check_long_term_keys(section: Section, values: Mapping[str, str], session: Session | None) -> None:
    """Raises Unfit where keys that we would replace are worth more than ours."""
    key_id = values.get("aws_access_key_id", "")
    token = values.get("aws_session_token") or values.get("aws_security_token")
    # AWS marks a long-term key by AKIA, a session's by ASIA; `aws configure` leaves our token beside a new AKIA
    akia = key_id.startswith("AKIA") and not (session and session.access_key_id.startswith("AKIA"))
    if akia or ((key_id or values.get("aws_secret_access_key")) and not token):
        raise Unfit(
            f"[{section.name}] holds long-term keys, which cannot be brought back once they are replaced",
            "Rename that section (and name it in source_profile, if it signs for roles), or keep the role under"
            " another profile name",
        )


def check_preferred(section: Section) -> None:
    if not PREFERRED_KEYS.isdisjoint(section.keys):
        preferred = sorted(PREFERRED_KEYS & section.keys.keys())
        raise Unfit(
            f"[{section.name}] has {', '.join(preferred)}, which SDKs follow instead of our keys",
            "Take it out of that section, or keep the role under another profile name",
        )


def check_adoptable(section: Section, values: Mapping[str, str]) -> None:
    """Raises Unfit unless the section holds a session, was ours under another configuration, or holds nothing."""
    if any(values.get(key) for key in TOKENS):
        return
    owner = values.get(OWNER_KEY, "").split()
    if len(owner) > 1 and owner[0] == section.name:
        return
    if values.get("credential_process"):
        raise Unfit(
            f"[{section.name}] has a credential_process that is not ours",
            "Take that line out if the role is to take its place, or keep the role under another profile name",
        )


def check_defaults(deliver: Deliver, defaults: frozenset[str]) -> None:
    """botocore reads the keys of `[DEFAULT]` in every profile that lacks them."""
    if not defaults:
        return
    harmful = PREFERRED_KEYS | ({"aws_security_token"} if deliver == "keys" else STATIC_KEYS)
    leaking = sorted(harmful & defaults)
    if leaking:
        raise Unfit(
            f"[DEFAULT] has {', '.join(leaking)}, which botocore reads in every profile, before what we write",
            "Rename it to [default] in lower case, which is a profile like any other",
        )


FIRST, FACTOR, LONGEST = 1.0, 5.0, 600.0
"""Seconds until a profile is put back: after the first overwriting, times so much after each further one, at most."""
QUIET = 600.0
"""Seconds without another overwriting after which a profile has no conflict any more."""

# Key → the tool that writes it.
MARKS: tuple[tuple[str, str], ...] = (
    ("autoawsume", "awsume"),
    ("manager", "awsume"),
    ("assumed_role_arn", "aws-mfa"),
    ("aws_session_expiration", "gsts"),
    ("aws_credential_expiration", "aws-export-credentials"),
    ("aws_expiration", "aws-session-daemon"),
    ("x_security_token_expires", "saml2aws"),
)
UNKNOWN = "another program"
ENDS = (
    "x_security_token_expires",
    "aws_session_expiration",
    "aws_credential_expiration",
    "aws_expiration",
    "expiration",
)
"""Keys under which tools note when a session ends."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A profile that another program has overwritten."""

    overwritten_by: str
    count: int
    session: str
    """Access key id of the session that was delivered: a newer one is written at once, whatever the delay."""
    put_back_at: float | None
    """By the boot clock; None once it has been put back."""
    last_at: float
    """When it was last overwritten or put back, by the boot clock."""


class Conflicts:
    """The conflicts of one file, by profile. Times are of the boot clock."""

    def __init__(self) -> None:
        self._open: dict[str, Conflict] = {}

    @property
    def overwritten_by(self) -> dict[str, str]:
        """Profile → the program that has overwritten it more than once, while that is not long ago."""
        return {profile: one.overwritten_by for profile, one in self._open.items() if one.count > 1}

    @property
    def displaced(self) -> frozenset[str]:
        """Profiles that are overwritten and not put back yet."""
        return frozenset(profile for profile, one in self._open.items() if one.put_back_at is not None)

    @property
    def next_at(self) -> float | None:
        """When the next profile is put back."""
        return min((one.put_back_at for one in self._open.values() if one.put_back_at is not None), default=None)

    def note(self, profile: str, by: str, session: str, at: float, served: float = LONGEST) -> Conflict | None:
        """Count an overwriting at `at` that leaves readers a session for `served` seconds. None where the one before is
        not put back yet: it is the same."""
        before = self._open.get(profile)
        if before is not None and before.put_back_at is not None and served > 0:
            return None
        count = before.count + 1 if before is not None else 1
        delay = max(FIRST, min(LONGEST, FIRST * FACTOR ** min(count - 1, 10), served))
        self._open[profile] = Conflict(by, count, session, at + delay, at)
        return self._open[profile]

    def is_held(self, profile: str, session: str, now: float) -> bool:
        """Whether a profile is left to the other program for now: as long as there is no newer session to deliver."""
        one = self._open.get(profile)
        return one is not None and one.put_back_at is not None and now < one.put_back_at and session == one.session

    def written(self, profiles: Collection[str], held: Collection[str], now: float) -> None:
        """The file has been written: `profiles` are put back, `held` are not, and no other is a conflict any more."""
        for profile, one in list(self._open.items()):
            if profile in held:
                continue
            if profile not in profiles:
                del self._open[profile]
            elif one.put_back_at is not None:
                self._open[profile] = replace(one, put_back_at=None, last_at=now)

    def expire(self, now: float) -> None:
        """Forget those that have been quiet for so long that the next overwriting is a first one."""
        over = [p for p, one in self._open.items() if one.put_back_at is None and now - one.last_at >= QUIET]
        for profile in over:
            self.forget(profile)

    def forget(self, profile: str) -> None:
        """Forget how often a profile has been overwritten."""
        self._open.pop(profile, None)


def life_left(section: Mapping[str, str] | None, wall: float) -> float:
    """Seconds for which readers of a section have a session, as far as it tells; 0 where they have none."""
    if section is None:
        return 0.0
    if "credential_process" not in section and not {"aws_access_key_id", "aws_secret_access_key"} <= section.keys():
        return 0.0
    ends = (end for key in ENDS if (end := _posix(section.get(key, ""))) is not None)
    return min((end - wall for end in ends), default=LONGEST)


def _posix(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def writer_of(section: Mapping[str, str] | None) -> str:
    """The likely writer of a section that differs from what was delivered: a person must know which one to stop."""
    if section is None or "x_assumed" in section:
        return UNKNOWN
    return next((tool for key, tool in MARKS if key in section), UNKNOWN)

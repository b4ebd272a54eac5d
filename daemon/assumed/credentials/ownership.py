"""Which sections may be touched: nobody's credentials are replaced but a session's and our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
"""SDKs take these before the keys beside them (aws-contract §1.4)."""


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

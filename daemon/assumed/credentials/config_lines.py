"""The `credential_process` lines of the AWS config file: the same surgery, for other headers and fewer keys.

AWS's C++ SDK (pyarrow up to 24, DuckDB) looks for `credential_process` in this file alone. The file is a person's own:
a line is added only where nothing that SDKs prefer stands beside it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from assumed.names import header_of, profile_of

from .ini import Document, Section, decode, scan
from .ownership import OWNER_KEY, PREFERRED_KEYS, STATIC_KEYS, Refusal, Unfit
from .profiles import Merge, merge
from .sections import CONFIG, KeptProfile

OUTRANKING = PREFERRED_KEYS | STATIC_KEYS
"""Keys that SDKs take before a `credential_process` in the same profile (aws-contract §1.4)."""


def line_for(profile: str, command: str | None) -> KeptProfile:
    """What the config file should say of a profile; `command` None takes our line out."""
    return KeptProfile(
        profile, "keys" if command is None else "process", None, None, command, header=header_of(profile)
    )


def advice_for(profile: str, remedy: str) -> str:
    """What to do about a line that is not there. An empty `remedy`: nothing brings it there."""
    who = "Clients built on the AWS C++ SDK (pyarrow up to 24, DuckDB) read credential_process from that file alone"
    if not remedy:
        return f"{who}: run them with: assumed exec {profile} -- COMMAND"
    return f"{remedy}. {who}; until it has the line, run them with: assumed exec {profile} -- COMMAND"


def merge_config(
    text: bytes, lines: Sequence[KeptProfile], config_id: str, remove_orphans: bool, known: Merge | None = None
) -> Merge:
    """As `profiles.merge`, for lines made by `line_for`. A refused profile loses the line of ours that it has."""
    document = known.document if known is not None and known.text == text else scan(decode(text))
    headers: dict[str, list[str]] = {}
    for header in document.sections:
        headers.setdefault(profile_of(header) or "", []).append(header)
    kept: list[KeptProfile] = []
    refused: list[Refusal] = []
    for line in lines:
        found = headers.get(line.profile, [])
        if line.command is not None:
            try:
                _check(document, [document.sections[header] for header in found], line.command)
            except Unfit as unfit:
                refused.append(Refusal(line.profile, unfit.reason, unfit.advice))
                line = line_for(line.profile, None)  # noqa: PLW2901 - it is this one that changes
        if line.command is not None and not found:
            kept.append(line)
        kept += [replace(line, header=header) for header in found]
    merged = merge(text, kept, config_id, remove_orphans, known, kind=CONFIG)
    return replace(merged, refused=(*refused, *merged.refused))


def _check(document: Document, sections: Sequence[Section], command: str) -> None:
    """Raises Unfit where a line of ours would not be read, or would replace another program's."""
    if leaking := sorted(OUTRANKING & document.defaults):
        raise Unfit(
            f"[DEFAULT] has {', '.join(leaking)}, which botocore reads in every profile",
            "Rename it to [default] in lower case",
        )
    if len(sections) > 1:
        names = " and ".join(f"[{section.name}]" for section in sections)
        raise Unfit(f"{names} are the same profile", "Merge them into one section")
    for section in sections:
        if outranking := sorted(OUTRANKING & section.keys.keys()):
            raise Unfit(
                f"[{section.name}] has {', '.join(outranking)}, which SDKs use instead of credential_process",
                f"Remove {'it' if len(outranking) == 1 else 'them'} from that section",
            )
        theirs = section.values().get("credential_process", command)
        if _session_of(theirs) != _session_of(command):
            if OWNER_KEY in section.keys:  # each of the two daemons would put its own line back
                raise Unfit(f"[{section.name}] has the line of another credentials file that keeps this profile", "")
            raise Unfit(f"[{section.name}] has another credential_process", "Remove it from that section")


def _session_of(command: str) -> list[str]:
    """State directory and profile, which our commands end with: the interpreter before them may be an older one."""
    try:
        return shlex.split(command)[-3:]
    except ValueError:
        return [command]

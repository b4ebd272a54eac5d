"""What the keys of one table mean together, and what a role inherits from [defaults]."""

from __future__ import annotations

from typing import Any

from .keys import NOT_WITH_WEB_IDENTITY, ROLE, SOURCE_KEYS
from .lines import KeyPath
from .report import Report, listed, show
from .rules import policy_text

Table = dict[str, Any]


def check_table(own: Table, at: KeyPath, report: Report) -> frozenset[str]:
    """Reports the keys of one table that exclude one another; returns their names."""
    wrong: set[str] = set()
    sources = [name for name in SOURCE_KEYS if name in own]
    for name in sources[1:]:
        report.add((*at, name), f"is set beside {sources[0]}; a role has one source, keep one of them")
        wrong.add(name)
    if "web_identity_token_file" in own and len(sources) == 1:
        for name in NOT_WITH_WEB_IDENTITY:
            if name in own:
                report.add((*at, name), "does not go with web_identity_token_file: AWS takes no such thing there")
                wrong.add(name)
    return frozenset(wrong)


def merge(index: int, own: Table, inherited: Table, bad: frozenset[str], report: Report) -> Table | None:
    """The role's values with the inherited ones filled in; None when what is missing or wrong forbids a role.

    A source of the role's own replaces an inherited one of another kind. What web identity has no parameter
    for is dropped where it is inherited and an error where the role sets it. `bad` are keys already reported.
    """
    at: KeyPath = ("roles", index)
    wrong = check_table(own, at, report)
    values = {**_inheritable(own, inherited), **own}
    for name in ("profile", "role_arn"):
        if name not in values and name not in bad:
            report.add((*at, name), f"is missing; add {name} = {ROLE[name].example}")
            wrong |= {name}
    if not any(name in values or name in bad for name in SOURCE_KEYS):
        report.add(at, f'has no source; set source_profile = "default", or {listed(SOURCE_KEYS[1:])}')
        wrong |= {"source_profile"}
    if "web_identity_token_file" in values:
        for name in NOT_WITH_WEB_IDENTITY:
            if name not in own:
                values.pop(name, None)
            elif "web_identity_token_file" not in own:
                report.add(
                    (*at, name), "does not go with the web_identity_token_file of [defaults]; set one of the two"
                )
                wrong |= {name}
    if values.get("deliver") == "process" and "%" in values.get("profile", ""):
        # cmd.exe expands it, so `credentials.command` lets no % through
        report.add(
            (*at, "profile"), 'has a %, which no credential_process line can hold; rename it, or deliver = "keys"'
        )
    _check_policies(values, own, at, report)
    _check_transitive(values, own, bad, at, report)
    return None if wrong or {"profile", "role_arn"} & (bad - values.keys()) else values


def _inheritable(own: Table, inherited: Table) -> Table:
    if any(name in own for name in SOURCE_KEYS):
        return {name: value for name, value in inherited.items() if name not in SOURCE_KEYS}
    return inherited


def _check_policies(values: Table, own: Table, at: KeyPath, report: Report) -> None:
    policy = policy_text(values.get("policy", ""))
    total = len(policy) + sum(len(arn) for arn in values.get("policy_arns", ()))
    most = ROLE["policy"].most or 0
    if total <= most:
        return
    name = "policy" if "policy" in own or "policy_arns" not in own else "policy_arns"
    hint = "; a table instead of text leaves out the spaces" if isinstance(values.get("policy"), str) else ""
    report.add((*at, name), f"has, with policy_arns, {total} characters; {most} are allowed{hint}")


def _check_transitive(values: Table, own: Table, bad: frozenset[str], at: KeyPath, report: Report) -> None:
    """STS: "The specified transitive tag key must be included in the requested tags", in any case."""
    if "tags" in bad:
        return
    tags = {name.casefold() for name in values.get("tags", {})}
    for key in values.get("transitive_tag_keys", ()):
        if key.casefold() not in tags:
            name = "transitive_tag_keys" if "transitive_tag_keys" in own else "tags"
            report.add((*at, name), f"{show(key)} is to be transitive, but is no tag of this role; add it to tags")

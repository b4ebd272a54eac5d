"""What signs for the roles, looked at without a request: whether it is there, can sign, and can do so unattended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from assumed.aws.refusals import cannot_be_typed, get_session, mismatch
from assumed.config.model import Config
from assumed.config.report import listed, nearest
from assumed.model import Finding, Role

from .files import AwsFiles
from .profiles import LOGIN_KEYS, TOKENS, known_regions, place_fault, source_profile


def sources(
    config: Config, files: AwsFiles, elsewhere: Collection[str], *, passed_keys: bool = False
) -> Iterator[Finding]:
    """Each source once, in the order of the configuration; then the regions in which they are asked for.

    `elsewhere`: those whose requests go to another server than AWS, where its rules for keys and regions do not hold.
    `passed_keys`: whether a service has an AWS credentials file that systemd passes to it alone.
    """
    signed: dict[str, list[Role]] = {}
    for role in config.enabled():
        if role.parent is None and role.web_identity_token_file is None:
            signed.setdefault(role.source(), []).append(role)
    for source, roles in signed.items():
        name, place = roles[0].source_profile, roles[0].credential_source
        used = f"signs for {_names(roles)}"
        if name is not None:
            yield source_profile(name, used, files, elsewhere=source in elsewhere, passed_keys=passed_keys)
        elif place is not None:
            fault = place_fault(place, files.environ)
            finding = Finding("ok", f"credential_source {place}", used)
            yield replace(finding, severity="error", message=f"{used}{fault[0]}", advice=fault[1]) if fault else finding
        yield from _mfa(roles, files)
    yield from _regions(config, files, elsewhere)


def _names(roles: list[Role]) -> str:
    names = [role.profile for role in roles]
    return listed(names, "and") if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _mfa(roles: list[Role], files: AwsFiles) -> Iterator[Finding]:
    """Roles that demand MFA of a source whose keys carry none; with a security key no source of keys ever will."""
    source = roles[0].source_profile
    if not _are_long_term(source, roles[0].credential_source, files):
        return
    for serial in dict.fromkeys(role.mfa_serial for role in roles if role.mfa_serial is not None):
        demanding = _names([role for role in roles if role.mfa_serial == serial])
        message = f"is demanded by {demanding}, but {source or 'the environment'} holds long-term keys, without MFA"
        way = f"start it with a session of: aws sts get-session-token --serial-number {serial} --token-code CODE"
        if source:
            way = get_session(serial, source, "source_profile of the role")
        yield Finding("error", f"mfa_serial {serial}", message, cannot_be_typed(serial) or way)


def _are_long_term(source: str | None, place: str | None, files: AwsFiles) -> bool:
    if source is None:
        environ = files.environ
        return place == "Environment" and "AWS_ACCESS_KEY_ID" in environ and not environ.get("AWS_SESSION_TOKEN")
    values = files.values(source)
    return "aws_access_key_id" in values and values.keys().isdisjoint({"role_arn", *LOGIN_KEYS, *TOKENS})


def _regions(config: Config, files: AwsFiles, elsewhere: Collection[str]) -> Iterator[Finding]:
    """Regions that do not exist, and those of another partition than the role's. Each once."""
    known = known_regions()
    seen: dict[tuple[str, str, str], list[Role]] = {}
    for role in config.enabled():
        root = role
        while root.parent is not None and (parent := config.role(root.parent)) is not None:
            root = parent
        of_source = files.values(root.source_profile or "default").get("region")
        region = role.region or files.environ.get("AWS_DEFAULT_REGION") or of_source or ""
        problem = mismatch(role.role_arn, region or None)
        if region and known and region not in {*known, "aws-global"}:
            meant = nearest(region, sorted(known))
            hint = f"did you mean {meant}?" if meant else "correct it"
            problem = f"is not a region that botocore knows: {hint} (a new region needs a newer boto3)"
        if problem:
            seen.setdefault((region, problem, root.source()), []).append(role)
    for (region, problem, source), roles in seen.items():
        what, _, todo = problem.partition(": ")
        finding = Finding("error", f"region {region}", f"{_names(roles)}: {what}", todo)
        yield replace(finding, severity="warning") if source in elsewhere else finding

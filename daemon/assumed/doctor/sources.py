"""What signs for the roles, looked at without a request: whether it is there, can sign, and can do so unattended."""

from __future__ import annotations

from collections.abc import Iterator

from assumed.aws.refusals import cannot_be_typed, get_session, mismatch
from assumed.aws.source import BUNDLE_VARIABLES, bundle_fault
from assumed.config.model import Config
from assumed.config.report import listed, nearest
from assumed.model import Finding, Role

from .source_profiles import LOGIN_KEYS, SESSION_KEYS, Around, at_home, place_of, profile


def sources(config: Config, around: Around) -> Iterator[Finding]:
    """Each source once, in the order of the configuration; then what concerns them all."""
    signed: dict[str, list[Role]] = {}
    for role in config.enabled():
        if role.parent is None and role.web_identity_token_file is None:
            signed.setdefault(role.source(), []).append(role)
    for roles in signed.values():
        name, place = roles[0].source_profile, roles[0].credential_source
        used = f"signs for {_names(roles)}"
        if place is not None:
            yield place_of(place, used, around.environ)
        elif name is not None:
            yield from profile(name, used, roles, around)
        yield from _mfa(roles, around)
    yield from _regions(config, around)
    yield from _bundles(config, around)


def _names(roles: list[Role]) -> str:
    names = [role.profile for role in roles]
    return listed(names, "and") if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


# -- roles ----------------------------------------------------------------------------------------------------------


def _mfa(roles: list[Role], around: Around) -> Iterator[Finding]:
    """Roles that demand MFA of a source whose keys carry none; with a security key no source of keys ever will."""
    by_serial: dict[str, list[Role]] = {}
    for role in roles:
        if role.mfa_serial is not None:
            by_serial.setdefault(role.mfa_serial, []).append(role)
    for serial, demanding in by_serial.items():
        source, place = demanding[0].source_profile, demanding[0].credential_source
        if not _are_long_term(source, place, around):
            continue
        name = source or str(place)
        message = (
            f"is demanded by {_names(demanding)}, and {name} holds long-term keys, which carry no MFA: it cannot work"
        )
        way = (
            get_session(serial, source, "source_profile of the role")
            if source
            else f"start it with a session of: aws sts get-session-token --serial-number {serial} --token-code CODE"
        )
        yield Finding("error", f"mfa_serial {serial}", message, cannot_be_typed(serial) or way)


def _are_long_term(source: str | None, place: str | None, around: Around) -> bool:
    if source is None:
        environ = around.environ
        return place == "Environment" and "AWS_ACCESS_KEY_ID" in environ and not environ.get("AWS_SESSION_TOKEN")
    values = around.values(source)
    others = {"role_arn", *LOGIN_KEYS, *SESSION_KEYS} & values.keys()
    return "aws_access_key_id" in values and not others


def _regions(config: Config, around: Around) -> Iterator[Finding]:
    """Regions that do not exist, and those of another partition than the role's. Each once."""
    seen: dict[tuple[str, str], list[Role]] = {}
    for role in config.enabled():
        region = _region(role, config, around)
        if region is None:
            continue
        if around.regions and region not in around.regions and region != "aws-global":
            seen.setdefault((region, ""), []).append(role)
        elif problem := mismatch(role.role_arn, region):
            seen.setdefault((region, problem), []).append(role)
    for (region, problem), roles in seen.items():
        elsewhere = around.has_endpoint(roles[0].source_profile)
        subject = f"region {region}"
        if problem:
            what, _, todo = problem.partition(": ")
            yield Finding("warning" if elsewhere else "error", subject, f"{_names(roles)}: {what}", todo)
            continue
        meant = nearest(region, sorted(around.regions))
        hint = f"did you mean {meant}?" if meant else "correct it"
        message = f"is no region of AWS that botocore knows, and {_names(roles)} would be asked for there"
        yield Finding(
            "warning" if elsewhere else "error", subject, message, f"{hint} (a new region needs a newer boto3)"
        )


def _region(role: Role, config: Config, around: Around) -> str | None:
    root = role
    while root.parent is not None and (parent := config.role(root.parent)) is not None:
        root = parent
    of_source = around.values(root.source_profile or "default").get("region")
    return role.region or around.environ.get("AWS_DEFAULT_REGION") or of_source


def _bundles(config: Config, around: Around) -> Iterator[Finding]:
    """CA bundles that every request needs and that are not there."""
    named = {f"${name}": around.environ[name] for name in BUNDLE_VARIABLES if around.environ.get(name)}
    for role in config.enabled():
        bundle = around.values(role.source_profile or "default").get("ca_bundle") if role.parent is None else None
        if bundle:
            named[f"ca_bundle of profile {role.source_profile or 'default'}"] = bundle
    for subject, bundle in named.items():
        fault = bundle_fault(str(at_home(bundle, around.environ)) if "HOME" in around.environ else bundle)
        if fault:
            message = f"is {bundle}, which {fault}: every request over TLS fails"
            yield Finding("error", subject, message, "name a file of certificates in PEM, or unset it")

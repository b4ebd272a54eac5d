"""One source profile and those that sign for it in turn: whether it is there, and can sign without a person."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assumed.aws.refusals import cannot_be_typed, get_session
from assumed.aws.source import asks_for_code, login_caches, login_fault, token_fault
from assumed.config.report import listed, nearest, show
from assumed.config.validate import OPERATOR
from assumed.model import Finding

from .environment import at_home
from .files import AwsFiles, Values

LOGIN_KEYS = ("sso_session", "sso_start_url", "sso_account_id", "sso_role_name")
_KINDS = {"role_arn", *LOGIN_KEYS, "aws_access_key_id", "aws_secret_access_key", "login_session", "credential_process"}
TOKENS = ("aws_session_token", "aws_security_token")
"""botocore reads both."""
PLACES = ("Environment", "Ec2InstanceMetadata", "EcsContainer")

Fault = tuple[str, str]
"""Why something cannot sign, as the end of a sentence that begins with what signs for which roles; what to do."""

_QUOTE = "[\"'“”‘’`]"
_PLACEHOLDER = (
    r"<.*>|\{.*\}|\byour|your[_-]|x{4}|\*{3}|\.{3}|…|change.?me|replace|placeholder|(access|secret)[_-]key|todo"
)
_TYPED = (
    (rf"{_QUOTE}.*{_QUOTE}$", "is in quotes, which SDKs take for a part of it", "remove the quotes"),
    (
        r"(.*\s)?[#;]",
        "is followed by a comment, which SDKs take for a part of it",
        "put the comment on a line of its own",
    ),
    (r".*\s", "contains a space", "paste it again"),
    (rf"{_QUOTE}|.*{_QUOTE}$", "begins or ends with a quote", "remove it"),
    (
        rf"(?![A-Z0-9/+]{{40}}$).*({_PLACEHOLDER})",
        "is a placeholder",
        "put the real key in its place",
    ),
)
"""Beginning of a value, letters' case apart; what it is, and what to do. The last is not looked for in a token."""
_OF_AWS = re.compile(r"AKIA[A-Z0-9]{16}")
"""A user's long-term key; those of sessions are written by programs, which do not mistype."""
_OF_SESSION = re.compile(r"ASIA[A-Z0-9]{16}")
_SECRET_OF_AWS = re.compile(r"[A-Za-z0-9/+]{40}")
_DOCUMENTED = ("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE")
"""AWS's own examples, in every tutorial."""


def source_profile(name: str, used: str, files: AwsFiles, *, elsewhere: bool, passed_keys: bool) -> Finding:
    """A source profile and those that sign for it in turn. The first fault is the one to mend. See `sources`."""
    subject = f"source_profile {name}"
    steps = files.signing(name)
    for step, values in steps:
        about = used if step == name else f"{used} by way of profile {step}"
        if passed_keys and values.keys().isdisjoint(_KINDS):
            message = f"{about}; its keys are not in the AWS files, so they have to be among what systemd passes"
            return Finding("warning", subject, message, "see LoadCredential= in the service's drop-ins")
        if fault := next(_faults(step, values, files, elsewhere=elsewhere), None):
            return Finding("error", subject, f"{about}{fault[0]}", fault[1])
        if values.keys().isdisjoint({"role_arn", *LOGIN_KEYS}) and not values.keys().isdisjoint(TOKENS):
            message = f"{about} with a session, which ends, and which assumed does not renew"
            advice = "sign with a role, a login or a user's keys; with MFA, save the next session in time"
            return Finding("warning", subject, message, advice)
    names = [step for step, _ in steps]
    if (again := values.get("source_profile")) and not (again == names[-1] and "aws_access_key_id" in values):
        cycle = " -> ".join([*names[names.index(again) :], again])
        return Finding("error", subject, f"{used}, but source_profile is a cycle: {cycle}", "give one of them keys")
    return Finding("ok", subject, used)


def _first(*checks: tuple[object, str, str]) -> Fault | None:
    """The first fault whose condition holds."""
    return next(((what, todo) for is_wrong, what, todo in checks if is_wrong), None)


def _faults(name: str, values: Values, files: AwsFiles, *, elsewhere: bool) -> Iterator[Fault]:
    """What keeps one profile from signing, by what SDKs would do with it (botocore's order: role, SSO, login, keys)."""
    configure = f"aws configure --profile {name}"
    has_keys = [key in values for key in ("aws_access_key_id", "aws_secret_access_key")]
    if values.keys().isdisjoint(_KINDS):
        if name in files.credentials or name in files.config:
            yield ", but has no credentials of any kind", f"add some: {configure}"
        yield ", but is in neither AWS file", _missing(name, files, configure)
    elif "role_arn" in values:
        yield from _role(name, values, files.environ)
    elif not values.keys().isdisjoint(LOGIN_KEYS):
        yield from _sso(name, values, files)
    elif "login_session" in values:
        if find_spec("awscrt") is None:
            yield " by aws login, for which botocore needs awscrt", "install it beside assumed: botocore[crt]"
        yield from _login(values, f"aws login --profile {name}", files.environ)
    elif any(has_keys) and not all(has_keys):
        yield ", but has one half of a key pair", f"set both: {configure}"
    elif all(has_keys):
        if wrong := _typed_wrong(values, elsewhere=elsewhere):
            yield f", but {wrong[0]}", wrong[1]
    elif fault := _helper(values["credential_process"], files.environ):
        yield f" by a credential_process, but {fault[0]}", fault[1]


def _missing(name: str, files: AwsFiles, configure: str) -> str:
    meant = nearest(name, sorted({*files.credentials, *files.config}))
    if f"profile {name}" in files.credentials:
        return f"the credentials file has [profile {name}], which no SDK reads there; rename it to [{name}]"
    return f"did you mean {show(meant)}? Else: {configure}" if meant else f"create it: {configure}"


def _role(name: str, values: Values, environ: Mapping[str, str]) -> Iterator[Fault]:
    """A profile that has a role of its own; the profile that signs for it is the next step."""
    place, setting = values.get("credential_source"), f"source_profile of profile {name}"
    if asks_for_code(values):
        serial = values["mfa_serial"]
        way = get_session(serial, values.get("source_profile", ""), setting, without=True)
        message = f", but its own role needs a code of {serial} at each renewal: assumed cannot prompt for one"
        yield message, cannot_be_typed(serial) or way
    elif token := values.get("web_identity_token_file"):
        if fault := token_fault(Path(at_home(token, environ))):
            yield f", but its token {token} {fault}", "check what writes it"
    elif place is not None:
        yield from filter(None, [place_fault(place, environ)])
    elif "source_profile" not in values:
        yield ", but has a role_arn and no source that signs for it", f"set {setting}"


def place_fault(place: str, environ: Mapping[str, str]) -> Fault | None:
    """Why `credential_source` does not work here."""
    meant = nearest(place, PLACES)
    keys = environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")
    in_container = any(name.startswith("AWS_CONTAINER_CREDENTIALS_") for name in environ)
    no_metadata = environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    service = "where the daemon runs; a service has another environment"
    return _first(
        (
            place not in PLACES,
            f", but credential_source {show(place)} is not {listed(PLACES)}",
            f"did you mean {meant}?" if meant else "correct it",
        ),
        (
            place == "Environment" and not keys,
            ", but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set here",
            f"set both {service}",
        ),
        (
            place == "EcsContainer" and not in_container,
            ", but no AWS_CONTAINER_CREDENTIALS_… variable is set here",
            "run the daemon where ECS or EKS sets it",
        ),
        (
            place == "Ec2InstanceMetadata" and no_metadata,
            ", but AWS_EC2_METADATA_DISABLED is true here",
            f"unset it {service}",
        ),
    )


def _sso(name: str, values: Values, files: AwsFiles) -> Iterator[Fault]:
    session, sessions = values.get("sso_session", ""), files.sessions
    where = f"[sso-session {session}]" if session else f"profile {name}"
    if session and session not in sessions:
        meant = nearest(session, sessions)
        hint = f"did you mean sso_session = {meant}?" if meant else "or run: aws configure sso"
        yield f" by SSO, but the config file has no {where}", f"add that section; {hint}"
    settings = {**values, **sessions.get(session, {})}
    for place, keys in ((where, ("sso_region", "sso_start_url")), (f"profile {name}", LOGIN_KEYS[2:])):
        if lacking := [key for key in keys if not settings.get(key)]:
            yield f" by SSO, but {place} has no {listed(lacking, 'and no')}", f"set {listed(lacking, 'and')} there"
    if (known := known_regions()) and settings["sso_region"] not in known:
        yield f" by SSO, but its sso_region {settings['sso_region']} is not a region of AWS", f"correct it in {where}"
    yield from _login(values, f"aws sso login --profile {name}", files.environ)


def _login(values: Values, command: str, environ: Mapping[str, str]) -> Iterator[Fault]:
    """Whether there is a login, and it can be used or renewed without a person."""
    for cache in login_caches(values, environ):
        path = Path(at_home(cache, environ)).expanduser()
        if fault := login_fault(path):
            yield f", but there is no usable login: {path} {fault}", f"run: {command}"
        elif _has_ended(path, legacy="sso_session" not in values):
            yield ", but its login has ended, and cannot be renewed without a person", f"run: {command}"


def _has_ended(path: Path, *, legacy: bool) -> bool:
    """Whether an SSO token is over. One of an sso-session is refreshed, as long as its client is registered."""
    token = json.loads(path.read_bytes())
    if "sso" not in path.parts or _is_later(token.get("expiresAt")):
        return False
    refreshable = all(token.get(key) for key in ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt"))
    return legacy or not refreshable or not _is_later(token["registrationExpiresAt"])


def _is_later(instant: Any) -> bool:
    try:
        return datetime.fromisoformat(str(instant).replace("UTC", "Z")).timestamp() > time.time()
    except ValueError:
        return True  # another tool's format, which cannot be judged


def _typed_wrong(values: Values, *, elsewhere: bool) -> Fault | None:
    """What is wrong with keys that were typed or pasted, as far as their looks tell. No sentence shows one.

    `elsewhere`: another server than AWS decides about them, so the shape of AWS's own says nothing.
    """
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        for pattern, what, todo in _TYPED[: -1 if name in TOKENS else None]:
            if re.match(pattern, values.get(name, ""), re.IGNORECASE | re.DOTALL):
                return f"{name} {what}", todo
    key, secret = values.get("aws_access_key_id", ""), values.get("aws_secret_access_key", "")
    is_long_term = _OF_AWS.fullmatch(key.upper())
    has_token = any(values.get(name) for name in TOKENS)
    of_aws = (
        (_OF_AWS.fullmatch(secret), "aws_secret_access_key is an access key id", "swap the two values"),
        (
            _OF_SESSION.fullmatch(key) and not has_token,
            "aws_access_key_id is that of a session, and there is no aws_session_token",
            "paste all three values",
        ),
        (is_long_term and key != key.upper(), "aws_access_key_id has lower-case letters", "paste it again"),
        (
            is_long_term and not _SECRET_OF_AWS.fullmatch(secret),
            f"aws_secret_access_key ({len(secret)} characters) is not 40 letters, digits, / and +",
            "paste it again",
        ),
    )
    documented = (key in _DOCUMENTED, "aws_access_key_id is the example of AWS's documentation", "use a real key")
    return _first(documented, *(() if elsewhere else of_aws))


def _helper(command: str, environ: Mapping[str, str]) -> Fault | None:
    """What keeps a credential_process from being started: botocore splits it by shlex, without a shell."""
    try:
        program, *arguments = shlex.split(command)
    except ValueError:
        return "it is empty or has an open quote", "correct it"
    whole = "write the whole path of the program"
    operator = next(filter(OPERATOR.fullmatch, arguments), "")
    found = shutil.which(program, path=environ.get("PATH", os.defpath))
    there = os.path.exists(program)  # noqa: PTH110
    return _first(
        (program.startswith("~") or "$" in program, f"{program} is taken literally: no shell expands it", whole),
        (
            operator,
            f"{show(operator)} is passed as an argument: no shell runs it",
            "put the command into a script, or use: sh -c",
        ),
        ("/" in program and not program.startswith("/"), f"{program} is relative to the daemon's directory", whole),
        (not found and "/" not in program, f"{program} is not in $PATH here", f"install it, or {whole}"),
        (
            not found,
            f"{program} {'is not executable' if there else 'does not exist'}",
            "correct the path, or: chmod +x",
        ),
    )


def known_regions() -> frozenset[str]:
    """The regions that the installed botocore knows, of every partition; none where its list is not found.

    Read without importing botocore, which alone takes a tenth of a second.
    """
    try:
        package = Path(getattr(find_spec("botocore"), "origin", "")).parent
        partitions = json.loads((package / "data" / "partitions.json").read_bytes())["partitions"]
        return frozenset(region for partition in partitions for region in partition["regions"])
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()

"""One source profile and those that sign for it in turn: whether it is there, and can sign without a person."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from assumed.aws.refusals import cannot_be_typed, get_session
from assumed.aws.source import asks_for_code, login_caches, login_fault, token_fault
from assumed.config.report import listed, nearest, show
from assumed.model import Finding, Role

from .aws_files import Profiles, signing
from .keys_typed import typed_wrong

Values = Mapping[str, str]
LOGIN_KEYS = ("sso_session", "sso_start_url", "sso_account_id", "sso_role_name")
_KINDS = ("role_arn", *LOGIN_KEYS, "aws_access_key_id", "aws_secret_access_key", "login_session", "credential_process")
SESSION_KEYS = ("aws_session_token", "aws_security_token")
_SSO_NEEDS = ("sso_region", "sso_start_url")


@dataclass(frozen=True, slots=True)
class Around:
    """What the sources are judged by: the two AWS files, the shell's environment, and botocore's list of regions."""

    credentials: Profiles
    aws_config: Profiles
    sessions: Profiles
    """Name → the values of `[sso-session NAME]`."""
    environ: Mapping[str, str]
    regions: frozenset[str] = frozenset()
    """Empty where they are not known."""
    passed_keys: bool = False
    """Whether an installed service has an AWS credentials file that systemd passes to it alone."""
    login_helper: bool = True
    """Whether awscrt is installed, without which botocore uses no `aws login`."""

    def values(self, name: str) -> dict[str, str]:
        """What both files say of a profile: the credentials file wins, key by key. An empty value is none."""
        merged = {**self.aws_config.get(name, {}), **self.credentials.get(name, {})}
        return {key: value for key, value in merged.items() if value}

    def has_endpoint(self, name: str | None) -> bool:
        """Whether requests go somewhere else than to AWS, where its rules for keys and regions hold."""
        variables = ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")
        mine = self.values(name) if name else {}
        return any(self.environ.get(variable) for variable in variables) or bool(
            {"endpoint_url", "services"} & mine.keys()
        )


def profile(name: str, used: str, roles: list[Role], around: Around) -> Iterator[Finding]:
    """A source profile and those that sign for it in turn. The first error is the one to mend."""
    subject = f"source_profile {name}"
    for step, _ in signing(name, around.credentials, around.aws_config):
        about = used if step == name else f"{used} by way of profile {step}"
        problem = _step(step, about, roles, around)
        if problem is None:
            continue
        severity, message, advice = problem
        if around.passed_keys and severity == "error" and advice.endswith(_CONFIGURE.format(name=step)):
            message = f"{used}; its keys are not in the AWS files, so they have to be among what systemd passes"
            severity, advice = "warning", "see LoadCredential= in the service's drop-ins"
        yield Finding(severity, subject, message, advice)
        return
    yield Finding("ok", subject, used)


_CONFIGURE = "aws configure --profile {name}"
Problem = tuple[Any, str, str]
"""Severity, message, advice."""


def _step(name: str, used: str, roles: list[Role], around: Around) -> Problem | None:
    """What is wrong with one profile, by what SDKs would do with it (botocore's order: role, token, SSO, keys)."""
    values, configure = around.values(name), _CONFIGURE.format(name=name)
    if name not in around.credentials and name not in around.aws_config:
        return "error", f"{used}, but is in neither AWS file", _missing(name, around)
    if not any(key in values for key in _KINDS):
        return "error", f"{used}, but has no credentials of any kind", f"give it some: {configure}"
    if "role_arn" in values:
        return _own_role(name, values, used, around)
    if any(key in values for key in LOGIN_KEYS):
        return _sso(name, values, used, around)
    if "login_session" in values:
        return _aws_login(name, values, used, around)
    if ("aws_access_key_id" in values) != ("aws_secret_access_key" in values):
        return "error", f"{used}, but has one half of a key pair", f"set both: {configure}"
    if "aws_access_key_id" in values:
        return _keys(name, values, used, roles, around)
    wrong = _helper(values["credential_process"], around.environ)
    return ("error", f"{used} by a credential_process, {wrong[0]}", wrong[1]) if wrong else None


def _missing(name: str, around: Around) -> str:
    meant = nearest(name, sorted({*around.credentials, *around.aws_config}))
    configure = _CONFIGURE.format(name=name)
    if f"profile {name}" in around.credentials:
        return f"the credentials file has [profile {name}], which no SDK reads there; make it [{name}]"
    return f"did you mean {show(meant)}? Else: {configure}" if meant else f"create it: {configure}"


def _own_role(name: str, values: Values, used: str, around: Around) -> Problem | None:
    """A profile that has a role of its own; the profile that signs for it is the next step."""
    if asks_for_code(values):
        serial = values["mfa_serial"]
        message = f"{used}, but its own role needs a code of {serial} at each renewal: assumed cannot prompt for one"
        way = get_session(serial, values.get("source_profile", ""), f"source_profile of profile {name}", without=True)
        return "error", message, cannot_be_typed(serial) or way
    token = values.get("web_identity_token_file")
    if token is not None:
        fault = token_fault(Path(token).expanduser())
        return ("error", f"{used}, but its token {token} {fault}", "see to its issuer") if fault else None
    signer, place = values.get("source_profile"), values.get("credential_source")
    if signer is None and place is None:
        return (
            "error",
            f"{used}, but has a role_arn and nothing that signs for it",
            f"set source_profile of profile {name}",
        )
    if signer == name and "aws_access_key_id" not in values:
        return "error", f"{used}, but is its own source_profile", f"set another source_profile of profile {name}"
    if place is not None:
        found = place_of(place, used, around.environ)
        return None if found.severity == "ok" else (found.severity, found.message, found.advice)
    return None


def _sso(name: str, values: Values, used: str, around: Around) -> Problem | None:
    session = values.get("sso_session")
    settings = dict(values)
    where = f"profile {name}"
    if session is not None:
        if session not in around.sessions:
            meant = nearest(session, around.sessions)
            hint = f"; did you mean sso_session = {meant}?" if meant else ", or run: aws configure sso"
            message = f"{used} by sso_session {session}, but the config file has no [sso-session {session}]"
            return "error", message, f"add that section{hint}"
        settings |= around.sessions[session]
        where = f"[sso-session {session}]"
    for keys, place in ((_SSO_NEEDS, where), (("sso_account_id", "sso_role_name"), f"profile {name}")):
        lacking = [key for key in keys if not settings.get(key)]
        if lacking:
            return (
                "error",
                f"{used} by SSO, but {place} has no {listed(lacking, 'and no')}",
                f"set {listed(lacking, 'and')} there",
            )
    region = settings["sso_region"]
    if around.regions and region not in around.regions:
        return (
            "error",
            f"{used} by SSO, but its sso_region {region} is no region of AWS",
            f"correct sso_region in {where}",
        )
    fips = around.environ.get("AWS_USE_FIPS_ENDPOINT") or values.get("use_fips_endpoint", "")
    if fips.lower() == "true" and not region.startswith("us-gov-"):
        message = f"{used} by SSO, but FIPS endpoints are asked for, and IAM Identity Center has none in {region}"
        return (
            "error",
            message,
            "unset AWS_USE_FIPS_ENDPOINT where the daemon runs, and use_fips_endpoint of the profile",
        )
    return _login(values, used, f"aws sso login --profile {name}", around)


def _aws_login(name: str, values: Values, used: str, around: Around) -> Problem | None:
    if not around.login_helper:
        return (
            "error",
            f"{used} by aws login, for which botocore needs awscrt",
            "install it beside assumed: botocore[crt]",
        )
    return _login(values, used, f"aws login --profile {name}", around)


def _login(values: Values, used: str, command: str, around: Around) -> Problem | None:
    """Whether somebody has logged in, and the login can be used or renewed without a person."""
    for cache in login_caches(values, around.environ):
        path = Path(cache).expanduser() if around.environ.get("HOME") is None else at_home(cache, around.environ)
        fault = login_fault(path)
        if fault:
            return "error", f"{used}, but there is no usable login: {path} {fault}", f"run: {command}"
        if _has_ended(path, legacy="sso_session" not in values):
            return (
                "error",
                f"{used}, but its login has ended, and cannot be renewed without a person",
                f"run: {command}",
            )
    return None


def at_home(path: str, environ: Mapping[str, str]) -> Path:
    return Path(path.replace("~", environ["HOME"], 1) if path.startswith("~/") else path)


def _has_ended(path: Path, *, legacy: bool) -> bool:
    """Whether an SSO token is over. One of an sso-session is refreshed, as long as its client is registered."""
    if "sso" not in path.parts:
        return False
    token = json.loads(path.read_bytes())
    now = time.time()
    if _is_later(token.get("expiresAt"), now):
        return False
    refreshable = all(token.get(key) for key in ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt"))
    return legacy or not refreshable or not _is_later(token["registrationExpiresAt"], now)


def _is_later(instant: Any, now: float) -> bool:
    try:
        return datetime.fromisoformat(str(instant).replace("UTC", "Z")).timestamp() > now
    except ValueError:
        return True  # another tool's format: nothing is said about it


def _keys(name: str, values: Values, used: str, roles: list[Role], around: Around) -> Problem | None:
    wrong = typed_wrong(values, elsewhere=around.has_endpoint(name))
    if wrong:
        return "error", f"{used}, but {wrong[0]}", wrong[1]
    if "credential_process" in values:
        message = f"{used}, and has both keys and a credential_process, which therefore never runs"
        return "warning", message, "keep one of the two"
    if any(key in values for key in SESSION_KEYS):
        message = f"{used} with a session, which ends, and which assumed does not renew"
        if any(role.mfa_serial for role in roles):
            return (
                "warning",
                message,
                f"make the next one in time, by the keys of another profile, and save it as {name}",
            )
        return "warning", message, "keep that profile by a role as well, or use keys of a user"
    return None


def _helper(command: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What keeps a credential_process from being started, and what to do: botocore splits it by shlex, without a
    shell, so neither ~ nor $HOME means anything in it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "which has an open quote", "close it"
    if not words:
        return "which is empty", "name a program"
    program = words[0]
    if program.startswith("~") or "$" in program:
        return f"but {program} is taken literally: no shell expands it", "write the whole path of the program"
    if "/" in program and not program.startswith("/"):
        return f"but {program} is relative to where the daemon is started", "write the whole path of the program"
    if shutil.which(program, path=environ.get("PATH", os.defpath)):
        return None
    if "/" not in program:
        return f"but {program} is not in $PATH here", "install it, or write the whole path of the program"
    there = os.path.exists(program)  # noqa: PTH110
    return f"but {program} is {'not executable' if there else 'not there'}", "correct the path, or: chmod +x"


def place_of(place: str, used: str, environ: Mapping[str, str]) -> Finding:
    subject = f"credential_source {place}"
    if place == "Environment" and not (environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")):
        message = f"{used}, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set here"
        return Finding("error", subject, message, "set both where the daemon runs; a service has another environment")
    if place == "EcsContainer" and not any(name.startswith("AWS_CONTAINER_CREDENTIALS_") for name in environ):
        message = f"{used}, but no AWS_CONTAINER_CREDENTIALS_… variable is set here"
        return Finding("error", subject, message, "run the daemon where ECS or EKS sets it")
    if place == "Ec2InstanceMetadata" and environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        message = f"{used}, but AWS_EC2_METADATA_DISABLED is true here"
        return Finding("error", subject, message, "unset it where the daemon runs")
    return Finding("ok", subject, used)

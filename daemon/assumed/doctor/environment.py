"""What the environment does to the kept profiles and to requests, and the files and programs that are named."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from assumed.aws.source import BUNDLE_VARIABLES, bundle_fault, token_fault
from assumed.aws.urls import credential_fault, is_unencrypted, passwords, proxy_fault
from assumed.aws.variables import ENDPOINT, PROXIES, shown
from assumed.config.model import Config
from assumed.config.report import show
from assumed.model import Finding
from assumed.paths import PathError, default_credentials_file

from .files import AwsFiles

OURS = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
"""Those that botocore takes; the names in lower case first, as urllib does."""
UNENCRYPTED = "is plain http off this machine: every session can be read on its way"


def variables(config: Config, files: AwsFiles) -> Iterator[Finding]:
    """What a shell has set that outranks the kept profiles, or leads elsewhere."""
    environ = files.environ
    if "$" in environ.get("HOME", ""):
        message = f"is {show(environ['HOME'])}, with a literal $: SDKs look for ~/.aws there"
        advice = "write the path in full where HOME is set (crontab, systemd and Dockerfiles do not expand variables)"
        yield Finding("warning", "$HOME", message, advice)
    if environ.get("AWS_ACCESS_KEY_ID") and not any(r.credential_source == "Environment" for r in config.enabled()):
        message = "is exported, and the AWS CLI and SDKs use it before every profile that --profile does not name"
        advice = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, also in your shell's start-up files"
        yield Finding("warning", "$AWS_ACCESS_KEY_ID", message, advice)
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        name = environ.get(variable)
        if name and not files.broken and config.role(name) is None and name not in {*files.credentials, *files.config}:
            message = f"is {show(name)}, which does not exist: every command without --profile fails"
            yield Finding("warning", f"${variable}", message, f"unset {variable}, or name a kept profile")
    yield from _same_file(config, environ)
    for name in OURS:
        fault = proxy_fault(environ[name]) if environ.get(name) else None
        if fault is not None:
            yield Finding("error", f"${name}", *fault)


def _same_file(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        looked = default_credentials_file(environ)
    except PathError:
        return  # SDKs find no file, and say so
    if os.path.realpath(looked) != os.path.realpath(config.credentials_file):
        message = f"holds the kept profiles, but SDKs started here look in {looked}"
        advice = f"export AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(config.credentials_file))}"
        yield Finding("warning", str(config.credentials_file), message, advice)


def endpoints(urls: Iterable[str]) -> Iterator[Finding]:
    """Endpoints of STS that cannot be used, or not without others reading along."""
    for url in sorted(set(urls)):
        fault = credential_fault(url)
        if fault is not None:
            yield Finding("error", "the STS endpoint URL", *fault)
        elif is_unencrypted(url):
            yield Finding("warning", f"the STS endpoint {shown(ENDPOINT, url)}", UNENCRYPTED, "use an https:// URL")


def secrets(environ: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Variables that hold a URL with a password, and what of it may never be shown."""
    for name, value in environ.items():
        if name in PROXIES or name.startswith(ENDPOINT):
            yield name, passwords(value)


def bundles(config: Config, files: AwsFiles) -> Iterator[Finding]:
    """CA bundles that every request needs and that cannot be used."""
    named = {f"${name}": files.environ[name] for name in BUNDLE_VARIABLES if files.environ.get(name)}
    for profile in {role.source_profile or "default" for role in config.enabled() if role.parent is None}:
        if bundle := files.values(profile).get("ca_bundle"):
            named[f"ca_bundle of profile {profile}"] = bundle
    for subject, bundle in named.items():
        if fault := bundle_fault(at_home(bundle, files.environ)):
            message = f"is {bundle}, which {fault}: every request over TLS fails"
            yield Finding("error", subject, message, "name a file of certificates in PEM, or unset it")


def at_home(path: str, environ: Mapping[str, str]) -> str:
    """A path with `~` replaced by `$HOME`."""
    return path.replace("~", environ.get("HOME") or "~", 1) if path.startswith("~/") else path


def named_files(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Tokens, the programs of hooks and the directory of metrics: their absence is a line in the daemon's log alone.

    A warning at most for what only the daemon needs: a disk may be mounted later.
    """
    for path in dict.fromkeys(role.web_identity_token_file for role in config.enabled()):
        if path is not None and (fault := token_fault(Path(path))):
            yield Finding("error", f"web_identity_token_file {path}", fault, "check what writes it, and as which user")
    for name, (program, *_) in config.hooks.commands().items():
        if not shutil.which(program, path=environ.get("PATH", os.defpath)):
            where = "does not exist or is not executable" if "/" in program else "is not in $PATH here"
            advice = "write the whole path of a program; a script needs `chmod +x` and a first line that begins with #!"
            yield Finding("warning", f"hook {name}", f"{program} {where}", advice)
    if config.metrics_textfile is not None:
        directory = config.metrics_textfile.parent
        if not os.access(directory, os.W_OK | os.X_OK):
            message = f"cannot be written: {directory} does not exist, or is not writable for this user"
            advice = (
                "name the directory that node_exporter reads (--collector.textfile.directory), and make it writable"
            )
            yield Finding("warning", f"metrics_textfile {config.metrics_textfile}", message, advice)

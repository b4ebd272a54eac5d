"""`assumed env`, `assumed serve` and `assumed credential-process`: sessions for tools; what `exec` shares with them."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from assumed.errors import NotKept

from .app import OK, config_option, nearest, say
from .completion import complete_profiles
from .probe import PORT
from .terminal import show_line

if TYPE_CHECKING:
    from assumed.jobs.supply import Supply
    from assumed.model import Session

FIRST = 60.0
"""Seconds for the first session: a source that asks a password manager takes a while."""
_SINGLE_QUOTE = re.compile("['\u2018-\u201b]")
"""PowerShell ends a string in single quotes at each of these; two of them are one."""


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}'"


SHELLS: dict[str, Callable[[str, str], str]] = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": lambda name, value: f"$Env:{name} = '{_SINGLE_QUOTE.sub(lambda quote: quote[0] * 2, value)}'",
}


@click.command()
@config_option
@click.option(
    "--shell", type=click.Choice([*SHELLS, "json"]), default="bash", show_default=True, help="bash is for zsh, too."
)
@click.argument("profile", shell_complete=complete_profiles)
def env(config_path: Path | None, shell: str, profile: str) -> int:
    """Print the session of PROFILE as environment variables, for tools that know nothing else.

    They are good until AWS_CREDENTIAL_EXPIRATION and nothing renews them: prefer `assumed exec`.

    \b
    Examples:
      eval "$(assumed env my-role)"
      assumed env my-role --shell fish | source
      assumed env my-role --shell powershell | Out-String | Invoke-Expression
    """
    from assumed.store import iso

    with supply_of(config_path, [profile]) as supply:
        session = first_session(supply, profile)
        region = supply.region_of(profile)
    variables = {
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
        "AWS_CREDENTIAL_EXPIRATION": iso(session.expiration),
        **({"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}),
    }
    if shell == "json":
        text = json.dumps(variables, indent=2)
    else:
        text = "\n".join(SHELLS[shell](name, value) for name, value in variables.items())
    click.echo(text)
    if sys.stdout.isatty():
        click.echo("# nothing renews these; `assumed exec` does", err=True)
    return OK


@click.command()
@config_option
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where the sessions are stored [default: beside the credentials file].",
)
@click.argument("profile", shell_complete=complete_profiles)
def credential_process(config_path: Path | None, state: str | None, profile: str) -> int:
    """Print the session of PROFILE in AWS's credential_process format.

    Works while the daemon is down, for as long as the session lives. SDKs that run it renew inside a
    running process; `deliver = "process"` writes the right line by itself.

    \b
    Examples:
      assumed credential-process my-role
      # ~/.aws/config of a consumer:
      [profile my-role]
      credential_process = /home/me/.local/bin/assumed credential-process my-role
    """
    from assumed.jobs.credential_process_slow import answer

    from .place import locate

    if state is not None:
        return answer(state.rstrip("/"), profile, str(config_path or ""))
    place = locate(config_path)
    return answer(str(place.state_dir), profile, str(place.path or ""))


@click.command()
@config_option
@click.option(
    "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port on 127.0.0.1 to listen on."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="PATH",
    help="Written at the start, 0600: the token that a consumer must send. It is a new one each time.",
)
@click.option("--json", "as_json", is_flag=True, help="The consumer's variables as JSON, a line for each profile.")
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...", shell_complete=complete_profiles)
def serve(config_path: Path | None, port: int, token_file: Path, as_json: bool, profiles: tuple[str, ...]) -> int:
    """Serve the sessions of PROFILEs on 127.0.0.1 until SIGTERM: for a sidecar beside a container with a job.

    It speaks the container-credentials protocol of AWS's SDKs. A consumer needs the variables that are printed for
    each profile; it must be able to read the token file, and share the loopback. The last one is for clients that do
    not read the token file (AWS CLI 2.9, boto3 1.28, Go SDK v1): they need the token itself, and a restart after each
    start of `serve`. `assumed probe` says how it is.

    \b
    Examples:
      assumed serve my-role --port 9911 --token-file /run/assumed/token
    """
    from assumed.jobs.endpoint import Endpoint
    from assumed.jobs.supply import path_of
    from assumed.runtime.signals import heeded, relay

    stop = Event()
    relay(heeded((signal.SIGTERM, signal.SIGINT)), lambda _: stop.set())

    def give_up() -> None:
        if stop.is_set():
            raise click.Abort

    with supply_of(config_path, profiles) as supply:
        token = secrets.token_urlsafe(32)
        try:
            endpoint = Endpoint(token, supply.answer, port)
        except OSError as error:
            raise click.UsageError(f"127.0.0.1:{port}: {error.strerror}; choose another one with --port") from None
        with closing(endpoint):
            for profile in profiles:
                first_session(supply, profile, give_up)
            supply.start()
            # Without a line feed: botocore and Node refuse a header with one.
            try:
                write_private(token_file, token)
            except OSError as error:
                raise click.UsageError(f"{token_file}: {error.strerror}; name another --token-file") from None
            endpoint.start()
            for profile in profiles:
                _print_variables(profile, endpoint.url(path_of(profile)), token_file.absolute(), as_json)
            say(f"serving {', '.join(profiles)} on 127.0.0.1:{port}")
            stop.wait()
            token_file.unlink(missing_ok=True)
    return OK


def _print_variables(profile: str, url: str, token_file: Path, as_json: bool) -> None:
    variables = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
    }
    if as_json:
        click.echo(json.dumps({"profile": profile, **variables}))
        return
    click.echo(f"# {profile}")
    for name, value in variables.items():
        click.echo(f"{name}={value}")
    click.echo("# instead of the file, for clients that do not read it (AWS CLI 2.9, boto3 1.28, Go SDK v1):")
    click.echo(f'export AWS_CONTAINER_AUTHORIZATION_TOKEN="$(cat {shlex.quote(str(token_file))})"')


@contextmanager
def supply_of(config_path: Path | None, profiles: Sequence[str]) -> Iterator[Supply]:
    """A supply of these profiles. Raises UsageError for one that is not managed, with the nearest that is."""
    from assumed.jobs.supply import supplied

    def note(profile: str, problem: str) -> None:
        """The session in use goes on; a person may look into it meanwhile."""
        say(f"{profile}: {problem}" if problem else f"{profile}: renewed again")

    try:
        with supplied(config_path, profiles, note) as supply:
            yield supply
    except NotKept as error:
        raise click.UsageError(
            f"{error.profile} is not a managed profile.{nearest(error.profile, error.kept)}"
        ) from None


def first_session(supply: Supply, profile: str, meanwhile: Callable[[], None] = lambda: None) -> Session:
    """The first session of a profile; `meanwhile` is called over and over, and may raise what ends it.

    Raises AssumedError with the reason why there is none.
    """
    began, shown = time.monotonic(), 0

    def waiting() -> None:
        nonlocal shown
        meanwhile()
        seconds = time.monotonic() - began
        if seconds > 1:
            shown = show_line(f"waiting for a session of {profile} ({seconds:.0f} s)", shown)

    try:
        return supply.wait_for(profile, FIRST, waiting)
    finally:
        show_line("", shown)


def write_private(path: Path, text: str) -> None:
    """Write a file of this user alone (0600), replacing what is there."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)

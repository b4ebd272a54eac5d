"""`assumed exec`, `env`, `serve` and `credential-process`: sessions for commands and tools."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import click

from .app import OK, complete_profiles, config_option, say
from .exec import execute, first_session, supply_of, write_private
from .probe import PORT

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


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@config_option
@click.argument("profile", shell_complete=complete_profiles)
@click.argument(
    "command",
    nargs=-1,
    required=True,
    type=click.Path(readable=False),  # files complete: what another program takes, click cannot ask it
    metavar="[--] COMMAND...",
)
def exec_(config_path: Path | None, profile: str, command: tuple[str, ...]) -> int:
    """Run COMMAND with the role of PROFILE, for as long as it takes: its SDK renews the session by itself.

    COMMAND gets a credentials endpoint on 127.0.0.1 that exists for its life, with a token that only its
    environment and a private file hold. Inside, the role is the only one there is: variables with other
    credentials are taken away, ~/.aws/credentials is an empty file and ~/.aws/config holds the settings of
    PROFILE alone, so no other profile can be named. Signals, terminal and exit status are COMMAND's own.

    The endpoint ends with COMMAND. What COMMAND leaves running (nohup, setsid, a tmux server) is named on
    stderr: for such jobs use deliver = "process" or `assumed serve`.

    Works with the daemon, and without: then this process renews the one role itself.

    \b
    Examples:
      assumed exec my-role -- python train.py
      assumed exec my-role -- aws s3 sync s3://in s3://out
      assumed exec my-role -- bash              (a shell in that role)
    """
    return execute(config_path, profile, command)


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
    from assumed.store import account_of, iso

    with supply_of(config_path, [profile]) as supply:
        session = first_session(supply, profile)
        region = supply.region_of(profile)
    variables = {
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
        "AWS_CREDENTIAL_EXPIRATION": iso(session.expiration),
        **({"AWS_ACCOUNT_ID": account} if (account := account_of(session)) else {}),
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
    running process; `deliver = "process"` writes that line for you.

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
    from assumed.jobs.provider import path_of
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

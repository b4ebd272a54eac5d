"""`assumed serve`: the credentials endpoint in the foreground, for sidecars."""

from __future__ import annotations

import json
import secrets
import shlex
import signal
from contextlib import closing
from pathlib import Path
from threading import Event

import click

from .app import OK, config_option, say
from .completion import complete_profiles
from .probing import PORT
from .supplying import first_session, path_of, supply_of, write_private


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
                _print(profile, endpoint.url(path_of(profile)), token_file.absolute(), as_json)
            say(f"serving {', '.join(profiles)} on 127.0.0.1:{port}")
            stop.wait()
            token_file.unlink(missing_ok=True)
    return OK


def _print(profile: str, url: str, token_file: Path, as_json: bool) -> None:
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

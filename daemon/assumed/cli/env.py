"""`assumed env`: a session as variables, for tools that know nothing else."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click

from .app import OK, config_option
from .completion import complete_profiles
from .supplying import first_session, supply_of


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}'"


_SINGLE_QUOTE = re.compile("['\u2018-\u201b]")
"""PowerShell ends a string in single quotes at each of these; two of them are one."""


def _powershell(name: str, value: str) -> str:
    escaped = _SINGLE_QUOTE.sub(lambda quote: quote[0] * 2, value)
    return f"$Env:{name} = '{escaped}'"


SHELLS: dict[str, Callable[[str, str], str]] = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": _powershell,
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

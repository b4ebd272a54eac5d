"""`assumed credential-process` by the long way: with help, with completion, and where the configuration says."""

from __future__ import annotations

from pathlib import Path

import click

from .app import config_option
from .completion import complete_profiles


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

    if state is not None:
        return answer(state.rstrip("/"), profile, str(config_path or ""))
    from .place import locate

    place = locate(config_path)
    return answer(str(place.state_dir), profile, str(place.path or ""))

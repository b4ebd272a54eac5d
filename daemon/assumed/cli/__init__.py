"""The commands. Each imports what it needs only when it runs: `assumed --help` loads none of them."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost credential-process a millisecond
    from collections.abc import MutableMapping

_NEEDS_CLICK = {"--help", "-h", "--config"}


def main() -> int:
    """Run the command line in `sys.argv`; returns the exit status.

    `credential-process` answers before click is imported (40 ms of the 50 that it would take): an SDK may
    run it for every request it signs.
    """
    _open_closed_streams()
    _step_out_of_exec(os.environ)
    arguments = sys.argv[1:]
    if arguments[:1] == ["credential-process"] and not _configured_elsewhere(arguments[1:]):
        from .credential_process import main as credential_process

        return credential_process(arguments[1:])
    if arguments[:1] == ["probe"]:
        from .probe import quick

        status = quick(arguments[1:])
        if status is not None:
            return status
    if arguments[:1] == ["exec"] and len(arguments) > 2 and not arguments[1].startswith("-"):
        return _execute(arguments[1], arguments[2:])
    from .app import main as app

    return app(arguments)


def _execute(profile: str, command: list[str]) -> int:
    """`assumed exec PROFILE COMMAND…` without click, a fifth of what it takes."""
    from assumed.errors import AssumedError

    from .exec import execute
    from .terminal import prepare

    prepare()
    try:
        return execute(None, profile, command)
    except AssumedError as error:
        from .app import failed

        return failed(error)
    except KeyboardInterrupt:
        return 130


def _open_closed_streams() -> None:
    """A caller may have closed stdout or stderr (`2>&-`): Python then has None there, and every message would raise."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open("/dev/null", "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as we live


def _step_out_of_exec(environ: MutableMapping[str, str]) -> None:
    """Inside of `assumed exec` the two AWS files are private ones: our own commands mean those of the person."""
    for name in [name for name in environ if name.startswith("ASSUMED_OUTER_")]:
        value = environ.pop(name)
        if value:
            environ[name.removeprefix("ASSUMED_OUTER_")] = value
        else:
            environ.pop(name.removeprefix("ASSUMED_OUTER_"), None)


def _configured_elsewhere(arguments: list[str]) -> bool:
    """Whether only the configuration can tell where the sessions lie: reading it takes the long way."""
    if not _NEEDS_CLICK.isdisjoint(argument.partition("=")[0] for argument in arguments):
        return True
    return "ASSUMED_CONFIG" in os.environ and "--state" not in arguments

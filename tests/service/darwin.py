"""`assumed service` as on macOS, on any system: the platform is a parameter. `python darwin.py VERB [--purge]`."""

from __future__ import annotations

import sys
from pathlib import Path

from assumed.cli.service_install import install
from assumed.cli.service_status import show_status
from assumed.cli.service_uninstall import uninstall
from assumed.errors import AssumedError
from assumed.service.choice import Choice

if __name__ == "__main__":
    verb, flags = sys.argv[1], sys.argv[2:]
    sys.argv = [str(Path(sys.executable).with_name("assumed"))]  # as whom a person starts
    choice = Choice(None, platform="darwin")
    try:
        match verb:
            case "install":
                status = install(choice, dry_run="--dry-run" in flags)
            case "uninstall":
                status = uninstall(choice, purge="--purge" in flags)
            case _:
                status = show_status(choice, as_json=True)
    except AssumedError as error:
        print(error, file=sys.stderr)
        status = 1
    sys.exit(status)

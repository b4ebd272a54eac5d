"""The command that `deliver = "process"` writes into a profile: how any SDK gets at a session, from any environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def credential_process_argv(state_dir: Path, profile: str) -> list[str]:
    """The argument list of the helper, absolute throughout.

    `-I -S` make it immune to the consumer's PYTHONHOME, PYTHONPATH and working directory (Spark and conda set the
    first two) and keep site-packages out. The interpreter is the one that runs us, not resolved through symlinks:
    the link in a virtual environment outlives an upgrade of the Python behind it.
    """
    script = Path(__file__).resolve().parent.parent / "cli" / "credential_process.py"
    interpreter = os.path.abspath(sys.executable)  # noqa: PTH100 (Path.absolute keeps `..`)
    argv = [interpreter, "-I", "-S", str(script), "--state", os.path.abspath(state_dir), profile]  # noqa: PTH100
    # The AWS files are UTF-8, whatever the locale in which we have read these names.
    return [os.fsencode(word).decode(errors="surrogateescape") for word in argv]

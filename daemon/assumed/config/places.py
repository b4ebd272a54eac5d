"""The configuration file, found and read; the account and the host of this process."""

from __future__ import annotations

import errno
import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from assumed.errors import ConfigError
from assumed.files import read_limited
from assumed.paths import PathError, resolve, usual_configurations
from assumed.redact import printable, quoted

from . import trust
from .model import HostFacts
from .report import LONGEST

LARGEST = 1 << 20
"""Bytes. A thousand roles take about 200 kB; more than this is some other file."""

_UNREADABLE = {
    errno.ENOENT: "does not exist; write it, or name another with --config",
    errno.EACCES: "may not be read by this user; change its owner or mode",
    errno.EISDIR: "is a directory; name the file in it",
    errno.EINVAL: "is not a regular file; name a file",
    errno.EFBIG: f"has more than {LARGEST} bytes; a configuration has a few lines for each role",
}
SMALLEST_USEFUL = """\
[[roles]]
profile = "my-role"
role_arn = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"
source_profile = "default"
"""


def find(explicit: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """The configuration file to use, absolute: `--config`, `$ASSUMED_CONFIG`, the user's, the machine's.

    One that was named is returned whether it exists or not: `read` says what is wrong with it.
    Raises `ConfigError` when none was named and none exists.
    """
    named = os.fspath(explicit) if explicit else environ.get("ASSUMED_CONFIG")
    if named:
        try:
            # A job of days may outlive its working directory: only a relative name needs one.
            return resolve(named, Path("/") if named.startswith(("/", "~")) else Path.cwd(), environ)
        except ValueError as error:
            raise ConfigError([f"{quoted(named, LONGEST)}: {error}"]) from None
        except FileNotFoundError:
            gone = "is relative to the working directory, which no longer exists; write the whole path"
            raise ConfigError([f"{quoted(named, LONGEST)}: {gone}"]) from None
    try:
        usual = usual_configurations(environ)
    except PathError as error:
        raise ConfigError([f"{error.variable}: {error}"]) from None
    for path in usual:
        if os.path.lexists(path):
            return path
    looked = ", ".join(["--config", "$ASSUMED_CONFIG", *map(str, usual)])
    unset = "" if environ.get("HOME") else "; $HOME is not set, so not in ~/.config"
    smallest = "".join(f"  {line}\n" for line in SMALLEST_USEFUL.splitlines())
    raise ConfigError(
        [f"no configuration found; looked at {looked}{unset}"],
        f"The smallest useful {printable(str(usual[0]))}:\n{smallest}",
    )


def read(path: Path) -> str:
    """The text of the configuration file. Raises `ConfigError` with the one reason why there is none, and with every
    file or directory that lets another account write it."""
    # Checked before it is opened: what only we and root can write, no other account can exchange in between.
    refused = trust.problems(path)
    if refused:
        raise ConfigError(refused)
    return _text(path)


def glimpse(path: Path) -> str:
    """The text without the check of who can write it, empty where it cannot be read: to find the state directory by, as
    `named_credentials_file` does, and for nothing else."""
    try:
        return _text(path)
    except ConfigError:
        return ""


def _text(path: Path) -> str:
    try:
        data = read_limited(path, LARGEST)
        return data.decode("utf-8-sig")
    except OSError as error:
        number = errno.EISDIR if path.is_dir() else error.errno
        what = _UNREADABLE.get(number or 0, f"cannot be read: {error.strerror}")
        raise ConfigError([f"{path}: {what}"]) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8; save the file in that encoding"]) from None


def host_facts() -> HostFacts:
    """Those of this process. A user without a name (a container's bare uid) is `uid<number>`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        user = f"uid{os.getuid()}"
    return HostFacts(user, socket.gethostname())

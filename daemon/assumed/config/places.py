"""Where things lie: the configuration file, the credentials file, and what `~` and a relative path mean."""

from __future__ import annotations

import errno
import getpass
import os
import re
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from assumed.core.errors import ConfigError

from .model import HostFacts
from .report import escape

LARGEST = 1 << 20
"""Bytes. A thousand roles take about 200 kB; more than this is some other file."""

CREDENTIALS_FILE = re.compile(r"""^\s*credentials_file\s*=\s*(["'])(.+?)\1\s*(?:#.*)?$""", re.MULTILINE)
"""Found in text that is not TOML (yet)."""

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
            raise ConfigError([f"{escape(named)}: {error}"]) from None
        except FileNotFoundError:
            gone = "is relative to the working directory, which has been removed; write the whole path"
            raise ConfigError([f"{escape(named)}: {gone}"]) from None
    usual = _usual(environ)
    for path in usual:
        if os.path.lexists(path):
            return path
    looked = "\n".join(f"  {place}" for place in ("--config", "$ASSUMED_CONFIG", *map(str, usual)))
    smallest = "".join(f"  {line}\n" for line in SMALLEST_USEFUL.splitlines())
    raise ConfigError(
        [f"there is no configuration; it was looked for at\n{looked}\nThe smallest useful {usual[0]}:\n{smallest}"]
    )


def _usual(environ: Mapping[str, str]) -> list[Path]:
    places = []
    base = environ.get("XDG_CONFIG_HOME", "")
    if base.startswith("/"):  # the XDG specification: a relative one is to be ignored
        places.append(Path(base))
    elif environ.get("HOME"):
        places.append(Path(environ["HOME"], ".config"))
    return [place / "assumed" / "config.toml" for place in places] + [Path("/etc/assumed/config.toml")]


def read(path: Path) -> str:
    """The text of the configuration file. Raises `ConfigError` with the one reason why there is none."""
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError([f"{path}: is not a regular file; it is read again at every change, so name a file"])
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {_unreadable(error)}"]) from None
    if len(data) > LARGEST:
        raise ConfigError([f"{path}: has more than {LARGEST} bytes; a configuration has a few lines for each role"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8; save the file in that encoding"]) from None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO must not hang the daemon


def _unreadable(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "does not exist; write it, or name another with --config"
        case errno.EACCES | errno.EPERM:
            return "may not be read by this user; change its owner or mode"
        case errno.EISDIR:
            return "is a directory; name the file in it"
    return f"cannot be read: {error.strerror}"


def resolve(value: str, base: Path, environ: Mapping[str, str]) -> Path:
    """`value` as an absolute path: `~` is `$HOME`, a relative one starts at `base`. Follows no symlink.

    Raises `ValueError` with a sentence where that cannot be told.
    """
    if "\0" in value:
        raise ValueError("holds a NUL; write a path")
    if value.startswith("~"):
        head, _, rest = value.partition("/")
        if head != "~":
            raise ValueError(f"starts with {escape(head)}, another user's home; write the whole path")
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            raise ValueError("starts with ~, but $HOME is not set; write the whole path")
        value = os.path.join(home, rest)
    return Path(os.path.normpath(base / value))


def default_credentials_file(environ: Mapping[str, str]) -> Path:
    """Where the SDKs look for credentials. Raises `ValueError` with a sentence where that cannot be told."""
    return _aws_file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", environ)


def aws_config_file(environ: Mapping[str, str]) -> Path:
    """Where the SDKs look for their configuration. Raises `ValueError` as above."""
    return _aws_file("AWS_CONFIG_FILE", "~/.aws/config", environ)


def passed_credentials(environ: Mapping[str, str]) -> Path | None:
    """The AWS credentials file that systemd passes to this service alone (systemd.exec(5), "Credentials"), if any."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(directory, "aws-credentials")
    return path if directory.startswith("/") and os.path.lexists(path) else None


def _aws_file(variable: str, usual: str, environ: Mapping[str, str]) -> Path:
    """What `variable` names, `~` and `$NAME` expanded as in botocore, or the usual place."""
    named = _expand(environ.get(variable) or usual, environ)
    if not named.startswith(("~", "/")):
        raise ValueError("is a relative path, which means another file in every directory; make it absolute")
    return resolve(named, Path("/"), environ)


def named_credentials_file(text: str, path: Path, environ: Mapping[str, str]) -> Path:
    """The credentials file that `text` names, even where the rest of it cannot be used; else the usual one.

    Beside it lies what a bad edit must not hide: the last good configuration, and a running daemon's socket.
    Raises `ConfigError` where that cannot be told.
    """
    named = CREDENTIALS_FILE.search(text)
    try:
        return resolve(named[2], path.parent, environ) if named else default_credentials_file(environ)
    except ValueError as error:
        raise ConfigError([f"{path}: credentials_file {error}"]) from None


def _expand(value: str, environ: Mapping[str, str]) -> str:
    return re.sub(
        r"\$(?:(\w+)|\{([^}]*)\})",
        lambda match: environ.get(match[1] or match[2], match[0]),
        value,
        flags=re.ASCII,
    )


def session_name(host: HostFacts) -> str:
    """`assumed-<user>-<host>` within STS's rule: 2 to 64 of `[A-Za-z0-9_+=,.@-]`.

    The host's domain is left out: it changes with the network, and a name that changes asks for new sessions.
    """
    parts = ("assumed", host.user, host.host.split(".")[0])
    cleaned = (re.sub(r"[^A-Za-z0-9_+=,.@-]+", "-", part).strip("-") for part in parts)
    return "-".join(part for part in cleaned if part)[:64]


def host_facts() -> HostFacts:
    """Who and where this process is. A user without a name (a container's bare uid) is `uid<number>`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        user = f"uid{os.getuid()}"
    return HostFacts(user, socket.gethostname())

"""Where everything lies: the configuration, AWS's two files, the state of a credentials file, its control socket.

This is the one place that knows. It looks at the disk and makes nothing. `jobs/credential_process.py` starts
without the package and has copies of `state_dir` and `safe_name`; a test compares them.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from assumed.errors import ConfigError
from assumed.redact import redacted

CREDENTIALS_FILE = re.compile(r"""^[ \t]*credentials_file[ \t]*=[ \t]*(["'])(.+?)\1[ \t]*(?:#.*)?$""", re.MULTILINE)
"""Found in text that is not TOML (yet)."""
NULL = Path(os.devnull)
STATE = "assumed"
SESSIONS = "sessions"
MARKER = ".assumed"
"""Marks a directory as our state directory."""
STATE_NAMES = frozenset(
    {MARKER, ".gitignore", SESSIONS, "lock", "write.lock", "control.sock", "config.last-good.toml", "place.json"}
    | {"told.json"}
)
"""What lies in a state directory. Nothing else is ever removed from one."""
TEMPORARY = re.compile(r"\.(?P<name>.+)\.assumed\.(?P<pid>[0-9]{1,10})\.[0-9a-f]{16}\.tmp")
"""The name of a file that is being written, and then renamed."""
SOCKETS = Path("/tmp")  # noqa: S108 - our own 0700 directory in it; $TMPDIR and $XDG_RUNTIME_DIR differ under cron
LONGEST_SOCKET_PATH = 100
"""Bytes: sun_path holds 108 on Linux and 104 on macOS, the final NUL included."""


class PathError(ValueError):
    """A variable of the environment leads to no path. `variable` is its name (`$HOME`), `what` is wrong with it."""

    def __init__(self, variable: str, what: str, advice: str) -> None:
        self.variable = variable
        self.what = what
        self.advice = advice
        super().__init__(f"{what}; {advice}")


def home(environ: Mapping[str, str]) -> Path:
    """The home directory. Raises PathError."""
    named = environ.get("HOME", "")
    if not named:
        raise PathError("$HOME", "is not set", "set it to your home directory")
    if not named.startswith("/"):
        raise PathError("$HOME", f"is {named!a}, a relative path", "set it to the absolute path of your home directory")
    return Path(named)


def resolve(value: str, base: Path, environ: Mapping[str, str]) -> Path:
    """`value` as an absolute path: `~` is `$HOME`, a relative one starts at `base`. Follows no symlink.

    Raises `ValueError` with a sentence where that is undefined.
    """
    if "\0" in value:
        raise ValueError("holds a NUL; write a path")
    if value.startswith("~"):
        head, _, rest = value.partition("/")
        if head != "~":
            named = ascii(redacted(head))[1:-1][:80]
            raise ValueError(f"starts with {named}, another user's home; write the whole path")
        try:
            value = os.path.join(home(environ), rest)
        except PathError as error:
            raise ValueError(f"starts with ~, but {error.variable} {error.what}; write the whole path") from None
    return Path(os.path.normpath(base / value))


def usual_configurations(environ: Mapping[str, str]) -> list[Path]:
    """Where the configuration is searched for by default. Raises PathError."""
    machines = Path("/etc/assumed/config.toml")
    base = environ.get("XDG_CONFIG_HOME", "")
    if base.startswith("/"):  # the XDG specification: a relative one is to be ignored
        return [Path(base, "assumed", "config.toml"), machines]
    if not environ.get("HOME"):
        return [machines]
    return [home(environ) / ".config" / "assumed" / "config.toml", machines]


def default_credentials_file(environ: Mapping[str, str]) -> Path:
    """Where the SDKs look for credentials. Raises PathError where that is undefined, or where no file can be."""
    variable = "AWS_SHARED_CREDENTIALS_FILE"
    path = _aws_file(variable, "credentials", environ)
    if path == NULL:
        raise PathError(f"${variable}", "is /dev/null, which holds no profiles", "unset it, or set credentials_file")
    return path


def aws_config_file(environ: Mapping[str, str]) -> Path:
    """Where the SDKs look for their configuration; /dev/null is an empty one. Raises PathError.

    Without `$HOME` the account's home will do, as it does for botocore.
    """
    if not environ.get("HOME"):
        environ = {**environ, "HOME": os.path.expanduser(f"~{account_name(os.getuid())}")}  # noqa: PTH111
    return _aws_file("AWS_CONFIG_FILE", "config", environ)


def _aws_file(variable: str, usual: str, environ: Mapping[str, str]) -> Path:
    """What `variable` names, `~`, `~account` and `$NAME` expanded as botocore does, or the usual place."""
    value = environ.get(variable)
    if not value:
        return home(environ) / ".aws" / usual
    named = _expand(value, environ)
    if named == "~" or named.startswith("~/"):
        named = f"{home(environ)}{named[1:]}"
    named = os.path.expanduser(named)  # noqa: PTH111 - Path.expanduser raises for an account that does not exist
    if not named.startswith("/"):
        what = "names an account that does not exist" if named.startswith("~") else "is a relative path"
        raise PathError(f"${variable}", f"{what} ({redacted(value)!a})", "set it to an absolute path")
    return Path(os.path.normpath(named))


def _expand(value: str, environ: Mapping[str, str]) -> str:
    return re.sub(
        r"\$(?:(\w+)|\{([^}]*)\})",
        lambda match: environ.get(match[1] or match[2], match[0]),
        value,
        flags=re.ASCII,
    )


def account_name(uid: int) -> str:
    """The name of an account; empty where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def passed_credentials(environ: Mapping[str, str]) -> Path | None:
    """The AWS credentials file that systemd passes to this service alone (systemd.exec(5), "Credentials"), if any."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(directory, "aws-credentials")
    return path if directory.startswith("/") and os.path.lexists(path) else None


def named_credentials_file(text: str, path: Path, environ: Mapping[str, str]) -> Path:
    """The credentials file that `text` names, even where the rest of it cannot be used; else the usual one.

    Beside it lies what a bad edit must not hide: the last good configuration, and a running daemon's socket.
    Raises `ConfigError` where that is undefined.
    """
    named = CREDENTIALS_FILE.search(text)
    try:
        return resolve(named[2], path.parent, environ) if named else default_credentials_file(environ)
    except PathError as error:
        raise ConfigError([f"{error.variable}: {error}"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: credentials_file {error}"]) from None


def exists(path: Path) -> bool:
    """Path.exists raises where we may not look; then there is nothing there for us."""
    return os.path.exists(path)  # noqa: PTH110


def real_path(path: Path) -> Path:
    """Where the symbolic links lead. Not Path.resolve: that raises for links in a circle, and it is for the write to
    say what is wrong with those."""
    return Path(os.path.realpath(path))


def state_dir(credentials_file: Path) -> Path:
    """Where the state of a credentials file lies: beside the real file, which has one state whatever leads to it.

    That of a version that called it `assumed` whatever the file's name, as long as no daemon has moved it.
    """
    own = own_state_dir(credentials_file)
    return own if exists(own) else earlier_state_dir(credentials_file) or own


def own_state_dir(credentials_file: Path) -> Path:
    """`state_dir` of this version: `assumed` for a file called `credentials`, else `assumed-NAME`."""
    real = real_path(credentials_file)
    return real.parent / (STATE if real.name == "credentials" else f"{STATE}-{real.name}")


def earlier_state_dir(credentials_file: Path) -> Path | None:
    """Up to 0.1, `assumed` was the state of every file in its directory. None where there is none, or another's is."""
    real = real_path(credentials_file)
    earlier = real.parent / STATE
    try:
        if real.name == "credentials" or not stat.S_ISDIR(earlier.lstat().st_mode) or foreign_names(earlier):
            return None
        place = json.loads((earlier / "place.json").read_bytes())
        return earlier if real_path(Path(place["credentials_file"])) == real else None
    except FileNotFoundError:  # no daemon has ever run: only `env` and `exec` have stored sessions there
        is_ours = exists(earlier / SESSIONS) and not exists(real.parent / "credentials")
        return earlier if is_ours else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def foreign_names(directory: Path) -> list[str]:
    """What lies in a directory and not in a state directory. Raises OSError."""
    names = (entry.name for entry in directory.iterdir())
    return sorted(name for name in names if name not in STATE_NAMES and not TEMPORARY.fullmatch(name))


def socket_path(state_dir: Path) -> Path:
    """Where the control socket of a state directory lies; a private fallback where the path would be too long.

    Another account can take the fallback's name first. The daemon then listens in a directory with a name of chance, to
    which a link in the state directory leads.
    """
    path = state_dir / "control.sock"
    if len(os.fsencode(path)) < LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    private = SOCKETS / f"assumed-{os.getuid()}-{digest}"
    if not is_free_or_ours(private):
        try:
            return Path(os.readlink(path))
        except OSError:
            pass  # no daemon has come across it yet
    return private / "control.sock"


def is_free_or_ours(directory: Path) -> bool:
    """Whether a directory of this name can be made by us, or is ours already."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST_FILE_NAME = 180
"""Bytes; file systems allow 255, and a temporary file's name is longer than the file's own."""


def safe_name(profile: str) -> str:
    """A file name for `profile`: one to one, also where the file system folds case (macOS).

    `[a-z0-9_-]` stay; every other byte of the UTF-8 text is `=XX`. A name too long for a file system is cut and
    ends in `==` and a digest instead, which no other name can.
    """
    safe = "".join(char if char in _SAFE else "".join(f"={byte:02X}" for byte in char.encode()) for char in profile)
    if len(safe) <= _LONGEST_FILE_NAME:
        return safe
    return f"{safe[:120]}=={hashlib.sha256(profile.encode()).hexdigest()[:32]}"

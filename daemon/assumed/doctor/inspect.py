"""What surrounds the configuration on this machine: AWS files, modes, owners, mounts, exported variables.

Looks and changes nothing. No finding shows a value from a credentials file.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from assumed.config import trust
from assumed.config.model import Config
from assumed.credentials.ini import Document, decode, scan
from assumed.credentials.profiles import KeptProfile, merge
from assumed.credentials.reading import parser_of, values_of
from assumed.errors import FileRefused
from assumed.model import Finding, Instant, Role, Session
from assumed.names import profile_of
from assumed.paths import PathError, aws_config_file, default_credentials_file, exists, is_link, real_path, state_dir
from assumed.state import is_left_behind, trouble

from . import modes, network
from .aws_files import Profiles, chosen_profile, claims, exported_keys, leaks
from .copies import copies
from .installed import has_awscrt, known_regions
from .named import has_acl, hooks, is_read_only, textfile, token_files
from .source_profiles import Around
from .sources import sources

MOUNTINFO = Path("/proc/self/mountinfo")
_LARGEST = 64 << 20


def inspect(
    config: Config, environ: Mapping[str, str], *, now: float | None = None, passed_keys: bool = False
) -> list[Finding]:
    """Everything around `config` that will or may keep a reader from the kept profiles, and what was found well.

    `environ` is that of the shell in question; `now` is POSIX time, for judging exported sessions; `passed_keys`:
    whether an installed service has an AWS credentials file that systemd passes to it alone.
    """
    broken: list[Finding] = []
    real = Path(os.path.realpath(config.credentials_file))
    data = _read(real, broken)
    document = _scan(real, data, broken)
    aws_config = _aws_config(environ, broken)
    found = [*trust.findings(config.path), *_credentials_file(config.credentials_file, real), *broken]
    found += _state(config.credentials_file)
    found += _sections(config, real, data)
    found += claims(config, aws_config, _shown_config(environ))
    if document is not None and not broken:  # what cannot be read must not look as if it was missing
        credentials = _values(document)
        found += leaks(real, document.defaults)
        sessions = _sessions(environ)
        around = Around(credentials, aws_config, sessions, environ, known_regions(), passed_keys, has_awscrt())
        found += sources(config, around)
        found += chosen_profile(config, {*credentials, *aws_config}, environ)
    found += network.proxies(environ)
    found += token_files(config)
    found += hooks(config, environ)
    found += textfile(config)
    found += _same_file(config, environ)
    found += exported_keys(config, environ, time.time() if now is None else now)
    return list(dict.fromkeys(found))


def collisions(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """The kept profiles that the AWS configuration file claims for itself, which SDKs then prefer to ours."""
    broken: list[Finding] = []
    aws_config = _aws_config(environ, broken)
    return [*broken, *claims(config, aws_config, _shown_config(environ))]


def aws_files(config: Config, environ: Mapping[str, str]) -> tuple[Profiles, Profiles]:
    """What the credentials file and the AWS configuration say, as far as they can be read."""
    broken: list[Finding] = []
    document = _scan(config.credentials_file, _read(Path(os.path.realpath(config.credentials_file)), broken), broken)
    return _values(document) if document else {}, _aws_config(environ, broken)


def _values(document: Document) -> dict[str, dict[str, str]]:
    """Section → what SDKs read there, that which leaks from `[DEFAULT]` included."""
    parser = parser_of(document)
    return {name: values_of(document, name, parser) or {} for name in document.sections}


def _shown_config(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_CONFIG_FILE") or "~/.aws/config"


def _aws_config(environ: Mapping[str, str], broken: list[Finding]) -> Profiles:
    try:
        path = aws_config_file(environ)
    except PathError as error:
        broken.append(Finding("error", error.variable, error.what, error.advice))
        return {}
    document = _scan(path, _read(path, broken), broken)
    if document is None:
        return {}
    named = ((profile_of(section), values) for section, values in _values(document).items())
    return {name: values for name, values in named if name is not None}


def _sessions(environ: Mapping[str, str]) -> Profiles:
    """Name → values of the `[sso-session NAME]` sections of an AWS configuration file that is known to be readable."""
    path = aws_config_file(environ)
    document = _scan(path, _read(path, []), [])
    named = ((_words(section), values) for section, values in (_values(document) if document else {}).items())
    return {words[1]: values for words, values in named if len(words) == 2 and words[0].startswith("sso-session")}


def _read(path: Path, broken: list[Finding]) -> bytes:
    """The file's bytes; none where there is no file, or where it cannot be read, which is then a finding."""
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                return file.read(_LARGEST)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:
                return b""
    except FileNotFoundError:
        return b""
    except IsADirectoryError:
        pass
    except OSError as error:
        broken.append(Finding("error", str(path), f"cannot be read: {error.strerror}", "look at its owner and mode"))
        return b""
    broken.append(Finding("error", str(path), "is no plain file", "put a plain file in its place"))
    return b""


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO must not make us wait


def _scan(path: Path, data: bytes, broken: list[Finding]) -> Document | None:
    """The file as botocore reads it; None where botocore would not, which is then a finding."""
    try:
        return scan(decode(data))
    except FileRefused as refused:
        broken.append(Finding("error", str(path), refused.message, refused.advice))
        return None


def _words(section: str) -> list[str]:
    try:
        return shlex.split(section)
    except ValueError:
        return []


def _credentials_file(path: Path, real: Path) -> Iterator[Finding]:
    if is_link(real):
        yield Finding("error", str(path), "is a symbolic link that leads in a circle", "point it at a file")
        return
    if is_link(path):
        yield Finding("ok", str(path), f"is a symbolic link to {real}, which is rewritten; the link stays")
    uid = os.geteuid()
    directory = _stat(real.parent)
    file = _stat(real)
    if directory is None:
        yield from _missing_directory(real.parent)
        return
    writable = os.access(real.parent, os.W_OK | os.X_OK)
    read_only = not writable and is_read_only(real.parent)
    troubles = list(modes.directory(real.parent, directory, uid, writable=writable, read_only=read_only))
    if file is not None:
        mounted = file.st_dev != directory.st_dev or str(real) in _mount_points()
        troubles += modes.credentials_file(real, file, uid, mounted=mounted, acl=has_acl(real))
    yield from troubles
    if not troubles:
        message = "can be replaced, and is for its owner alone" if file else "does not exist yet; it will be made, 0600"
        yield Finding("ok", str(real), message)


def _state(credentials_file: Path) -> Iterator[Finding]:
    """Where the sessions lie, and who else may get hold of them there."""
    path = state_dir(credentials_file)
    found = None if is_left_behind(path) else _stat(path)
    if found is not None:
        try:
            wrong = trouble(path)
        except OSError as error:
            wrong = f"cannot be read: {error.strerror}", "look at its owner and mode"
        if wrong:
            yield Finding("error", str(path), *wrong)
            return
        yield from modes.state_directory(path, found)
    yield Finding("ok", str(path), "sessions are stored here")
    yield from copies(path, real_path(credentials_file))


def _stat(path: Path) -> os.stat_result | None:
    """None where there is nothing. Follows no link: `path` is resolved already, and the state directory is none."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return None  # then its directory may not be entered, which is said of the directory


def _missing_directory(path: Path) -> Iterator[Finding]:
    above = next(parent for parent in path.parents if exists(parent))
    if os.access(above, os.W_OK | os.X_OK):
        yield Finding("ok", str(path), "does not exist yet; it will be made, 0700")
    elif is_read_only(above):
        message = f"does not exist, and cannot be made, for {above} {modes.READ_ONLY}"
        yield Finding("error", str(path), message, modes.REMOUNT)
    else:
        message = f"does not exist, and cannot be made, for {above} may not be written"
        yield Finding("error", str(path), message, f"mkdir -p -m 700 {path}, or name another credentials_file")


def _mount_points() -> set[str]:
    """What is mounted where on Linux (proc(5): field 5, spaces and the like as octal); nothing elsewhere."""
    try:
        lines = MOUNTINFO.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    return {re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4]) for line in lines}


def _sections(config: Config, real: Path, data: bytes) -> Iterator[Finding]:
    """What the next write would refuse or take over, by the rules of the write itself."""
    try:
        tried = merge(data, [_kept(role) for role in config.enabled()], config.config_id, remove_orphans=False)
    except FileRefused as refused:
        yield Finding("error", str(real), refused.message, refused.advice)
        return
    for refusal in tried.refused:
        yield Finding("error", refusal.profile, refusal.reason, refusal.advice)
    sections = scan(decode(data)).sections
    for profile in tried.adopted:
        if not sections[profile].keys.keys().isdisjoint(("aws_access_key_id", "credential_process")):
            message = "is written by another program or configuration so far; its credentials will be replaced"
            yield Finding("warning", profile, message, "stop whatever else renews it")


def _kept(role: Role) -> KeptProfile:
    """The role with a session that is none: it goes no further than the trial."""
    none = "none"
    session = Session(role.profile, none, none, none, 0.0, 0.0, 0.0, Instant(0.0, 0.0), none, none, none)
    return KeptProfile(role.profile, role.deliver, session, role.region, command="/usr/bin/true")


def _same_file(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        looked = default_credentials_file(environ)
    except PathError as error:
        yield Finding("warning", error.variable, error.what, error.advice)
        return
    if os.path.realpath(looked) != os.path.realpath(config.credentials_file):
        yield Finding(
            "warning",
            str(config.credentials_file),
            f"is where profiles are kept, but SDKs started here look in {looked}",
            f"export AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(config.credentials_file))}",
        )

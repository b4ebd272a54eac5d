"""What the two AWS files say about our sources and profiles, looked up anew only when one of them has changed."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assumed.credentials.ini import decode, parser_of, scan, values_of
from assumed.errors import FileRefused
from assumed.model import Role
from assumed.paths import passed_credentials

from .source import Section, SourceProfile, fingerprint, read_source

OF_CONFIG = ("profile", "sso-session", "services")
"""What the headers of the config file begin with; botocore looks at no more than that."""


class Sections:
    """The sections of one AWS file as botocore reads them; looked up one by one, because most are never asked for."""

    def __init__(self, path: Path) -> None:
        """Read the file. One that is not there, or that botocore could not read either, has no sections."""
        self.error: FileRefused | None = None
        """Why it cannot be read, with the line; None where it can, or is not there."""
        try:
            # A pipe in its place would be waited for, for ever.
            self._document = scan(decode(path.read_bytes() if path.is_file() else b""))
        except OSError as error:
            self.error = FileRefused(f"cannot be read: {error.strerror}", "look at its owner and mode")
        except FileRefused as refused:
            self.error = refused
        if self.error is not None:
            self._document = scan("")
        self._parser = parser_of(self._document)
        self._headers = {name: header for header in self._document.sections for name in _names(header)}

    def __call__(self, name: str) -> Mapping[str, str] | None:
        """The keys and values of one section, those that leak from `[DEFAULT]` included; None where there is none."""
        header = self._headers.get(name)
        return None if header is None else values_of(self._document, header, self._parser)


def _names(header: str) -> list[str]:
    """What a section is found by: `profile "my team"` and `profile  my\\ team` are `profile my team` to botocore."""
    prefix = next((prefix for prefix in OF_CONFIG if header.startswith(prefix)), None)
    if prefix is None:  # of [default] and [profile default] the later one counts
        return [header, "profile default"] if header == "default" else [header]
    try:
        words = shlex.split(header)
    except ValueError:  # an open quote: botocore finds no profile there, either
        words = []
    plain = [f"{prefix} {words[1]}"] if len(words) == 2 else []
    return plain if header.startswith(f"{prefix} ") else [header, *plain]


@dataclass(slots=True)
class AwsFiles:
    """The sources of a set of roles as the files describe them. Reads files; writes none."""

    credentials_file: Path
    config_file: Path
    environ: Mapping[str, str]
    inherited: Mapping[str, str]
    sources: dict[str, SourceProfile] = field(default_factory=dict)
    """Source name → its profile, for the sources that are profiles."""
    broken: dict[Path, FileRefused] = field(default_factory=dict)
    """File → why it cannot be read at the moment: what was last read of it goes on."""
    _prints: dict[str, str] = field(default_factory=dict)
    _tokens: list[Path] = field(default_factory=list)
    _good: dict[Path, Sections] = field(default_factory=dict)
    _config: Sections | None = None
    _default: SourceProfile | None = None

    def look(self, roots: Iterable[Role]) -> set[str]:
        """Read the sources again. Returns the names of those that were known and resolve to something else now.

        A source that was there and cannot be found now keeps its facts, and so do all while one of the files is broken:
        another program may be in the middle of writing, and an endpoint that is missing for an instant would look like
        a changed identity.
        """
        roots = list(roots)
        credentials = self._credentials()
        self._config = self._sections(self.config_file)
        if self._default is None or not self.broken:
            self._default = _newer(self._default, read_source("default", credentials, self._config, self.environ))
        changed: set[str] = set()
        for name, role in {role.source(): role for role in roots}.items():
            if role.source_profile is not None and (name not in self.sources or not self.broken):
                seen = read_source(role.source_profile, credentials, self._config, self.environ)
                self.sources[name] = _newer(self.sources.get(name), seen)
            now = self._fingerprint(role)
            if self._prints.setdefault(name, now) != now:
                changed.add(name)
                self._prints[name] = now
        self._tokens = sorted({token for role in roots for token in self._tokens_of(role)})
        return changed

    def _credentials(self) -> Section:
        """The credentials file, under what systemd passes to this process alone."""
        file, passed = self._sections(self.credentials_file), passed_credentials(self.environ)
        if passed is None:
            return file
        first = self._sections(passed)
        return lambda name: {**(file(name) or {}), **(first(name) or {})} or None

    def _sections(self, path: Path) -> Sections:
        found = Sections(path)
        if found.error is not None:
            self.broken[path] = found.error
            return self._good.get(path, found)
        self.broken.pop(path, None)
        self._good[path] = found
        return found

    def broken_sources(self) -> dict[Path, FileRefused]:
        """The files that cannot be read, but for the credentials file: whoever writes that one says so."""
        return {path: error for path, error in self.broken.items() if path != self.credentials_file}

    def beside(self) -> list[Path]:
        """What else than the credentials file may change a source: AWS's config, and tokens that others renew."""
        passed = passed_credentials(self.environ)
        return [self.config_file, *self._tokens, *([passed] if passed is not None else [])]

    def endpoints(self, roots: Iterable[Role]) -> dict[str, str | None]:
        """Source name → its explicitly configured endpoint of STS. For a source that is no profile, botocore takes
        that of the default profile."""
        elsewhere = self._default.endpoint if self._default else None
        return {
            name: self.sources[name].endpoint if name in self.sources else elsewhere
            for name in (role.source() for role in roots)
        }

    def region_of(self, role: Role) -> str | None:
        """The region to write into a kept profile: none where `~/.aws/config` sets one for that name."""
        if role.region is None or self._config is None:
            return role.region
        return None if "region" in (self._config(f"profile {role.profile}") or {}) else role.region

    def print_of(self, role: Role) -> str:
        """The fingerprint of a root role's source, as it was last looked at."""
        return hashlib.sha256(self._prints.get(role.source(), "").encode()).hexdigest()

    def _fingerprint(self, role: Role) -> str:
        looks = [look_of(token) for token in self._tokens_of(role)]
        if role.source_profile is not None:
            return fingerprint(self.sources[role.source()], looks)
        # No profile of its own: botocore takes region and endpoint from the default one.
        around = dict(dict(self._default.values).get("profile default", ())) if self._default else {}
        settings = [self._default.endpoint if self._default else None, around.get("region")]
        inherited = sorted(self.inherited.items()) if role.credential_source == "Environment" else []
        return str([looks, settings, inherited])

    def _tokens_of(self, role: Role) -> list[Path]:
        if role.web_identity_token_file is not None:
            return [Path(role.web_identity_token_file)]
        profile = self.sources.get(role.source())
        names = profile.token_files if profile else ()
        return [Path(os.path.expanduser(token)) for token in names]  # noqa: PTH111 (raises less)


def _newer(known: SourceProfile | None, seen: SourceProfile) -> SourceProfile:
    """What is seen now, unless it is gone, which it may be for an instant: then what was known."""
    return seen if known is None or seen.exists or not known.exists else known


def look_of(path: Path) -> list[int]:
    """What tells whether a file has changed; empty for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size, status.st_ino]

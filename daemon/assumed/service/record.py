"""What install has made: kept beside the configuration, so that uninstall takes away exactly that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Record:
    """The files with a digest of what was written, the directories in the order of their making, and the rest."""

    version: str = ""
    config: str = ""
    credentials_file: str = ""
    files: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    lingering: bool = False
    """Whether it was install that enabled lingering."""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read(path: Path) -> Record | None:
    """The record; None where there is none that can be used."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            version=str(found["version"]),
            config=str(found["config"]),
            credentials_file=str(found["credentials_file"]),
            files={str(name): str(digest) for name, digest in found["files"].items()},
            directories=[str(name) for name in found["directories"]],
            lingering=found["lingering"] is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def digest(text: str) -> str:
    """Tells whether a file still says what was written."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

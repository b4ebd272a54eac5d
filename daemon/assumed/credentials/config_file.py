"""The AWS config file on the disk: written as the credentials file is."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from assumed.errors import FileRefused

from .config_lines import merge_config
from .file import CredentialsFile
from .profiles import KeptProfile, Merge


class ConfigFile(CredentialsFile):
    """The AWS config file, written by the same sequence. It holds no secrets, so its mode stays what it is."""

    _widest = 0o777
    _may_be_empty = True

    def __init__(self, path: Path, credentials_file: Path, state_dir: Path) -> None:
        """As above. Refuses everything where the two are one file: each writer would undo the other's lines."""
        super().__init__(path, state_dir)
        self._credentials_file = credentials_file

    @property
    def real_path(self) -> Path:
        """Where the symbolic links lead."""
        real = super().real_path
        if str(real) == os.path.realpath(self._credentials_file):
            raise FileRefused(f"{self.path} is the credentials file, too", "Use two files, as AWS does")
        return real

    def _merge(
        self, text: bytes, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool, _held: Collection[str]
    ) -> Merge:
        return merge_config(text, kept, config_id, remove_orphans, self._known)

"""The AWS config file on the disk: written as the credentials file is."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from assumed.errors import FileRefused
from assumed.files import directory, explained

from .config_lines import merge_config
from .file import CredentialsFile, check_directory
from .profiles import KeptProfile, Merge
from .snapshot import take


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

    def check_writable(self) -> None:
        """Raises FileRefused where `write` would, as far as that can be told without writing."""
        real = self.real_path
        with explained("write", real):
            there = next(parent for parent in real.parents if parent.exists())
            with directory(there) as dir_fd:
                if there == real.parent:
                    check_directory(dir_fd, there)
                    take(dir_fd, real)
                if not os.access(there, os.W_OK | os.X_OK):
                    read_only = os.statvfs(there).f_flag & os.ST_RDONLY
                    raise OSError(errno.EROFS if read_only else errno.EACCES, "")

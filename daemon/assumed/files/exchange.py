"""Two names that trade places in one step, and a name that is taken only while nobody has it.

Linux: renameat2(2), RENAME_EXCHANGE and RENAME_NOREPLACE, since 3.15. macOS: renameatx_np(2), RENAME_SWAP and
RENAME_EXCL, since 10.12. Python has neither. Not every file system can do it (NFS, some FUSE), nor may every sandbox.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENAMETOOLONG})
"""What systems and file systems say that cannot do it, or not with names as long as those that it needs."""

_NAME, _EXCHANGE, _NOREPLACE = ("renameatx_np", 2, 4) if sys.platform == "darwin" else ("renameat2", 2, 1)


def exchange(dir_fd: int, one: str, other: str) -> None:
    """What stood under either name of the directory stands under the other. Raises OSError; then nothing has moved."""
    _rename(dir_fd, one, other, _EXCHANGE)


def rename_to_free_name(dir_fd: int, name: str, free: str) -> None:
    """Renames; raises FileExistsError when that name is taken, OSError otherwise."""
    _rename(dir_fd, name, free, _NOREPLACE)


def _rename(dir_fd: int, source: str, target: str, flags: int) -> None:
    if _native()(dir_fd, os.fsencode(source), dir_fd, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


@cache
def _native() -> Callable[[int, bytes, int, bytes, int], int]:
    """The C library's function. Raises OSError (ENOSYS) where it has none."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), _NAME)
    except (OSError, AttributeError):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]

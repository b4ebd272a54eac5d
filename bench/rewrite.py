"""A rewrite of the credentials file in which one section has changed, through the product's own CredentialsFile."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from assumed.credentials.file import CredentialsFile
from assumed.credentials.merge import KeptProfile
from assumed.model import Instant, Session

from .kit import ACCOUNT, Bench, names, say
from .rows import Row, Target

HEADER = re.compile(rb"^\[([^\]\n]*)\]", re.MULTILINE)
APART = 0.05
"""Seconds between two rewrites: the daemon leaves 0.25 s. Files younger than 20 ms are compared byte for byte."""
BESIDE = "splice + write + fsync + rename + fsync"


def rewrite(bench: Bench) -> Iterator[Row]:
    """Rewrites at several sizes, beside the bare system calls and a splice of bytes. Of this version alone."""
    for count, runs in ((10, 5), (100, 5)) if bench.quick else ((10, 41), (100, 41), (1000, 15), (5000, 9)):
        say(f"rewrite of {count} profiles")
        with tempfile.TemporaryDirectory(prefix="assumed-bench-") as path:
            files = _Rewrite(Path(path), count)
            taken = replace(bench, against=None).take(
                runs, lambda _, files=files: {"ms": files.ours()}, {BESIDE: files.bare}
            )
        yield taken.row(f"rewrite, {count} profiles", "ms", "ms", BESIDE, target=Target(1.5, 1.0))


class _Rewrite:
    """Two files of the same bytes, one for each way."""

    def __init__(self, path: Path, count: int) -> None:
        self._credentials = path / "credentials"
        self._bare = path / "bare"
        self._file = CredentialsFile(self._credentials, path / "assumed")
        self._kept = [KeptProfile(name, "keys", _session(name), "us-west-2") for name in names(count)]
        self._turn = 0
        self._write()
        self._bare.write_bytes(self._credentials.read_bytes())

    def ours(self) -> float:
        """Milliseconds of one rewrite."""
        self._turn += 1
        at = self._turn * 7919 % len(self._kept)
        self._kept[at] = replace(self._kept[at], session=_session(self._kept[at].profile))
        time.sleep(APART)
        began = time.perf_counter()
        self._write()
        return (time.perf_counter() - began) * 1000

    def bare(self) -> float:
        """Milliseconds of the least that one atomic rewrite can be."""
        name = self._kept[self._turn * 7919 % len(self._kept)].profile.encode()
        time.sleep(APART)
        began = time.perf_counter()
        text = self._bare.read_bytes()
        found = {match[1]: match.start() for match in HEADER.finditer(text)}
        starts = [*found.values(), len(text)]
        start = found[name]
        end = starts[starts.index(start) + 1]
        _replace(self._bare, b"".join([text[:start], text[start:end].swapcase().swapcase(), text[end:]]))
        return (time.perf_counter() - began) * 1000

    def _write(self) -> None:
        if not self._file.write(self._kept, "0123456789ab", False).written:
            raise RuntimeError("nothing was written")


def _replace(path: Path, text: bytes) -> None:
    temp = path.with_name("bare.tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, text)
    os.fsync(fd)
    os.close(fd)
    temp.rename(path)
    fd = os.open(path.parent, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def _session(profile: str) -> Session:
    now = time.time()
    return Session(
        profile=profile,
        access_key_id=f"ASIA{secrets.token_hex(8).upper()}",
        secret_access_key=secrets.token_hex(20),
        session_token=secrets.token_hex(500),
        expiration=now + 3600,
        issued_at=now,
        life=3600,
        received=Instant(now, now),
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{profile}/assumed",
        identity="",
        request="",
    )

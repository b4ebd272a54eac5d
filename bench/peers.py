"""The tools that people use instead, as they are run: those that are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .kit import ACCOUNT, PLACE, Sts, milliseconds_of

PROFILE = "peer"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{PROFILE}"
AWS_CONFIG = f"[profile {PROFILE}]\nrole_arn = {ROLE}\nsource_profile = default\nregion = us-west-2\n"
ELHAZ = f"AssumeRole:\n  RoleArn: {ROLE}\n  RoleSessionName: bench\n"
ENVIRONMENT = {
    "AWS_VAULT_BACKEND": "file",
    "AWS_VAULT_FILE_PASSPHRASE": "bench",
    "GRANTED_ENABLE_AUTO_REASSUME": "false",
    # One that does not know AWS_ENDPOINT_URL_STS must not ask the real STS.
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A command of another tool that gives a person what one of ours gives."""

    beside: str
    """Our command."""
    argv: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Arguments of the same program that prepare it."""
    after: tuple[str, ...] = ()
    """Those that end what `before` has begun."""

    @property
    def name(self) -> str:
        """How it is called in the table."""
        return " ".join(word for word in self.argv[:3] if word not in {PROFILE, "true"})


PEERS = (
    Peer("credential-process", ("aws", "configure", "export-credentials", "--profile", "default")),
    Peer(
        "credential-process",
        ("elhaz", "export", "-f", "credential-process", "-n", PROFILE),
        ("daemon", "start"),
        ("daemon", "stop"),
    ),
    Peer("exec", ("aws-vault", "exec", PROFILE, "--", "true"), ("add", "--env", "default")),
    Peer("exec", ("aws-runas", PROFILE, "true")),
    Peer("exec", ("assumego", PROFILE, "--exec", "true")),
    Peer(
        "exec",
        ("elhaz", "exec", "-n", PROFILE, "--", "true"),
        ("daemon", "start"),
        ("daemon", "stop"),
    ),
    Peer("env", ("awsumepy", PROFILE, "-s")),
    Peer("refresh", ("swamp", "-account", ACCOUNT, "-target-role", PROFILE, "-target-profile", "written")),
)


@contextmanager
def peers(beside: str, server: Sts) -> Iterator[tuple[dict[str, Callable[[], float]], dict[str, str]]]:
    """What measures each peer of our command, by name; and why the others are skipped."""
    found: dict[str, Callable[[], float]] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as home, ExitStack() as stack:
        environment = _home(Path(home), server)
        for peer in (peer for peer in PEERS if peer.beside == beside):
            skipped[peer.name] = f"{peer.argv[0]} is not installed"
            for path in _programs(peer.argv[0]):
                if peer.after:
                    stack.callback(_failure, [path, *peer.after], environment)
                argv = [path, *peer.argv[1:]]
                failure = _failure([path, *peer.before], environment) if peer.before else None
                failure = failure or _failure(argv, environment)
                if failure is None:
                    found[peer.name] = partial(milliseconds_of, argv, environment)
                    del skipped[peer.name]
                    break
                skipped[peer.name] = f"{peer.argv[0]}: {failure}"
        yield found, skipped


def _programs(name: str) -> list[str]:
    """Each program of that name: beside this interpreter, then on PATH (version 1 of `aws` may hide version 2)."""
    directories = [Path(sys.executable).parent, *map(Path, os.get_exec_path())]
    return [str(found) for found in dict.fromkeys(d / name for d in directories) if os.access(found, os.X_OK)]


def _home(home: Path, server: Sts) -> dict[str, str]:
    """A home in which each of them finds the role, and the variables that it needs."""
    keys = f"aws_access_key_id = {server.access_key_id}\naws_secret_access_key = {server.secret_access_key}\n"
    texts = {
        ".aws/credentials": f"[default]\n{keys}",
        ".aws/config": AWS_CONFIG,
        f".elhaz/configs/{PROFILE}.yaml": ELHAZ,
    }
    for name, text in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    shared = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ASSUMED_", "XDG_"))}
    return {**shared, **PLACE, **ENVIRONMENT, "HOME": str(home), "AWS_ENDPOINT_URL_STS": server.url}


def _failure(argv: list[str], environment: dict[str, str]) -> str | None:
    """Why a command does not work here; None when it does."""
    void = subprocess.DEVNULL
    with tempfile.TemporaryFile() as stderr:  # not a pipe, which a daemon that it leaves behind keeps open
        try:
            status = subprocess.run(
                argv, env=environment, stdin=void, stdout=void, stderr=stderr, timeout=60, check=False
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        stderr.seek(0)
        lines = stderr.read().decode(errors="replace").split("\n")
    if not status:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), f"status {status}")

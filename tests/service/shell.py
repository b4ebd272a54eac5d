"""Alice's shell on a machine with a real systemd, and root's beside it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from units.machine import USER, Machine
from world.daemon import Home
from world.fake_sts import FakeSts

ASSUMED = str(Path(sys.executable).with_name("assumed"))
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARN = "arn:aws:iam::123456789012:role/MyApp"


class Shell:
    """Hers, with what leads to the STS of the test."""

    def __init__(self, machine: Machine, sts: FakeSts) -> None:
        self.machine = machine
        self.home: Home = machine.home
        self.exported = {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_EC2_METADATA_DISABLED": "true"}

    def type(self, *words: str, **exported: str) -> subprocess.CompletedProcess[str]:
        """One command line, typed in her home directory."""
        variables = [f"{name}={value}" for name, value in {**self.exported, **exported}.items()]
        line = f"cd; exec {shlex.join(words)}"
        return self.machine.alice("env", *variables, "sh", "-c", line)

    def assumed(self, *arguments: str, status: int = 0, **exported: str) -> str:
        """One of our commands that ends with `status`; what it says, all of it."""
        done = self.type(ASSUMED, *arguments, **exported)
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        return said

    def show(self, name: str) -> str:
        return self.machine.alice(
            "systemctl", "--user", "show", f"--property={name}", "--value", "assumed"
        ).stdout.strip()

    def tree(self, without: tuple[str, ...] = ()) -> dict[str, tuple[int, bytes | None]]:
        """Her home directory: name → mode and contents."""
        found = {}
        for path in sorted(self.home.path.rglob("*")):
            name = str(path.relative_to(self.home.path))
            if not name.startswith(without) and not path.is_socket():
                found[name] = (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        return found

    def sudo(self, *arguments: str, status: int = 0, program: str = ASSUMED, **exported: str) -> str:
        """One of root's commands about her service, by sudo, with the same variables; what it says, all of it."""
        variables = [f"{name}={value}" for name, value in {**self.exported, **exported}.items()]
        words = [program, "service", *arguments, "--system", "--user", USER]
        done = self.machine.root("env", "-i", "HOME=/root", f"PATH={SECURE_PATH}", *variables, *words)
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        return said

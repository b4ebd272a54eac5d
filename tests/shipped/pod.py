"""A pod without a kubelet: containers from a manifest, in one network of their own, with its volumes and users.

with Pod(manifest, root, directory) as pod:
    sidecar = pod.start("assumed", AWS_ENDPOINT_URL_STS=…)
    sidecar.probe("startupProbe")
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from world.waiting import eventually

SCRIPT = Path(__file__).with_name("container.sh")
TOOLS = ("unshare", "nsenter", "setpriv", "ip", "chroot")
TRIAL = (
    "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
    "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w o /mnt/r"
)
Manifest = dict[str, Any]


@functools.cache
def missing() -> str | None:
    """What keeps a pod from being made here; None when nothing does."""
    if os.geteuid() != 0:
        return "only root can make containers of its own"
    lacks = [name for name in TOOLS if not shutil.which(name)]
    if lacks:
        return f"not installed: {', '.join(lacks)}"
    command = ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "sh", "-c", TRIAL]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"no namespaces or no overlay: {tried.stderr.strip()}" if tried.returncode else None


needs_pod = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@dataclass
class Container:
    """A running container of a pod."""

    spec: Manifest
    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Process 1 of the container, as the machine counts."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def user(self) -> int | None:
        """Whose process 1 is; None once it has ended, root while the container is being made."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            return int(status.partition("\nUid:")[2].split()[0])
        if self.process.poll() is not None:
            raise AssertionError(f"the container has ended: {self.process.communicate()[0]}")
        return None

    def run(self, command: Sequence[str], user: int) -> subprocess.CompletedProcess[str]:
        """`kubectl exec`: a command inside, with the environment of process 1."""
        self.user()
        environment = Path(f"/proc/{self.pid}/environ").read_text().rstrip("\0").split("\0")
        enter = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "env", "-i"]
        return subprocess.run(
            [*enter, *become, *environment, *command], capture_output=True, text=True, check=False, timeout=60
        )

    def signal(self, number: signal.Signals) -> None:
        """To process 1, as the kubelet sends it."""
        os.kill(self.pid, number)


class Pod:
    """The pod of a manifest's template. Volumes lie in `directory`; `root` and `environment` are its images'."""

    def __init__(self, template: Manifest, directory: Path, environment: Sequence[str], root: str = "/") -> None:
        self.spec = template["spec"]
        self.user: int = self.spec["securityContext"]["runAsUser"]
        self._root, self._environment = root, environment
        self._directory = directory
        self._running: list[subprocess.Popen[str]] = []
        for volume in self.spec["volumes"]:
            self.volume(volume["name"]).mkdir()
            if "emptyDir" in volume:  # as fsGroup has it
                os.chown(self.volume(volume["name"]), 0, self.spec["securityContext"]["fsGroup"])
                self.volume(volume["name"]).chmod(0o2777)

    def __enter__(self) -> Self:
        # The second address is a node's agent of EKS Pod Identity.
        up = "ip link set lo up && ip address add 169.254.170.23/32 dev lo && echo up && exec sleep infinity"
        self._network = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", up], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._running.append(self._network)
        assert self._network.stdout is not None
        if self._network.stdout.readline() != "up\n":
            self.__exit__()
            raise AssertionError("the pod has no network of its own")
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def volume(self, name: str) -> Path:
        """Where a volume lies on this machine."""
        return self._directory / name

    def outside(self, *command: str) -> subprocess.Popen[str]:
        """A process of this machine in the pod's network."""
        return self._popen(list(command))

    def start(self, name: str, command: Sequence[str] = (), **more: str) -> Container:
        """Start a container of the manifest, or another command in its place."""
        found = [each for each in [*self.spec["initContainers"], *self.spec["containers"]] if each["name"] == name]
        (spec,) = found
        assert spec["securityContext"]["readOnlyRootFilesystem"]
        mounts = [
            f"{each['mountPath']}={self.volume(each['name'])}{':ro' if each.get('readOnly') else ''}"
            for each in spec["volumeMounts"]
        ]
        variables = [f"{each['name']}={each['value']}" for each in spec.get("env", [])]
        variables += [f"{name}={value}" for name, value in more.items()]
        unshare = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", str(SCRIPT)]
        command = command or [*spec.get("command", ["assumed"]), *spec.get("args", [])]
        process = self._popen(
            [*unshare, self._root, str(self.user), *mounts, "--", *self._environment, *variables, *command]
        )
        container = Container(spec, process)
        eventually(lambda: container.user() == self.user, 20, saying="a process 1 of the right user")
        return container

    def probe(self, container: Container, name: str) -> int:
        """The exit status of one of its probes, asked once."""
        return container.run(container.spec[name]["exec"]["command"], self.user).returncode

    def _popen(self, command: list[str]) -> subprocess.Popen[str]:
        enter = ["nsenter", f"--target={self._network.pid}", "--net", "--"]
        process = subprocess.Popen(
            [*enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

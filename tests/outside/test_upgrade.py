"""Jobs started under the old version continue under the new one.

One environment at one path, in which the old version is replaced as a package manager does, with jobs running.
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from world.control import NotRunning, ask, state_of
from world.daemon import DEFAULTS, Daemon, Home, package, role
from world.fake_sts import FakeSts
from world.waiting import PROOF, eventually

OLD = "a99a0d5"
"""The commit of the old version."""
TREE = Path(__file__).parents[2]
SHIPPED = ("systemd", "launchd", "config.example.toml")
"""The content of `assumed/shipped` in a wheel."""
ROLES = ("keys", "process", "exec")
"""Profiles, each with a role of its name: delivered by keys, by `credential_process`, and used by `assumed exec`."""
A_FEW = 4
"""Requests that show that a client still works."""

CLIENT = """
import boto3, select, sys
from botocore.config import Config
sts = boto3.client("sts", config=Config(retries={"total_max_attempts": 1}))
tries = 0
while not select.select([sys.stdin], [], [], 0.1)[0]:
    try:
        sts.get_caller_identity()
        tries = 0
    except Exception as error:
        tries += 1
        if tries == int(sys.argv[1]):
            print("refused:", error, flush=True)
"""
"""A boto3 client that signs ten requests a second and prints errors until its stdin ends."""
TRIES = 1 if PROOF else 3
"""Of a request: `credential-process` says after 4 s that it is not ready, which a slow machine may need more than once.
What STS itself refuses counts in any case."""


def arn(profile: str) -> str:
    return f"arn:aws:iam::123456789012:role/{profile}"


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version's sources."""
    command = ["git", "archive", OLD, "daemon", *SHIPPED]
    try:
        archive = subprocess.run(command, cwd=TREE, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"commit {OLD} is not here: no git, no repository, or a shallow clone")
    tree = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    return tree


@pytest.fixture(scope="module")
def new_tree() -> Path:
    """The sources of the version under test."""
    tree = package().parents[1]
    if not (tree / "daemon" / "assumed").samefile(package()):
        pytest.skip("the version under test is not installed from its sources (pip install --editable)")
    return tree


class Installation:
    """A virtual environment whose `assumed` is replaced in place. Its dependencies are those of the tests."""

    def __init__(self, path: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
        self.python = str(path / "bin" / "python")
        (self._site,) = path.glob("lib/python*/site-packages")
        (self._site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, tree: Path) -> None:
        """File by file, each by a rename, then removals: there is always a script."""
        new = self._site / "new"
        shutil.copytree(tree / "daemon" / "assumed", new, ignore=shutil.ignore_patterns("__pycache__"))
        for name in SHIPPED:
            copy: Callable[..., object] = shutil.copytree if (tree / name).is_dir() else shutil.copy2
            (new / "shipped").mkdir(exist_ok=True)
            copy(tree / name, new / "shipped" / name)
        package = self._site / "assumed"
        files = {path.relative_to(new) for path in new.rglob("*") if path.is_file()}
        for file in sorted(files):
            (package / file).parent.mkdir(parents=True, exist_ok=True)
            (new / file).replace(package / file)
        for path in sorted(package.rglob("*.py")):
            if path.relative_to(package) not in files:
                path.unlink()
        shutil.rmtree(new)


@pytest.fixture
def installation(tmp_path_factory: pytest.TempPathFactory, old_tree: Path) -> Installation:
    """The old version, installed."""
    made = Installation(tmp_path_factory.mktemp("i") / "venv")
    made.install(old_tree)
    return made


@dataclass(frozen=True, slots=True)
class Place(Home):
    """A home whose credentials file may be elsewhere."""

    file: str = ".aws/credentials"

    @property
    def credentials(self) -> Path:
        return self.path / self.file


FILES = {
    "usual": ".aws/credentials",
    "named by a variable": ".aws/work",
    "named in the configuration": ".aws/work.ini",
    "behind a link": "dotfiles/aws-credentials",
}
"""The path of the credentials file. An earlier version's state was in `assumed` beside it, whatever its name."""


@dataclass
class World:
    """A home, its daemon, and clients that keep running across the upgrade."""

    sts: FakeSts
    home: Place
    daemon: Daemon
    variables: dict[str, str]
    clients: dict[str, subprocess.Popen[str]]

    def start(self) -> None:
        """Start the daemon, and wait until each role is fresh."""
        self.daemon.start(answering=False)
        eventually(self._is_fresh, 120, saying=f"a session of each role\n{self.daemon.stderr}")

    def _is_fresh(self) -> bool:
        real = self.home.credentials.resolve()
        for state in {state_of(real), real.parent / "assumed"}:
            with suppress(NotRunning):
                status = ask(state, {"command": "status"})
                return status["daemon"]["pid"] == self.daemon.pid and all(
                    one["state"] == "fresh" and one["delivered"] for one in status["roles"]
                )
        return False

    def start_clients(self) -> None:
        under = {"process": [], "exec": [self.home.interpreter, "-m", "assumed", "exec", "exec", "--"]}
        more = {"AWS_DEFAULT_REGION": "us-west-2", **self.variables}
        for name, command in under.items():
            self.clients[name] = subprocess.Popen(
                [*command, sys.executable, "-c", CLIENT, str(TRIES)],
                env=self.home.environment(**more, **({"AWS_PROFILE": "process"} if name == "process" else {})),
                cwd=self.home.path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def requests(self, profile: str) -> list[str]:
        """The key of each request of a client."""
        asked = [call.access_key_id or "" for call in self.sts.calls if call.action == "GetCallerIdentity"]
        return [key for key in asked if f"assumed-role/{profile}/" in self.sts.key(key).arn]

    def go_on(self) -> None:
        """Until each client has made a few more requests."""
        before = {name: len(self.requests(name)) for name in self.clients}
        for name, count in before.items():
            eventually(lambda name=name, count=count: len(self.requests(name)) >= count + A_FEW, 120, saying=name)  # type: ignore[misc]

    def asked_for(self, profile: str) -> list[float]:
        """When a session of this role was requested."""
        return [call.time for call in self.sts.calls_for(arn(profile))]

    def refused(self) -> list[str]:
        """End the clients; returns requests they could not sign and requests STS has refused."""
        said = {name: client.communicate(timeout=60)[0] for name, client in self.clients.items()}
        ended = [f"{name} ended with {client.returncode}" for name, client in self.clients.items() if client.returncode]
        # `exec` may report a retry: the old version's code finds the new one's modules.
        unsigned = [f"{name}: {line}" for name in said for line in said[name].splitlines() if "refused:" in line]
        by_sts = [f"{call.action} {call.role_arn}: {call.outcome}" for call in self.sts.calls if call.outcome != "ok"]
        return ended + unsigned + by_sts


@pytest.fixture
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, installation: Installation
) -> Iterator[World]:
    """The state under the old version; the parameter is a key of FILES."""
    home = Place(tmp_path_factory.mktemp("h"), installation.python, FILES[request.param])
    with FakeSts() as sts, ExitStack() as ends:
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        (home.path / ".aws").mkdir(mode=0o700, exist_ok=True)
        variables, defaults = {"AWS_ENDPOINT_URL_STS": sts.url}, DEFAULTS
        own = {"AWS_SHARED_CREDENTIALS_FILE": str(home.credentials)}  # by the daemon, or only by its readers
        match request.param:
            case "named by a variable":
                variables |= own
            case "named in the configuration":
                defaults = f'credentials_file = "{home.credentials}"\n{defaults}'
                variables |= own
            case "behind a link":
                (home.path / ".aws" / "credentials").symlink_to(home.credentials)
        home.configure(
            *(role(name, arn(name), **({"deliver": "process"} if name == "process" else {})) for name in ROLES),
            defaults=defaults,
        )
        daemon = Daemon(home, **variables)
        ends.callback(daemon.stop)
        made = World(sts, home, daemon, variables, {})
        yield made
        for client in made.clients.values():
            client.kill()
            client.communicate()


def answers(world: World, line: list[str]) -> str:
    """The key printed by a command that a running SDK holds in memory."""
    environ = world.home.environment(**world.variables)
    for _ in range(TRIES):
        done = subprocess.run(line, env=environ, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            break
    assert (done.returncode, done.stderr) == (0, "")
    return str(json.loads(done.stdout)["AccessKeyId"])


ENDS = {"SIGTERM": Daemon.stop, "SIGKILL": Daemon.kill9}


@pytest.mark.proof
@pytest.mark.parametrize(
    ("world", "end"),
    [
        ("usual", "SIGTERM"),
        ("named by a variable", "SIGKILL"),
        pytest.param("usual", "SIGKILL", marks=pytest.mark.slow),
        pytest.param("named in the configuration", "SIGTERM", marks=pytest.mark.slow),
        pytest.param("behind a link", "SIGTERM", marks=pytest.mark.slow),
    ],
    indirect=["world"],
)
def test_no_request_is_refused_and_no_session_renewed_by_the_upgrade(
    world: World, installation: Installation, new_tree: Path, end: str
) -> None:
    """Sessions of minutes: any call after the start is too many."""
    world.sts.rule("*", session_seconds=500)  # below 10 minutes botocore runs the line before each request
    world.start()
    world.start_clients()
    world.go_on()
    line = shlex.split((world.home.profile("process") or {})["credential_process"])
    key = world.requests("process")[0]

    installation.install(new_tree)
    world.go_on()
    assert answers(world, line) == key, "new files, the old daemon"
    ENDS[end](world.daemon)
    world.go_on()
    assert answers(world, line) == key, "no daemon"
    world.start()
    world.go_on()
    assert answers(world, line) == key, "the new daemon"

    assert world.refused() == []
    assert {name: len(world.asked_for(name)) for name in ROLES} == dict.fromkeys(ROLES, 1)
    assert (world.home.profile("keys") or {})["aws_access_key_id"] == world.sts.calls_for(arn("keys"))[0].issued


@pytest.mark.slow
@pytest.mark.parametrize("world", FILES, indirect=True)
def test_jobs_continue_through_the_renewals_after_an_upgrade(
    world: World, installation: Installation, new_tree: Path
) -> None:
    """Sessions of seconds, each renewed in the second half of its life by only one process."""
    world.sts.rule("*", session_seconds=20)
    world.start()
    world.start_clients()
    world.go_on()
    line = shlex.split((world.home.profile("process") or {})["credential_process"])

    installation.install(new_tree)
    world.daemon.stop()
    world.start()
    for name in ROLES:
        world.sts.wait_for_calls(len(world.asked_for(name)) + 2, arn(name), within=120, outcome="ok")
    world.go_on()
    assert answers(world, line) in world.requests("process")[-A_FEW:]

    assert world.refused() == []
    for name in ROLES:
        times = world.asked_for(name)
        assert all(later - earlier > 20 * 0.5 - 1 for earlier, later in pairwise(times)), (name, times)
    for name in ("process", "exec"):
        assert len(set(world.requests(name))) >= 3

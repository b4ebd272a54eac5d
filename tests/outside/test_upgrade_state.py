"""The previous version is replaced in place and its daemon restarted; readers notice nothing.

The state of a credentials file not called `credentials` has moved. SDKs hold command lines in memory with the old
path, and sessions must not be requested again.
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from world.daemon import DEFAULTS, Daemon, Home, package, role
from world.fake_sts import FakeSts
from world.waiting import eventually

OLD = "a99a0d5"
ROLE = "arn:aws:iam::123456789012:role/Job"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Installed(Home):
    """A home with its own installation, and a credentials file of any name."""

    file: str = ".aws/credentials"

    @property
    def credentials(self) -> Path:
        return self.path / self.file

    @property
    def library(self) -> Path:
        return self.path / "lib"

    def environment(self, **more: str) -> dict[str, str]:
        return Home.environment(self, PYTHONPATH=str(self.library), **more)

    def replace_program(self, package: Path) -> None:
        """Install this package in place of the previous one."""
        target = self.library / "assumed"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="session")
def old_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous package."""
    archive = ["git", "-C", str(REPOSITORY), "archive", OLD, "daemon/assumed"]
    done = subprocess.run(archive, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"commit {OLD} is not in this clone")
    path = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(path, filter="data")
    return path / "daemon" / "assumed"


@pytest.fixture(scope="session")
def new_package() -> Path:
    """The package under test."""
    return package()


@pytest.fixture(params=["creds-work", "a named credentials file", "a link", "credentials"])
def before(
    request: pytest.FixtureRequest, old_package: Path, tmp_path_factory: pytest.TempPathFactory, sts: FakeSts
) -> Iterator[tuple[Installed, Daemon]]:
    """The old version's daemon, which manages `job` by process. By variable, by configuration, and behind a link."""
    path = tmp_path_factory.mktemp("h")
    more: dict[str, str] = {"AWS_ENDPOINT_URL_STS": sts.url}
    head = ""
    match request.param:
        case "creds-work":
            home = Installed(path, file=".aws/creds-work")
            more["AWS_SHARED_CREDENTIALS_FILE"] = str(home.credentials)
            home.add_source("AKIAPERSONAL0000", "long-term-keys")  # in this file, beside an unused one
            (path / ".aws" / "credentials").write_text("[personal]\naws_access_key_id = AKIAPERSONAL0001\n")
        case "a named credentials file":
            home = Installed(path, file="work/aws keys")
            head = 'credentials_file = "~/work/aws keys"\n'
        case "a link":
            home = Installed(path, file="dotfiles/aws/creds")
            home.credentials.parent.mkdir(parents=True)
            (path / ".aws").mkdir()
            (path / ".aws" / "credentials").symlink_to(home.credentials)
        case _:
            home = Installed(path)
    home.credentials.unlink(missing_ok=True)
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("job", ROLE, deliver="process"), defaults=head + DEFAULTS)
    home.replace_program(old_package)
    daemon = Daemon(home, **more)
    daemon.start(answering=False)
    try:
        stored = home.credentials.parent / "assumed" / "sessions" / "job.json"
        eventually(lambda: stored.exists() and home.profile("job"), 30)
        yield home, daemon
    finally:
        daemon.stop()


class Reader(threading.Thread):
    """An SDK that has read a command line once, and runs it again and again."""

    def __init__(self, home: Installed, sts: FakeSts) -> None:
        super().__init__()
        self.line = shlex.split((home.profile("job") or {})["credential_process"])
        self._environment = home.environment(
            PATH="", AWS_SHARED_CREDENTIALS_FILE="/nowhere", AWS_ENDPOINT_URL_STS=sts.url
        )
        self._ended = threading.Event()
        self.replacing = threading.Lock()
        self.keys: list[str] = []
        self.failures: list[str] = []

    def read(self) -> str:
        """The access key id that the line prints; "" for a failure."""
        with self.replacing:
            done = subprocess.run(self.line, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.failures.append(done.stderr)
            return ""
        self.keys.append(json.loads(done.stdout)["AccessKeyId"])
        return self.keys[-1]

    def run(self) -> None:
        while not self._ended.wait(0.05):
            self.read()

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.mark.slow
def test_a_reader_notices_no_upgrade(before: tuple[Installed, Daemon], new_package: Path, sts: FakeSts) -> None:
    """No refusal and no call until the new daemon's first renewal, which readers get as well."""
    home, old = before
    first = sts.calls[0].issued
    reader = Reader(home, sts)
    reader.start()
    try:
        with reader.replacing:
            home.replace_program(new_package)
        more = old._environment
        beside = home.assumed("status", **more)  # the old daemon is still running
        asked = home.assumed("env", "job", **more)
        old.stop()
        offline = home.assumed("env", "job", **more)
        new = Daemon(home, **more)
        new.start(answering=False)
        try:
            eventually(lambda: (home.state / "control.sock").exists(), 30, saying="its state in its own place")
            new.wait_until_fresh("job")
            assert [done.returncode for done in (beside, asked, offline)] == [0, 0, 0]
            assert {call.issued for call in sts.calls} == {first}
            assert (home.state / "sessions" / "job.json").exists()
            assert home.assumed("refresh", "job", **more).returncode == 0
            eventually(lambda: reader.read() == sts.calls[-1].issued, 30)
            line = shlex.split((home.profile("job") or {})["credential_process"])
            assert line[line.index("--state") + 1] == str(home.state)
        finally:
            new.stop()
    finally:
        reader.end()
    assert reader.failures == []
    assert set(reader.keys) == {call.issued for call in sts.calls}
    assert len(sts.calls) == 2


@pytest.mark.parametrize("file", [".aws/creds-work", "keys", "secrets/aws.ini"])
def test_sessions_of_commands_without_a_daemon_are_found_again(
    file: str, old_package: Path, new_package: Path, tmp_path_factory: pytest.TempPathFactory, sts: FakeSts
) -> None:
    """Stored by `env` and `exec` alone, without a daemon's record of their owner."""
    home = Installed(tmp_path_factory.mktemp("h"), file=file)
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("job", ROLE), defaults=f'credentials_file = "~/{file}"\n{DEFAULTS}')
    printed = []
    for version in (old_package, new_package):
        home.replace_program(version)
        done = home.assumed("env", "job", AWS_ENDPOINT_URL_STS=sts.url)
        assert done.returncode == 0, done.stderr
        printed.append([line for line in done.stdout.splitlines() if "ACCESS_KEY_ID" in line])
    assert printed[0] == printed[1]
    assert len(sts.calls) == 1
    assert (home.state / "sessions" / "job.json").exists()

"""The state directory: sessions are not committed by mistake, and foreign files are never touched."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from world.control import state_of
from world.daemon import DEFAULTS, Home, role
from world.fake_sts import FakeSts

ROLE = "arn:aws:iam::123456789012:role/Job"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_namespaces = pytest.mark.skipif(
    os.getuid() != 0
    or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="only root, with a mount namespace, can pretend that systemd runs",
)


def once(home: Home, sts: FakeSts) -> subprocess.CompletedProcess[str]:
    return home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)


def findings(home: Home, sts: FakeSts, subject: Path) -> list[dict[str, str]]:
    """The findings of `check` about a path."""
    done = home.assumed("check", "--json", AWS_ENDPOINT_URL_STS=sts.url)
    return [one for one in json.loads(done.stdout)["findings"] if one["subject"] == str(subject)]


def link_file(home: Home, repository: Path, name: str) -> None:
    repository.mkdir()
    home.credentials.rename(repository / name)
    home.credentials.symlink_to(repository / name)


def link_directory(home: Home, repository: Path, _: str) -> None:
    home.credentials.parent.rename(repository)
    home.credentials.parent.symlink_to(repository)


def nothing(_: Home, __: Path, ___: str) -> None:
    """HOME itself is the work tree."""


WORK_TREES: dict[str, tuple[Callable[[Home, Path, str], None], str, str]] = {
    "a linked file": (link_file, "dotfiles", "credentials"),
    "a linked file of another name": (link_file, "dotfiles", "aws-keys"),
    "a linked directory": (link_directory, "dotfiles", "credentials"),
    "HOME": (nothing, ".", "credentials"),
}


@needs_git
@pytest.mark.parametrize("kind", WORK_TREES)
def test_git_add_ignores_the_state_directory(kind: str, aws_home: Home, sts: FakeSts) -> None:
    """`git add -A` adds the credentials file, as its user wants, but not the state; `check` prints its path."""
    prepare, directory, name = WORK_TREES[kind]
    repository = aws_home.path / directory
    prepare(aws_home, repository, name)
    aws_home.configure(role("job", ROLE, deliver="process"))
    git = ["git", "-C", str(repository), "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
    assert once(aws_home, sts).returncode == 0
    subprocess.run([*git, "add", "-A"], check=True, capture_output=True)
    taken = subprocess.run([*git, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
    texts = [(repository / path).read_text() for path in taken if (repository / path).is_file()]
    assert any("aws_access_key_id" in text for text in texts), "the credentials file is there"
    issued = [sts.key(str(call.issued)) for call in sts.calls]
    secrets = [secret for key in issued for secret in (key.secret_access_key, key.session_token)]
    assert len(secrets) == 2
    assert [path for path, text in zip(taken, texts, strict=False) if any(str(one) in text for one in secrets)] == []
    assert "warning" in [one["severity"] for one in findings(aws_home, sts, aws_home.state)]


@pytest.mark.parametrize(
    "folder", ["Dropbox", "OneDrive - Acme", "Library/Mobile Documents", "Nextcloud", "shared with .stfolder"]
)
def test_a_synchronized_folder_is_a_warning(folder: str, aws_home: Home, sts: FakeSts) -> None:
    """Sessions would be copied to other machines."""
    path = aws_home.path / folder.removesuffix(" with .stfolder")
    path.mkdir(parents=True)
    if ".stfolder" in folder:
        (path / ".stfolder").mkdir()
    link_file(aws_home, path / "aws", "credentials")
    aws_home.configure(role("job", ROLE))
    assert "warning" in [one["severity"] for one in findings(aws_home, sts, aws_home.state)]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["work", "Dropbox-notes.d/../plain", "src"])
def test_any_other_folder_has_no_warning(folder: str, aws_home: Home, sts: FakeSts) -> None:
    path = aws_home.path / folder
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    (aws_home.path / "Dropbox-notes.d").mkdir(exist_ok=True)
    link_file(aws_home, path, "credentials")
    aws_home.configure(role("job", ROLE))
    assert "warning" not in [one["severity"] for one in findings(aws_home, sts, aws_home.state)]
    assert once(aws_home, sts).returncode == 0


def checkout(path: Path) -> None:
    (path / ".git").mkdir(parents=True)
    (path / "README.md").write_text("assumed")


def virtual_environment(path: Path) -> None:
    (path / "bin").mkdir(parents=True)
    (path / "pyvenv.cfg").write_text("home = /usr/bin")
    path.chmod(0o700)


def with_names_like_ours(path: Path) -> None:
    (path / "sessions").mkdir(parents=True)
    (path / "sessions" / "monday.json").write_text("{}")
    (path / "lock").write_text("")
    (path / "notes.txt").write_text("mine")
    path.chmod(0o700)


def open_to_others(path: Path) -> None:
    (path / "sessions").mkdir(parents=True)
    path.chmod(0o777)


def a_file(path: Path) -> None:
    path.write_text("a program, perhaps")


def a_link(path: Path) -> None:
    checkout(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


TAKEN = [checkout, virtual_environment, with_names_like_ours, open_to_others, a_file, a_link]


def look(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a directory except credentials files."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if not path.name.startswith("credentials"):
            mode = stat.S_IMODE(path.lstat().st_mode)
            found[str(path.relative_to(directory))] = (mode, path.read_bytes() if path.is_file() else b"")
    return found


@pytest.fixture(params=TAKEN, ids=lambda take: take.__name__)
def taken(request: pytest.FixtureRequest, aws_home: Home) -> Path:
    """`~/src/credentials` is configured, and `~/src/assumed` is something else."""
    source = aws_home.path / "src"
    source.mkdir()
    shutil.copy(aws_home.credentials, source / "credentials")
    request.param(source / "assumed")
    aws_home.configure(role("job", ROLE), defaults=f'credentials_file = "~/src/credentials"\n{DEFAULTS}')
    return source / "assumed"


def test_a_foreign_directory_is_refused_and_named(taken: Path, aws_home: Home, sts: FakeSts) -> None:
    """No mode changes and no file is added; each command ends, and `check` says why."""
    before = look(taken.parent)
    for command in (["once"], ["env", "job"], ["run"]):
        done = aws_home.assumed(*command, AWS_ENDPOINT_URL_STS=sts.url)
        assert (done.returncode, look(taken.parent)) == (1, before), command
        assert str(taken) in done.stderr
        assert "Traceback" not in done.stderr
    assert "error" in [one["severity"] for one in findings(aws_home, sts, taken)]


SYSTEMCTL = '#!/bin/sh\necho UnitPath="$HOME/.config/systemd/user"\n'


def purge(home: Home) -> subprocess.CompletedProcess[str]:
    """`assumed service uninstall --purge` without a service manager."""
    tools = home.path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    environment = home.environment(PATH=f"{tools}:{os.environ['PATH']}")
    script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", home.assumed("--version").args[0], "-m", "assumed"]
    return subprocess.run(
        [*command, "service", "uninstall", "--purge"],
        env=environment,
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_namespaces
def test_a_purge_removes_no_foreign_files(taken: Path, aws_home: Home) -> None:
    """Even if they are where the state would be."""
    before = look(taken.parent)
    done = purge(aws_home)
    assert look(taken.parent) == before, done.stderr
    assert str(taken) in done.stderr


@needs_namespaces
@pytest.mark.parametrize("theirs", ["notes.txt", "sessions/backup/monday", ".git/HEAD", "sessions/README"])
def test_a_purge_keeps_files_that_a_user_added(theirs: str, aws_home: Home, sts: FakeSts) -> None:
    """A user's file in the state directory stays; all of ours are removed."""
    aws_home.configure(role("job", ROLE))
    assert once(aws_home, sts).returncode == 0
    path = aws_home.state / theirs
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    done = purge(aws_home)
    assert path.exists(), done.stdout + done.stderr
    assert path.read_text() == "mine"
    assert [one for one in aws_home.state.rglob("*") if one.is_file()] == [path]
    assert aws_home.profile("job") is None


@pytest.mark.slow
@needs_namespaces
@pytest.mark.parametrize("name", ["credentials", "creds-work", "aws.ini"])
def test_a_purge_removes_the_whole_state(name: str, aws_home: Home, sts: FakeSts) -> None:
    """Whatever the credentials file is called."""
    file = aws_home.credentials.with_name(name)
    aws_home.credentials.rename(file)
    aws_home.configure(role("job", ROLE), defaults=f'credentials_file = "{file}"\n{DEFAULTS}')
    assert once(aws_home, sts).returncode == 0
    before = {path.name for path in file.parent.iterdir()}
    assert len(before) == 2, "the file and its state"
    done = purge(aws_home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in file.parent.iterdir()] == [name]
    assert not state_of(file).exists()


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["all", "sessions alone", "nothing"])
def test_a_directory_of_an_earlier_version_is_adopted(keep: str, aws_home: Home, sts: FakeSts) -> None:
    """Without our mark, closed to others and with only our names in it: its sessions are used."""
    aws_home.configure(role("job", ROLE))
    assert once(aws_home, sts).returncode == 0
    for path in aws_home.state.iterdir():
        if path.name.startswith(".") or (keep != "all" and path.name != "sessions"):
            path.unlink()
    if keep == "nothing":
        shutil.rmtree(aws_home.state / "sessions")
    assert once(aws_home, sts).returncode == 0
    assert len(sts.calls) == (2 if keep == "nothing" else 1)

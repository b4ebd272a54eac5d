"""A configuration that others can write is refused, and real set-ups work: real accounts, real mounts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from outside.trusting import (
    BUILDERS,
    DEVELOPERS,
    ONLY_OURS,
    STRANGER,
    STRANGERS_PRIMARY,
    US,
    WITHOUT_ROOT,
    as_alice,
    give,
    give_home,
    let_write,
    machine_root,
    needs_accounts,
    readable_interpreter,
)
from world.daemon import Daemon, Home, python, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = needs_accounts

ARN = "arn:aws:iam::123456789012:role/Mine"
CONFIG = f"""\
[defaults]
source_profile = "default"
region = "us-west-2"
{role("mine", ARN)}
"""


@dataclass(frozen=True)
class Machine:
    """Alice's home, a directory for installations beside it, and an STS."""

    home: Home
    base: Path
    sts: FakeSts

    def assumed(
        self, *arguments: str, mounts: str = "true", enter: str = "", under: Sequence[str] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as alice."""
        return subprocess.run(
            [*as_alice(self.home.path, mounts, enter), *under, python(), "-m", "assumed", *arguments],
            env=self.environment(**more),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def environment(self, **more: str) -> dict[str, str]:
        unset = ("INVOCATION_ID", "SUDO_UID")
        environ = self.home.environment(AWS_ENDPOINT_URL_STS=self.sts.url, **more)
        return {name: value for name, value in environ.items() if name not in unset or name in more}

    def daemon(self, mounts: str = "true") -> Daemon:
        """Alice's daemon."""
        return Daemon(self.home, under=as_alice(self.home.path, mounts), **self.environment())

    def asked_for(self) -> bool:
        """Whether STS was called."""
        return bool(self.sts.calls)

    def make(self, *names: str, owner: int = US, mode: int = 0o755) -> Path:
        """A directory below the base."""
        place = self.base
        for name in names:
            place = place / name
            if not place.exists():
                place.mkdir()
                give(owner, place)
                place.chmod(mode)
        return place

    def write(self, place: Path, owner: int = US, mode: int = 0o644) -> Path:
        """A configuration."""
        place.write_text(CONFIG)
        give(owner, place)
        place.chmod(mode)
        return place

    def link(self, place: Path, target: str | Path, owner: int = US) -> Path:
        place.symlink_to(target)
        give(owner, place)
        return place


@pytest.fixture
def machine(sts: FakeSts) -> Iterator[Machine]:
    """In /tmp: pytest's own directories are closed to other accounts."""
    with tempfile.TemporaryDirectory(prefix="assumed-t-") as directory:
        Path(directory).chmod(0o755)
        home, base = Home(Path(directory, "h")), Path(directory, "m")
        base.mkdir()
        give(US, Path(directory))
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.config.parent.mkdir(parents=True)
        give_home(home)
        yield Machine(home, base, sts)


# -- what must not start ------------------------------------------------------------------------------------------


def file_for_everyone(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml", mode=0o646)
    return config, config


def roots_file_for_everyone(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc", owner=0) / "config.toml", owner=0, mode=0o666)
    return config, config


def directory_for_everyone(m: Machine) -> tuple[Path, Path]:
    directory = m.make("etc", mode=0o777)
    return m.write(directory / "config.toml"), directory


def directory_for_everyone_far_above(m: Machine) -> tuple[Path, Path]:
    above = m.make("srv", mode=0o757)
    return m.write(m.make("srv", "etc", "assumed") / "config.toml"), above


def strangers_file(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml", owner=STRANGER)
    return config, config


def strangers_file_in_a_sticky_directory(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("tmp", mode=0o1777) / "config.toml", owner=STRANGER)
    return config, config


def strangers_directory(m: Machine) -> tuple[Path, Path]:
    directory = m.make("etc")
    config = m.write(directory / "config.toml")
    give(STRANGER, directory)
    return config, directory


def strangers_directory_far_above(m: Machine) -> tuple[Path, Path]:
    above = m.make("mallory")
    config = m.write(m.make("mallory", "etc") / "config.toml")
    give(STRANGER, above)
    return config, above


def strangers_link_in_a_sticky_directory(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml")
    link = m.link(m.make("tmp", mode=0o1777) / "config.toml", config, owner=STRANGER)
    return link, link


def link_into_a_directory_for_everyone(m: Machine) -> tuple[Path, Path]:
    directory = m.make("pool", mode=0o777)
    config = m.write(directory / "config.toml")
    return m.link(m.make("etc") / "config.toml", config), directory


def link_by_way_of_a_directory_for_everyone(m: Machine) -> tuple[Path, Path]:
    """The link leads to a link in a world-writable directory, and that one to a good file."""
    directory = m.make("pool", mode=0o777)
    m.write(m.make("good") / "config.toml")
    m.link(directory / "hop", "../good/config.toml")
    return m.link(m.make("etc") / "config.toml", "../pool/hop"), directory


def directory_that_is_a_link_to_a_strangers(m: Machine) -> tuple[Path, Path]:
    directory = m.make("pool")
    m.write(directory / "config.toml")
    give(STRANGER, directory)
    return m.link(m.base / "etc", directory) / "config.toml", directory


def file_of_a_group_with_others(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml", mode=0o664)
    give(US, config, group=DEVELOPERS)
    return config, config


def directory_of_a_group_with_others(m: Machine) -> tuple[Path, Path]:
    directory = m.make("etc", mode=0o2775)
    config = m.write(directory / "config.toml")
    give(US, directory, group=DEVELOPERS)
    directory.chmod(0o2775)
    return config, directory


def directory_of_a_strangers_primary_group(m: Machine) -> tuple[Path, Path]:
    """/etc/group does not list her as a member."""
    directory = m.make("etc", mode=0o775)
    config = m.write(directory / "config.toml")
    give(US, directory, group=STRANGERS_PRIMARY)
    return config, directory


def file_that_an_acl_opens_to_a_stranger(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml")
    let_write(config, users=(STRANGER,))
    return config, config


def file_that_an_acl_opens_to_a_group_with_others(m: Machine) -> tuple[Path, Path]:
    config = m.write(m.make("etc") / "config.toml")
    let_write(config, groups=(ONLY_OURS, DEVELOPERS))
    return config, config


Made = Callable[[Machine], tuple[Path, Path]]
"""Returns the configuration and the untrusted path."""

MUST_NOT: list[Made] = [
    file_for_everyone,
    roots_file_for_everyone,
    directory_for_everyone,
    directory_for_everyone_far_above,
    strangers_file,
    strangers_file_in_a_sticky_directory,
    strangers_directory,
    strangers_directory_far_above,
    strangers_link_in_a_sticky_directory,
    link_into_a_directory_for_everyone,
    link_by_way_of_a_directory_for_everyone,
    directory_that_is_a_link_to_a_strangers,
    file_of_a_group_with_others,
    directory_of_a_group_with_others,
    directory_of_a_strangers_primary_group,
    file_that_an_acl_opens_to_a_stranger,
    file_that_an_acl_opens_to_a_group_with_others,
]


@pytest.mark.parametrize("make", MUST_NOT, ids=lambda make: make.__name__)
def test_a_configuration_that_others_can_write_is_refused(machine: Machine, make: Made) -> None:
    """STS is not called, and the message names the place to fix."""
    config, place = make(machine)
    done = machine.assumed("once", "--config", str(config))
    assert (done.returncode, machine.asked_for()) == (2, False)
    assert str(place) in done.stderr


COMMANDS = {
    "run": ["run"],
    "once": ["once"],
    "check": ["check"],
    "exec": ["exec", "mine", "--", "true"],
    "env": ["env", "mine"],
    "serve": ["serve", "mine", "--port", "39911", "--token-file", "/tmp/token-that-is-never-written"],
}


@pytest.mark.parametrize(
    "make",
    [
        directory_for_everyone,
        pytest.param(strangers_file, marks=pytest.mark.slow),
        pytest.param(file_of_a_group_with_others, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_uses_a_configuration_that_others_can_write(machine: Machine, command: str, make: Made) -> None:
    """One rule, where the configuration is read."""
    config, _ = make(machine)
    words = [*as_alice(machine.home.path), python(), "-m", "assumed", "--config", str(config), *COMMANDS[command]]
    environ = machine.environment()
    with subprocess.Popen(words, env=environ, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: process.poll() is not None or machine.asked_for(), within=60)
            assert not machine.asked_for()
            assert process.wait(60) == 2
        finally:
            process.kill()


# -- what must start ----------------------------------------------------------------------------------------------


def umask_002(m: Machine) -> tuple[Path, str]:
    """The default of Debian and Ubuntu: her own group, and everything she creates is group-writable."""
    config = m.write(m.make("etc", mode=0o775) / "config.toml", mode=0o664)
    return config, "true"


def a_group_that_has_her_and_root(m: Machine) -> tuple[Path, str]:
    directory = m.make("etc", mode=0o2775)
    config = m.write(directory / "config.toml", mode=0o664)
    give(US, directory, config, group=ONLY_OURS)
    return config, "true"


def a_group_without_a_name(m: Machine) -> tuple[Path, str]:
    """A pod's fsGroup."""
    directory = m.make("etc", owner=0, mode=0o2775)
    config = m.write(directory / "config.toml", owner=0)
    give(0, directory, group=4711)
    return config, "true"


def an_acl_for_herself(m: Machine) -> tuple[Path, str]:
    config = m.write(m.make("etc") / "config.toml")
    let_write(config, users=(US, 0), groups=(ONLY_OURS,))
    return config, "true"


def config_map(m: Machine) -> tuple[Path, str]:
    """Kubernetes: root's 0777 directories, links to ..data and from there, mounted read-only."""
    m.make("volume", "..2026_11_28", owner=0, mode=0o777)
    m.write(m.base / "volume/..2026_11_28/config.toml", owner=0)
    m.link(m.base / "volume/..data", "..2026_11_28", owner=0)
    m.link(m.base / "volume/config.toml", "..data/config.toml", owner=0)
    place = m.make("etc", owner=0)
    return place / "config.toml", f"mount --bind -o ro {m.base}/volume {place}"


def config_map_in_memory(m: Machine) -> tuple[Path, str]:
    """A tmpfs, group-writable for a group with other members, and world-writable."""
    place, good = m.make("etc", owner=0), m.write(m.base / "good.toml", owner=0, mode=0o666)
    mount = f"mount -t tmpfs -o mode=0777,gid={DEVELOPERS} t {place}"
    return place / "config.toml", f"{mount} && cp -p {good} {place}/config.toml && mount -o remount,ro {place}"


def nix_store(m: Machine) -> tuple[Path, str]:
    """1775, root's, group with other members; its content is root's and read-only."""
    store = m.make("store", owner=0)
    package = m.make("store", "abc-assumed", owner=0, mode=0o555)
    config = m.write(package / "config.toml", owner=0, mode=0o444)
    give(0, store, group=BUILDERS)
    store.chmod(0o1775)
    return config, "true"


def home_manager(m: Machine) -> tuple[Path, str]:
    """~/.config/assumed/config.toml → a generation in the store → the file in the store."""
    config, _ = nix_store(m)
    generation = m.make("store", "def-generation", owner=0, mode=0o755)
    m.link(generation / "config.toml", config, owner=0)
    return m.link(m.home.config, generation / "config.toml"), "true"


def roots_directory(m: Machine) -> tuple[Path, str]:
    """/etc/assumed."""
    return m.write(m.make("etc", "assumed", owner=0) / "config.toml", owner=0), "true"


def directory_of_hers_in_tmp(m: Machine) -> tuple[Path, str]:
    m.make("tmp", owner=0, mode=0o1777)
    directory = m.base / "tmp" / "hers"
    directory.mkdir(mode=0o755)
    give(US, directory)
    return m.write(directory / "config.toml"), "true"


def roots_file_of_an_administrators_group(m: Machine) -> tuple[Path, str]:
    """Group-writable, and root chose the group: only a warning of `check`."""
    config = m.write(m.make("etc", owner=0) / "config.toml", owner=0, mode=0o664)
    give(0, config, group=DEVELOPERS)
    return config, "true"


def in_a_dotfiles_repository(m: Machine) -> tuple[Path, str]:
    """Relative links with dots."""
    m.write(m.make("dotfiles", "assumed") / "config.toml")
    m.link(m.make("config") / "assumed", "../config/.././dotfiles/assumed")
    return m.base / "config" / "assumed" / "config.toml", "true"


Install = Callable[[Machine], tuple[Path, str]]
"""Returns the configuration and the mounts that root makes first."""

MUST: list[Install] = [
    umask_002,
    a_group_that_has_her_and_root,
    a_group_without_a_name,
    an_acl_for_herself,
    config_map,
    config_map_in_memory,
    nix_store,
    home_manager,
    roots_directory,
    directory_of_hers_in_tmp,
    roots_file_of_an_administrators_group,
    in_a_dotfiles_repository,
]


@pytest.mark.parametrize("install", MUST, ids=lambda install: install.__name__)
def test_existing_kinds_of_installations_start(machine: Machine, install: Install) -> None:
    config, mounts = install(machine)
    done = machine.assumed("once", "--config", str(config), mounts=mounts)
    assert (done.returncode, done.stderr.count("refused")) == (0, 0)
    assert machine.home.profile("mine")


@pytest.mark.parametrize("install", [umask_002, config_map_in_memory, an_acl_for_herself, nix_store, roots_directory])
def test_check_accepts_installations_that_start(machine: Machine, install: Install) -> None:
    config, mounts = install(machine)
    done = machine.assumed("check", "--config", str(config), mounts=mounts)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_warns_about_roots_group_writable_file(machine: Machine) -> None:
    config, _ = roots_file_of_an_administrators_group(machine)
    done = machine.assumed("check", "--json", "--config", str(config))
    severities = {finding["subject"]: finding["severity"] for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, severities[str(config)]) == (0, "warning")


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "ASSUMED_CONFIG"])
def test_a_path_from_the_environment_follows_the_same_rule(machine: Machine, variable: str) -> None:
    """Root's directory is accepted; a world-writable one is not."""
    good = machine.write(machine.make("good", "assumed", owner=0) / "config.toml", owner=0)
    bad = machine.write(machine.make("bad", "assumed", mode=0o777) / "config.toml")
    value = {config: str(config if variable == "ASSUMED_CONFIG" else config.parents[1]) for config in (good, bad)}
    assert machine.assumed("once", **{variable: value[good]}).returncode == 0
    before = len(machine.sts.calls)
    assert machine.assumed("once", **{variable: value[bad]}).returncode == 2
    assert len(machine.sts.calls) == before


def test_a_read_only_mount_of_a_services_own_sandbox_is_not_trusted(machine: Machine) -> None:
    """ProtectSystem=strict makes it read-only only for the service; systemd sets INVOCATION_ID."""
    config, mounts = config_map(machine)
    done = machine.assumed("once", "--config", str(config), mounts=mounts, INVOCATION_ID="0" * 32)
    assert (done.returncode, machine.asked_for()) == (2, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "status"),
    [
        (roots_directory, 0),
        (nix_store, 0),
        (directory_for_everyone, 2),
        (strangers_file_in_a_sticky_directory, 2),
    ],
)
def test_roots_files_are_trusted_if_a_user_namespace_hides_root(
    machine: Machine, make: Callable[[Machine], tuple[Path, object]], status: int
) -> None:
    """Everything of root's, including `/`, belongs to the overflow uid there."""
    config, _ = make(machine)
    done = machine.assumed(
        "once", "--config", str(config), mounts=readable_interpreter(machine.base), under=WITHOUT_ROOT
    )
    assert (done.returncode, machine.asked_for()) == (status, status == 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "status"), [(0o755, 0), (0o1775, 0), (0o1777, 0), (0o775, 2), (0o777, 2)])
def test_the_root_directory_follows_the_same_rule(machine: Machine, mode: int, status: int) -> None:
    """Sticky with a shared group (as on older macOS) is accepted; world-writable is not."""
    config = machine.write(machine.make("etc") / "config.toml")
    mounts, enter = machine_root(machine.base, mode)
    done = machine.assumed("once", "--config", str(config), mounts=mounts, enter=enter)
    assert (done.returncode, machine.asked_for()) == (status, status == 0), done.stderr


# -- while the daemon runs ----------------------------------------------------------------------------------------


def rename_anothers_over_it(config: Path) -> None:
    config.parent.chmod(0o777)
    new = config.with_name("new.toml")
    new.write_text(f'{CONFIG}\n[hooks]\nafter_renewal = ["touch", "{config.parent}/ran"]\n{role("theirs", ARN)}')
    os.chown(new, STRANGER, STRANGER)
    new.rename(config)


def open_the_file(config: Path) -> None:
    config.chmod(0o666)
    config.write_text(f"{CONFIG}\n{role('theirs', ARN)}")


def open_the_directory(config: Path) -> None:
    config.write_text(f"{CONFIG}\n{role('theirs', ARN)}")
    config.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [rename_anothers_over_it, open_the_file, open_the_directory])
def test_a_running_daemon_keeps_the_last_good_configuration(machine: Machine, spoil: Callable[[Path], None]) -> None:
    """Status says why; the bad one is neither used nor stored, even after a restart."""
    config = machine.write(machine.home.config)
    last_good = machine.home.state / "config.last-good.toml"
    with machine.daemon() as daemon:
        daemon.wait_until_fresh("mine")
        spoil(config)
        daemon.signal(signal.SIGHUP)
        status = daemon.wait_until(lambda status: status["daemon"]["config_error"] or len(status["roles"]) > 1, 60)
        assert [entry["profile"] for entry in status["roles"]] == ["mine"]
        assert str(config.parent) in status["daemon"]["config_error"]
        assert last_good.read_text() == CONFIG
    with machine.daemon() as daemon:
        status = daemon.wait_until(lambda status: status["roles"][0]["state"] == "fresh", 60)
        assert [entry["profile"] for entry in status["roles"]] == ["mine"]
        assert last_good.read_text() == CONFIG
        shown = machine.assumed("status", "--config", str(config))
        assert (shown.returncode, "mine" in shown.stdout) == (0, True)
    assert not (config.parent / "ran").exists()


def test_a_fixed_directory_is_used_again(machine: Machine) -> None:
    """Control: the same edit in a directory that is closed again."""
    config = machine.write(machine.home.config)
    with machine.daemon() as daemon:
        daemon.wait_until_fresh("mine")
        open_the_directory(config)
        config.parent.chmod(0o755)
        daemon.signal(signal.SIGHUP)
        daemon.wait_until_fresh("mine", "theirs", within=60)


def test_root_refuses_a_configuration_that_another_account_can_write(machine: Machine) -> None:
    """`sudo -E assumed`: her hooks would run as root; the message says what to do."""
    config = machine.write(machine.home.config)
    environ = machine.environment(SUDO_UID=str(US))
    words = [python(), "-m", "assumed", "once", "--config", str(config)]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, machine.asked_for()) == (2, False)
    assert "sudo" in done.stderr

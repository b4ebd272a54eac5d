"""The wheel, built for real: what is in it, that it is the same each time, and that it works where it is installed."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipped.wheels import NOBODY, ROOT, build, installed, names
from world.daemon import Home, role
from world.fake_sts import FakeSts

pytestmark = pytest.mark.slow

EPOCH = {"SOURCE_DATE_EPOCH": "1790000000"}
SHARED = {
    "share/bash-completion/completions/assumed",
    "share/fish/vendor_completions.d/assumed.fish",
    "share/man/man1/assumed.1",
    "share/man/man5/assumed-config.5",
    "share/zsh/site-functions/_assumed",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"), **EPOCH)


@pytest.fixture(scope="module")
def place(wheel: Path) -> Iterator[Path]:
    with installed(wheel) as place:
        yield place


def in_git(*paths: str) -> set[str]:
    """The files below these paths that are the project's."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if known.returncode != 0 or not known.stdout:
        pytest.skip("no git checkout here")
    return set(known.stdout.splitlines())


def test_it_carries_the_package_its_units_and_what_belongs_to_a_prefix_and_nothing_else(wheel: Path) -> None:
    """No tests, no leftovers of a desk; the units and the example lie in the package, for `assumed service`."""
    package = {name.removeprefix("daemon/") for name in in_git("daemon/assumed")}
    shipped = {f"assumed/shipped/{name}" for name in in_git("systemd", "launchd", "config.example.toml")}
    assert {"assumed/py.typed", "assumed/config/schema.json"} < package
    assert {name for name in names(wheel) if name.startswith("assumed/")} == package | shipped
    others = {name.split("/", 1)[1] for name in names(wheel) if not name.startswith("assumed/")}
    assert {name.removeprefix("data/") for name in others if name.startswith("data/")} == SHARED
    assert {name for name in others if not name.startswith("data/")} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_two_builds_are_the_same_to_the_byte(wheel: Path, tmp_path: Path) -> None:
    """Whoever builds a release again can compare it."""
    assert build("wheel", ROOT, tmp_path, **EPOCH).read_bytes() == wheel.read_bytes()


def test_a_wheel_of_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    """What distributions build from has everything."""
    sdist = build("sdist", ROOT, tmp_path / "sdist", **EPOCH)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert {"LICENSE", "README.md", "Makefile", "tests", "systemd", "launchd", "container"} < {
        path.name for path in source.iterdir()
    }
    assert build("wheel", source, tmp_path / "again", **EPOCH).read_bytes() == wheel.read_bytes()


def test_it_installs_what_pipx_links(place: Path) -> None:
    """Completions and manual pages, at the places of a prefix; the licence beside the metadata."""
    assert {str(path.relative_to(place)) for path in (place / "share").rglob("*") if path.is_file()} == SHARED


def run(place: Path, home: Home, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The installed command, as a user who may write to nothing but that home, in a directory that is not ours."""
    return subprocess.run(
        [str(place / "bin" / "assumed"), *arguments],
        env=home.environment(PYTHONWARNINGS="error", **more),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        user=NOBODY if os.geteuid() == 0 else None,
        group=NOBODY if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )


@pytest.fixture
def home_of_another(place: Path) -> Home:
    """An empty home of a user who has nothing to do with the installation."""
    home = Home(place.parent / os.urandom(4).hex())
    home.path.mkdir(mode=0o700)
    return home


def own(home: Home) -> None:
    """Give the home to its user."""
    if os.geteuid() == 0:
        for path in (home.path, *home.path.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


def test_it_runs_in_an_empty_home(place: Path, home_of_another: Home) -> None:
    """Help, the versions and completion need nothing; what needs a configuration says how the smallest one looks."""
    own(home_of_another)
    for arguments, status in ((["--help"], 0), (["--version"], 0), (["completion", "fish"], 0), (["check"], 2)):
        result = run(place, home_of_another, *arguments)
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
    assert "[[roles]]" in result.stderr
    assert str(place) not in result.stderr
    assert list(home_of_another.path.iterdir()) == []


def test_it_keeps_a_role_without_write_access_to_itself(place: Path, home_of_another: Home) -> None:
    """The whole way: check, once against an STS, status from the disk; then what the SDKs run."""
    home = home_of_another
    with FakeSts() as sts:
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("a", "arn:aws:iam::123456789012:role/a"))
        own(home)
        home.credentials.chmod(0o600)
        assert run(place, home, "check").returncode == 0
        once = run(place, home, "once", AWS_ENDPOINT_URL_STS=sts.url)
        assert once.returncode == 0, once.stderr
        assert (home.profile("a") or {})["aws_access_key_id"].startswith("ASIA")
        handed = run(place, home, "credential-process", "a")
        assert (handed.returncode, handed.stderr) == (0, "")
        assert run(place, home, "status", "--json").returncode == 3
        unit = run(place, home, "service", "print")
        assert f"{place}/bin/" in unit.stdout, unit.stderr

"""A server or proxy that never finishes its answer delays only its own roles, and not forever."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from world.daemon import Daemon, Home, role
from world.dripping import DRIPPING, ENDLESS, Dripping, Mode
from world.fake_sts import FakeSts
from world.inputs import params
from world.waiting import eventually

ACCOUNT = "arn:aws:iam::123456789012:role"


def configure(home: Home, sts: FakeSts, dripping: dict[str, str], sources: int) -> dict[str, str]:
    """Sources on the dripping endpoint beside a healthy one; returns the rest of the environment."""
    environment = dict(dripping)
    endpoint = environment.pop("AWS_ENDPOINT_URL_STS")
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key, "good")
    config = [f"[profile good]\nendpoint_url = {sts.url}\n"]
    roles = []
    for n in range(sources):
        home.add_source(f"AKIADRIPPING{n:08d}", "x" * 40, f"drips{n}")
        config.append(f"[profile drips{n}]\nendpoint_url = {endpoint}\n")
        roles.append(role(f"drips{n}-role", f"{ACCOUNT}/Drips{n}", source_profile=f"drips{n}"))
    home.aws_config.write_text("".join(config))
    home.configure(*roles, role("zz-healthy", f"{ACCOUNT}/Healthy", source_profile="good"))
    return environment


@pytest.mark.parametrize("mode", params({mode: mode for mode in DRIPPING}, ["headers", "continue", "connect"]))
def test_a_dripping_endpoint_delays_only_its_own_roles(aws_home: Home, sts: FakeSts, mode: Mode) -> None:
    """Twelve sources, more than there are workers. The healthy one is renewed meanwhile."""
    with Dripping(mode) as dripping:
        environment = configure(aws_home, sts, dripping.environment(), 12)
        with Daemon(aws_home, **environment) as daemon:
            eventually(lambda: dripping.connections >= 2, within=30)
            daemon.wait_until_fresh("zz-healthy", within=45)


def ends(home: Home, *command: str, within: float, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command must end."""
    try:
        return home.assumed(*command, within=within, **environment)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{command[0]} did not end within {within} s")


@pytest.mark.timeout(150)
def test_a_dripping_call_fails_and_its_connection_is_closed(tmp_path: Path, sts: FakeSts) -> None:
    """`once` ends in every mode. All run at the same time: each waits for a time limit."""

    def once(mode: Mode) -> tuple[int, bool, int]:
        home = Home(tmp_path / mode)
        with Dripping(mode) as dripping:
            environment = configure(home, sts, dripping.environment(), 3)
            done = ends(home, "once", within=100, environment=environment)
            eventually(lambda: not dripping.open, within=30)
            return done.returncode, home.profile("zz-healthy") is not None, dripping.open

    with ThreadPoolExecutor(len(DRIPPING)) as pool:
        outcomes = dict(zip(DRIPPING, pool.map(once, DRIPPING), strict=True))

    assert outcomes == dict.fromkeys(DRIPPING, (1, True, 0))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["body", "headers", "continue"])
@pytest.mark.timeout(150)
def test_without_a_daemon_a_dripping_call_ends_too(aws_home: Home, sts: FakeSts, mode: Mode) -> None:
    """The role's lock is released: the next process gets a session."""
    with Dripping(mode) as dripping:
        environment = configure(aws_home, sts, dripping.environment(), 1)
        assert ends(aws_home, "env", "drips0-role", within=90, environment=environment).returncode == 1

    aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key, "drips")
    aws_home.aws_config.write_text(f"[profile drips]\nendpoint_url = {sts.url}\n")
    aws_home.configure(role("drips0-role", f"{ACCOUNT}/Drips0", source_profile="drips"))
    assert aws_home.assumed("env", "drips0-role").returncode == 0


@pytest.mark.parametrize("mode", ENDLESS)
def test_an_endless_answer_is_not_read_to_the_end(aws_home: Home, sts: FakeSts, mode: Mode) -> None:
    """Only what fits into the buffers of the two sockets is sent."""
    with Dripping(mode) as dripping:
        environment = configure(aws_home, sts, dripping.environment(), 1)

        with contextlib.suppress(subprocess.TimeoutExpired):
            aws_home.assumed("once", within=30, **environment)

        assert dripping.sent < 16 << 20
        assert aws_home.profile("zz-healthy") is not None


@pytest.mark.parametrize("cost", [0.0, 4.0])
def test_a_slow_answer_is_accepted(aws_home: Home, sts: FakeSts, cost: float) -> None:
    """Within the time limit."""
    sts.rule("*", latency=cost)
    aws_home.configure(role("mine", f"{ACCOUNT}/Mine"))

    assert aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url).returncode == 0


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def huge(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(1 << 30)
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def linked(target: str) -> object:
    def link(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return link


NO_TOKENS = {
    "a FIFO": fifo,
    "/dev/zero": linked("/dev/zero"),
    "a terminal": linked("/dev/ptmx"),
    "a gigabyte": huge,
    "a directory": directory,
}


@pytest.mark.parametrize("of_source", [False, True], ids=["of the role", "of the source profile"])
@pytest.mark.parametrize("make", NO_TOKENS.values(), ids=NO_TOKENS)
def test_a_token_file_that_is_not_a_regular_file_is_an_error(
    aws_home: Home, sts: FakeSts, tmp_path: Path, make: object, of_source: bool
) -> None:
    """It is not waited for or read whole, and the error names it."""
    token = make(tmp_path / "token")  # type: ignore[operator]
    of_token = {"web_identity_token_file": str(token), "source_profile": None}
    if of_source:
        aws_home.aws_config.write_text(
            f"[profile web]\nrole_arn = {ACCOUNT}/Web\nweb_identity_token_file = {token}\nregion = us-west-2\n"
        )
        of_token = {"source_profile": "web"}
    given = {name: value for name, value in of_token.items() if value is not None}
    aws_home.configure(role("mine", f"{ACCOUNT}/Mine", region="us-west-2", **given), defaults="")

    done = ends(aws_home, "once", within=25, environment={"AWS_ENDPOINT_URL_STS": sts.url})

    assert done.returncode == 1
    assert str(token) in done.stderr
    assert sts.calls == []


@pytest.mark.parametrize("of_source", [False, True], ids=["of the role", "of the source profile"])
def test_a_token_behind_a_link_works(aws_home: Home, sts: FakeSts, tmp_path: Path, of_source: bool) -> None:
    """Kubernetes mounts it that way."""
    (tmp_path / "data").write_text("a-token\n")
    token = tmp_path / "token"
    token.symlink_to("data")
    given = {"web_identity_token_file": str(token)}
    if of_source:
        aws_home.aws_config.write_text(
            f"[profile web]\nrole_arn = {ACCOUNT}/Web\nweb_identity_token_file = {token}\nregion = us-west-2\n"
        )
        given = {"source_profile": "web"}
    aws_home.configure(role("mine", f"{ACCOUNT}/Mine", region="us-west-2", **given), defaults="")

    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["headers", "body", "continue", "connect"])
def test_240_sources_on_a_dripping_endpoint_do_not_delay_a_healthy_role(
    aws_home: Home, sts: FakeSts, mode: Mode
) -> None:
    """It is fresh long before the others have all been tried, and `once` ends."""
    with Dripping(mode) as dripping:
        environment = configure(aws_home, sts, dripping.environment(), 240)
        began = time.monotonic()
        with Daemon(aws_home, **environment) as daemon:
            daemon.wait_until_fresh("zz-healthy", within=200)
            print(f"{mode}: the healthy role is fresh after {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        assert aws_home.assumed("once", within=200, **environment).returncode == 1
        print(f"{mode}: once ended after {time.monotonic() - began:.0f} s")

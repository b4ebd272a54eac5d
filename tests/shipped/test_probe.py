"""`assumed probe`: what a supervisor of containers is told of `assumed serve` and of the daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from assumed.cli import probe as probing
from assumed.jobs import provider as keeper_supply
from assumed.jobs.provider import LIVENESS, READINESS, session_provider
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

Probe = Callable[[str], tuple[int, str]]


def arn(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as sts:
        yield sts


@pytest.fixture
def user(home: Path, sts: FakeSts) -> Home:
    """A home with two roles, `a` and `b`."""
    user = Home(home)
    user.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    user.configure(role("a", arn("a")), role("b", arn("b")))
    return user


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def serving(user: Home, sts: FakeSts, *profiles: str) -> Iterator[tuple[subprocess.Popen[bytes], Probe]]:
    """`assumed serve` in that home, and what a probe of it returns and says."""
    port, token = str(free_port()), str(user.path / "token")
    command = [sys.executable, "-m", "assumed", "serve", "--port", port, "--token-file", token, *profiles]
    environment = user.environment(AWS_ENDPOINT_URL_STS=sts.url)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process, lambda kind: probed(user, kind, "--token-file", token, "--port", port)
        finally:
            process.kill()


def is_open(process: subprocess.Popen[bytes]) -> bool:
    """Whether the port is taken that the command names: by then it listens to signals."""
    port = process.args[process.args.index("--port") + 1]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
        return True
    return False


def probed(user: Home, *arguments: str) -> tuple[int, str]:
    """Exit status and what is said."""
    result = user.assumed("probe", *arguments)
    assert result.stdout == ""
    return result.returncode, result.stderr


def test_serve_is_ready_with_its_first_session(user: Home, sts: FakeSts) -> None:
    """Not before, so that a startup probe holds the job back; and not after its end."""
    sts.rule("*", latency=0.5)
    with serving(user, sts, "a", "b") as (process, probe):
        assert probe("readiness")[0] == probe("liveness")[0] == 3
        eventually(lambda: probe("readiness") == (0, ""), 20)
        assert len(sts.calls) == 2
        assert probe("liveness") == (0, "")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        status, said = probe("liveness")
        assert (status, said[:38]) == (3, "assumed: no `assumed serve` answers on")


@pytest.mark.slow
def test_an_outage_that_outlives_a_session_is_no_reason_for_a_restart(user: Home, sts: FakeSts) -> None:
    """The job sees it, and so does readiness; liveness does not: no restart brings AWS back."""
    sts.rule("*", session_seconds=2)
    with serving(user, sts, "a") as (_, probe):
        eventually(lambda: probe("readiness") == (0, ""), 20)
        sts.outage(True)
        eventually(lambda: probe("readiness") == (1, "assumed: no session with life left: a\n"), 20)
        assert probe("liveness") == (0, "")
        sts.outage(False)
        eventually(lambda: probe("readiness") == (0, ""), 30)


@pytest.mark.slow
def test_a_serve_that_is_stopped_is_not_alive(user: Home, sts: FakeSts) -> None:
    """SIGSTOP: the port is there, and nobody answers."""
    with serving(user, sts, "a") as (process, probe):
        eventually(lambda: probe("liveness") == (0, ""), 20)
        process.send_signal(signal.SIGSTOP)
        assert probe("liveness")[0] == 3
        process.send_signal(signal.SIGCONT)
        eventually(lambda: probe("liveness") == (0, ""), 20)


@pytest.mark.slow
def test_another_token_is_no_way_in(user: Home, sts: FakeSts) -> None:
    """How we are is for the container's own user."""
    with serving(user, sts, "a") as (_, probe):
        eventually(lambda: probe("liveness") == (0, ""), 20)
        (user.path / "token").write_text("another")
        assert probe("liveness")[0] == 1
        assert "wrong token" in probe("readiness")[1]


@pytest.mark.slow
def test_a_look_that_never_ends_is_seen(user: Home, sts: FakeSts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint answers from the store for as long as the session lives; nobody renews it any more."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    monkeypatch.setattr(keeper_supply, "STUCK", 0.5)
    sts.rule("*", session_seconds=2)
    with session_provider(user.config, ["a"], lambda *_: None) as supply:
        supply.wait_for("a", 20)
        sts.rule("*", session_seconds=60, latency=3)
        supply.start()
        for path, status in ((LIVENESS, 200), (LIVENESS, 503), (READINESS, 503), (LIVENESS, 200), (READINESS, 200)):
            eventually(lambda path=path, status=status: (supply.answer(path) or (0,))[0] == status, 20)


@pytest.mark.slow
def test_a_serve_that_still_waits_for_its_first_session_ends_on_sigterm(user: Home, sts: FakeSts) -> None:
    """A pod that is deleted again at once; as process 1 of its container it has to listen to SIGTERM itself."""
    sts.rule("*", latency=60)
    with Daemon(user, AWS_ENDPOINT_URL_STS=sts.url), serving(user, sts, "a") as (process, probe):
        eventually(lambda: is_open(process), 20)
        assert probe("readiness")[0] == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130


def test_the_daemon_is_alive_while_a_role_of_its_is_refused(user: Home, sts: FakeSts) -> None:
    """Readiness names the role; it is the exit status of `assumed status`."""
    assert probed(user, "liveness")[0] == probed(user, "readiness")[0] == 3
    sts.rule(arn("b"), error="AccessDenied")
    with Daemon(user, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        assert probed(user, "liveness") == (0, "")
        assert probed(user, "readiness") == (1, "assumed: b has no session in the credentials file\n")
        sts.rule(arn("b"))
        assert user.assumed("refresh", "b").returncode == 0
        assert probed(user, "readiness", "--config", str(user.config)) == (0, "")


def test_a_probe_of_serve_imports_next_to_nothing(user: Home) -> None:
    """The kubelet asks every few seconds, and the container pays."""
    code = (
        "import sys; sys.argv = ['assumed', 'probe', 'liveness', '--token-file', 'none']\n"
        "from assumed.cli import main\n"
        "before = set(sys.modules)\n"
        "status = main()\n"
        "print(*sorted({name for name in set(sys.modules) - before if not name.startswith('_')}))\n"
        "sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert (result.returncode, result.stdout) == (3, "assumed.cli.probe\n")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["liveness"], None),
        (["liveness", "--token-file"], None),
        (["liveness", "--token-file=x"], None),
        (["liveness", "--token-file", "x", "--port", "http"], None),
        (["liveness", "--token-file", "x", "--port", "99999"], None),
        (["nonsense", "--token-file", "x"], None),
        (["--token-file", "/nowhere/token", "--port", "1", "readiness"], 3),
    ],
)
def test_what_the_quick_way_does_not_understand_is_left_to_click(arguments: list[str], status: int | None) -> None:
    assert probing.quick(arguments) == status


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 404 Not Found\r\n\r\n<html>", b"HTTP/1.1 503 x\r\n\r\n[]", b"220 mail", b""]
)
def test_another_program_on_the_port_is_not_alive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: bytes
) -> None:
    (tmp_path / "token").write_text("token")
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            channel, _ = server.accept()
            with channel:
                channel.recv(65536)
                channel.sendall(reply)

        answering = pool.submit(answer)
        assert probing.ask("liveness", str(tmp_path / "token"), server.getsockname()[1]) in {1, 3}
        answering.result(10)
    assert "assumed serve" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["liveness", "--token-file=x"], ["--port", "9", "--token-file=x", "readiness"]])
def test_the_long_way_comes_to_the_same_answer(user: Home, arguments: list[str]) -> None:
    assert probed(user, *arguments)[0] == 3


def test_the_words_and_paths_are_those_of_the_supply() -> None:
    assert probing.PATHS == {"liveness": LIVENESS, "readiness": READINESS}

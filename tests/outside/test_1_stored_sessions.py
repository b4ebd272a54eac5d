"""A stored session is returned only if the current configuration requests exactly that session."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import socketserver
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from world.control import socket_of
from world.daemon import DEFAULTS, Daemon, Home, python, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ADMIN = "arn:aws:iam::111111111111:role/Admin"
OTHERS: dict[str, dict[str, Any]] = {
    "other-account": {"role_arn": "arn:aws:iam::222222222222:role/ReadOnly"},
    "other-role": {"role_arn": "arn:aws:iam::111111111111:role/Auditor"},
    "other-partition": {"role_arn": "arn:aws-us-gov:iam::111111111111:role/Admin"},
    "policy": {"policy": '{"Version":"2012-10-17","Statement":[]}'},
    "policy-arns": {"policy_arns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]},
    "tags": {"tags": {"team": "data"}},
    "source-identity": {"source_identity": "alice"},
    "external-id": {"external_id": "MyApp-42"},
    "session-name": {"role_session_name": "audit"},
    "duration": {"duration_seconds": 900},
    "other-source": {"source_profile": "second"},
}
READERS = ["env", "exec", "credential-process", "written-line"]
SAME: dict[str, Callable[[str], str]] = {
    "a comment": lambda text: f"# a note\n{text}",
    "another layout": lambda text: text.replace(" = ", "  =  "),
    "another role beside it": lambda text: text + "\n" + role("more", ADMIN),
    "nothing": lambda text: text,
}


@pytest.fixture
def kept(aws_home: Home, sts: FakeSts) -> Home:
    """A home whose `prod`, delivered by process, was renewed once; no daemon runs."""
    key = sts.add_key("AKIAFAKESOURCE02", "fake-secret-of-second", "second")
    aws_home.add_source(key.access_key_id, key.secret_access_key, profile="second")
    keep(aws_home, {"prod": {}})
    renew(aws_home, sts)
    return aws_home


def keep(home: Home, roles: dict[str, dict[str, Any]]) -> None:
    """Save a configuration of these profiles, all for the role Admin except for the given keys."""
    home.configure(*(role(name, **{"role_arn": ADMIN, "deliver": "process", **keys}) for name, keys in roles.items()))


def renew(home: Home, sts: FakeSts) -> None:
    done = home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 0, done.stderr


def keys_printed(home: Home, sts: FakeSts, names: Iterable[str], readers: Sequence[str] = READERS) -> dict[str, str]:
    """What a reader of each of these profiles gets, all at the same time: one way each, the rest by the last way."""
    with ThreadPoolExecutor(6) as pool:
        turns = list(zip(names, itertools.chain(readers, itertools.repeat(readers[-1])), strict=False))
        given = pool.map(lambda turn: key_printed(home, sts, turn[1], turn[0]), turns)
        return dict(zip([name for name, _ in turns], given, strict=True))


def key_printed(home: Home, sts: FakeSts, reader: str, profile: str = "prod", *options: str) -> str:
    """The access key id that a reader of a profile gets; empty if refused."""
    script = "import os, urllib.request as u; r = u.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'], headers="
    script += "{'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']}); print(u.urlopen(r).read().decode())"
    arguments = {
        "env": ["env", *options, profile, "--shell", "json"],
        "exec": ["exec", *options, profile, "--", sys.executable, "-c", script],
        "credential-process": ["credential-process", *options, profile],
    }
    if reader == "written-line":
        command = shlex.split((home.profile(profile) or {})["credential_process"])
        environ = home.environment(AWS_ENDPOINT_URL_STS=sts.url)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    else:
        done = home.assumed(*arguments[reader], within=60, AWS_ENDPOINT_URL_STS=sts.url)
    if done.returncode:
        return ""
    printed = json.loads(done.stdout)
    return str(printed.get("AccessKeyId") or printed["AWS_ACCESS_KEY_ID"])


def test_after_an_edit_of_the_request_readers_get_a_new_session(kept: Home, sts: FakeSts) -> None:
    """Whatever was edited and however it is read; one call to STS each."""
    keep(kept, {name: {} for name in OTHERS})
    renew(kept, sts)
    before = len(sts.calls)
    keep(kept, OTHERS)
    given = keys_printed(kept, sts, OTHERS)
    assert sorted(given.values()) == sorted(str(call.issued) for call in sts.calls[before:])
    some = list(OTHERS)[::4]
    assert keys_printed(kept, sts, some, ["written-line"]) == {name: given[name] for name in some}


@pytest.mark.slow
def test_if_the_new_request_is_refused_readers_get_no_session(kept: Home, sts: FakeSts) -> None:
    """The old session belongs to the old request."""
    edits = {name: OTHERS[name] for name in list(OTHERS)[::2]}
    keep(kept, {name: {} for name in edits})
    renew(kept, sts)
    sts.rule("*", error="AccessDenied")
    keep(kept, edits)
    assert keys_printed(kept, sts, edits) == dict.fromkeys(edits, "")


def test_a_role_that_is_no_longer_configured_is_refused(kept: Home, sts: FakeSts) -> None:
    """It was disabled, removed or renamed, and no daemon has removed its session."""
    names = [f"{what}-{reader}" for what in ("disabled", "removed", "renamed") for reader in READERS[2:]]
    keep(kept, {name: {} for name in names})
    renew(kept, sts)
    before = len(sts.calls)
    keep(
        kept,
        {name.replace("renamed", "other"): {"enabled": False} for name in names if "removed" not in name}
        | {"stays": {}},
    )
    assert keys_printed(kept, sts, names) == dict.fromkeys(names, "")
    assert len(sts.calls) == before


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_an_unrelated_edit_makes_no_call(kept: Home, sts: FakeSts, change: Callable[[str], str]) -> None:
    """The session is compared with the configuration, not dropped at every save."""
    kept.config.write_text(change(kept.config.read_text()))
    given = {reader: key_printed(kept, sts, reader) for reader in READERS}
    assert set(given.values()) == {sts.calls[0].issued}
    assert len(sts.calls) == 1


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9", "http://localhost:4566"], ids=["none", "dead", "other"])
def test_a_consumer_with_another_endpoint_variable_gets_the_session(kept: Home, sts: FakeSts, endpoint: str) -> None:
    """The daemon's STS endpoint is only in its own environment; the consumer's may differ."""
    kept.config.write_text("# edited\n" + kept.config.read_text())
    command = shlex.split((kept.profile("prod") or {})["credential_process"])
    environ = kept.environment(**({"AWS_ENDPOINT_URL": endpoint} if endpoint else {}))
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["AccessKeyId"] == sts.calls[0].issued


@pytest.mark.parametrize("broken", ["[[roles", 'nonsense = "key"\n', ""], ids=["no TOML", "unknown key", "empty"])
def test_a_bad_edit_removes_nothing(kept: Home, sts: FakeSts, broken: str) -> None:
    """The last good configuration stays in effect, and it requests this session."""
    kept.config.write_text(broken)
    assert {key_printed(kept, sts, reader) for reader in READERS} == {sts.calls[0].issued}


def test_with_a_daemon_the_new_session_is_waited_for(kept: Home, sts: FakeSts, daemon: Daemon) -> None:
    keep(kept, {name: {} for name in READERS})
    daemon.start().wait_until_fresh(*READERS)
    keep(kept, dict.fromkeys(READERS, OTHERS["other-account"]))
    given = {reader: key_printed(kept, sts, reader, reader) for reader in READERS}
    issued = [call.issued for call in sts.calls_for(OTHERS["other-account"]["role_arn"])]
    assert set(given.values()) == set(issued)


@pytest.mark.slow
def test_with_a_daemon_a_bad_edit_removes_nothing(kept: Home, sts: FakeSts, daemon: Daemon) -> None:
    daemon.start().wait_until_fresh("prod")
    kept.config.write_text("[[roles")
    daemon.wait_until(lambda status: status["daemon"]["config_error"])
    assert {key_printed(kept, sts, reader) for reader in READERS} == {sts.calls[0].issued}


class Job:
    """A job in `assumed exec` that asks its endpoint on demand."""

    SCRIPT = """
import json, os, sys, urllib.error, urllib.request as u
for line in sys.stdin:
    request = u.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'],
                        headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})
    try:
        print(json.load(u.urlopen(request, timeout=20))['AccessKeyId'], flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, flush=True)
"""

    def __init__(self, home: Home, sts: FakeSts) -> None:
        self._process = subprocess.Popen(
            [python(), "-m", "assumed", "exec", "prod", "--", sys.executable, "-c", self.SCRIPT],
            env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def key(self) -> str:
        """The access key id that it gets now, or the status of the refusal."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def job(kept: Home, sts: FakeSts) -> Iterator[Job]:
    job = Job(kept, sts)
    yield job
    job.end()


@pytest.mark.parametrize("what", ["other-account", "tags", "session-name"])
def test_a_running_job_never_gets_the_previous_roles_session(kept: Home, sts: FakeSts, job: Job, what: str) -> None:
    """Each answer after the edit is the new session or a refusal."""
    assert job.key() == sts.calls[0].issued
    keep(kept, {"prod": OTHERS[what]})
    given = [job.key()]
    eventually(lambda: given.append(job.key()) or given[-1] == sts.calls[-1].issued, 30, every=0.2)
    assert sts.calls[0].issued not in given
    assert len(sts.calls) == 2


@pytest.mark.slow
def test_a_running_job_is_not_affected_by_unrelated_edits(kept: Home, sts: FakeSts, job: Job) -> None:
    for change in SAME.values():
        kept.config.write_text(change(kept.config.read_text()))
        assert eventually(lambda: job.key() if len(job.key()) > 3 else "", 30) == sts.calls[0].issued
    assert len(sts.calls) == 1


@pytest.mark.parametrize("reader", ["env", "exec", "credential-process"])
def test_each_configuration_of_one_credentials_file_gets_its_own_role(kept: Home, sts: FakeSts, reader: str) -> None:
    other = kept.config.with_name("other.toml")
    other.write_text(DEFAULTS + role("prod", "arn:aws:iam::222222222222:role/ReadOnly"))
    given = key_printed(kept, sts, reader, "prod", "--config", str(other))
    assert given == sts.calls[-1].issued
    assert [call.role_arn for call in sts.calls] == [ADMIN, "arn:aws:iam::222222222222:role/ReadOnly"]


@pytest.mark.parametrize("reader", ["env", "exec"])
def test_a_session_of_another_configuration_is_not_returned(kept: Home, sts: FakeSts, reader: str) -> None:
    """A single `--config` by hand must not change what SDKs get."""
    other = kept.config.with_name("other.toml")
    other.write_text(DEFAULTS + role("prod", "arn:aws:iam::222222222222:role/ReadOnly"))
    assert key_printed(kept, sts, reader, "prod", "--config", str(other)) == sts.calls_for(arn_of(other))[-1].issued
    for plain in ("written-line", "credential-process"):
        assert key_printed(kept, sts, plain) in {call.issued for call in sts.calls_for(ADMIN)}


def arn_of(configuration: Path) -> str:
    return str(tomllib.loads(configuration.read_text())["roles"][0]["role_arn"])


MENDED: dict[str, Callable[[Home, FakeSts], None]] = {
    "the role": lambda home, _: keep(home, {"prod": OTHERS["other-account"]}),
    "another key of the role": lambda home, _: keep(home, {"prod": OTHERS["other-source"]}),
    "the source": lambda home, sts: home.add_source(sts.source.access_key_id, sts.source.secret_access_key, "third"),
}


@pytest.mark.parametrize("mended", list(MENDED))
@pytest.mark.parametrize("reader", ["written-line"])
def test_a_stored_failure_is_dropped_once_its_cause_is_fixed(
    kept: Home, sts: FakeSts, mended: str, reader: str
) -> None:
    """A refusal counts only for the same request; the directory of sessions may be missing, too."""
    shutil.rmtree(kept.state / "sessions")
    if mended == "the source":
        keep(kept, {"prod": {"source_profile": "third"}})
    else:
        sts.rule(ADMIN, error="AccessDenied")
    assert [key_printed(kept, sts, reader) for _ in range(2)] == ["", ""]
    before = len(sts.calls)
    if mended == "another key of the role":
        sts.rule(ADMIN)
    MENDED[mended](kept, sts)
    assert key_printed(kept, sts, reader) == sts.calls[-1].issued
    assert len(sts.calls) == before + 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another account, too")
@pytest.mark.parametrize("place", ["", "sessions", "sessions/prod.json"], ids=["state", "sessions", "session"])
def test_a_session_that_another_account_could_have_written_is_refused(kept: Home, sts: FakeSts, place: str) -> None:
    """By its owner, and by its mode."""
    target = Path(kept.state, place)
    os.chown(target, 65534, 65534)
    assert key_printed(kept, sts, "written-line") == ""
    os.chown(target, 0, 0)
    target.chmod(target.stat().st_mode | 0o002)
    assert key_printed(kept, sts, "written-line") == ""
    target.chmod(target.stat().st_mode & ~0o002)
    assert key_printed(kept, sts, "written-line") == sts.calls[0].issued


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another account, too")
def test_a_control_socket_of_another_account_in_tmp_is_ignored(
    tmp_path_factory: pytest.TempPathFactory, sts: FakeSts
) -> None:
    """This home's path is too long for a socket. A fake daemon could keep the job waiting."""
    home = Home(tmp_path_factory.mktemp("h" * 90))
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    keep(home, {"prod": {}})
    renew(home, sts)
    (home.state / "sessions" / "prod.json").unlink()
    place = socket_of(home.state)
    place.parent.mkdir(mode=0o755)
    try:
        with Impostor(place):
            os.chown(place.parent, 65534, 65534)
            assert key_printed(home, sts, "written-line") == sts.calls[-1].issued
            assert len(sts.calls) == 2
    finally:
        shutil.rmtree(place.parent)


class Impostor:
    """Claims on a socket that it manages every profile, and does nothing."""

    def __init__(self, path: Path) -> None:
        self._server = socketserver.ThreadingUnixStreamServer(str(path), _Accepts)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Accepts(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        self.wfile.write(json.dumps({"accepted": request["profiles"]}).encode() + b"\n")

"""`credential-process` as an SDK runs it: a process of its own, in whatever environment there is."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.clock import SystemClock
from assumed.config import SMALLEST_USEFUL
from assumed.credentials.process import credential_process_argv
from assumed.jobs import credential_process as helper
from assumed.jobs import credential_process_slow as slow
from assumed.model import Instant, Session
from assumed.paths import PathError, default_credentials_file, safe_name, socket_path, state_dir
from assumed.runtime import control
from assumed.store import Store, stamp_of
from world.waiting import eventually, in_time

PROFILE = "my-role"
KEYS = {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId"}


def session(left: float = 3000.0, life: float = 3600.0, profile: str = PROFILE, **facts: Any) -> Session:
    """A session of `life` seconds of which `left` are left."""
    now = SystemClock().now()
    age = life - left
    made = Session(
        profile=profile,
        access_key_id="ASIAEXAMPLE",
        secret_access_key="not-a-secret",
        session_token="a/token+with=signs",
        expiration=now.wall + left,
        issued_at=now.wall - age,
        life=life,
        received=Instant(now.wall - age, now.boot - age, now.boot_id),
        principal_arn="arn:aws:sts::123456789012:assumed-role/MyS3Access/me",
        identity="i",
        request="r",
    )
    return replace(made, **facts)


@pytest.fixture
def store(home: Path) -> Store:
    """The state directory of the home that this test lives in; what it stores is checked against its configuration."""
    (home / ".aws").mkdir(mode=0o700)
    config = home / ".config" / "assumed" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(SMALLEST_USEFUL)
    version = eventually(lambda: stamp_of(config), 10)
    return Store(state_dir(home / ".aws" / "credentials"), checked=lambda: version)


def run(argv: list[str], **facts: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, **facts
    )


def written_command(store: Store, profile: str = PROFILE) -> list[str]:
    return credential_process_argv(store.directory, profile)


def answer_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (result.returncode, result.stderr) == (0, "")
    return dict(json.loads(result.stdout))


def sentence_of(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a refusal; stdout has to stay empty."""
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def posix(instant: str) -> float:
    return time.mktime(time.strptime(instant, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_the_answer_has_exactly_the_keys_of_the_protocol_on_one_line(store: Store) -> None:
    store.save(session())
    result = run(written_command(store))
    answer = answer_of(result)
    assert result.stdout.count("\n") == 1
    assert set(answer) == KEYS
    assert answer["Version"] == 1
    assert type(answer["Version"]) is int
    assert answer["SecretAccessKey"] == "not-a-secret"
    assert answer["SessionToken"] == "a/token+with=signs"
    assert answer["AccountId"] == "123456789012"


def test_the_expiration_precedes_that_of_sts_by_a_minute_and_is_written_as_every_sdk_reads_it(store: Store) -> None:
    """`+00:00` breaks one SDK, no zone another; some renew only after the time has passed."""
    kept = session()
    store.save(kept)
    expiration = answer_of(run(written_command(store)))["Expiration"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", expiration)
    assert kept.expiration - 61 <= posix(expiration) <= kept.expiration - 60


def test_the_command_and_the_written_line_give_the_same_answer(store: Store) -> None:
    store.save(session())
    by_name = run([sys.executable, "-m", "assumed", "credential-process", PROFILE])
    assert by_name.stdout == run(written_command(store)).stdout
    assert by_name.returncode == 0


def test_another_credentials_file_has_its_sessions_beside_it(store: Store, tmp_path: Path, home: Path) -> None:
    """A link is followed first, as every consumer does who computes the place."""
    real = tmp_path / "elsewhere" / "credentials"
    real.parent.mkdir()
    real.touch(0o600)
    (home / "link").symlink_to(real)
    store.save(session())
    store.directory.rename(state_dir(real))
    environ = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": "$HOME/link"}
    assert set(answer_of(run([sys.executable, "-m", "assumed", "credential-process", PROFILE], env=environ))) == KEYS


def test_no_environment_can_break_the_written_line(store: Store, tmp_path: Path) -> None:
    """Spark and conda set PYTHONHOME, cron empties PATH, a job's directory may hold a module called json."""
    store.save(session())
    for module in ("json", "os", "sys", "time", "_json", "sitecustomize", "usercustomize", "encodings"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('shadowed')")
    hostile = {
        "PATH": "",
        "PYTHONHOME": "/nonexistent",
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-16",
        "LC_ALL": "C",
    }
    for environ in (hostile, {}):
        answer = answer_of(run(written_command(store), env=environ, cwd=tmp_path))
        assert set(answer) == KEYS


def test_the_written_line_is_absolute_and_follows_an_upgrade_of_python(store: Store) -> None:
    argv = written_command(store)
    assert argv[0] == os.path.abspath(sys.executable)  # noqa: PTH100
    assert argv[1:3] == ["-I", "-S"]
    assert Path(argv[3]).is_absolute()
    assert Path(argv[3]).name == "credential_process.py"
    assert argv[4:] == ["--state", str(store.directory), PROFILE]


def test_nothing_heavy_is_imported_on_the_way(store: Store) -> None:
    """click costs 25 ms, importlib.metadata 42, json and socket 10 each: more than all the rest."""
    store.save(session())
    code = (
        "import sys; before = set(sys.modules)\n"
        f"sys.argv = ['assumed', 'credential-process', '--state', {str(store.directory)!r}, {PROFILE!r}]\n"
        "from assumed.cli import main\n"
        "assert main() == 0\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)\n"
    )
    result = run([sys.executable, "-c", code])
    loaded = set(result.stderr.split())
    assert loaded <= {
        "assumed",
        "assumed.cli",
        "assumed.cli.credential_process",
        "assumed.jobs",
        "assumed.jobs.credential_process",
        "_json",
        "encodings.ascii",
        "__future__",
    }


@pytest.mark.parametrize(
    ("what", "facts"),
    [
        ("its time is over", {"left": -1.0}),
        ("its time is over by the clock that counts sleep", {"age_by_boot": 3700.0}),
        ("its time is over by the wall clock", {"age_by_wall": 3700.0}),
        ("it was received later than now, in another boot", {"age_by_wall": -50.0, "boot_id": "another"}),
        ("STS lets it expire before its life is over", {"expires_in": -1.0}),
    ],
)
def test_an_expired_session_is_refused(store: Store, what: str, facts: dict[str, Any]) -> None:
    now = SystemClock().now()
    kept = session(left=facts.get("left", 3000.0))
    received = Instant(
        now.wall - facts.get("age_by_wall", now.wall - kept.received.wall),
        now.boot - facts.get("age_by_boot", now.boot - kept.received.boot),
        facts.get("boot_id", now.boot_id),
    )
    expiration = now.wall + facts["expires_in"] if "expires_in" in facts else kept.expiration
    store.save(replace(kept, received=received, expiration=expiration))
    assert "ASIAEXAMPLE" not in sentence_of(run(written_command(store)))


def test_a_restart_of_the_machine_does_not_age_a_session(store: Store) -> None:
    """The boot clock began anew: it reads less than at receipt, and the wall clock decides."""
    kept = session()
    store.save(replace(kept, received=Instant(kept.received.wall, kept.received.boot + 1e6, "the boot before")))
    assert set(answer_of(run(written_command(store)))) == KEYS


def test_the_last_minute_is_handed_out_with_the_expiration_of_sts(store: Store) -> None:
    """Nobody renews it: an Expiration that has passed would be refused by SDKs although the keys still work."""
    kept = session(left=40.0)
    store.save(kept)
    answer = answer_of(run(written_command(store)))
    assert posix(answer["Expiration"]) == int(kept.expiration)


@pytest.mark.proof
def test_a_missing_session_is_refused_with_advice_and_without_a_wait(store: Store) -> None:
    began = time.monotonic()
    sentence = sentence_of(run(written_command(store)))
    assert in_time(began, 1.0)
    assert sentence == (
        f"assumed: no session of profile 'my-role' in {store.directory}; start the daemon (`assumed run`), "
        "or run `assumed once`"
    )


DAMAGES: dict[str, Callable[[dict[str, Any]], str | bytes]] = {
    "empty": lambda _: "",
    "cut in half": lambda document: json.dumps(document)[: len(json.dumps(document)) // 2],
    "not JSON": lambda _: "ASIAEXAMPLE secret-canary",
    "not UTF-8": lambda _: b"\xff\xfe secret-canary",
    "a list": lambda document: json.dumps([document]),
    "a number": lambda _: "7",
    "without the secret": lambda document: json.dumps({k: v for k, v in document.items() if k != "SecretAccessKey"}),
    "a secret that is no text": lambda document: json.dumps({**document, "SecretAccessKey": ["secret-canary"]}),
    "without our facts": lambda document: json.dumps({k: v for k, v in document.items() if k != "Assumed"}),
    "facts of the wrong type": lambda document: json.dumps(
        {**document, "Assumed": {**document["Assumed"], "life": "secret-canary"}}
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_session_is_refused_without_quoting_it(store: Store, what: str) -> None:
    store.save(session())
    path = store.directory / "sessions" / "my-role.json"
    damaged = DAMAGES[what](json.loads(path.read_bytes()))
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    sentence = sentence_of(run(written_command(store)))
    assert sentence.endswith("is damaged; `assumed refresh my-role` replaces it")
    assert "canary" not in sentence


def test_what_cannot_be_read_is_not_called_damaged(store: Store) -> None:
    (store.directory / "sessions" / "my-role.json").mkdir(parents=True)
    assert sentence_of(run(written_command(store))).endswith("cannot be read; `ls -l` there shows its owner")


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["--state"], ["--state", "", "a"], ["--nonsense", "a"]], ids=" ".join
)
def test_wrong_usage_is_explained_on_stderr(arguments: list[str]) -> None:
    result = run([sys.executable, "-m", "assumed", "credential-process", *arguments])
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: assumed credential-process" in result.stderr.lower()


@pytest.fixture
def answering(store: Store) -> Iterator[Callable[[Callable[[dict[str, Any]], dict[str, Any]]], list[dict[str, Any]]]]:
    """Starts the daemon's own control socket with an answer of one's choice; gives the requests that arrive."""
    servers: list[control.ControlServer] = []

    def start(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        def noted(request: dict[str, Any]) -> dict[str, Any]:
            requests.append(request)
            return answer(request)

        server = control.ControlServer(socket_path(store.directory), noted)
        server.start()
        servers.append(server)
        return requests

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize("before", [None, -5.0, 30.0], ids=["missing", "expired", "in its last minute"])
def test_a_running_daemon_is_asked_once_and_its_session_handed_out(
    store: Store, answering: Any, before: float | None
) -> None:
    if before is not None:
        store.save(session(left=before))

    def renew(_: dict[str, Any]) -> dict[str, Any]:
        store.save(session(access_key_id="ASIARENEWED"))
        return {"accepted": [PROFILE], "unknown": []}

    requests = answering(renew)
    assert answer_of(run(written_command(store)))["AccessKeyId"] == "ASIARENEWED"
    assert requests == [{"command": "look", "profiles": [PROFILE]}]


def test_a_session_with_life_left_is_handed_out_without_asking(store: Store, answering: Any) -> None:
    store.save(session(left=1300.0))
    requests = answering(lambda _: {"accepted": [], "unknown": []})
    assert set(answer_of(run(written_command(store)))) == KEYS
    assert requests == []


@pytest.mark.proof
def test_an_old_session_is_asked_about_and_handed_out_without_waiting(store: Store, answering: Any) -> None:
    """The daemon renews long before: where it has not, its renewals fail, and the session is good for a while yet."""
    store.save(session(left=1200.0))
    requests = answering(lambda _: {"accepted": [PROFILE], "unknown": []})
    began = time.monotonic()
    assert set(answer_of(run(written_command(store)))) == KEYS
    assert in_time(began, 2)
    assert len(requests) == 1


@pytest.mark.proof
@pytest.mark.parametrize(
    "answer", [{"accepted": ["other"], "unknown": [PROFILE]}, {"error": "no"}, {"accepted": 7}], ids=str
)
def test_a_daemon_that_declines_is_not_waited_for(store: Store, answering: Any, answer: dict[str, Any]) -> None:
    answering(lambda _: answer)
    began = time.monotonic()
    assert "no session of profile 'my-role'" in sentence_of(run(written_command(store)))
    assert in_time(began, 1.5)


@pytest.mark.proof
def test_patience_with_a_renewal_that_fails_ends_before_that_of_the_sdks(store: Store, answering: Any) -> None:
    """The Rust SDK gives up after 5 s."""
    answering(lambda _: {"accepted": [PROFILE], "unknown": []})
    began = time.monotonic()
    sentence_of(run(written_command(store)))
    assert time.monotonic() - began > 3.5
    assert in_time(began, 4.8)


@pytest.mark.proof
def test_a_daemon_that_hangs_is_waited_for_less_than_sdks_wait(store: Store) -> None:
    """It may be busy with this very session; what is left of the time is for a renewal from here."""
    path = socket_path(store.directory)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen(1)
        began = time.monotonic()
        sentence_of(run(written_command(store)))
        assert time.monotonic() - began > 1.8
        assert in_time(began, 4.8)


@given(profile=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_file_names_are_those_of_the_package(profile: str) -> None:
    """The fast path has a copy of the rule, and leaves names that are too long to the slow one."""
    if "==" in safe_name(profile):
        with pytest.raises(ValueError, match="too long"):
            helper.session_path("/s", profile)
    else:
        assert helper.session_path("/s", profile) == f"/s/sessions/{safe_name(profile)}.json"


@pytest.mark.parametrize(
    "named", ["", "{}/.aws/credentials", "{}/creds", "{}/link", "$HOME/creds", "~/made", "relative", "/dev/null"]
)
def test_the_state_is_where_the_daemon_keeps_it(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a command line without --state; what leads nowhere is the same sentence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", named.format(tmp_path))
    (tmp_path / "assumed-made").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "credentials")
    try:
        expected = str(state_dir(default_credentials_file(os.environ)))
    except PathError as error:
        with pytest.raises(ValueError, match=re.escape(f"{error.variable}: {error}")):
            assert helper.usual_state() or slow.default_state()
        return
    assert (helper.usual_state() or slow.default_state()) == expected


seconds = st.floats(-1e5, 1e5)


@given(by_wall=seconds, by_boot=seconds, life=st.floats(1.0, 50_000.0), same_boot=st.booleans())
def test_life_left_is_never_more_than_the_package_says(
    by_wall: float, by_boot: float, life: float, same_boot: bool
) -> None:
    """The same rule as `Session.left`, with STS's Expiration besides; equal within one boot."""
    now = SystemClock().now()
    received = Instant(now.wall - by_wall, now.boot - by_boot, now.boot_id if same_boot else "another")
    kept = session(life=life, received=received, expiration=now.wall + 1e6)
    facts = {"life": life, "expiration": kept.expiration, "received_wall": received.wall}
    facts |= {"received_boot": received.boot, "boot_id": received.boot_id}
    left = helper.left({"Assumed": facts})
    rule = max(kept.left(now), kept.left(SystemClock().now()))
    assert max(left, 0.0) <= max(rule, 0.0) + 1e-3
    if same_boot and max(by_wall, by_boot) >= 0 <= by_wall:
        assert left == pytest.approx(rule, abs=0.5)

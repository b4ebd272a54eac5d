"""The commands of `[hooks]`, run by a real daemon."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from assumed.aws.variables import SHELL_VARIABLES
from hooks.kit import hooks, recorder, told
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ARN = "arn:aws:iam::123456789012:role/"
CANARY = "canaryCANARYcanaryCANARYcanaryCANARY1234"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """A home with a source that signs."""
    home = Home(tmp_path)
    with FakeSts() as sts:
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    return home


def daemon(home: Home, sts: FakeSts, **environ: str) -> Daemon:
    return Daemon(home, AWS_ENDPOINT_URL_STS=sts.url, **environ)


def of(home: Home, event: str, profile: str) -> list[dict[str, str]]:
    return [r["environ"] for r in told(home, event) if r["environ"]["ASSUMED_PROFILE"] == profile]


def test_a_command_is_told_of_a_new_session_once_it_can_be_read_and_of_nothing_else(place: Home) -> None:
    """Its environment has what it needs and no more; a restart tells nothing again."""
    command = recorder(place)
    place.configure(role("a", ARN + "a"), defaults=hooks(after_renewal=[*command, "x y", "$HOME"]))
    inherited = dict.fromkeys(SHELL_VARIABLES, CANARY) | {"CREDENTIALS_DIRECTORY": "/run/x", "LISTEN_FDS": "3"}
    with FakeSts() as sts:
        with daemon(place, sts, **inherited, MINE="kept") as keeper:
            keeper.wait_until_fresh("a")
            eventually(lambda: told(place), within=10)
            status = keeper.role("a")
            secrets = sts.secrets()
        with daemon(place, sts) as keeper:
            keeper.wait_until_fresh("a")
            keeper.ask("refresh", profiles=["a"])
            eventually(lambda: len(told(place)) > 1, within=10)
        events = [record["environ"]["ASSUMED_EVENT"] for record in told(place)]
    first, environ = told(place)[0], told(place)[0]["environ"]
    assert events == ["renewed", "renewed"]
    assert first["argv"] == ["x y", "$HOME"]
    assert first["key"] != told(place)[1]["key"]
    assert (first["umask"], first["leader"], first["stdin"]) == (0o077, True, "")
    assert first["descriptors"] <= 4
    assert {name: environ[name] for name in environ if name.startswith("ASSUMED_")} == {
        "ASSUMED_CONFIG": str(place.config),
        "ASSUMED_EVENT": "renewed",
        "ASSUMED_PROFILE": "a",
        "ASSUMED_ROLE_ARN": ARN + "a",
        "ASSUMED_STATE": "fresh",
        "ASSUMED_LEFT_SECONDS": environ["ASSUMED_LEFT_SECONDS"],
        "ASSUMED_EXPIRATION": first["expires"],
        "ASSUMED_MESSAGE": "a has a new session",
        "ASSUMED_ADVICE": "",
    }
    assert status["expiration"] == first["expires"]
    assert 3500 < int(environ["ASSUMED_LEFT_SECONDS"]) <= 3600
    assert environ["MINE"] == "kept"
    assert not {*SHELL_VARIABLES, "CREDENTIALS_DIRECTORY", "LISTEN_FDS"} & environ.keys()
    everything = repr(told(place)) + keeper.stderr
    assert not [secret for secret in secrets | {CANARY} if secret in everything]


def test_once_runs_no_command(place: Home) -> None:
    """Its exit status says how it went; a command would be cut off by its end."""
    marker = place.path / "ran"
    place.configure(role("a", ARN + "a"), role("b", ARN + "b"), defaults=hooks(after_renewal=["touch", str(marker)]))
    with FakeSts() as sts:
        sts.rule(ARN + "b", latency=1.0)
        assert place.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    assert not marker.exists()


@pytest.mark.slow
def test_a_failure_is_told_once_and_a_person_when_nothing_else_helps_and_when_it_is_over(place: Home) -> None:
    """The retries between are nobody's business, nor is what other roles do."""
    command = recorder(place)
    place.configure(
        role("a", ARN + "a"), role("b", ARN + "b"), defaults=hooks(after_failure=command, when_needed=command)
    )
    with FakeSts() as sts:
        sts.rule(ARN + "a", error="AccessDenied")
        with daemon(place, sts) as keeper:
            keeper.wait_until_fresh("b")
            sts.wait_for_calls(3, ARN + "a", within=60)
            eventually(lambda: of(place, "needed", "a"), within=60)
            sts.rule(ARN + "a")
            keeper.ask("refresh", profiles=["a"])
            eventually(lambda: of(place, "recovered", "a"), within=60)
    assert [r["environ"]["ASSUMED_EVENT"] for r in told(place)] == ["failed", "needed", "recovered"]
    (needed,) = of(place, "needed", "a")
    assert needed["ASSUMED_MESSAGE"].startswith("a cannot be kept fresh: AccessDenied: User: arn:aws:iam::1234567")
    assert "trust policy" in needed["ASSUMED_ADVICE"]
    assert (needed["ASSUMED_STATE"], needed["ASSUMED_EXPIRATION"]) == ("failing", "")


@pytest.mark.slow
def test_what_needs_a_person_is_told_once_over_restarts(place: Home) -> None:
    """A dead source is one matter for all of its roles; a bad configuration is another, for the next start, too."""
    command = recorder(place)
    roles = [role(f"r{n}", f"{ARN}r{n}") for n in range(20)]
    place.configure(*roles, defaults=hooks(when_needed=command, after_failure=command))
    good = place.config.read_text()
    with FakeSts() as sts:
        sts.revoke(sts.source.access_key_id)
        with daemon(place, sts) as keeper:
            keeper.wait_until(lambda status: any(r["state"] == "failing" for r in status["roles"]), within=30)
            place.config.write_text(good + "nonsense = 1\n")
            eventually(lambda: len(told(place, "needed")) == 2, within=70)
        with daemon(place, sts) as keeper:
            keeper.wait_until(lambda status: any(r["state"] == "failing" for r in status["roles"]), within=30)
            place.config.write_text(good)
            sts.add_key(sts.source.access_key_id, sts.source.secret_access_key)
            keeper.ask("refresh", profiles=[])
            keeper.wait_until_fresh(within=60)
            eventually(lambda: len(told(place, "recovered")) == 2, within=60)
    said = [record["environ"] for record in told(place)]
    assert [environ["ASSUMED_EVENT"] for environ in said] == ["failed", *["needed"] * 2, *["recovered"] * 2]
    messages = sorted(environ["ASSUMED_MESSAGE"] for environ in said if environ["ASSUMED_EVENT"] == "needed")
    assert "and 19 more of its source" in messages[0]
    assert messages[1].startswith("the configuration has an error: ")
    assert "the configuration is well again" in [environ["ASSUMED_MESSAGE"] for environ in said]
    assert stat.S_IMODE((place.state / "told.json").stat().st_mode) == 0o600


@pytest.mark.slow
def test_a_command_that_hangs_is_killed_with_what_it_started_and_the_renewals_go_on(place: Home) -> None:
    """Its failure is said once, however often it repeats itself."""
    pids = place.path / "pids"
    script = f"trap '' TERM; sleep 1000 & echo $! >> {pids}; echo hanging; cat ~/.aws/credentials; sleep 1000"
    place.configure(role("a", ARN + "a"), defaults=hooks(after_renewal=["sh", "-c", script], timeout_seconds=1))
    with FakeSts() as sts:
        sts.rule("*", session_seconds=4)
        with daemon(place, sts) as keeper:
            sts.wait_for_calls(5, ARN + "a", within=40, outcome="ok")
            eventually(lambda: len(pids.read_text().split()) >= 2, within=20)
        failed = keeper.events("hook.failed")
        secrets = sts.secrets()
    assert [(event["code"], event["message"], event["level"]) for event in failed] == [
        (None, "killed: it took more than 1 s", "warning")
    ]
    assert failed[0]["output"].startswith("hanging [default]")
    assert not [secret for secret in secrets if secret in keeper.stderr]
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not is_alive(pid), within=10, saying=f"the end of {pid}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_hundred_roles_do_not_start_a_hundred_commands_at_once(place: Home) -> None:
    """One at a time; none is left out."""
    log = place.path / "overlap"
    script = f'echo "+ $ASSUMED_PROFILE" >> {log}; sleep 0.02; echo "- $ASSUMED_PROFILE" >> {log}'
    place.configure(
        *(role(f"r{n}", f"{ARN}r{n}") for n in range(100)), defaults=hooks(after_renewal=["sh", "-c", script])
    )
    with FakeSts() as sts, daemon(place, sts) as keeper:
        keeper.wait_until_fresh(within=60)
        eventually(lambda: len(log.read_text().split()) == 400, within=60)
    words = log.read_text().split()
    signs, names = words[::2], words[1::2]
    assert signs == ["+", "-"] * 100
    assert len(set(names)) == 100


@pytest.mark.slow
def test_hooks_are_taken_by_a_reload_and_a_missing_program_is_said_once(place: Home) -> None:
    """What was before the hook came is no news to it, but trouble is."""
    place.configure(role("a", ARN + "a"), role("b", ARN + "b"))
    with FakeSts() as sts:
        sts.rule(ARN + "b", error="ValidationError", message="no")
        with daemon(place, sts) as keeper:
            keeper.wait_until_fresh("a")
            command = recorder(place)
            place.configure(
                role("a", ARN + "a"),
                role("b", ARN + "b"),
                defaults=hooks(after_renewal="/no/such/program x", when_needed=command),
            )
            eventually(lambda: told(place), within=20)
            for count in (1, 2):
                keeper.ask("refresh", profiles=["a"])
                sts.wait_for_calls(1 + count, ARN + "a", within=20)
                eventually(lambda: keeper.events("hook.failed"), within=20)
        failed = keeper.events("hook.failed")
    assert [(event["hook"], event["message"]) for event in failed] == [
        ("after_renewal", "/no/such/program could not be started: No such file or directory")
    ]
    assert [(r["environ"]["ASSUMED_EVENT"], r["environ"]["ASSUMED_PROFILE"]) for r in told(place)] == [("needed", "b")]

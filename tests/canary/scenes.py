"""Scenes in which something goes wrong and a secret could be output."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from canary.kit import Stage, aws_secret, aws_token, descendants, odd_secret, script
from canary.odd_sts import ANSWERS, OddSts
from process.kit import arn
from world.daemon import DEFAULTS, role
from world.waiting import eventually

Scene = Callable[[Stage], contextlib.AbstractContextManager[None]]
"""Inside, the daemon has encountered its fault."""

SABOTAGE = Path(__file__).parents[1] / "process" / "sabotage.py"


def refusals(stage: Stage) -> Iterator[None]:
    """STS's messages and codes quote the keys that signed: the source's, and a managed role's session."""
    faults = {
        "denied": {"error": "AccessDenied"},
        "half": {"fault": "half"},
        "reset": {"fault": "reset"},
        "garbage": {"fault": "garbage"},
        "clock": {"clock_offset": 3600.0},
        "expired": {"session_seconds": -5},
        "source": {"error": "AccessDenied", "message": f"{stage.source_secret} may not"},
        "url": {"error": "Throttling", "message": f"?k={quote(stage.source_secret, safe='')}&x"},
        "internal": {"error": "InternalFailure", "message": f"signed with {stage.source_secret}"},
        "code": {"error": stage.source_secret},
        "invalid": {"error": "ValidationError", "message": f"1 error detected: Value '{stage.source_secret}'"},
        "dead": {"error": "ExpiredToken", "message": f"expired: {stage.source_secret}"},
    }
    for name, fault in faults.items():
        stage.sts.rule(arn(name), **fault)
    chained = ("token", "token-url", "token-code")
    children = {name: {"source_profile": "good"} for name in chained}
    stage.configure(good={}, long={"duration_seconds": 7200}, **{name: {} for name in faults}, **children)
    daemon = stage.start()
    daemon.wait_until_fresh("good", within=30)
    token = stage.sts.key((stage.home.profile("good") or {})["aws_access_key_id"]).session_token or ""
    stage.sts.rule(arn("token"), error="AccessDenied", message=f"no: {token}")
    stage.sts.rule(arn("token-url"), error="AccessDenied", message=f"no: {quote(token, safe='')}")
    stage.sts.rule(arn("token-code"), error=token)
    names = [*faults, *chained]
    daemon.ask("refresh", profiles=names)  # otherwise only one role would be tried, because their source counts as down
    stage.wait_until(lambda _: all(stage.was_answered(name) for name in names))
    stage.wait_for_errors("token")
    stage.alone = (("env", "source"), ("credential-process", "source"), ("exec", "source", "--", "true"))
    yield


def odd_answers(stage: Stage) -> Iterator[None]:
    """Half a session, in the wrong place, in the wrong form."""
    with OddSts(stage.secrets) as odd:
        stage.environment["AWS_ENDPOINT_URL_STS"] = odd.url
        stage.configure(**{name: {} for name in ANSWERS})
        daemon = stage.start()
        daemon.ask("refresh", profiles=list(ANSWERS))
        eventually(lambda: odd.answered == set(ANSWERS), 30, saying="a call for each answer")
        stage.wait_until(lambda status: any(entry["last_error"] for entry in status["roles"]))
        yield


def helpers(stage: Stage) -> Iterator[None]:
    """credential_process helpers that print secrets on either stream and in their arguments."""
    secret, token = odd_secret(), aws_token()
    stage.secrets |= {secret, token}
    document = {"Version": 1, "AccessKeyId": "AKIAHELPER000000", "SecretAccessKey": secret, "SessionToken": token}
    prints = {
        "stderr": f"echo 'cannot use {secret} {token}' >&2; exit 1",
        "stdout": f"echo 'cannot use {secret} {token}'; exit 1",
        "no-json": f"echo '{secret} {token}'",
        "half-json": f"echo '{json.dumps(document)[:-9]}'",
        "version": f"echo '{json.dumps({**document, 'Version': 9})}'",
        "no-key": f"echo '{json.dumps({name: v for name, v in document.items() if name != 'AccessKeyId'})}'",
        "list": f"echo '{json.dumps({**document, 'SecretAccessKey': [secret]})}'",
        "expires": f"echo '{json.dumps({**document, 'Expiration': secret})}'",
        "refused": f"echo '{json.dumps(document)}'",
        "killed": f"echo '{secret}' >&2; kill -9 $$",
        "argument": "exit 3",
        "missing": "",
    }
    directory = stage.home.path / "bin"
    directory.mkdir()
    lines = []
    for name, text in prints.items():
        path = script(directory / name, text)
        if name == "missing":
            path.unlink()
        argument = f" --password {secret}" if name in ("argument", "missing") else ""
        lines.append(f"[profile {name}]\ncredential_process = {path}{argument}\n")
    stage.home.aws_config.write_text("\n".join(lines))
    stage.belongs |= {directory, stage.home.aws_config}
    stage.configure(**{f"of-{name}": {"source_profile": name} for name in prints})
    stage.start()
    stage.wait_for_errors(*(f"of-{name}" for name in prints))
    yield


def web_identity(stage: Stage) -> Iterator[None]:
    """A token that STS quotes when it refuses it, and a token file that is not text."""
    header, body = "eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJjYW5hcnkiLCJub25jZSI6IjEyMzQ1Njc4OTAxMjM0NTY3ODkwIn0"
    token = f"{header}.{body}.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5LTEyMzQ1Njc4OTA"
    stage.secrets.add(token)
    good, bad = stage.home.path / "token", stage.home.path / "token.bad"
    good.write_text(token)
    bad.write_bytes(b"\xff\xfe" + token.encode())
    stage.belongs |= {good, bad}
    stage.sts.rule(arn("refused"), error="InvalidIdentityToken", message=f"cannot accept {token}")
    files = {"refused": good, "unreadable": bad, "missing": stage.home.path / "nothing"}
    roles = [role(name, arn(name), web_identity_token_file=str(path)) for name, path in files.items()]
    stage.home.configure(*roles, defaults='[defaults]\nregion = "us-west-2"\n')
    stage.start()
    stage.wait_for_errors(*files)
    yield


def inherited(stage: Stage) -> Iterator[None]:
    """A shell's own keys, used by one role and quoted by STS in a refusal; a slow helper."""
    secret = odd_secret()
    stage.sts.add_key("AKIAINHERITED000", secret)
    stage.environ_tells = True
    stage.environment |= {"AWS_ACCESS_KEY_ID": "AKIAINHERITED000", "AWS_SECRET_ACCESS_KEY": secret}
    stage.sts.rule(arn("a"), error="AccessDenied", message=f"{secret} may not")
    slow = script(stage.home.path / "slow.sh", "exec sleep 4")
    stage.home.aws_config.write_text(f"[profile slow]\ncredential_process = {slow}\n")
    stage.home.configure(
        role("a", arn("a"), credential_source="Environment"),
        role("b", arn("b"), source_profile="default"),
        role("c", arn("c"), source_profile="slow"),
        defaults='[defaults]\nregion = "us-west-2"\n',
    )
    daemon = stage.start()
    stage.wait_for_errors("a")
    eventually(lambda: len(descendants(daemon.pid)) > 1, 10, saying="a helper")
    yield


def broken_files(stage: Stage) -> Iterator[None]:
    """Unparsable lines with secrets: in the credentials file, in a stored session, in ~/.aws/config."""
    secret, token = odd_secret(), aws_token()
    stage.secrets |= {secret, token}
    stage.configure(a={}, b={})
    daemon = stage.start()
    daemon.wait_until_fresh("a", "b")
    for profile in ("a", "b"):
        path = stage.home.state / "sessions" / f"{profile}.json"
        path.write_text(path.read_text()[:-40] + f'"{secret} {token}')
    stage.run("credential-process", "b")
    broken = f"[profile x]\nsecret_access_key {secret}\n[y\naws_secret {token}\n= {secret}\n"
    stage.home.aws_config.write_text(broken)
    stage.belongs.add(stage.home.aws_config)
    with stage.home.credentials.open("a") as file:
        file.write(broken)
    daemon.ask("refresh", profiles=["a", "b"])
    stage.wait_until(lambda status: status["roles"][0]["last_error"] or status["credentials_file"]["error"])
    yield


def no_disk(stage: Stage) -> Iterator[None]:
    """Neither the session store nor the credentials file can be written."""
    stage.configure(a={}, b={"deliver": "process"})
    daemon = stage.start()
    daemon.wait_until_fresh("a", "b")
    sessions = stage.home.state / "sessions"
    for path in (sessions, stage.home.credentials):
        path.rename(path.with_name(f"{path.name}.away"))
        stage.belongs.add(path.with_name(f"{path.name}.away"))
    sessions.write_text("not a directory")
    stage.home.credentials.mkdir()
    daemon.ask("refresh", profiles=["a", "b"])
    stage.wait_until(lambda status: status["credentials_file"]["error"])
    yield


def disk_errors(stage: Stage) -> Iterator[None]:
    """The disk fails in the middle of every write."""
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"]
    inject = ["-e", "trace=fsync,rename", "-e", "inject=fsync:error=EIO:when=3+"]
    try:
        subprocess.run([*trace, *inject, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("strace is not installed, or may not trace here")
    stage.configure(a={}, b={"deliver": "process"})
    daemon = stage.start(under=[*trace, "-D", *inject], answering=False)
    eventually(lambda: "EIO" in daemon.stderr or "Input/output error" in daemon.stderr, 40, saying="a disk error")
    eventually(daemon._answers, 20)
    yield


def sabotaged(stage: Stage, victim: str, secret: str) -> None:
    stage.secrets.add(secret)
    stage.environ_tells = True
    stage.environment["SABOTAGE_SECRET"] = secret
    stage.configure(a={})
    daemon = stage.start(under=[sys.executable, str(SABOTAGE), victim])
    daemon.wait_until_fresh("a")
    daemon.signal(signal.SIGUSR1)
    eventually(lambda: "sabotaged" in daemon.stderr, 40, saying="the sabotage")


def thread_crash(stage: Stage) -> Iterator[None]:
    """APScheduler's thread dies with a secret in its error; the daemon continues."""
    sabotaged(stage, "APScheduler", aws_secret())
    yield


def crash(stage: Stage) -> Iterator[None]:
    """The main thread dies that way."""
    sabotaged(stage, "MainThread", aws_token())
    assert stage.daemon is not None
    assert stage.daemon.wait_for_exit() == 1
    yield


def abort(stage: Stage) -> Iterator[None]:
    """A bug in a C library: SIGABRT with faulthandler enabled."""
    stage.environment["PYTHONFAULTHANDLER"] = "1"
    stage.configure(a={}, b={})
    daemon = stage.start()
    daemon.wait_until_fresh("a", "b")
    daemon.signal(signal.SIGABRT)
    assert daemon.wait_for_exit() == -signal.SIGABRT
    assert "Fatal Python error" in daemon.stderr
    yield


SECRET, TOKEN = aws_secret(), aws_token()
EDITS = {
    "an unknown key": f'[[roles]]\nprofile = "x"\naws_secret_access_key = "{SECRET}"\n',
    "a wrong ARN": role("x", SECRET),
    "a wrong length": role("x", arn("x"), duration_seconds=SECRET),
    "no TOML after it": f'[[roles]]\nexternal_id = "{TOKEN}"\n]]]\n',
    "no end of it": f'[[roles]]\nexternal_id = "{TOKEN}\n',
    "no key before it": f"[[roles]]\n{SECRET}\n",
    "a key of its own": f'[[roles]]\nprofile = "x"\n"{SECRET}" = 1\n',
    "a wrong profile": role(f"{SECRET}\n", arn("x")),
    "no policy": role("x", arn("x"), policy=f'{{"Statement": {SECRET}'),
    "a tag": role("x", arn("x"), tags={SECRET: TOKEN * 3}),
    "a session name": role("x", arn("x"), role_session_name=f"{SECRET} {TOKEN}"),
    "an external id": role("x", arn("x"), external_id=f"{TOKEN * 9}"),
    "a deliver": role("x", arn("x"), deliver=TOKEN),
    "a table": f'["{SECRET}"]\na = 1\n',
    "a log level": f'[log]\nlevel = "{SECRET}"\n',
    "two sources": role("x", arn("x"), credential_source=TOKEN),
}


def bad_edits(stage: Stage) -> Iterator[None]:
    """Keys pasted into the configuration: the daemon and `check` report the error."""
    stage.secrets |= {SECRET, TOKEN}
    stage.belongs.add(stage.home.config)
    stage.configure(a={})
    daemon = stage.start()
    daemon.wait_until_fresh("a")
    for text in EDITS.values():
        stage.home.config.write_text(f"{DEFAULTS}\n{text}")
        daemon.ask("reload")
        stage.wait_until(lambda status: status["daemon"]["config_error"])
        stage.run("check")
    yield


SCENES: dict[str, Callable[[Stage], Iterator[None]]] = {
    scene.__name__: scene
    for scene in (
        refusals, odd_answers, helpers, web_identity, inherited, broken_files,
        no_disk, disk_errors, thread_crash, crash, abort, bad_edits,
    )
}  # fmt: skip


@contextlib.contextmanager
def played(name: str, stage: Stage) -> Iterator[None]:
    """One scene in its setting."""
    with stage.open():
        yield from SCENES[name](stage)


def help_texts(stage: Stage, commands: list[str]) -> None:
    """`--help` of every command, and the answer to a typing error."""
    for command in commands:
        stage.run(command, "--help")
    stage.run("--help")
    stage.run("--version")

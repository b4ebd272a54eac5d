"""What a source may not do: run past its deadline, or use the machine's identity instead of the profile's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from process.kit import arn, in_words
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.helpers import HelperProgram
from world.waiting import eventually

CHILD = "[sys.executable, '-S', '-c', 'import time; time.sleep(600)']"
NOTE_CHILD = f"child = subprocess.Popen({CHILD})\nopen(here + '.child', 'w').write(str(child.pid) + '\\n')\n"
STUBBORN = "import signal\nfor number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)\n"
HANGING = {
    "it waits for its child": f"{NOTE_CHILD}child.wait()\n",
    "its child holds its output": f"{NOTE_CHILD}os._exit(0)\n",
    "it ignores signals": f"{STUBBORN}{NOTE_CHILD}time.sleep(600)\n",
}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_helper_past_its_deadline_is_killed_with_its_children_while_the_daemon_runs(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The daemon runs for months, so nothing else would end it."""
    helpers = [HelperProgram(aws_home.path, f"helper{n}", body).write() for n, body in enumerate(HANGING.values())]
    profiles = [f"[profile {one.name}]\ncredential_process = {one.command}\n" for one in helpers]
    aws_home.aws_config.write_text("".join(profiles))
    aws_home.configure(
        *(role(f"by-{one.name}", arn("a"), source_profile=one.name, helper_timeout_seconds=2) for one in helpers)
    )
    daemon.start()
    children = [aws_home.path / f"{one.name}.child" for one in helpers]
    eventually(lambda: all(child.exists() and child.read_text().endswith("\n") for child in children), 20)
    notes = [*children, *(aws_home.path / f"{one.name}.starts" for one in helpers)]
    started = {note.name: int(note.read_text()) for note in notes}
    daemon.wait_until(lambda status: all(entry["last_error"] for entry in status["roles"]), 30)
    eventually(lambda: not any(map(alive, started.values())), 20, saying=f"the end of {started}")
    assert daemon.is_running()
    assert not sts.calls


class Machine(ThreadingHTTPServer):
    """Gives credentials to every caller, as a container endpoint and as instance metadata."""

    def __init__(self, sts: FakeSts) -> None:
        key = sts.add_session("ASIAFAKEMACHINE0", "fake-secret-of-the-machine", "fake-token-of-the-machine")
        self.asked: list[str] = []
        answer = {
            "Code": "Success",
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "Token": key.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        }
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                named = self.path.endswith(("/machine", "/container"))
                body = json.dumps(answer) if named else "machine"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_PUT(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def machine(sts: FakeSts) -> Iterator[Machine]:
    with Machine(sts) as machine:
        thread = threading.Thread(target=machine.serve_forever, args=[0.02])
        thread.start()
        yield machine
        machine.shutdown()
        thread.join()


def everywhere(home: Home, machine: Machine, sts: FakeSts) -> dict[str, str]:
    """Credentials in every place where botocore looks if a profile has none."""
    url = f"http://127.0.0.1:{machine.server_port}"
    keys = sts.source
    (home.path / ".boto").write_text(
        f"[Credentials]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
    )
    old = home.path / "old"
    old.write_text(f"AWSAccessKeyId={keys.access_key_id}\nAWSSecretKey={keys.secret_access_key}\n")
    return {
        "AWS_ENDPOINT_URL_STS": sts.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/container",
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
        "AWS_CREDENTIAL_FILE": str(old),
        "BOTO_CONFIG": str(home.path / ".boto"),
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
    }


WITHOUT_KEYS = {
    "in the credentials file": ("empty", "[empty]\nregion = us-west-2\n", ""),
    "in the config file": ("empty", "", "[profile empty]\nregion = us-west-2\n"),
    "the default one": ("default", "", "[default]\nregion = us-west-2\n"),
}


@pytest.mark.parametrize("where", WITHOUT_KEYS)
def test_a_profile_without_keys_never_uses_other_credentials(
    where: str, sts: FakeSts, aws_home: Home, machine: Machine
) -> None:
    """The machine's or shell's identity would be wrong: the role fails, and neither is used."""
    name, credentials, config = WITHOUT_KEYS[where]
    aws_home.credentials.write_text(credentials)
    aws_home.aws_config.write_text(config)
    aws_home.configure(role("a", arn("a"), source_profile=name))
    with Daemon(aws_home, **everywhere(aws_home, machine, sts)) as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["last_error"] or sts.calls, 30)
        entry = daemon.role("a")
    assert (sts.calls, machine.asked) == ([], [])
    assert name in in_words(entry)
    assert aws_home.profile("a") is None


@pytest.mark.parametrize("source", ["EcsContainer", "Ec2InstanceMetadata"])
def test_the_machines_identity_signs_if_the_role_names_it(
    source: str, sts: FakeSts, aws_home: Home, machine: Machine
) -> None:
    """Control: exactly the named one."""
    aws_home.configure(role("a", arn("a"), credential_source=source), defaults='[defaults]\nregion = "us-west-2"\n')
    once = aws_home.assumed("once", **everywhere(aws_home, machine, sts))
    assert once.returncode == 0, once.stderr
    assert [call.access_key_id for call in sts.calls] == ["ASIAFAKEMACHINE0"]
    assert {path == "/container" for path in machine.asked} == {source == "EcsContainer"}

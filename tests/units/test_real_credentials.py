"""A source key that lies in no file of AWS's: systemd passes it to the service alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary.kit import forms
from process.kit import arn
from units.machine import UID, Machine, Service, needs_machine
from units.story import Told
from world.daemon import role
from world.fake_sts import FakeSts, Key
from world.waiting import eventually

pytestmark = [needs_machine, pytest.mark.slow]

OUTSIDE = "/home/alice/source-key"


def write_key(machine: Machine, key: Key, name: str = "source-key") -> Path:
    path = machine.home.path / name
    path.write_text(
        f"[signer]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
    )
    path.chmod(0o600)
    return path


def installed(service: Service, sts: FakeSts, setting: str) -> Service:
    machine = service.machine
    (machine.home.path / ".aws").mkdir(mode=0o700)
    machine.home.configure(role("first", arn("first"), source_profile="signer"))
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", setting)
    return service


def signers(sts: FakeSts) -> list[str | None]:
    return [call.access_key_id for call in sts.calls]


def assert_the_key_is_nowhere(service: Service, keys: list[Key]) -> None:
    machine = service.machine
    files = [path for path in (machine.home.path / ".aws").rglob("*") if path.is_file()]
    assert len(files) > 2
    texts = [path.read_text(errors="replace") for path in files]
    texts.append(machine.root("journalctl", "--all", "--output=export").stdout)
    texts.append(service.manager("status", "--full", service.name).stdout)
    for key in keys:
        assert not any(form in text for form in forms(key.secret_access_key) for text in texts)


@pytest.mark.parametrize(
    ("unit", "sandbox"), [("assumed.service", False), ("assumed.service", True), ("assumed@.service", False)]
)
def test_a_key_that_is_loaded_signs_and_a_rotated_one_after_a_restart(
    unit: str, sandbox: bool, machine: Machine, sts: FakeSts, told: Told
) -> None:
    old, new = sts.source, sts.add_key("AKIAFAKESOURCE01", "fake-secret-of-natan-rotated")
    path = write_key(machine, old)
    service = installed(Service(machine, unit, sandbox), sts, f"LoadCredential=aws-credentials:{OUTSIDE}")
    service.systemctl("start")
    assert signers(sts) == [old.access_key_id]

    write_key(machine, new)
    machine.hand_over()
    sts.revoke(old.access_key_id)
    service.systemctl("restart")
    assert service.show("StatusText") == "1 of 1 roles have a session"
    assert len(sts.calls) == 1  # its session is fresh, whoever signs
    assert machine.alice(*service.program("refresh", "first")).returncode == 0
    eventually(lambda: len(sts.calls) == 2, 10)
    assert signers(sts)[-1] == new.access_key_id

    assert path.stat().st_uid == UID
    assert not service.events("watch.failed")
    assert_the_key_is_nowhere(service, [old, new])
    told(
        f"{unit}{', sandbox' if sandbox else ''}: LoadCredential= signs; rotated, restarted, refreshed",
        saw=signers(sts),
    )


def test_a_key_that_is_encrypted_on_the_disk_signs(machine: Machine, sts: FakeSts, told: Told) -> None:
    """By the system manager; a user manager can from systemd 256 on."""
    plain = write_key(machine, sts.source)
    encrypt = ("systemd-creds", "encrypt", "--with-key=host", "--name=aws-credentials", OUTSIDE, "/etc/source-key.cred")
    encrypted = machine.root(*encrypt)
    assert encrypted.returncode == 0, encrypted.stderr
    plain.unlink()
    setting = "LoadCredentialEncrypted=aws-credentials:/etc/source-key.cred"
    service = installed(Service(machine, "assumed@.service"), sts, setting)

    service.systemctl("start")

    assert signers(sts) == [sts.source.access_key_id]
    assert machine.home.profile("first")
    assert_the_key_is_nowhere(service, [sts.source])
    told("assumed@.service: LoadCredentialEncrypted= signs", saw=signers(sts))


def test_what_is_no_credentials_file_is_said(machine: Machine, sts: FakeSts, told: Told) -> None:
    (machine.home.path / "source-key").write_text(f"{sts.source.access_key_id} {sts.source.secret_access_key}\n")
    service = installed(
        Service(machine, "assumed.service", sandbox=True), sts, f"LoadCredential=aws-credentials:{OUTSIDE}"
    )
    service.systemctl("start")
    assert "failing: first" in service.show("StatusText")
    (failure,) = service.events("source.not_resolved")
    assert "the credential aws-credentials that systemd passes" in failure["message"]
    assert "restart the service" in failure["advice"]
    assert not sts.calls
    told("a credential that is no AWS credentials file", saw=f"{failure['message']}; {failure['advice']}")
    assert_the_key_is_nowhere(service, [sts.source])

"""What the units take away is really gone, and what a person's helpers and hooks need is still there."""

from __future__ import annotations

import json

import pytest

from process.kit import arn
from units.machine import Machine, Service, needs_machine
from units.story import DEADLY, KINDS, Told
from world.daemon import DEFAULTS, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = [needs_machine, pytest.mark.slow]


def test_a_system_call_that_the_unit_forbids_would_be_seen(service: Service, sts: FakeSts, told: Told) -> None:
    """Of the other tests, all that is known of system calls rests on this."""
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", DEADLY, "ExecStartPost=/bin/chgrp alice /home/alice")
    if service.sandbox or service.is_template:
        assert service.manager("start", service.name).returncode != 0
        assert "status=31/SYS" in service.log()
        told("a chown in there: killed by SIGSYS")
    else:  # which may call chown: it is for no more than what belongs to her
        service.systemctl("start")
        told("a chown in there: allowed")


HOOK = """sh -c '(systemctl --user is-active dbus.socket; busctl --user get-property org.freedesktop.DBus \
/org/freedesktop/DBus org.freedesktop.DBus Features; logger --tag told-by-hook renewed) > ~/.aws/hooked 2>&1'"""
"""What the examples of [hooks] need: the user's manager, the session's bus (as notify-send does), and the journal."""


def test_helpers_and_hooks_of_a_person_work_in_the_sandbox(service: Service, sts: FakeSts, told: Told) -> None:
    """None of them does what the unit forbids, either: DEADLY holds for them, too."""
    home, key = service.machine.home, sts.source
    document = {"Version": 1, "AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
    (home.path / "helped.json").write_text(json.dumps(document))
    home.aws_config.write_text("[profile helped]\ncredential_process = /bin/cat /home/alice/helped.json\n")
    home.configure(
        role("first", arn("first"), source_profile="helped"),
        defaults=f"hooks.after_renewal = {json.dumps(HOOK)}\n" + DEFAULTS,
    )
    service.machine.hand_over()
    # as `assumed service install` writes it where there is a hook or a helper
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", DEADLY, "InaccessiblePaths=")
    service.systemctl("start")
    assert home.profile("first")
    hooked = home.path / ".aws" / "hooked"
    eventually(
        lambda: service.machine.journal("SYSLOG_IDENTIFIER=told-by-hook"), 10, saying=f"the hook's line: {hooked}"
    )
    said = hooked.read_text().splitlines()
    told("credential_process; a hook that asks the user's manager and bus, and logs", saw=said)
    if not service.is_template:  # outside of her session there is neither
        assert said[0] == "active"
        assert said[1].startswith("as ")


PROBE = """systemd-run --user --wait --collect touch ~/escaped; cat ~/.ssh/id
for path in .aws/inside outside .config/outside; do echo kept > ~/$path && echo $path; done
grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t\\n' '  '
cut -d' ' -f5,6 /proc/self/mountinfo | grep -E '^(/proc/sys|/dev|/tmp) ' | tr '\\n' ' '"""


def test_what_the_sandbox_takes_away_is_really_gone(service: Service, sts: FakeSts, told: Told) -> None:
    """A shell beside the daemon, in the same sandbox, tries it."""
    (service.machine.home.path / "probe").write_text(PROBE)
    (service.machine.home.path / ".ssh").mkdir()
    (service.machine.home.path / ".ssh" / "id").write_text("her-own-key\n")
    service.machine.hand_over()
    said = service.machine.home.path / ".aws" / "said"
    home = "/home/alice"
    service.install(
        f"Environment=AWS_ENDPOINT_URL_STS={sts.url}",
        f"ExecStartPost=/bin/bash -c 'source {home}/probe > {home}/.aws/said 2> /dev/null'",
    )
    service.systemctl("start")
    text = said.read_text()
    told("what a shell in there may write, and has", saw=text.replace("\n", " | "))
    assert "NoNewPrivs: 1" in text
    assert "Seccomp: 2" in text
    assert ".aws/inside" in text
    is_bare = not (service.sandbox or service.is_template)
    assert ("outside" in text) == is_bare
    assert (service.machine.home.path / "outside").exists() == is_bare
    assert ("her-own-key" in text) == is_bare
    if not service.is_template:  # which has no session that could be asked
        assert (service.machine.home.path / "escaped").exists() == is_bare
    if not is_bare:
        assert "CapBnd: 0000000000000000" in text
        assert "/proc/sys ro" in text


@pytest.mark.parametrize("kind", ["user unit in its sandbox", "system template"])
def test_without_the_directory_it_says_so_and_starts_once_it_is_there(
    kind: str, machine: Machine, sts: FakeSts, told: Told
) -> None:
    service, home = Service(machine, *KINDS[kind]), machine.home
    home.configure(role("first", arn("first")))
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", "RestartSec=500ms")
    assert service.manager("start", service.name).returncode != 0
    (refusal, *_) = service.events("command.failed")
    assert "/home/alice/.aws/assumed: the file system is read-only" in refusal["message"]
    assert "ReadWritePaths=" in refusal["message"]
    told(f"{kind}: no ~/.aws", saw=refusal["message"])

    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    machine.hand_over()
    eventually(lambda: home.profile("first"), 20, saying="the profile, after another start")
    assert int(service.show("NRestarts")) > 0

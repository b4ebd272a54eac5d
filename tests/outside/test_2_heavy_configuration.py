"""Configurations that would use up memory or time are refused with file and line; the last good one is used."""

from __future__ import annotations

import pytest

from outside.machine import arn, key_of, program
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 50.0
MEMORY = 1 << 30
"""Bytes of address space: several times what a daemon uses."""

DEPTH = 20_000
HEAVY = {
    "a dotted key": ".".join(["a"] * DEPTH) + " = 1",
    "a quoted dotted key": " . ".join(['"a"'] * DEPTH) + " = 1",
    "a table's name": "[" + ".".join(["a"] * DEPTH) + "]",
    "a list of tables' name": "[[" + ".".join(["a"] * DEPTH) + "]]",
    "a key in an inline table": "x = {" + ".".join(["a"] * DEPTH) + " = 1}",
    "after a text that ends in quotes": 'x = """\n \\""" "" """""\n' + ".".join(["a"] * DEPTH) + " = 1",
}
HARMLESS = {
    "deep words in a text": 'x = "' + ".".join(["a"] * DEPTH) + '"',
    "deep words in a comment": "# " + ".".join(["a"] * DEPTH),
    "blank lines": "\n" * 30_000 + "x = 1",
}
LINES = {
    "a dotted key": 1,
    "a quoted dotted key": 1,
    "a table's name": 1,
    "a list of tables' name": 1,
    "a key in an inline table": 1,
    "after a text that ends in quotes": 3,
}


def good(*profiles: str) -> str:
    return "\n".join([DEFAULTS, *(role(profile, arn(profile)) for profile in profiles)])


def with_little_memory() -> list[str]:
    """A command prefix that limits memory, so that excess is an error and does not end this machine."""
    return [program("prlimit"), f"--as={MEMORY}"]


@pytest.mark.parametrize("what", HEAVY)
def test_check_names_the_line_of_a_configuration_that_is_too_deep(what: str, aws_home: Home) -> None:
    """Status 2 and FILE:LINE, as for every other error; no traceback."""
    aws_home.config.parent.mkdir(parents=True)
    aws_home.config.write_text(HEAVY[what] + "\n\n" + good("kept"))
    done = aws_home.assumed("check", before=with_little_memory(), within=120)
    assert done.returncode == 2, done.stderr[-500:]
    assert f"{aws_home.config}:{LINES[what]}: " in done.stdout + done.stderr


@pytest.mark.parametrize("what", HARMLESS)
def test_check_accepts_what_only_looks_deep(what: str, aws_home: Home) -> None:
    """Strings and comments may contain anything; an unknown key is a separate error."""
    aws_home.config.parent.mkdir(parents=True)
    aws_home.config.write_text(HARMLESS[what] + "\n\n" + good("kept"))
    done = aws_home.assumed("check", before=with_little_memory(), within=120)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    is_unknown = "x = " in HARMLESS[what]
    assert ("key x: " in said) is is_unknown, said[-500:]
    assert (done.returncode == 2) is is_unknown


MANY = {
    "inline tables": "x = [" + "{a = 1}, " * 100_000 + "]",
    "tables": "[[x]]\n" * 150_000,
    "lists": "x = [" + "[], " * 200_000 + "]",
    "unknown keys": "".join(f"k{n} = 1\n" for n in range(70_000)),
}


@pytest.mark.parametrize("what", MANY)
def test_an_error_repeated_a_thousand_times_gives_a_short_report(what: str, aws_home: Home) -> None:
    """It is read by people and must fit into `status` and a log line."""
    aws_home.config.parent.mkdir(parents=True)
    text = MANY[what]
    aws_home.config.write_text(f"{text}\n{good('kept')}" if what == "unknown keys" else f"{good('kept')}\n{text}")
    done = aws_home.assumed("check", before=with_little_memory(), within=120)
    assert done.returncode == 2, done.stderr[-500:]
    assert len(done.stdout + done.stderr) < 100_000


@pytest.mark.parametrize("what", ["a dotted key", "a table's name", "a key in an inline table", "a typing error"])
def test_the_last_good_configuration_survives_a_heavy_one(what: str, aws_home: Home, sts: FakeSts) -> None:
    """At the edit and across a restart; control: a typing error."""
    aws_home.configure(role("kept", arn("kept")))
    with Daemon(aws_home, under=with_little_memory(), AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("kept")
        aws_home.config.write_text(HEAVY.get(what, "x = = 1") + "\n\n" + good("kept", "more"))
        status = daemon.wait_until(lambda status: status["daemon"]["config_error"], WITHIN)
        assert str(aws_home.config) in status["daemon"]["config_error"]
    with Daemon(aws_home, under=with_little_memory(), AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        assert daemon.status()["daemon"]["config_error"]
        aws_home.configure(role("kept", arn("kept")), role("more", arn("more")))
        eventually(lambda: key_of(aws_home, "more"), WITHIN)

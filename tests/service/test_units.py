"""The files of a service: single keys are set in the shipped ones, by the rules of their readers."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.config import HostFacts, load
from assumed.errors import AssumedError, ConfigError
from assumed.service import units
from service.kit import site, spec

ROOT = Path(__file__).parents[2]
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


def lines(text: str) -> list[str]:
    """The settings of a unit, without comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def changed(before: str, after: str) -> set[str]:
    """The settings that only the second text has."""
    return {*lines(after)} - {*lines(before)}


@pytest.mark.parametrize("name", [units.UNIT, units.TEMPLATE, units.SANDBOX, units.AGENT, units.EXAMPLE])
def test_the_shipped_files_are_those_that_people_read(name: str) -> None:
    assert units.shipped(name) == (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/usr/bin/assumed", "run"], "/usr/bin/assumed run"),
        (["/opt/$HOME/assumed", "run"], ':"/opt/$HOME/assumed" run'),
        (["/usr/bin/python3", "-m", "assumed", 'a"b\\c%'], '/usr/bin/python3 -m assumed "a\\"b\\\\c%%"'),
    ],
)
def test_a_command_is_quoted_as_systemd_reads_it(words: list[str], line: str) -> None:
    assert units.exec_line(words) == line


@pytest.mark.parametrize("path", ["/a\nb", "/a\x7fb", "/\udcff", "/a'b", '/a"b', "/a\\b"])
def test_a_program_that_systemd_cannot_start_is_refused(path: str) -> None:
    with pytest.raises(AssumedError, match=r"control characters|quotes or a backslash"):
        units.exec_line([path, "run"])


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("directory", ["plain", "a b", "100%h", "$HOME", "$$x ${Y}", "ü", "a;b", "#x", "-x", "@:+!"])
def test_systemd_itself_finds_the_program_and_the_directories(directory: str, tmp_path: Path) -> None:
    """`verify` looks for the program at the path that it understands, and complains about relative directories."""
    home = tmp_path / directory
    program = home / "assumed"
    home.mkdir()
    program.write_text("#!/bin/sh\n")
    service = spec(str(program), home=home, variables={"AWS_REGION": "x"})
    for present in (True, False):
        program.chmod(0o755 if present else 0o644)
        unit = tmp_path / "assumed.service"
        unit.write_text(units.unit(site(home=home), service))
        drop_in = tmp_path / "assumed.service.d" / "10-sandbox.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(units.sandbox(service))
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        words = [str(SYSTEMD_ANALYZE), "--user", "verify", str(unit)]
        done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
        if present:
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert str(program) in done.stderr


def test_only_what_differs_is_set_in_the_user_unit() -> None:
    shipped = units.shipped(units.UNIT)
    assert changed(shipped, units.unit(site(), spec("/usr/bin/assumed"))) == {"ExecStart=/usr/bin/assumed run"}
    full = units.unit(site(), spec("/usr/bin/assumed", variables={"A": "b"}, starts_programs=True))
    assert changed(shipped, full) == {
        "ExecStart=/usr/bin/assumed run",
        "EnvironmentFile=/home/alice/.config/assumed/service.env",
        "MemoryDenyWriteExecute=no",
    }
    assert "systemctl --user edit assumed" in full.partition("[Unit]")[0]


def test_the_system_unit_names_the_account_and_its_real_home() -> None:
    place = site(system=True, home=Path("/data/al ice"))
    text = units.unit(place, spec("/usr/bin/assumed", writable=("/data/al ice/.aws", "/mnt/keys")))
    found = changed(units.shipped(units.TEMPLATE), text)
    assert {"User=alice", 'ReadWritePaths="-/data/al ice/.aws" -/mnt/keys'} < found
    assert not any("/home/" in line for line in found)


def test_a_service_without_programs_of_others_sees_no_bus_and_no_keys() -> None:
    """With a hook or a helper nothing is hidden; a directory that holds a file to write never is."""

    def hidden(**more: Any) -> str:
        text = units.unit(site(system=True, home=Path("/data/al ice")), spec("/usr/bin/assumed", **more))
        return next(line for line in text.splitlines() if line.startswith("InaccessiblePaths="))

    assert {"-/run/user", "-/data/al ice/.ssh"} < {*shlex.split(hidden().partition("=")[2])}
    assert hidden(starts_programs=True) == "InaccessiblePaths="
    assert "/run/user" not in hidden(writable=("/run/user/1000/aws",))


@pytest.mark.parametrize("system", [False, True])
def test_a_socket_in_tmp_is_left_where_every_command_reaches_it(system: bool) -> None:
    service = spec("/usr/bin/assumed", writable=("/long",), shares_tmp=True)
    text = units.unit(site(system=True), service) if system else units.sandbox(service)
    assert {"PrivateTmp=no", "ReadWritePaths=-/long -/tmp"} < {*lines(text)}
    assert "PrivateTmp=yes" not in text


def test_wildcards_in_the_path_of_an_environment_file_are_literal() -> None:
    """systemd.exec(5): its value is a pattern."""
    text = units.unit(site(home=Path("/home/[a]*b?/x%h")), spec("/usr/bin/assumed", variables={"A": "b"}))
    assert "EnvironmentFile=/home/\\[a]\\*b\\?/x%%h/.config/assumed/service.env" in lines(text)


@given(st.dictionaries(st.sampled_from(["AWS_REGION", "HTTPS_PROXY"]), TEXT))
def test_the_environment_file_reads_back(variables: dict[str, str]) -> None:
    assert units.assignments(units.environment_file(variables)) == variables


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# A=1\nA=3\nexport B='x y'\n", {"A": "3", "B": "x y"}),
        ('A="\\$x \\` \\" \\\\$"\n', {"A": '$x ` " \\$'}),  # as earlier versions wrote it
        ('"A=b c" D=e "F=g\\"h" "I=j\\$k"', {"A": "b c", "D": "e", "F": 'g"h', "I": "j$k"}),  # systemctl show
    ],
)
def test_variables_are_read_as_systemd_writes_them(text: str, found: dict[str, str]) -> None:
    assert units.assignments(text) == found


@pytest.mark.parametrize(
    "program", ["/Users/alice/bin/assumed", "/Users/a b/assumed", "/Users/o'neil/<x>&/assumed", "/Users/$(id)/a"]
)
def test_the_agents_shell_starts_the_program_that_was_meant(program: str) -> None:
    before = plistlib.loads(units.shipped(units.AGENT).encode())
    agent = plistlib.loads(units.agent(spec(program), {"HTTPS_PROXY": "http://a&b:<c>@proxy"}).encode())
    script = agent.pop("ProgramArguments")[2]
    assert shlex.split(script)[:3] == ["exec", program, "run"]
    assert script.partition(" run ")[2] == before.pop("ProgramArguments")[2].partition(" run ")[2]
    before["EnvironmentVariables"]["HTTPS_PROXY"] = "http://a&b:<c>@proxy"
    assert agent == before


def problems(text: str) -> list[str]:
    """The problems of a configuration; none when it can be used."""
    try:
        load(text, Path("/home/alice/.config/assumed/config.toml"), {"HOME": "/home/alice"}, host=HostFacts("a", "h"))
    except ConfigError as error:
        return error.problems
    return []


def test_the_commented_configuration_lacks_roles_alone_and_works_when_they_are_uncommented() -> None:
    text = units.commented_configuration()
    assert len(problems(text)) == 1
    assert lines(text) == ["[defaults]", 'source_profile = "default"']
    assert Path(text.splitlines()[0].removeprefix("#:schema ")).is_file()
    for line in ("[[roles]]", 'profile = "my-role"', "role_arn = "):
        text, found = re.subn(rf"^# ({re.escape(line)})", r"\1", text, count=1, flags=re.MULTILINE)
        assert found == 1
    assert problems(text) == []

"""Completion as it is pressed: in real shells, from the same command definitions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assumed.cli.app import COMMANDS
from shipped.shells import Bash, Fish, Zsh, needs
from world.daemon import Home, role

SCRIPTS = Path(__file__).parents[2] / "daemon" / "assumed" / "cli" / "completions"
SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}
Shell = Bash | Zsh | Fish
ARN = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"


@pytest.fixture
def user(home: Path) -> Home:
    """A home with three roles, one of them disabled, and `assumed` on the PATH."""
    user = Home(home)
    user.configure(role("my-role", ARN), role("prod@eu", ARN), role("off", ARN, enabled=False))
    (home / "other.toml").write_text(user.config.read_text().replace("my-role", "elsewhere"))
    (home / "bin").mkdir()
    assumed = home / "bin" / "assumed"
    assumed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m assumed "$@"\n')
    assumed.chmod(0o755)
    return user


def environment(user: Home) -> dict[str, str]:
    return user.environment(PATH=f"{user.path}/bin:/usr/bin:/bin", TERM="xterm", COLUMNS="2000", LC_ALL="C.UTF-8")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, user: Home) -> Iterator[Shell]:
    """A shell that has read the packaged script."""
    needs(request.param)
    script = SCRIPTS / f"assumed.{request.param}"
    shell = SHELLS[request.param](script, environment(user), user.path)
    yield shell
    if not isinstance(shell, Fish):
        shell.terminal.close()


BOTH = ["my-role", "prod@eu"]
CASES: dict[str, list[str]] = {
    "assumed ": sorted(COMMANDS),
    "assumed sta": ["status"],
    "assumed refresh ": BOTH,
    "assumed refresh my-role ": ["prod@eu"],
    "assumed wait m": ["my-role"],
    "assumed env ": BOTH,
    "assumed serve m": ["my-role"],
    "assumed exec ": BOTH,
    "assumed credential-process ": BOTH,
    "assumed env --shell ": ["bash", "fish", "json", "powershell"],
    "assumed env --shell p": ["powershell"],
    "assumed wait --tim": ["--timeout"],
    "assumed --config other.toml refresh e": ["elsewhere"],
    "assumed service ": ["install", "logs", "print", "status", "uninstall"],
}
"""Line → everything that is offered for its last word, in every shell."""


def offered(user: Home, line: str, **more: str) -> list[list[str]]:
    """What click's script for bash gets: a kind and a word for each."""
    words = line.split(" ")
    result = user.assumed(
        _ASSUMED_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1), **more
    )
    assert result.stderr == "", line
    return sorted(each.split(",") for each in result.stdout.split())


@pytest.mark.parametrize("line", CASES)
def test_what_fits(user: Home, line: str) -> None:
    """Before any shell has a say in it."""
    assert offered(user, line) == [["plain", word] for word in CASES[line]]


@pytest.mark.slow
def test_every_shell_offers_what_fits(shell: Shell) -> None:
    """Commands, options, choices and profiles."""
    if isinstance(shell, Zsh):
        for line, words in CASES.items():
            if len(words) == 1:
                assert shell.completed(line).strip() == f"{line.rpartition(' ')[0]} {words[0]}"
    else:
        found = {line: shell.offers(line) for line in CASES}
        assert found == CASES


@pytest.mark.slow
def test_files_where_a_file_is_meant(shell: Shell, user: Home) -> None:
    """For `--config`, and behind the name of another program's."""
    (user.path / "train.py").touch()
    (user.path / "sessions").mkdir()
    lines = {
        "assumed --config oth": "other.toml",
        "assumed credential-process --state sess": "sessions/",
        "assumed exec my-role -- cat trai": "train.py",
        "assumed exec my-role cat trai": "train.py",
    }
    for line, word in lines.items():
        if isinstance(shell, Fish):
            assert shell.offers(line) == [word]
        else:
            assert shell.completed(line).strip() == f"{line.rpartition(' ')[0]} {word}"


@pytest.mark.parametrize("broken", ["roles = [", "", None], ids=["not TOML", "empty", "none"])
def test_a_broken_configuration_offers_nothing_and_says_nothing(user: Home, broken: str | None) -> None:
    """Whatever stderr says would garble the line that is being typed."""
    user.config.unlink()
    if broken is not None:
        user.config.write_text(broken)
    for line in ("refresh ", "exec ", "--config nowhere.toml wait ", "wait '"):
        assert offered(user, f"assumed {line}") == []


def test_the_last_good_configuration_completes_while_a_bad_edit_is_mended(user: Home) -> None:
    """The daemon goes on with it as well."""
    user.state.mkdir(parents=True)
    user.config.rename(user.state / "config.last-good.toml")
    user.config.write_text("roles = [")
    assert offered(user, "assumed wait m") == [["plain", "my-role"]]


@pytest.mark.parametrize("name", SHELLS)
def test_completion_prints_the_script_of_a_shell(user: Home, name: str) -> None:
    """Exactly the file that packages install."""
    result = user.assumed("completion", name)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (SCRIPTS / f"assumed.{name}").read_text()


EVAL = {
    "bash": ["--norc", "-c", 'eval "$(assumed completion bash)"; complete -p assumed'],
    "zsh": ["-fc", 'autoload -U compinit; compinit -D; eval "$(assumed completion zsh)"; print $_comps[assumed]'],
    "fish": ["--no-config", "-c", "assumed completion fish | source; complete assumed"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVAL)
def test_a_shell_takes_the_script_from_its_own_file(user: Home, name: str) -> None:
    """As a line of ~/.bashrc, ~/.zshrc or config.fish."""
    needs(name)
    command = [name, *EVAL[name]]
    result = subprocess.run(command, env=environment(user), capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert "_assumed" in result.stdout

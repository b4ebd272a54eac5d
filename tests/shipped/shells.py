"""Real shells with a TAB key: what each of them offers for a line, in a home of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from world.waiting import eventually

BASH = """
PS1='> '
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
bind '"\\C-o": insert-completions'
_said() { printf '\\n<<%s>>\\n' "$READLINE_LINE"; READLINE_LINE=; READLINE_POINT=0; }
bind -x '"\\C-g": _said'
"""
ZSH = """
PS1='> '
fpath=($HOME/functions $fpath)
autoload -Uz compinit && compinit -u -D
unsetopt zle_bracketed_paste 2>/dev/null
_said() { printf '\\n<<%s>>\\n' "$BUFFER"; BUFFER=; zle redisplay }
zle -N _said && bindkey '^G' _said
"""


class Terminal:
    """An interactive shell on a terminal of its own, wide enough for every line."""

    def __init__(self, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd, start_new_session=True
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._said = ""

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._ours, keys.encode())

    def screen(self) -> str:
        """Everything shown so far."""
        with contextlib.suppress(OSError):  # nothing yet, or the shell has gone
            self._said += os.read(self._ours, 65536).decode(errors="replace")
        return self._said

    def line(self, keys: str) -> str:
        """The line as it stands once these keys are pressed."""
        seen = self.screen().count("<<")
        self.type(f"{keys}\x07")
        eventually(lambda: self.screen().count(">>\r") > seen, 20, saying=f"an answer to {keys!r} in {self._said!r}")
        return re.findall(r"<<(.*?)>>", self._said, re.DOTALL)[-1]

    def close(self) -> None:
        """The terminal is gone, and the shell with it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


class Bash:
    """bash, which inserts everything that it would offer."""

    def __init__(self, script: Path, environment: dict[str, str], cwd: Path) -> None:
        rc = cwd / "rc.bash"
        rc.write_text(f"{BASH}source {script}\n")
        self.terminal = Terminal(["bash", "--noprofile", "--rcfile", str(rc), "-i"], environment, cwd)

    def offers(self, line: str) -> list[str]:
        """What fits in the place of the last word of the line; the word itself where nothing does."""
        before = line[: len(line) - len(re.split(r"[ =@]", line)[-1])]
        whole = self.terminal.line(f"{line}\x0f")
        assert whole.startswith(before), whole
        return sorted(whole.removeprefix(before).split())

    def completed(self, line: str) -> str:
        """The line after a TAB."""
        return self.terminal.line(f"{line}\t")


class Zsh:
    """zsh, of which the completed line alone can be seen."""

    def __init__(self, script: Path, environment: dict[str, str], cwd: Path) -> None:
        (cwd / ".zshrc").write_text(ZSH)
        (cwd / "functions").mkdir()
        shutil.copy(script, cwd / "functions" / "_assumed")  # where packages put it: read when it is first needed
        self.terminal = Terminal(["zsh", "-i"], {**environment, "ZDOTDIR": str(cwd)}, cwd)

    def completed(self, line: str) -> str:
        """The line after a TAB."""
        return self.terminal.line(f"{line}\t")


class Fish:
    """fish, which is asked."""

    def __init__(self, script: Path, environment: dict[str, str], cwd: Path) -> None:
        self.script, self.environment, self.cwd = script, environment, cwd

    def offers(self, line: str) -> list[str]:
        """What it would offer for the last word of the line."""
        result = subprocess.run(
            ["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", str(self.script), line],
            env=self.environment,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stderr == ""
        return sorted(found.partition("\t")[0] for found in result.stdout.splitlines())


def needs(shell: str) -> None:
    """Skip, and say why, where a shell is missing."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

"""The files of a service: the shipped ones with single keys set, by the rules of their readers.

Never a second copy of a unit's text: what is not set here says what `systemd/` and `launchd/` say. The rules are those
of systemd.syntax(7), systemd.service(5) and systemd.exec(5), and of property lists in XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_BARE = re.compile(r"[A-Za-z0-9_./:@=+,-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_AFTER = "ExecStart"
SHELL_PROGRAM = '"$HOME/.local/bin/assumed"'
"""The program in the shipped launchd agent, which a shell starts."""
_VARIABLES = re.compile(r"(<key>EnvironmentVariables</key>\s*<dict>)(.*?)(\s*</dict>)", re.DOTALL)
_VARIABLE = re.compile(r"<key>([^<]*)</key>\s*<string>([^<]*)</string>")
TMP = "/tmp"  # noqa: S108 - as runtime.control has it, whatever $TMPDIR says
WRITTEN = """\
# Written by `assumed service install`, which writes it anew; what you want otherwise belongs into a drop-in:
#   {edit}
"""


class Unspeakable(ValueError):
    """A path or a value that the file cannot hold. `str()` is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a service is to be, beyond what the shipped files say."""

    program: tuple[str, ...]
    """The words that start `assumed`; the first is absolute."""
    writable: tuple[str, ...] = ()
    """Real directories whose files are replaced."""
    environment_file: str | None = None
    compiles: bool = False
    """Whether it starts programs of others, hooks and helpers: they may write code and run it (node, Java, .NET), and
    need what the sandbox hides."""
    user: str | None = None
    """The account of a system unit."""
    home: str | None = None
    """Its home directory."""
    shares_tmp: bool = False
    """Whether its control socket lies in /tmp, where the commands of its user look for it."""


def quoted(word: str) -> str:
    """One word of a list as systemd takes it apart again, specifiers (`%h`) taken literally."""
    word = _speakable(word).replace("%", "%%")
    if _BARE.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exec_line(words: Sequence[str]) -> str:
    """The value of `ExecStart=`. Raises Unspeakable for a program that systemd refuses to start."""
    if re.search(r"[\"'\\]", words[0]):
        raise Unspeakable(f"systemd starts no program with quotes or a backslash in its path: {words[0]}")
    # `:` keeps systemd from putting variables in; `$$` would stay as it is in the program's own path.
    literal = ":" if any("$" in word for word in words) else ""
    return literal + " ".join(map(quoted, words))


def path_pattern(path: str) -> str:
    """A path as the whole value of `EnvironmentFile=`, which knows wildcards and no quotes."""
    return re.sub(r"([*?\[\\])", r"\\\1", _speakable(path)).replace("%", "%%")


def with_setting(text: str, key: str, value: str) -> str:
    """The unit with `key` set: where it stands, else after ExecStart. Raises ValueError where it stands twice."""
    pattern = re.compile(rf"^{key}=.*$", re.MULTILINE)
    found = len(pattern.findall(text))
    if found > 1:
        raise ValueError(f"{key} stands there {found} times; which one is meant?")
    if found == 0:
        pattern = re.compile(rf"^{_AFTER}=.*$", re.MULTILINE)
        return pattern.sub(lambda line: f"{line[0]}\n{key}={value}", text, count=1)
    return pattern.sub(lambda _: f"{key}={value}", text)


def unit(text: str, wanted: Wanted, edit: str) -> str:
    """A shipped unit as it is wanted. `edit`: the command that makes a drop-in. Raises Unspeakable."""
    text = with_setting(text, "ExecStart", exec_line([*wanted.program, "run"]))
    if wanted.environment_file is not None:
        text = with_setting(text, "EnvironmentFile", path_pattern(wanted.environment_file))
    if wanted.compiles:
        text = with_setting(text, "MemoryDenyWriteExecute", "no")
    if wanted.user is not None:
        text = with_setting(text, "User", wanted.user.replace("%", "%%"))
        text = _places(text, wanted)
    return WRITTEN.format(edit=edit) + text


def sandbox(text: str, wanted: Wanted) -> str:
    """The shipped drop-in with the real directories. Raises Unspeakable."""
    return _places(text, wanted)


def _places(text: str, wanted: Wanted) -> str:
    """The unit with what it may write and what it cannot see, and with everybody's /tmp where its socket lies there."""
    text = with_setting(text, "InaccessiblePaths", _hidden(text, wanted))
    if not wanted.shares_tmp:
        return with_setting(text, "ReadWritePaths", writable_list(wanted.writable))
    # A path of more than 100 bytes holds no socket, so the daemon listens in /tmp/assumed-UID-…: in a /tmp of its own
    # nobody could reach it. Without PrivateTmp= it is ProtectSystem=strict that makes /tmp read-only.
    text = with_setting(text, "PrivateTmp", "no")
    return with_setting(text, "ReadWritePaths", writable_list([*wanted.writable, TMP]))


def _hidden(text: str, wanted: Wanted) -> str:
    """The value of `InaccessiblePaths=`: the shipped one, for the real home, without what holds a file to write."""
    found = re.search(r"^InaccessiblePaths=(.*)$", text, re.MULTILINE)
    if wanted.compiles or found is None:
        return ""
    kept = []
    for word in found[1].split():
        place = word.removeprefix("-").replace("/home/%i", wanted.home or "/home/%i")
        if not any(f"{directory}/".startswith(f"{place}/") for directory in wanted.writable):
            kept.append(word if wanted.home is None or "/home/%i" not in word else quoted(f"-{place}"))
    return " ".join(kept)


def writable_list(directories: Iterable[str]) -> str:
    """The value of `ReadWritePaths=`; the `-` lets the daemon start without one, and say itself what is missing."""
    return " ".join(quoted(f"-{directory}") for directory in directories)


def agent(text: str, wanted: Wanted, variables: Mapping[str, str]) -> str:
    """The shipped launchd agent as it is wanted, with the variables beside its own. Raises Unspeakable."""
    if SHELL_PROGRAM not in text:
        raise ValueError(f"{SHELL_PROGRAM} does not stand in the agent")
    found = _VARIABLES.search(text)
    if found is None:
        raise ValueError("EnvironmentVariables does not stand in the agent")
    own = dict(_VARIABLE.findall(found[2]))  # XML both: it goes back as it came
    entries = {**own, **{_xml(name): _xml(value) for name, value in variables.items()}}
    lines = "".join(f"\n    <key>{name}</key>\n    <string>{value}</string>" for name, value in entries.items())
    text = text[: found.end(1)] + lines + text[found.end(2) :]
    return text.replace(SHELL_PROGRAM, _xml(" ".join(map(_shell_quoted, wanted.program))))


def escaped_instance(name: str) -> str:
    """An account's name between `assumed@` and `.service`, as systemd-escape(1) writes it."""
    plain = re.compile(r"[A-Za-z0-9:_.-]")
    escaped = "".join(chr(byte) if plain.fullmatch(chr(byte)) else f"\\x{byte:02x}" for byte in name.encode())
    return re.sub(r"^\.", r"\\x2e", escaped)


def _shell_quoted(word: str) -> str:
    return word if _BARE.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'"


def _xml(text: str) -> str:
    return _speakable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _speakable(text: str) -> str:
    if _CONTROL.search(text):
        raise Unspeakable(f"a service's file cannot hold control characters, nor what is not UTF-8: {text!a}")
    return text

"""The files of a service: the shipped ones with single keys set, by the rules of their readers.

The text of a unit is kept in `systemd/` and `launchd/` alone. The rules are those of systemd.syntax(7),
systemd.service(5), systemd.exec(5) and launchd.plist(5).
"""

from __future__ import annotations

import plistlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import assumed
from assumed.errors import AssumedError

from .site import Site

UNIT, TEMPLATE, SANDBOX, AGENT, EXAMPLE = (
    "systemd/assumed.service",
    "systemd/assumed@.service",
    "systemd/assumed.service.d/10-sandbox.conf",
    "launchd/assumed.plist",
    "config.example.toml",
)
SCHEMA = "config/schema.json"
TMP = "/tmp"  # noqa: S108 - where the daemon puts its socket, whatever $TMPDIR is
_FIRST = """\
#
# Written by `assumed service install`. Fill in a [[roles]] entry below (remove the `# ` from that line, from profile
# and from role_arn), then run it again.
"""
_ACTIVE = ("[defaults]", 'source_profile = "default"')
_HEADER = """\
# Captured by `assumed service install` from the environment of the shell that ran it; the next install replaces it.
# Mode 0600: a proxy's URL may hold a password.
"""
_WRITTEN = """\
# Written by `assumed service install`, which replaces it. Put local overrides in a drop-in:
#   {edit}
"""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a service is, beyond what the shipped files say.

    `program`: the words that start `assumed`; the first is absolute. `writable`: the real directories whose files are
    replaced. `directories`: those of the account that must exist, as a sandbox cannot make them. `variables`: what the
    service gets of the shell's environment; `kept` names those that only the last install's shell had.
    `starts_programs`: whether it runs hooks or helpers, which may compile at run time (node, Java, .NET) and need what
    the sandbox hides.
    `shares_tmp`: whether its control socket lies in /tmp.
    """

    program: tuple[str, ...]
    writable: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    kept: tuple[str, ...] = ()
    starts_programs: bool = False
    shares_tmp: bool = False
    sandboxed: bool = True


def shipped(name: str) -> str:
    """The text of a file that comes with the package: in a wheel beside the code, in a checkout at its top."""
    package = Path(assumed.__file__).parent
    installed = package / "shipped" / name
    return (installed if installed.exists() else package.parents[1] / name).read_text(encoding="utf-8")


def commented_configuration() -> str:
    """The example configuration with every role commented out."""
    text = re.sub(r"(?m)^(?=[^#\n])", "# ", shipped(EXAMPLE))
    for line in _ACTIVE:
        text = text.replace(f"\n# {line}\n", f"\n{line}\n", 1)
    text = re.sub(r"(?m)^#:schema .*", lambda _: f"#:schema {Path(assumed.__file__).parent / SCHEMA}", text)
    return text.replace("\n\n", f"\n{_FIRST}\n", 1)


def environment_file(variables: Mapping[str, str]) -> str:
    """The text of an `EnvironmentFile=`, which takes a shell's quotes (systemd.exec(5))."""
    return _HEADER + "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def assignments(text: str) -> dict[str, str]:
    """The variables of an `EnvironmentFile=`, or of `systemctl show -p Environment`. Raises ValueError."""
    return dict(word.split("=", 1) for word in shell_words(text) if "=" in word)


def shell_words(text: str) -> list[str]:
    """The words of a text that systemd has quoted for a shell. Raises ValueError for an open quote."""
    # In double quotes systemd writes \\$ and \\`, whose backslash shlex keeps.
    text = re.sub(r'"(?:[^"\\]|\\.)*"', lambda quoted: re.sub(r"\\([$`])", r"\1", quoted[0]), text)
    return shlex.split(text, comments=True)


def quoted(word: str) -> str:
    """One word of a list in a unit; specifiers (`%h`) are taken literally. Raises AssumedError."""
    word = _printable(word).replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_./:@=+,%-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exec_line(words: Sequence[str]) -> str:
    """The value of `ExecStart=`. Raises AssumedError for a program that systemd refuses to start."""
    if re.search(r"[\"'\\]", words[0]):
        raise AssumedError(f"systemd starts no program with quotes or a backslash in its path: {words[0]}")
    # `:` keeps systemd from expanding variables; `$$` would not work in the program's own path.
    literal = ":" if any("$" in word for word in words) else ""
    return literal + " ".join(map(quoted, words))


def with_settings(text: str, settings: Mapping[str, str]) -> str:
    """The unit with these keys set: in their own line, else after ExecStart."""
    for key, value in settings.items():
        line = f"{key}={value}".replace("\\", r"\\")
        text, found = re.subn(rf"(?m)^{key}=.*$", line, text, count=1)
        if not found:
            text = re.sub(r"(?m)^(ExecStart=.*)$", rf"\1\n{line}", text, count=1)
    return text


def unit(site: Site, spec: Spec) -> str:
    """The unit of this service. Raises AssumedError."""
    text = shipped(TEMPLATE if site.system else UNIT)
    settings = {"ExecStart": exec_line([*spec.program, "run"])}
    if spec.variables:
        pattern = re.sub(r"([*?\[\\])", r"\\\1", _printable(str(site.environment)))  # it knows wildcards and no quotes
        settings["EnvironmentFile"] = pattern.replace("%", "%%")
    if spec.starts_programs:
        settings["MemoryDenyWriteExecute"] = "no"
    if site.system:
        settings |= {"User": site.account.name.replace("%", "%%"), **_places(text, spec, site.account.home)}
    edit = shlex.join([*site.systemctl, "edit", site.unit.removesuffix(".service")])
    return _WRITTEN.format(edit=edit) + with_settings(text, settings)


def sandbox(spec: Spec) -> str:
    """The drop-in with the real directories. Raises AssumedError."""
    text = shipped(SANDBOX)
    return with_settings(text, _places(text, spec))


def _places(text: str, spec: Spec, home: Path | None = None) -> dict[str, str]:
    """What the service may write and what it cannot see, and everyone's /tmp where its socket lies there."""
    hidden = []
    for word in re.findall(r"(?m)^InaccessiblePaths=(.*)$", text)[0].split():
        place = word.replace("/home/%i", str(home)) if home else word
        if not any(f"{one}/".startswith(f"{place[1:]}/") for one in spec.writable):
            hidden.append(word if word == place else quoted(place))
    # The `-` lets the daemon start without a directory and report what is missing.
    writable = " ".join(quoted(f"-{path}") for path in [*spec.writable, *([TMP] if spec.shares_tmp else [])])
    places = {"InaccessiblePaths": "" if spec.starts_programs else " ".join(hidden), "ReadWritePaths": writable}
    # Beside a path of more than 100 bytes there is no socket: the daemon listens in /tmp/assumed-UID-…, where commands
    # reach it unless /tmp is private. Without PrivateTmp= it is ProtectSystem=strict that makes /tmp read-only.
    return {**places, "PrivateTmp": "no"} if spec.shares_tmp else places


def agent(spec: Spec, variables: Mapping[str, str]) -> str:
    """The launchd agent of this service, with the variables beside its own. Raises AssumedError."""
    keys = plistlib.loads(shipped(AGENT).encode())
    keys["EnvironmentVariables"] |= {_printable(name): _printable(value) for name, value in variables.items()}
    command = _printable(shlex.join(spec.program))
    keys["ProgramArguments"][2] = re.sub(r"^exec \S+", lambda _: f"exec {command}", keys["ProgramArguments"][2])
    return plistlib.dumps(keys, sort_keys=False).decode()


def _printable(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise AssumedError(f"a service's file cannot hold control characters or text that is not UTF-8: {text!a}")
    return text

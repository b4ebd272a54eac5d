"""`deliver = "process"`: the command that a profile names, and its line in the AWS config file.

AWS's C++ SDK (pyarrow up to 24, DuckDB) looks for `credential_process` in the config file alone. That file is a
person's own: a line is added only where nothing that SDKs prefer is in the same section.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from assumed.errors import FileRefused

from .file import CredentialsFile
from .ini import Document, Section, decode, header_of, profile_of, scan
from .merge import Merge, merge
from .ownership import OWNER_KEY, PREFERRED_KEYS, STATIC_KEYS, Refusal, Unfit
from .sections import CONFIG, KeptProfile

_BARE = re.compile(r"[A-Za-z0-9._/@=+,:-]+")
_NOT_QUOTED = frozenset('"\\$`#;')
"""In double quotes a shell still acts on the first four; `#` and `;` begin a comment for some SDKs, quoted or not."""
OUTRANKING = PREFERRED_KEYS | STATIC_KEYS
"""Keys that SDKs take before a `credential_process` in the same profile."""


def credential_process_argv(state_dir: Path, profile: str) -> list[str]:
    """The argument list of the helper, absolute throughout.

    `-I -S` make it immune to the consumer's PYTHONHOME, PYTHONPATH and working directory (Spark and conda set the
    first two) and keep site-packages out. The interpreter is the one that runs us, not resolved through symlinks:
    the link in a virtual environment outlives an upgrade of the Python behind it.
    """
    script = Path(__file__).resolve().parent.parent / "cli" / "credential_process.py"
    interpreter = os.path.abspath(sys.executable)  # noqa: PTH100 (Path.absolute keeps `..`)
    argv = [interpreter, "-I", "-S", str(script), "--state", os.path.abspath(state_dir), profile]  # noqa: PTH100
    # The AWS files are UTF-8, whatever the locale in which we have read these names.
    return [os.fsencode(word).decode(errors="surrogateescape") for word in argv]


def process_command(argv: Sequence[str]) -> str:
    """`argv` as the value of `credential_process`. Raises Unfit for words that cannot be written.

    botocore splits the value with `shlex`, JavaScript, Go, Java, Rust and .NET pass it to `sh -c`: both read text in
    double quotes alike, as long as it holds none of `_NOT_QUOTED`. The program must be absolute, because PATH may be
    empty in cron and systemd.
    """
    if not argv or not argv[0].startswith("/"):
        raise _unfit(f"the program of credential_process has no absolute path: {list(argv[:1])!r}")
    command = " ".join(map(_word, argv))
    if command.startswith('"') and command.endswith('"'):
        raise _unfit(f"{command} begins and ends with a quoted word, and the Go SDK removes such quotes")
    return command


def _word(part: str) -> str:
    if _BARE.fullmatch(part):
        return part
    # isprintable: no line breaks, no control characters, no bytes that are not UTF-8; letters of every script
    bad = next((char for char in part if char in _NOT_QUOTED or not char.isprintable()), None)
    if part and bad is None:
        return f'"{part}"'
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in part)
    raise _unfit(f"SDKs disagree on how to read {bad or ''!a} in {shown!r}, a word of its credential_process line")


def _unfit(reason: str) -> Unfit:
    return Unfit(reason, 'Use deliver = "keys", or move what lies there to a path without that character')


def line_for(profile: str, command: str | None) -> KeptProfile:
    """What the config file should say of a profile; `command` None takes our line out."""
    return KeptProfile(
        profile, "keys" if command is None else "process", None, None, command, header=header_of(profile)
    )


def merge_config(
    text: bytes, lines: Sequence[KeptProfile], config_id: str, remove_orphans: bool, known: Merge | None = None
) -> Merge:
    """As `merge.merge`, for lines made by `line_for`. A refused profile loses our line, if it has one."""
    document = known.document if known is not None and known.text == text else scan(decode(text))
    headers: dict[str, list[str]] = {}
    for header in document.sections:
        headers.setdefault(profile_of(header) or "", []).append(header)
    kept: list[KeptProfile] = []
    refused: list[Refusal] = []
    for line in lines:
        found = headers.get(line.profile, [])
        if line.command is not None:
            try:
                _check(document, [document.sections[header] for header in found], line.command)
            except Unfit as unfit:
                refused.append(Refusal(line.profile, unfit.reason, unfit.advice))
                line = line_for(line.profile, None)  # noqa: PLW2901 - it is this one that changes
        if line.command is not None and not found:
            kept.append(line)
        kept += [replace(line, header=header) for header in found]
    merged = merge(text, kept, config_id, remove_orphans, known, kind=CONFIG)
    return replace(merged, refused=(*refused, *merged.refused))


def _check(document: Document, sections: Sequence[Section], command: str) -> None:
    """Raises Unfit where our line would not be read, or would replace another program's."""
    if leaking := sorted(OUTRANKING & document.defaults):
        raise Unfit(
            f"[DEFAULT] has {', '.join(leaking)}, which botocore reads in every profile",
            "Rename it to [default] in lower case",
        )
    if len(sections) > 1:
        names = " and ".join(f"[{section.name}]" for section in sections)
        raise Unfit(f"{names} are the same profile", "Merge them into one section")
    for section in sections:
        if outranking := sorted(OUTRANKING & section.keys.keys()):
            raise Unfit(
                f"[{section.name}] has {', '.join(outranking)}, which SDKs use instead of credential_process",
                f"Remove {'it' if len(outranking) == 1 else 'them'} from that section",
            )
        theirs = section.values().get("credential_process", command)
        if _session_of(theirs) != _session_of(command):
            if OWNER_KEY in section.keys:  # each of the two daemons would put its own line back
                raise Unfit(f"[{section.name}] has the line of another credentials file that keeps this profile", "")
            raise Unfit(f"[{section.name}] has another credential_process", "Remove it from that section")


def _session_of(command: str) -> list[str]:
    """State directory and profile, which our commands end with: the interpreter before them may be an older one."""
    try:
        return shlex.split(command)[-3:]
    except ValueError:
        return [command]


def advice_for(profile: str, remedy: str) -> str:
    """What to do about a line that is missing; an empty `remedy`: nothing can bring it there."""
    who = "Clients built on the AWS C++ SDK (pyarrow up to 24, DuckDB) read credential_process from that file alone"
    if not remedy:
        return f"{who}: run them with: assumed exec {profile} -- COMMAND"
    return f"{remedy}. {who}; until it has the line, run them with: assumed exec {profile} -- COMMAND"


class ConfigFile(CredentialsFile):
    """The AWS config file, written by the same sequence. It holds no secrets, so its mode stays what it is."""

    _widest = 0o777
    _may_be_empty = True

    def __init__(self, path: Path, credentials_file: Path, state_dir: Path) -> None:
        """As above. Refuses everything where the two are one file: each writer would undo the other's lines."""
        super().__init__(path, state_dir)
        self._credentials_file = credentials_file

    @property
    def real_path(self) -> Path:
        """Where the symbolic links lead."""
        real = super().real_path
        if str(real) == os.path.realpath(self._credentials_file):
            raise FileRefused(f"{self.path} is the credentials file, too", "Use two files, as AWS does")
        return real

    def _merge(
        self, text: bytes, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool, _held: Collection[str]
    ) -> Merge:
        return merge_config(text, kept, config_id, remove_orphans, self._known)

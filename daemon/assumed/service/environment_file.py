"""The file of variables that an installed service reads (`EnvironmentFile=`, systemd.exec(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\n]*))""",
    re.MULTILINE | re.DOTALL,
)
HEADER = """\
# What the shell had set that ran `assumed service install`, and that the service would not see otherwise.
# Written anew by it. Its mode is 0600: a proxy's URL may hold a password.
"""


def environment_file(variables: Mapping[str, str]) -> str:
    """The text of an `EnvironmentFile=` (systemd.exec(5)): in double quotes, `\\` before `"`, `\\`, `` ` `` and `$`."""
    escaped = {name: re.sub(r'(["\\`$])', r"\\\1", value) for name, value in variables.items()}
    return HEADER + "".join(f'{name}="{value}"\n' for name, value in escaped.items())


def read_environment_file(text: str) -> dict[str, str]:
    """The variables of an `EnvironmentFile=`."""
    found = {}
    for match in _LINE.finditer(text):
        name, double, single, bare = match.groups()
        if double is not None:
            found[name] = re.sub(r'\\(["\\`$])', r"\1", double)
        else:
            found[name] = single if single is not None else bare.strip()
    return found

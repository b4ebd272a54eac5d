"""The files that come with the package: in a wheel beside the code, in a checkout where people read them."""

from __future__ import annotations

from pathlib import Path

import assumed

UNIT, TEMPLATE, SANDBOX, AGENT, EXAMPLE = (
    "systemd/assumed.service",
    "systemd/assumed@.service",
    "systemd/assumed.service.d/10-sandbox.conf",
    "launchd/assumed.plist",
    "config.example.toml",
)
DROP_IN = Path(SANDBOX).name
SCHEMA = "config/schema.json"

_FIRST = """\
#
# Written by `assumed service install`: nothing is kept yet. Fill in a [[roles]] entry below (take the `# ` away from
# that line, from profile and from role_arn), then run it again.
"""
_STAYS = ("[defaults]", 'source_profile = "default"')


def text_of(name: str) -> str:
    """The text of a shipped file."""
    package = Path(assumed.__file__).parent
    shipped = package / "shipped" / name
    return (shipped if shipped.exists() else package.parents[1] / name).read_text(encoding="utf-8")


def commented_configuration() -> str:
    """The example with everything commented out that would be somebody's role."""
    schema = Path(assumed.__file__).parent / SCHEMA
    lines, waiting = [], list(_STAYS)
    for line in text_of(EXAMPLE).splitlines():
        if line.startswith("#:schema "):
            lines.append(f"#:schema {schema}")
        elif waiting and line == waiting[0]:
            lines.append(waiting.pop(0))
        elif not line or line.startswith("#"):
            lines.append(line)
        else:
            lines.append(f"# {line}")
    head, _, rest = "\n".join(lines).partition("\n\n")
    return f"{head}\n{_FIRST}\n{rest}\n"

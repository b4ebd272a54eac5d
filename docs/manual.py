"""Writes the manual pages docs/man/assumed.1 and docs/man/assumed-config.5 (`make manual`).

The commands come from their own definitions, the options of the configuration from its schema: what is written here
is what neither of them says. tests/shipped/test_manual.py keeps the pages in step.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from assumed import __version__
from assumed.cli.app import app
from assumed.config.schema import schema

PAGES = Path(__file__).parent / "man"
REVISED = "2026-11-24"
"""When the words of this file were last revised: a date of the build would make each build another one."""
SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "~": "\\(ti", "^": "\\(ha"}
Terms = Iterable[tuple[str, str]]

STATUSES = [
    ("0", "All is well."),
    ("1", "A role is failing, or what was asked for could not be done."),
    ("2", "Wrong usage, or a configuration that cannot be used."),
    ("3", "The daemon that the command needs is not running."),
    ("4", "Another instance already keeps that credentials file."),
    ("126, 127", "`exec`: the command cannot be run, or there is none of that name."),
    ("128 + n", "`exec`: signal n has ended the command. 130: the command was interrupted from the keyboard."),
]
FILES = [
    (
        "~/.config/assumed/config.toml",
        (
            "The roles to keep; see assumed-config(5). `$XDG_CONFIG_HOME` is honoured. Without it: "
            "/etc/assumed/config.toml."
        ),
    ),
    (
        "~/.aws/credentials",
        (
            "The file whose profiles are kept, unless the configuration or `$AWS_SHARED_CREDENTIALS_FILE` names "
            "another. What is not ours in it stays as it is, byte for byte."
        ),
    ),
    (
        "~/.aws/config",
        "Read for source profiles, regions and endpoints. Never written.",
    ),
    (
        "~/.aws/assumed/",
        (
            "The state, 0700, beside the credentials file: a file for each session, the last good configuration, the "
            "lock, the control socket. Sessions can be taken away from it; they are fetched again."
        ),
    ),
]
ENVIRONMENT = [
    ("ASSUMED_CONFIG", "The configuration file, where `--config` does not name one."),
    ("ASSUMED_LOG_LEVEL", "`debug`, `info`, `warning` or `error`; overrides the configuration."),
    ("ASSUMED_LOG_FORMAT", "`auto`, `console` or `json`; overrides the configuration."),
    ("AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE", "Where AWS's own two files lie, as everywhere in AWS."),
    (
        "AWS_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS, AWS_CA_BUNDLE, HTTPS_PROXY, NO_PROXY",
        "How STS is reached, as everywhere in AWS.",
    ),
    (
        "AWS_ACCESS_KEY_ID, AWS_PROFILE and other credentials",
        'Ignored: they are the business of the shell. `credential_source = "Environment"` asks for them.',
    ),
    ("NO_COLOR", "No colour, also on a terminal."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "systemd is told when `run` is ready, reloads, and is alive."),
]
SIGNALS = [
    (
        "SIGTERM, SIGINT",
        "`run` and `serve` end, within seconds; the profiles keep their sessions for as long as those live.",
    ),
    ("SIGHUP", "`run` reads the configuration again, which it does by itself as well when the file changes."),
    ("all others that a program may catch", "`exec` passes them on to its command."),
]
SECURITY = """\
Every file that assumed creates is readable by its owner alone, save the metrics, which hold names and times. No secret
is in its logs, its errors, its arguments or its status.

The daemon listens on no port: its control socket answers the same user and root. `exec` and `serve` listen on
127.0.0.1 and answer nobody without their token, no browser and no proxy. Whoever runs as the same user can read the
sessions, as everything else of that user's.

Whoever may change the configuration says which roles are assumed: it should be writable by its owner alone."""
CONFIG_ABOUT = """\
The file is TOML. It is read again whenever it changes: additions at once, removals when the same content is read again
5 seconds later. A mistake changes nothing; the last good configuration goes on, also across a restart, and `assumed
status` says what is wrong. `assumed check` says so beforehand.

No secret belongs in it: keys stay in ~/.aws/credentials, under the profile that signs."""
CONFIG_EXAMPLE = """\
[defaults]
source_profile = "default"
region = "us-west-2"

[[roles]]
profile = "my-role"
role_arn = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"
external_id = "my-external-id"

[[roles]]
profile = "reports"
role_arn = "arn:aws:iam::210987654321:role/Reports"
source_profile = "my-role"
deliver = "process\""""


def command_page() -> str:
    """assumed(1)."""
    with click.Context(app, info_name="assumed") as context:
        about, examples = parts(app.help or "")
        lines = [
            *head("assumed", 1, "User Commands", "keeps AWS roles assumed"),
            *section("SYNOPSIS", [usage(app, context)]),
            *section("DESCRIPTION", prose(about)),
            *section(
                "OPTIONS", [*options(app, context), *terms([("-h, --help", "What a command does, takes and returns.")])]
            ),
            *section("COMMANDS", commands(context)),
            *section("CONFIGURATION", prose("The smallest useful one; assumed-config(5) describes every option.")),
            ".PP",
            *literal(CONFIG_EXAMPLE.partition('\n\n[[roles]]\nprofile = "reports"')[0]),
            *section("EXIT STATUS", terms(STATUSES)),
            *section("FILES", terms(FILES)),
            *section("ENVIRONMENT", terms(ENVIRONMENT)),
            *section("SIGNALS", terms(SIGNALS)),
            *section("SECURITY", prose(SECURITY)),
            *section("EXAMPLES", literal(examples)),
            *section("SEE ALSO", prose("assumed-config(5), aws(1), systemd(1), launchd(8)")),
        ]
    return page(lines)


def config_page() -> str:
    """assumed-config(5)."""
    tables: list[str] = []
    for name, value in schema()["properties"].items():
        inner = value.get("properties") or value.get("items", {}).get("properties")
        if inner is None:
            continue
        heading = f"[[{name}]]" if "items" in value else f"[{name}]"
        tables += section(heading, prose(value.get("description", "")))
        if name == "defaults":
            tables += prose("The keys are those of [[roles]], below.")
        else:
            tables += keys(inner)
    plain = {name: value for name, value in schema()["properties"].items() if not {"properties", "items"} & set(value)}
    lines = [
        *head("assumed-config", 5, "File Formats", "the roles that assumed keeps assumed"),
        *section(
            "SYNOPSIS", ["~/.config/assumed/config.toml".replace("~", "\\(ti"), ".br", "/etc/assumed/config.toml"]
        ),
        *section("DESCRIPTION", prose(CONFIG_ABOUT)),
        *section("THE DAEMON", [*prose("These stand before the first table."), *keys(plain)]),
        *tables,
        *section("EXAMPLES", literal(CONFIG_EXAMPLE)),
        *section("SEE ALSO", prose("assumed(1)")),
    ]
    return page(lines)


def head(name: str, number: int, manual: str, about: str) -> list[str]:
    generated = '.\\" Written by docs/manual.py from the definitions of the commands and of the configuration.'
    title = f'.TH {name.upper().replace("-", chr(92) + "-")} {number} {REVISED} "assumed {__version__}" "{manual}"'
    return [generated, title, ".SH NAME", f"{escaped(name)} \\- {about}"]


def commands(parent: click.Context) -> Iterator[str]:
    """The commands of a group, each with its options and examples; below each those of its own."""
    if not isinstance(parent.command, click.Group):
        return
    for name in parent.command.list_commands(parent):
        found = parent.command.get_command(parent, name)
        if found is not None and not found.hidden:
            yield from command(found, click.Context(found, info_name=name, parent=parent))


def command(found: click.Command, context: click.Context) -> Iterator[str]:
    """One command; then those below it."""
    with context:
        about, examples = parts(found.help or "")
        yield f'.SS "{escaped(context.command_path)}"'
        yield usage(found, context)
        yield ".PP"
        yield from prose(about)
        yield from options(found, context)
        if examples:
            yield from (".PP", "Examples:", *literal(examples))
        yield from commands(context)


def usage(found: click.Command, context: click.Context) -> str:
    return f"\\fB{escaped(context.command_path)}\\fR {escaped(' '.join(found.collect_usage_pieces(context)))}"


def options(found: click.Command, context: click.Context) -> list[str]:
    """What a command takes; `--help`, which all of them take, is no parameter of theirs."""
    return terms(record for each in found.params if (record := each.get_help_record(context)))


def keys(properties: dict[str, Any]) -> list[str]:
    """The options of one table: what each is for, its limits and an example."""
    lines: list[str] = []
    for name, value in properties.items():
        about = value["description"].replace("Default: required.", "Required.").replace(" Unit: characters.", "")
        lines += terms([(name, f"{about} {limits(value)}".strip())])
        lines += [".EX", escaped(f"{name} = {toml(value['examples'][0])}"), ".EE"]
    return lines


def limits(value: dict[str, Any]) -> str:
    """The limits that the schema sets, in words."""
    if "enum" in value:
        return f"One of: {', '.join(value['enum'])}."
    if "maximum" in value:
        return f"From {value['minimum']} to {value['maximum']}."
    if "maxLength" in value:
        return f"From {value['minLength']} to {value['maxLength']} characters."
    most = value.get("maxItems", value.get("maxProperties"))
    return f"At most {most}." if most is not None else ""


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case str():
            return f"'{value}'" if '"' in value else f'"{value}"'
    return str(value)


def parts(text: str) -> tuple[str, str]:
    """What a docstring says, and its examples."""
    about, _, examples = inspect.cleandoc(text).partition("\b\nExamples:\n")
    return about.strip(), textwrap.dedent(examples).rstrip()


def section(title: str, lines: Iterable[str]) -> list[str]:
    return [f'.SH "{title}"' if " " in title else f".SH {title}", *lines]


def terms(pairs: Terms) -> list[str]:
    lines: list[str] = []
    for term, text in pairs:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", *filled(text)]
    return lines


def prose(text: str) -> list[str]:
    """Paragraphs, the first without the space before it."""
    lines: list[str] = []
    for number, paragraph in enumerate(text.split("\n\n")):
        lines += [*([".PP"] if number else []), *filled(paragraph)]
    return lines


def filled(text: str) -> list[str]:
    """Short lines of a text whose `words in backticks` are bold."""
    lines = textwrap.wrap(" ".join(text.split()), 72, break_long_words=False, break_on_hyphens=False)
    pieces = "\n".join(lines).split("`")
    marked = "".join(f"\\fB{escaped(piece)}\\fR" if n % 2 else escaped(piece) for n, piece in enumerate(pieces))
    return ["\\&" + line if line.startswith(".") else line for line in marked.split("\n")]


def literal(text: str) -> list[str]:
    lines = ["\\&" + escaped(line) if line.startswith(".") else escaped(line) for line in text.split("\n")]
    return [".RS 4", ".EX", *lines, ".EE", ".RE"]


def escaped(text: str) -> str:
    """Text as it stands: what roff would take for something else is spelled out, and so is what is not ASCII."""
    return "".join(SPECIAL.get(sign) or (sign if sign.isascii() else f"\\[u{ord(sign):04X}]") for sign in text)


def page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Name of each page, and its text."""
    return {"assumed.1": command_page(), "assumed-config.5": config_page()}


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)

"""Writes the manual pages docs/man/assumed.1 and docs/man/assumed-config.5 (`make manual`).

The commands come from their own definitions, the options of the configuration from its schema, and from
docs/man/words.toml what neither of them says. tests/shipped/test_manual.py keeps the pages in step.
"""

from __future__ import annotations

import importlib.resources
import inspect
import json
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from assumed import __version__
from assumed.cli.app import app

SCHEMA = json.loads(importlib.resources.files("assumed.config").joinpath("schema.json").read_text("utf-8"))
PAGES = Path(__file__).parent / "man"
WORDS = tomllib.loads((PAGES / "words.toml").read_text(encoding="utf-8"))
"""What neither the commands nor the configuration say of themselves."""
SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "~": "\\(ti", "^": "\\(ha"}


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
            *literal(WORDS["config_example"].partition('\n\n[[roles]]\nprofile = "reports"')[0]),
            *section("EXIT STATUS", terms(WORDS["exit_status"].items())),
            *section("FILES", terms(WORDS["files"].items())),
            *section("ENVIRONMENT", terms(WORDS["environment"].items())),
            *section("SIGNALS", terms(WORDS["signals"].items())),
            *section("SECURITY", prose(WORDS["security"])),
            *section("EXAMPLES", literal(examples)),
            *section("SEE ALSO", prose("assumed-config(5), aws(1), systemd(1), launchd(8)")),
        ]
    return page(lines)


def config_page() -> str:
    """assumed-config(5)."""
    tables: list[str] = []
    for name, value in SCHEMA["properties"].items():
        inner = value.get("properties") or value.get("items", {}).get("properties")
        if inner is None:
            continue
        heading = f"[[{name}]]" if "items" in value else f"[{name}]"
        tables += section(heading, prose(value.get("description", "")))
        if name == "defaults":
            tables += prose("The keys are those of [[roles]], below.")
        else:
            tables += keys(inner)
        if name == "hooks":
            tables += [
                ".PP",
                *filled("A command finds in its environment, which is the daemon's without any credentials:"),
                *terms(WORDS["hooks"].items()),
            ]
    plain = {name: value for name, value in SCHEMA["properties"].items() if not {"properties", "items"} & set(value)}
    lines = [
        *head("assumed-config", 5, "File Formats", "the roles that assumed keeps assumed"),
        *section(
            "SYNOPSIS", ["~/.config/assumed/config.toml".replace("~", "\\(ti"), ".br", "/etc/assumed/config.toml"]
        ),
        *section("DESCRIPTION", prose(WORDS["config_about"])),
        *section("THE DAEMON", [*prose("These stand before the first table."), *keys(plain)]),
        *tables,
        *section("EXAMPLES", literal(WORDS["config_example"])),
        *section("SEE ALSO", prose("assumed(1)")),
    ]
    return page(lines)


def head(name: str, number: int, manual: str, about: str) -> list[str]:
    generated = '.\\" Written by docs/manual.py from the definitions of the commands and of the configuration.'
    title = (
        f'.TH {name.upper().replace("-", chr(92) + "-")} {number} {WORDS["revised"]} "assumed {__version__}" "{manual}"'
    )
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


def terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
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

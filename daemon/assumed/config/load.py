"""TOML text to a `Config`, or to every error at once. No file is touched here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assumed import paths
from assumed.errors import ConfigError
from assumed.model import Role

from . import keys, places, rules
from .chain import Entry, link
from .hooks import COMMANDS, HOOKS, resolved_words
from .joint import check_table, merge
from .keys import Key
from .lines import KeyPath
from .model import Config, Hooks, HostFacts
from .report import MOST, Document, Report, TooMany, listed, nearest, show, type_words
from .syntax import parse

Table = dict[str, Any]
_FIRST_ROLE = 'add [[roles]] with profile = "my-role" and role_arn = "arn:aws:iam::123456789012:role/NAME"'


@dataclass(frozen=True, slots=True)
class _Reading:
    """One call of `load`: what it reads, where it is, and what it has found so far."""

    document: Document
    path: Path
    environ: Mapping[str, str]
    host: HostFacts
    report: Report


@dataclass(frozen=True, slots=True)
class _Checked:
    """The keys of one table whose values are right, paths resolved, and the names of those that are not."""

    good: Table
    bad: frozenset[str]


def load(text: str, path: Path, environ: Mapping[str, str], *, host: HostFacts) -> Config:
    """The configuration in `text`, read from `path`, with every default filled in.

    `environ` is the daemon's environment (`HOME`, `AWS_SHARED_CREDENTIALS_FILE`, `ASSUMED_LOG_*`); `host` gives
    the default `role_session_name`. Raises `ConfigError` with every problem: `FILE:LINE: TABLE key KEY: what is
    wrong; what would be right`, one line each, in the order of the file.
    """
    path = path if path.is_absolute() else Path.cwd() / path
    document = parse(text, path)
    reading = _Reading(document, path, environ, host, Report(path, text, document, MOST))
    try:
        return _loaded(reading, text)
    except TooMany:
        more = f"{path}: these are the first {MOST} problems; correct them to see the others"
        raise ConfigError([*reading.report.problems(), more]) from None


def _loaded(reading: _Reading, text: str) -> Config:
    top = _checked(reading.document, keys.TOP, (), reading)
    log_level = _setting("log_level", top, reading)
    log_format = _setting("log_format", top, reading)
    credentials_file = _credentials_file(top, reading)
    _check_aws_config_file(reading)
    hooks = _hooks(reading)
    roles = _roles(reading)
    problems = reading.report.problems()
    if problems or credentials_file is None:
        raise ConfigError(problems)
    textfile = Path(top.good["metrics_textfile"]) if "metrics_textfile" in top.good else None
    return Config(reading.path, tuple(roles), credentials_file, log_level, log_format, text, textfile, hooks)


def _checked(table: Table, known: Mapping[str, Key], at: KeyPath, reading: _Reading) -> _Checked:
    good: Table = {}
    bad: set[str] = set()
    for name, value in table.items():
        if at == () and name in keys.TABLES:
            continue
        if name not in known:
            reading.report.add((*at, name), _unknown(name, known, at))
            continue
        wrong = list(rules.check(known[name], value))
        if not wrong:
            try:
                good[name] = _resolved(known[name], value, reading)
            except ValueError as error:
                wrong = [str(error)]
        for sentence in wrong:
            reading.report.add((*at, name), sentence)
        if wrong:
            bad.add(name)
    return _Checked(good, frozenset(bad))


def _resolved(key: Key, value: Any, reading: _Reading) -> Any:
    """A right value with its path made absolute, if it has one. Raises ValueError as `paths.resolve` does."""
    base, environ = reading.path.parent, reading.environ
    if key.is_path:
        return str(paths.resolve(value, base, environ))
    return resolved_words(value, base, environ) if key.kind == "command" else value


def _unknown(name: str, known: Mapping[str, Key], at: KeyPath) -> str:
    if name.lower() in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        return "does not belong here: no secrets in this file; put the keys into the profile that signs"
    if name == "profile":
        return "is each role's own; set it in [[roles]]"
    if at == () and name in keys.ROLE:
        return "belongs to roles; move it under [defaults] or [[roles]]"
    if at != () and name in keys.TOP:
        return "belongs to the top of the file, before the first [ ]"
    if at != ("hooks",) and name in COMMANDS:
        return "belongs to the hooks; move it under [hooks]"
    names = [*known, *keys.TABLES] if at == () else list(known)
    meant = nearest(name, names)
    return f"is unknown; did you mean {meant}?" if meant else f"is unknown; known are {listed(names, 'and')}"


def _setting(name: str, top: _Checked, reading: _Reading) -> str:
    key = keys.TOP[name]
    variable = f"ASSUMED_{name.upper()}"
    value = reading.environ.get(variable, "").lower()
    if not value:
        return str(top.good.get(name, key.default))
    for sentence in rules.check(key, value):
        reading.report.add_elsewhere(f"${variable}", sentence)
    return value


def _credentials_file(top: _Checked, reading: _Reading) -> Path | None:
    if "credentials_file" in top.good:
        path = Path(top.good["credentials_file"])
        if path == paths.NULL:
            reading.report.add(("credentials_file",), "is /dev/null, which holds no profiles; name a file")
        return path
    if "credentials_file" in top.bad:
        return None
    try:
        return paths.default_credentials_file(reading.environ)
    except paths.PathError as error:
        reading.report.add_elsewhere(error.variable, str(error))
        return None


def _check_aws_config_file(reading: _Reading) -> None:
    """Everything that reads the AWS config file later finds it at the same place, or not at all."""
    try:
        paths.aws_config_file(reading.environ)
    except paths.PathError as error:
        reading.report.add_elsewhere(error.variable, str(error))


def _hooks(reading: _Reading) -> Hooks:
    report, table = reading.report, reading.document.get("hooks", {})
    if not isinstance(table, dict):
        report.add(("hooks",), f"{type_words(table)}; write [hooks]")
        return Hooks()
    return Hooks(**_checked(table, HOOKS, ("hooks",), reading).good)


def _roles(reading: _Reading) -> list[Role]:
    report = reading.report
    defaults = reading.document.get("defaults", {})
    if not isinstance(defaults, dict):
        report.add(("defaults",), f"{type_words(defaults)}; write [defaults]")
        defaults = {}
    inherited = _checked(defaults, keys.DEFAULTS, ("defaults",), reading)
    check_table(inherited.good, ("defaults",), report)
    tables = reading.document.get("roles", [])
    if not isinstance(tables, list):
        report.add(("roles",), f"{type_words(tables)}; write [[roles]], with two brackets, for each role")
        return []
    if not tables:
        report.add(("roles",), f"there are no roles; {_FIRST_ROLE}")
    entries = [_entry(index, table, inherited, reading) for index, table in enumerate(tables)]
    return link([entry for entry in entries if entry is not None], report)


def _entry(index: int, table: object, inherited: _Checked, reading: _Reading) -> Entry | None:
    if not isinstance(table, dict):
        reading.report.add(("roles", index), f"{type_words(table)}; write [[roles]] for each role")
        return None
    own = _checked(table, keys.ROLE, ("roles", index), reading)
    values = merge(index, own.good, inherited.good, own.bad | inherited.bad, reading.report)
    if values is None:
        return None
    return Entry(index, _role(values, reading.host), frozenset(own.good))


def _role(values: Table, host: HostFacts) -> Role:
    """The role of checked, merged values."""
    values = {"role_session_name": places.session_name(host), **values}
    if "policy" in values:
        values["policy"] = rules.policy_text(values["policy"])
    values["tags"] = tuple(sorted(values.get("tags", {}).items()))
    for name in ("policy_arns", "transitive_tag_keys"):
        values[name] = tuple(values.get(name, ()))
    return Role(**values)


def role_problems(config: Config, key: str, problem: Callable[[Role], str]) -> list[str]:
    """A line for each role for which `problem` returns a sentence, with the file, the line and `key` before it."""
    found = [(index, sentence) for index, role in enumerate(config.roles) if (sentence := problem(role))]
    if not found:
        return []
    report = Report(config.path, config.text, parse(config.text, config.path))
    for index, sentence in found:
        report.add(("roles", index, key), sentence)
    return report.problems()


def missing_sources(config: Config, known_profiles: set[str]) -> list[str]:
    """A sentence for each enabled role whose `source_profile` is neither a kept one nor in the AWS files."""
    report = Report(config.path, config.text, parse(config.text, config.path))
    for index, role in enumerate(config.roles):
        source = role.source_profile
        if role.enabled and role.parent is None and source is not None and source not in known_profiles:
            report.add(("roles", index, "source_profile"), _missing(source, known_profiles))
    return report.problems()


def _missing(name: str, known: set[str]) -> str:
    meant = nearest(name, sorted(known))
    hint = f"did you mean {show(meant)}?" if meant else f"create it with: aws configure --profile {name}"
    return f"is {show(name)}, a profile that neither AWS file has; {hint}"

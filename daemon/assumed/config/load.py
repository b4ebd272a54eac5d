"""TOML text to a `Config`, or to every error at once. No file is touched here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assumed import paths
from assumed.errors import ConfigError
from assumed.model import Role

from . import keys, validate
from .chain import Entry, link
from .keys import Key
from .lines import KeyPath, parse
from .model import Config, Hooks, HostFacts, session_name
from .report import MOST, Report, TooMany, listed, nearest, type_words

Table = dict[str, Any]
_VALUES: dict[str, Callable[[Any], Any]] = {
    "policy": validate.policy_text,
    "strings": tuple,
    "table": lambda tags: tuple(sorted(tags.items())),
}
"""Kind → the value as a `Role` holds it."""
_FIRST_ROLE = 'add [[roles]] with profile = "my-role" and role_arn = "arn:aws:iam::123456789012:role/NAME"'


def load(text: str, path: Path, environ: Mapping[str, str], *, host: HostFacts) -> Config:
    """The configuration in `text`, read from `path`, with every default filled in.

    `environ` is the daemon's environment (`HOME`, `AWS_SHARED_CREDENTIALS_FILE`, `ASSUMED_LOG_*`); `host` gives
    the default `role_session_name`. Raises `ConfigError` with every problem: `FILE:LINE: TABLE key KEY: what is
    wrong; what would be right`, one line each, in the order of the file.
    """
    path = path if path.is_absolute() else Path.cwd() / path
    report = Report(path, text, parse(text, path))
    more: list[str] = []
    try:
        config = _Loader(report, environ, host).config()
    except TooMany:
        more = [f"{path}: these are the first {MOST} problems; correct them to see the others"]
    if problems := report.problems():
        raise ConfigError([*problems, *more])
    return config


@dataclass(frozen=True, slots=True)
class _Loader:
    """One call of `load`."""

    report: Report
    environ: Mapping[str, str]
    host: HostFacts

    def config(self) -> Config:
        """What could be read; the report says whether that is all of it."""
        top, bad = self._checked(self.report.document, keys.TOP, ())
        self._look_up("aws_config_file")  # everything that reads it later finds it at the same place
        return Config(
            path=self.report.path,
            log_level=self._setting("log_level", top),
            log_format=self._setting("log_format", top),
            credentials_file=self._credentials_file(top, bad),
            hooks=Hooks(**self._checked(self._table("hooks"), keys.HOOKS, ("hooks",))[0]),
            roles=tuple(self._roles()),
            text=self.report.text,
            metrics_textfile=Path(top["metrics_textfile"]) if "metrics_textfile" in top else None,
        )

    def _table(self, name: str) -> Table:
        table = self.report.document.get(name, {})
        if isinstance(table, dict):
            return table
        self.report.add((name,), f"{type_words(table)}; write [{name}]")
        return {}

    def _checked(self, table: Table, known: Mapping[str, Key], at: KeyPath) -> tuple[Table, frozenset[str]]:
        """The keys of one table whose values are right, paths resolved, and the names of those that are not."""
        good: Table = {}
        for name, value in table.items():
            if at == () and name in keys.TABLES:
                continue
            if name not in known:
                self.report.add((*at, name), _unknown(name, known, at))
                continue
            wrong = list(validate.check(known[name], value))
            if not wrong:
                try:
                    good[name] = self._resolved(known[name], value)
                except ValueError as error:
                    wrong = [str(error)]
            for sentence in wrong:
                self.report.add((*at, name), sentence)
        return good, frozenset(table.keys() & known.keys() - good.keys())

    def _resolved(self, key: Key, value: Any) -> Any:
        """A right value as a `Role` holds it, its path absolute. Raises ValueError as `paths.resolve` does.

        A program with a slash in its name is found as any other path of the file is; one without is looked up in
        $PATH when it is run.
        """
        base = self.report.path.parent
        if key.is_path:
            return str(paths.resolve(value, base, self.environ))
        if key.kind != "command":
            return _VALUES.get(key.kind, lambda value: value)(value)
        program, *arguments = validate.command_words(value)
        return (str(paths.resolve(program, base, self.environ)) if "/" in program else program, *arguments)

    def _setting(self, name: str, top: Table) -> str:
        key, variable = keys.TOP[name], f"ASSUMED_{name.upper()}"
        value = self.environ.get(variable, "").lower()
        for sentence in validate.check(key, value) if value else ():
            self.report.add(f"${variable}", sentence)
        return value or str(top.get(name, key.default))

    def _credentials_file(self, top: Table, bad: frozenset[str]) -> Path:
        name = "credentials_file"
        if name not in top:
            return paths.NULL if name in bad else self._look_up(f"default_{name}")
        if top[name] == str(paths.NULL):
            self.report.add((name,), "is /dev/null, which cannot hold profiles; name a file")
        return Path(top[name])

    def _look_up(self, which: str) -> Path:
        """A path of AWS's by the environment, by the function of `paths` that knows it."""
        try:
            found: Path = getattr(paths, which)(self.environ)
        except paths.PathError as error:
            self.report.add(error.variable, str(error))
            return paths.NULL
        return found

    def _roles(self) -> list[Role]:
        inherited, bad = self._checked(self._table("defaults"), keys.DEFAULTS, ("defaults",))
        validate.check_table(inherited, ("defaults",), self.report)
        tables = self.report.document.get("roles", [])
        if not isinstance(tables, list):
            self.report.add(("roles",), f"{type_words(tables)}; write [[roles]], with two brackets, for each role")
            return []
        if not tables:
            self.report.add(("roles",), f"there are no roles; {_FIRST_ROLE}")
        entries = [self._entry(index, table, inherited, bad) for index, table in enumerate(tables)]
        return link([entry for entry in entries if entry is not None], self.report)

    def _entry(self, index: int, table: object, inherited: Table, bad: frozenset[str]) -> Entry | None:
        if not isinstance(table, dict):
            self.report.add(("roles", index), f"{type_words(table)}; write [[roles]] for each role")
            return None
        own, wrong = self._checked(table, keys.ROLE, ("roles", index))
        values = validate.merge(index, own, inherited, wrong | bad, self.report)
        if not values.keys() >= {"profile", "role_arn"}:
            return None
        return Entry(index, Role(**{"role_session_name": session_name(self.host), **values}), frozenset(own))


def _unknown(name: str, known: Mapping[str, Key], at: KeyPath) -> str:
    if name.lower() in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        return "does not belong here: no secrets in this file; put the keys into the profile that signs"
    elsewhere = (
        (name == "profile", "each role has its own; set it in [[roles]]"),
        (at == () and name in keys.ROLE, "belongs to roles; move it under [defaults] or [[roles]]"),
        (name in keys.TOP, "belongs to the top of the file, before the first [table]"),
        (name in keys.COMMANDS, "belongs to the hooks; move it under [hooks]"),
    )
    names = [*known, *keys.TABLES] if at == () else list(known)
    meant = nearest(name, names)
    guess = f"is unknown; did you mean {meant}?" if meant else f"is unknown; known are {listed(names, 'and')}"
    return next((what for applies, what in elsewhere if applies), guess)


def role_problems(config: Config, key: str, problem: Callable[[Role], str]) -> list[str]:
    """A line for each role for which `problem` returns a sentence, with the file, the line and `key` before it."""
    found = [(index, sentence) for index, role in enumerate(config.roles) if (sentence := problem(role))]
    report = Report(config.path, config.text, parse(config.text, config.path) if found else {})
    for index, sentence in found[: MOST - 1]:
        report.add(("roles", index, key), sentence)
    return report.problems()

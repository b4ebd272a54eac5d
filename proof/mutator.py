"""Breaks one decision of a Python source, in ways that a user could feel.

Texts, log calls, decorators and annotations stay as they are. A change replaces the bytes of one node, so that every
other line, and with it each line number, stays.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

Operator = type[ast.cmpop]
OPPOSITE: dict[Operator, Operator] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
BOUNDARY: dict[Operator, Operator] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
LOG_CALL = re.compile(r"(^|\.)_?(log|logger|structlog\.get_logger\(.*\))\.\w+$")
NOT_DECISIONS = frozenset({"annotation", "returns", "decorator_list", "slice"})

Change = tuple[ast.expr | ast.stmt, str, str]
"""The place, the operator, the new text."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken place: the bytes from `start` to `end` of the file become `text`."""

    file: str
    line: int
    function: str
    operator: str
    before: str
    after: str
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """The broken source."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def watched(self, note: str) -> Iterator[tuple[int, str]]:
        """What to insert where, from the end of the file on, so that the statement `note` is run before the place."""
        if self.text == "pass":
            yield self.start, f"{note}; "
        else:
            yield self.end, "))"
            yield self.start, f"({note} or ("


def watched(source: bytes, notes: dict[Mutant, str]) -> bytes:
    """The source as it is, but for a call, which returns None, in front of each of these places."""
    for at, text in sorted((edit for one, note in notes.items() for edit in one.watched(note)), reverse=True):
        source = source[:at] + text.encode() + source[at:]
    return source


def mutants(source: bytes, file: str = "") -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    found = []
    for function, (place, operator, text) in _every_change(ast.parse(source), ""):
        last_line, last_column = place.end_lineno or place.lineno, place.end_col_offset or 0
        start, end = starts[place.lineno - 1] + place.col_offset, starts[last_line - 1] + last_column
        head, tail = source[starts[place.lineno - 1] : start], source[end : starts[last_line]]
        before, after = (_one_line(head + middle + tail) for middle in (source[start:end], text.encode()))
        if before != after:
            found.append(Mutant(file, place.lineno, function, operator, before, after, start, end, text))
    return sorted(found, key=lambda one: (one.start, one.end, one.text))


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())


def _every_change(node: ast.AST, function: str) -> Iterator[tuple[str, Change]]:
    """With the function, its classes before it, that the change is in."""
    if (
        isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert | ast.pattern)
        or _is_log_call(node)
        or _is_no_decision(node)
    ):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for change in CHANGES:
        yield from ((function, found) for found in change(node))
    for name, value in ast.iter_fields(node):
        if name not in NOT_DECISIONS:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _every_change(child, function)


def _is_log_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(LOG_CALL.search(ast.unparse(node.func)))


def _is_no_decision(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "__name__ == '__main__'"}


def _comparison(node: ast.AST) -> Iterator[Change]:
    if not isinstance(node, ast.Compare):
        return
    first, *rest = node.ops
    for operator, swapped in (("comparison flipped", OPPOSITE), ("boundary moved", BOUNDARY)):
        if type(first) in swapped:
            new = ast.Compare(node.left, [swapped[type(first)](), *rest], node.comparators)
            yield node, operator, f"({ast.unparse(new)})"


def _condition(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield node, "and/or swapped", f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "not dropped", f"({ast.unparse(operand)})"
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.UnaryOp | ast.Compare):
            yield test, "condition negated", f"(not ({ast.unparse(test)}))"


def _value(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Constant(value=bool(value)):
            yield node, "True/False swapped", str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, "number doubled", repr(value * 2)
            yield node, "number halved", repr(value // 2 if isinstance(value, int) else value / 2)
        case ast.Call(func=ast.Name(id="min" | "max" as name) as place):
            yield place, "min/max swapped", "max" if name == "min" else "min"


def _statement(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Expr(value=ast.Call() as call) if not _is_log_call(call) and "super()" not in ast.unparse(call):
            yield node, "call dropped", "pass"
        case ast.If(orelse=[], body=[*_, last]) | ast.ExceptHandler(body=[*_, last]):
            if isinstance(last, ast.Return | ast.Continue | ast.Break | ast.Raise):
                yield last, "early exit dropped", "pass"


CHANGES: tuple[Callable[[ast.AST], Iterator[Change]], ...] = (_comparison, _condition, _value, _statement)


def sample(sources: dict[str, bytes], seed: int, count: int, per_file: int) -> list[Mutant]:
    """By chance, at most one mutant a line and `per_file` a file; operators take turns, so none crowds out the rest."""
    chance = random.Random(seed)  # noqa: S311
    pools: dict[str, list[Mutant]] = {}
    for file, source in sorted(sources.items()):
        for one in mutants(source, file):
            pools.setdefault(one.operator, []).append(one)
    for operator in sorted(pools):
        chance.shuffle(pools[operator])
    taken: list[Mutant] = []
    while len(taken) < count and any(pools.values()):
        for operator in sorted(pools):
            fits = None
            while pools[operator] and fits is None and len(taken) < count:
                one = pools[operator].pop()
                lines = [other.line for other in taken if other.file == one.file]
                fits = one if len(lines) < per_file and one.line not in lines else None
            taken += [fits] if fits else []
    return sorted(taken, key=lambda one: (one.file, one.start))

"""Cuts the power after every system call of an act, and looks at everything that a disk may hold then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from credentials.fault.cases import names
from credentials.fault.scenes import ALL, Scene, restart, said
from credentials.fault.traced import Stage
from fault.disk import Directory, Disk, File, Link, Node, State


@dataclass(slots=True)
class Verdict:
    """Of all states: `torn` ones give a reader neither the old file nor the new one; `undone` ones have the old one
    although its write had been called done; in `stuck` ones the next start and write do not put everything right."""

    states: int = 0
    torn: int = 0
    undone: int = 0
    stuck: int = 0


def cut_at_each(stage: Stage, name: str, scratch: Path, deaf_to: type[Node] | None = None) -> Verdict:
    """The scene once, for real, in `scratch`; then each state that its calls allow. `deaf_to`: see Disk."""
    scene = ALL[name]
    before, kept, state = (scratch / part for part in ("before", "kept", "state"))
    before.mkdir(parents=True)
    scene.prepare(before)
    disk = Disk(before, deaf_to)
    _keep(disk.root, kept)
    old = scene.whole(before)
    outcome = stage.act(name, before)
    assert outcome.said == "written"
    new = scene.whole(before)
    states = [(one, False) for one in disk.states()]
    for call in outcome.calls:
        if disk.feed(call):
            states += [(one, False) for one in disk.states()]
    states += [(one, True) for one in disk.states()]
    _find(disk.root, before)
    restart(before)
    expected = names(before)
    verdict, seen = Verdict(), set()
    for one, done in states:
        mark = (done, frozenset((path, id(node), content) for path, (node, content) in one.items()))
        if mark in seen:
            continue
        seen.add(mark)
        _put(one, state)
        found = scene.whole(state)
        verdict.states += 1
        verdict.torn += found not in (old, new) and not (scene.stored and found is None)
        verdict.undone += done and found != new and not scene.stored
        verdict.stuck += not _is_put_right(scene, state, new, expected)
    return verdict


def _is_put_right(scene: Scene, state: Path, new: object, expected: set[Path]) -> bool:
    restart(state)
    return names(state) <= expected and said(scene.act, state) == "written" and scene.whole(state) == new


def _files(directory: Directory) -> Iterator[tuple[str, Node]]:
    for name, ages in directory.names.items():
        node = ages[-1]
        if isinstance(node, Directory):
            yield from ((f"{name}/{below}", file) for below, file in _files(node))
        elif node is not None:
            yield name, node


def _keep(root: Directory, kept: Path) -> None:
    """A second name for each file that is there, so that a state can have the very file, with its inode and times."""
    kept.mkdir()
    for number, (_, node) in enumerate(_files(root)):
        if isinstance(node, File) and node.real is not None:
            os.link(node.real, kept / str(number))
            node.real = kept / str(number)


def _find(root: Directory, after: Path) -> None:
    """The files that the act has made."""
    for path, node in _files(root):
        if isinstance(node, File) and node.real is None:
            node.real = after / path


def _put(state: State, directory: Path) -> None:
    """Makes the real directory what the state says. Parents come before what is in them."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(0o700)
    for name, (node, content) in state.items():
        path = directory / name
        match node:
            case Directory():
                path.mkdir(0o700)
            case Link():
                path.symlink_to(node.target)
            case File(real=Path() as real) if real.read_bytes() == content:
                os.link(real, path)
            case File():
                path.touch(0o600)
                path.write_bytes(content)

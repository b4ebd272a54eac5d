"""When an edit of the configuration takes effect, and what half a file does not do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assumed.config import Config, HostFacts, load, read
from assumed.runtime.reload import CONFIRM, PATIENCE, QUIET, ConfigWatch, Edit

ENVIRON = {"HOME": "/home/natan"}


def toml(*profiles: str, log_level: str = "info", region: str = "us-west-2", credentials: str = "credentials") -> str:
    roles = "".join(
        f'\n[[roles]]\nprofile = "{name}"\nrole_arn = "arn:aws:iam::123456789012:role/{name}"\n' for name in profiles
    )
    return (
        f'credentials_file = "{credentials}"\nlog_level = "{log_level}"\n'
        f'[defaults]\nsource_profile = "default"\nregion = "{region}"\n{roles}'
    )


@dataclass
class Editor:
    """A configuration file that somebody edits while a watch follows it, in a time of our own."""

    path: Path
    now: float = 1000.0
    edits: list[tuple[float, Edit]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path.write_text(toml("a", "b"))
        self.watch = ConfigWatch(self.parse(self.path.read_text()), read, self.parse)

    def parse(self, text: str) -> Config:
        return load(text, self.path, ENVIRON, host=HostFacts("natan", "laptop"))

    def write(self, text: str) -> None:
        """One save, and the hint that comes with it."""
        self.path.write_text(text)
        self.watch.look(self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass; the watch is asked whenever it wants to be."""
        end, asked = self.now + seconds, 0
        while (at := self.watch.next_look()) is not None and at <= end:
            asked += 1
            assert asked < 100, "it wants to be asked without end: a busy loop"
            self.now = max(self.now, at)
            self._settle()
        self.now = end

    def beat(self) -> None:
        """The heartbeat's look, without any hint."""
        self.watch.look(self.now)

    def hang_up(self) -> None:
        """SIGHUP."""
        self._settle(at_once=True)

    def _settle(self, at_once: bool = False) -> None:
        edit = self.watch.settle(self.now, at_once)
        if edit is not None:
            self.edits.append((self.now, edit))

    @property
    def profiles(self) -> list[str]:
        return [role.profile for role in self.watch.running.roles]


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    return Editor(tmp_path / "config.toml")


def test_an_addition_takes_effect_once_the_file_has_come_to_rest(editor: Editor) -> None:
    editor.write(toml("a", "b", "c"))

    editor.wait(QUIET - 0.01)
    assert editor.profiles == ["a", "b"]
    editor.wait(0.02)
    assert editor.profiles == ["a", "b", "c"]
    assert editor.watch.next_look() is None


def test_a_change_takes_effect_in_place(editor: Editor) -> None:
    editor.write(toml("a", "b", region="eu-west-1", log_level="debug"))
    editor.wait(1)

    assert {role.region for role in editor.watch.running.roles} == {"eu-west-1"}
    assert editor.watch.running.log_level == "debug"


def test_one_save_of_many_events_is_one_edit(editor: Editor) -> None:
    for _ in range(9):
        editor.write(toml("a", "b", "c"))
        editor.wait(0.02)
    editor.wait(1)

    assert len(editor.edits) == 1


def test_a_save_that_changes_nothing_is_no_edit(editor: Editor) -> None:
    editor.write(toml("a", "b"))
    editor.wait(10)

    assert editor.edits == []


def test_a_file_that_never_comes_to_rest_is_read_all_the_same(editor: Editor) -> None:
    for number in range(100):
        editor.write(toml("a", "b", f"c{number}"))
        editor.wait(0.1)

    first, _ = editor.edits[0]
    assert first - 1000 <= PATIENCE + 0.1
    assert len(editor.edits) <= 3


def test_a_role_leaves_when_the_same_content_is_found_again_later(editor: Editor) -> None:
    editor.write(toml("a"))

    editor.wait(QUIET + CONFIRM - 0.1)
    assert editor.profiles == ["a", "b"]
    assert editor.edits[0][1].leaving == ("b",)
    editor.wait(0.2)
    assert editor.profiles == ["a"]
    assert editor.edits[1][1].leaving == ()


def test_a_role_that_comes_back_in_time_has_never_left(editor: Editor) -> None:
    editor.write(toml("a"))
    editor.wait(3)
    editor.write(toml("a", "b"))
    editor.wait(60)

    assert editor.profiles == ["a", "b"]
    assert all(edit.config.role("b") for _, edit in editor.edits)


def test_a_role_that_comes_back_as_another_one_is_that_one(editor: Editor) -> None:
    editor.write(toml("a"))
    editor.wait(3)
    editor.write(toml("a", "b").replace("role/b", "role/other"))
    editor.wait(60)

    role = editor.watch.running.role("b")
    assert role is not None
    assert role.role_arn.endswith("role/other")


def test_what_is_added_while_another_leaves_does_not_wait_for_it(editor: Editor) -> None:
    editor.write(toml("a", "new"))
    editor.wait(1)
    assert sorted(editor.profiles) == ["a", "b", "new"]
    editor.wait(CONFIRM)
    assert editor.profiles == ["a", "new"]


def test_a_save_just_before_the_second_look_is_waited_for_quietly(editor: Editor) -> None:
    """The second look is due, the file has changed again and is not at rest: nothing can be done but wait."""
    editor.write(toml("a"))
    editor.wait(QUIET + CONFIRM - 0.1)
    editor.write(toml("a", "c"))
    editor.wait(60)

    assert editor.profiles == ["a", "c"]


def test_each_edit_begins_the_wait_for_a_leaving_role_anew(editor: Editor) -> None:
    editor.write(toml("a"))
    editor.wait(4)
    editor.write(toml("a", region="eu-west-1"))
    editor.wait(4)
    assert "b" in editor.profiles
    editor.wait(2)
    assert editor.profiles == ["a"]


BAD = {
    "no TOML": "[[roles]\nprofile = ",
    "an unknown key": toml("a", "b") + "oh = 1\n",
    "no roles at all": 'credentials_file = "credentials"\n',
    "nothing": "",
    "one role twice": toml("a", "a"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_edit_changes_nothing_but_what_is_said(editor: Editor, what: str) -> None:
    before = editor.watch.running
    editor.write(BAD[what])
    editor.wait(60)

    assert editor.watch.running is before
    assert editor.edits == []
    assert editor.watch.error is not None
    assert str(editor.path) in str(editor.watch.error)


def test_an_undone_edit_takes_the_complaint_back(editor: Editor) -> None:
    editor.write(BAD["no TOML"])
    editor.wait(1)
    editor.write(toml("a", "b"))
    editor.wait(1)

    assert editor.watch.error is None
    assert editor.profiles == ["a", "b"]


def test_a_bad_edit_does_not_let_a_role_go_that_was_leaving(editor: Editor) -> None:
    editor.write(toml("a"))
    editor.wait(2)
    editor.write(BAD["no TOML"])
    editor.wait(60)
    assert editor.profiles == ["a", "b"]

    editor.write(toml("a"))
    editor.wait(60)
    assert editor.profiles == ["a"]


def _remove(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _huge(path: Path) -> None:
    path.write_text("#" * (2 << 20))


def _no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("become", [_remove, _directory, _pipe, _huge, _no_text])
def test_a_file_that_is_none_any_more_changes_nothing(editor: Editor, become: Callable[[Path], None]) -> None:
    become(editor.path)
    editor.beat()
    editor.wait(60)

    assert editor.profiles == ["a", "b"]
    assert editor.watch.error is not None

    if editor.path.is_dir():
        editor.path.rmdir()
    else:
        editor.path.unlink(missing_ok=True)
    editor.write(toml("a", "b", "c"))
    editor.wait(1)
    assert editor.watch.error is None
    assert editor.profiles == ["a", "b", "c"]


def test_another_credentials_file_takes_a_restart_and_until_then_everything_goes_on(editor: Editor) -> None:
    """Lock, state and kept profiles lie beside the old one."""
    before = editor.watch.running
    editor.write(toml("a", "b", "c", credentials="elsewhere"))
    editor.wait(60)

    assert editor.watch.running is before
    assert "restart assumed to use another credentials_file" in str(editor.watch.error)
    assert str(before.credentials_file) in str(editor.watch.error)

    editor.write(toml("a", "b", "c"))
    editor.wait(1)
    assert editor.watch.error is None
    assert editor.profiles == ["a", "b", "c"]


def test_the_same_credentials_file_in_other_words_takes_no_restart(editor: Editor) -> None:
    editor.write(toml("a", "b", credentials=f"{editor.path.parent}/./credentials"))
    editor.wait(1)

    assert editor.watch.error is None


def test_who_asks_for_it_does_not_wait_for_the_file_to_rest(editor: Editor) -> None:
    editor.path.write_text(toml("a", "b", "c"))
    editor.hang_up()

    assert editor.profiles == ["a", "b", "c"]


def test_asking_does_not_let_a_role_go_at_once(editor: Editor) -> None:
    """A save may be half done at that moment, too."""
    editor.path.write_text(toml("a"))
    editor.hang_up()

    assert editor.profiles == ["a", "b"]
    editor.wait(CONFIRM)
    assert editor.profiles == ["a"]


def test_without_any_hint_the_heartbeat_finds_the_edit(editor: Editor) -> None:
    editor.path.write_text(toml("a", "b", "c"))
    editor.wait(60)
    assert editor.profiles == ["a", "b"]
    editor.beat()
    editor.wait(1)

    assert editor.profiles == ["a", "b", "c"]


NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)
WHOLE = st.builds(lambda names, region: toml(*names, region=region), NAMES, st.sampled_from(["us-west-2", "eu-west-1"]))
HALF = st.builds(lambda text, share: text[: int(len(text) * share)], WHOLE, st.floats(0, 1))
DELAYS = st.sampled_from([0.0, 0.1, 0.3, 1.0, 4.9, 5.1, 6.0])


@given(st.lists(st.tuples(st.one_of(WHOLE, HALF), DELAYS), max_size=8), WHOLE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
def test_whatever_was_saved_on_the_way_it_ends_where_a_fresh_start_would(
    tmp_path: Path, saves: list[tuple[str, float]], last: str
) -> None:
    editor = Editor(tmp_path / "config.toml")
    for text, delay in saves:
        editor.write(text)
        editor.wait(delay)
    editor.write(last)
    editor.wait(PATIENCE + CONFIRM + 1)

    assert editor.watch.running == editor.parse(last)
    assert editor.watch.error is None
    assert editor.watch.next_look() is None


@given(WHOLE, st.floats(0.01, 0.99), st.floats(0, 4.9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_half_a_file_lets_no_role_go_that_the_whole_one_has(
    tmp_path: Path, text: str, share: float, pause: float
) -> None:
    """Half-written TOML is often valid TOML."""
    editor = Editor(tmp_path / "config.toml")
    editor.write(text)
    editor.wait(20)
    kept = set(editor.profiles)

    editor.write(text[: int(len(text) * share)])
    editor.wait(pause)
    assert set(editor.profiles) >= kept
    editor.write(text)
    editor.wait(20)

    assert all(kept <= {role.profile for role in edit.config.roles} for _, edit in editor.edits[1:] if edit.leaving)
    assert editor.watch.running == editor.parse(text)


@pytest.mark.parametrize("gone", ["b", None], ids=["roles are missing behind it", "nothing else is missing"])
def test_a_file_that_looks_cut_off_does_not_turn_its_last_role_into_another_one(
    editor: Editor, gone: str | None
) -> None:
    """Without the key that stands last in it, a role is another one, and its session would be taken away."""
    last = 'source_identity = "natan"\n'
    whole = toml("a") + last + ("" if gone is None else toml("b")[toml("b").index("\n[[roles]]") :])
    editor.write(whole)
    editor.wait(QUIET + CONFIRM)
    editor.write(toml("a"))
    editor.wait(QUIET)
    role = editor.watch.running.role("a")
    assert role is not None
    assert role.source_identity == "natan"
    assert editor.edits[-1][1].confirmed is False
    editor.wait(CONFIRM)
    role = editor.watch.running.role("a")
    assert role is not None
    assert role.source_identity is None
    assert editor.edits[-1][1].confirmed

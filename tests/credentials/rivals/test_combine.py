"""Two changes to one file become one: nothing of either is lost that the other has not changed as well."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assumed.credentials.merge import combine, is_contained
from assumed.errors import FileRefused

TWICE = b"[DEFAULT]\n[a]\n"
MINE = b"# mine\n[a]\nx = 1\n\n[b]\nx = 1\n"

CASES: dict[str, tuple[bytes, bytes, bytes, bytes]] = {
    "nothing has changed since": (MINE, MINE + b"[e]\ny = 1\n", MINE, MINE + b"[e]\ny = 1\n"),
    "nothing was edited": (MINE, MINE, MINE + b"[now]\n", MINE + b"[now]\n"),
    "it is in already": (MINE, MINE + b"[e]\n", MINE + b"[n]\n[e]\n", MINE + b"[n]\n[e]\n"),
    "both have added one": (MINE, MINE + b"[e]\n", MINE + b"[n]\n", MINE + b"[e]\n\n[n]\n"),
    "each has changed one": (b"[a]\n[b]\n", b"[a]\n[b]\ny = 2\n", b"[a]\nx = 1\n[b]\n", b"[a]\nx = 1\n[b]\ny = 2\n"),
    "one that came last": (b"[a]\n[p]\n", b"[a]\n[p]\n[e]\n", b"[a]\n[p]\nx = 2\n", b"[a]\n[p]\nx = 2\n[e]\n"),
    "what stands before all": (MINE, MINE[7:], MINE + b"z = 1\n", MINE[7:] + b"z = 1\n"),
    "no newline at the end": (b"[a]\n[b]\n", b"[a]\n[b]\nz = 1", b"[a]\n[b]\n[n]\n", b"[a]\n[b]\nz = 1\n[n]\n"),
    "Windows line endings": (b"[a]\r\n", b"[a]\r\n[e]\r\n", b"[a]\r\nx = 2\r\n", b"[a]\r\nx = 2\r\n[e]\r\n"),
    "defaults twice": (TWICE, TWICE + b"[DEFAULT]\ny = 1\n", TWICE + b"x = 1\n", TWICE + b"x = 1\n[DEFAULT]\ny = 1\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_two_changes_become_one_and_every_other_byte_stays(name: str) -> None:
    base, edited, standing, expected = CASES[name]
    assert combine(base, edited, standing).text == expected


def test_of_a_profile_of_ours_the_edit_has_the_lines_that_are_not_ours() -> None:
    """The merge that follows puts in the newer session."""
    base, edited, standing = b"[p]\nx = 1\n", b"[p]\nx = 1\n# mine\n", b"[p]\nx = 2\n"
    assert combine(base, edited, standing, {"p"}).text == edited
    assert combine(base, edited, standing).text == standing


def test_what_the_edit_takes_out_is_named_only_while_it_is_there() -> None:
    assert combine(b"[a]\n[b]\n", b"[b]\n", b"[a]\n[b]\n[c]\n").gone == {"a"}
    assert combine(b"[a]\n[b]\n", b"[b]\n", b"[b]\n[c]\n").gone == frozenset()


@pytest.mark.parametrize("broken", range(3))
def test_what_botocore_could_not_read_is_refused(broken: int) -> None:
    texts = [b"[a]\n", b"[b]\n", b"[c]\n"]
    texts[broken] = b"[a]\nx\n"
    with pytest.raises(FileRefused):
        combine(*texts)


Sections = dict[str, int]
sections: st.SearchStrategy[Sections] = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3))


def ini(values: Sections) -> bytes:
    return b"".join(b"[%s]\nx = %d\n" % (name.encode(), value) for name, value in values.items())


def read(text: bytes) -> Sections:
    lines = [line for line in text.decode().split("\n") if line]
    return {name[1:-1]: int(x.partition("= ")[2]) for name, x in zip(lines[::2], lines[1::2], strict=True)}


@settings(max_examples=60)
@given(sections, sections, sections)
def test_every_change_is_there_and_of_two_the_newer(base: Sections, edited: Sections, standing: Sections) -> None:
    """And putting it in a second time changes nothing."""
    texts = ini(base), ini(edited), ini(standing)
    once = combine(*texts)
    wanted = {
        name: standing.get(name) if standing.get(name) != base.get(name) else edited.get(name)
        for name in {**base, **edited, **standing}
    }
    assert read(once.text) == {name: value for name, value in wanted.items() if value is not None}
    assert combine(texts[0], texts[1], once.text).text is once.text


def test_what_is_in_the_file_already_need_not_be_kept() -> None:
    ours = b"[p]\naws_access_key_id = old\nx_assumed = p 0123456789ab\n"
    assert is_contained(b"# mine\n[a]\nx = 1\n\n" + ours, b"# mine\n[b]\n[a]\nx = 1\n")
    assert not is_contained(b"[a]\nx = 2\n", b"[a]\nx = 1\n")
    assert not is_contained(b"# mine\n[a]\n", b"[a]\n")

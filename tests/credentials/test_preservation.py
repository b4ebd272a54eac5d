"""Every byte that is not ours survives: random files, merged, merged again, and taken apart again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, seed, settings
from hypothesis import strategies as st

from assumed.credentials.ini import decode, scan
from assumed.credentials.merge import KeptProfile, merge, misread
from assumed.errors import FileRefused
from credentials.kit import CONFIG, botocore_reads, keys, no_session, process
from world.scores import Record

NAMES = ["default", "a", "b/c", " p ", "profile p", "P", "é", "DEFAULT", "p", "q"]
KEPT = ("p", "q")
PLAIN = [
    "region = x",
    "output=json",
    "cli_pager =",
    "x_note: a = b # c",
    "é = ü",
    "s3 =\n  a = b\n\n  c=d",
    "s3 =\n\ta = b",
]
CREDENTIALS = [
    "aws_access_key_id = AKIATEST",
    "aws_secret_access_key=canary",
    "aws_session_token : canary",
    "credential_process = /bin/mine",
    "x_assumed = p 0123456789ab",
    "expiration = 2020",
]
NOTES = ["", "", "# note", "; note", "   ", "\t", "  # deep note", "# kept by somebody"]
INDENTS = ["", "", "", "  ", "\t"]


def _key(line: str) -> str:
    return line.replace(":", "=").split("=")[0].strip()


@st.composite
def sections(draw: st.DrawFn) -> str:
    """The text of one section, without its header: keys each once, at one depth, notes anywhere."""
    lines = draw(st.lists(st.sampled_from(PLAIN), max_size=3, unique_by=_key))
    indent = draw(st.sampled_from(INDENTS))
    out = []
    for line in lines:
        out += draw(st.lists(st.sampled_from(NOTES), max_size=2))
        out.append(indent + line.replace("\n", "\n" + indent))
    out += draw(st.lists(st.sampled_from(NOTES), max_size=2))
    return "".join(line + "\n" for line in out)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file that botocore can read. The kept profiles may be in it, without credentials; the others have some."""
    text = "".join(line + "\n" for line in draw(st.lists(st.sampled_from(NOTES), max_size=2)))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True)):
        text += f"[{name}]" + draw(st.sampled_from(["", "", "  # note", " "])) + "\n"
        if name not in (*KEPT, "DEFAULT"):
            text += "".join(line + "\n" for line in draw(st.lists(st.sampled_from(CREDENTIALS), unique_by=_key)))
        text += draw(sections())
    text = text[: len(text) - draw(st.sampled_from([0, 0, 1]))] if text else text
    endings = draw(st.sampled_from(["\n", "\r\n", "mixed"]))
    if endings == "\r\n":
        text = text.replace("\n", "\r\n")
    elif endings == "mixed":
        pieces = text.split("\n")
        text = pieces[0] + "".join(draw(st.sampled_from(["\n", "\r\n"])) + piece for piece in pieces[1:])
    return text.encode()


KEPT_SETS = st.lists(
    st.sampled_from([keys("p"), process("p"), keys("p", region="us-west-2"), no_session("p")]), min_size=1, max_size=1
).flatmap(
    lambda first: st.lists(st.sampled_from([keys("q"), process("q", region="eu-west-1"), keys("r")]), max_size=1).map(
        lambda second: [*first, *second]
    )
)

TAILS = st.sampled_from(["[new]\ny = 1\n", "# the end\n", "\n\n", ""])


@settings(max_examples=60)
@given(files(), KEPT_SETS)
@example(b"", [keys("p")])
@example(b"\n", [keys("p")])
@example(b"[p]", [keys("p")])
@example(b"[a]\r\nx = 1", [keys("p"), keys("q")])
@example(b"[p]\n  region = x\n  s3 =\n    a = b", [keys("p")])
def test_adding_and_then_removing_gives_back_every_byte(text: bytes, kept: list[KeptProfile]) -> None:
    added = _merge(text, kept)
    if added is None:
        return
    event("changed" if added != text else "unchanged")
    assert _merge(added, []) == text


@settings(max_examples=60)
@given(files(), KEPT_SETS, KEPT_SETS)
def test_twice_is_once_and_the_last_merge_decides(
    text: bytes, first: list[KeptProfile], then: list[KeptProfile]
) -> None:
    once = _merge(text, first)
    if once is None:
        return
    assert merge(once, first, CONFIG, remove_orphans=True).text is once
    both = _merge(once, then)
    assert both is not None
    assert merge(both, then, CONFIG, remove_orphans=True).text is both


@settings(max_examples=60)
@given(files(), KEPT_SETS)
def test_botocore_reads_every_other_profile_as_before(text: bytes, kept: list[KeptProfile]) -> None:
    added = _merge(text, kept)
    if added is None:
        return
    before, after = _others(text), _others(added)
    assert after == before


@settings(max_examples=66)
@given(files(), KEPT_SETS, TAILS)
def test_what_another_program_appends_in_between_survives_whole(
    text: bytes, kept: list[KeptProfile], tail: str
) -> None:
    added = _merge(text, kept)
    if added is None:
        return
    appended = added + (b"" if not added or added.endswith(b"\n") else b"\n") + tail.encode()
    removed = _merge(appended, [])
    assert removed is not None
    lines = [line for line in removed.splitlines() if line.strip()]
    assert lines == [line for line in (*text.splitlines(), *tail.encode().splitlines()) if line.strip()]


PROPERTIES: dict[Callable[..., None], list[st.SearchStrategy[Any]]] = {
    test_adding_and_then_removing_gives_back_every_byte: [files(), KEPT_SETS],
    test_twice_is_once_and_the_last_merge_decides: [files(), KEPT_SETS, KEPT_SETS],
    test_botocore_reads_every_other_profile_as_before: [files(), KEPT_SETS],
    test_what_another_program_appends_in_between_survives_whole: [files(), KEPT_SETS, TAILS],
}
CHUNKS, EXAMPLES = 10, 2500


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("rule", PROPERTIES, ids=lambda rule: rule.__name__.removeprefix("test_"))
def test_a_hundred_thousand_files_come_back_to_the_byte(rule: Callable[..., None], chunk: int, record: Record) -> None:
    """The properties above, with more examples than anybody waits for at the desk; each chunk has its own seed."""
    examples = 0

    def counted(*drawn: Any) -> None:
        nonlocal examples
        examples += 1
        rule.hypothesis.inner_test(*drawn)  # type: ignore[attr-defined]

    many = settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    many(seed(chunk)(given(st.tuples(*PROPERTIES[rule]))(lambda drawn: counted(*drawn))))()
    record("preservation.examples", examples)


def _merge(text: bytes, kept: list[KeptProfile]) -> bytes | None:
    """The merged text, checked; None where the file as a whole is refused."""
    try:
        result = merge(text, kept, CONFIG, remove_orphans=True)
    except FileRefused:
        return None
    assert misread(result) is None
    anew = scan(decode(result.text))
    assert (result.document.parts, result.document.carriage) == (anew.parts, anew.carriage)
    assert merge(result.text, kept, CONFIG, remove_orphans=True, known=result).text is result.text
    return result.text


def _others(text: bytes) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        profiles = botocore_reads(Path(file.name))
    return {name: values for name, values in profiles.items() if name not in (*KEPT, "r")}

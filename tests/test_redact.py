"""The gate for text from outside: short, on one line, without a credential, also where a cut goes through one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed import redact

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KNOWN = "a-known_secret,of.no.form!"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    redact._guarded.clear()
    redact._by_length.clear()


@given(st.text(st.characters(), max_size=50) | st.text("aA1/+ \n\u202e[%…", min_size=900, max_size=1200))
def test_a_clean_text_is_short_on_one_line_and_stays_as_it_is(text: str) -> None:
    clean = redact.clean(text)
    assert clean.isprintable()
    assert redact.clean(clean) == clean
    clean.encode()


@pytest.mark.parametrize("cut", [80, redact.LONGEST, redact.LOOKED_AT])
@pytest.mark.parametrize("secret", [SECRET, KNOWN])
def test_no_cut_shows_a_part_of_a_secret(cut: int, secret: str) -> None:
    """Wherever it lies about the cut, in words or in one long word."""
    redact.guard("someone", KNOWN)
    for filling in (". ", ".,"):
        for before in range(cut - 50, cut + 2, 3):
            text = (filling * cut)[:before] + secret + filling * 10_000
            shown = redact.clean(text, min(cut, redact.LONGEST))
            assert len(shown) <= redact.LONGEST
            assert not [n for n in range(len(secret) - 11) if secret[n : n + 12] in shown]


def test_a_text_without_end_costs_next_to_nothing_and_says_that_it_goes_on() -> None:
    assert redact.clean("no. " * 5_000_000).endswith("…")
    assert redact.clean("x" * 20_000_000) == "…"
    assert redact.clean(" " * 20_000_000) == "…"


def test_an_event_with_much_to_say_stays_one_that_journald_takes() -> None:
    """48 KiB; and the first parts of each fact are there."""
    facts = {f"fact {n}": [f"profile-{number}-é" for number in range(1000)] for n in range(4)}
    event = redact.event({**facts, "message": "é" * 10_000, "deep": {"a": {"b": ["c" * 2000] * 50}}})
    assert len(json.dumps(event, ensure_ascii=False).encode()) < 40_000
    assert event["fact 0"][:2] == ["profile-0-é", "profile-1-é"]
    assert event["fact 0"][-1] == "…"


def test_a_traceback_of_many_lines_keeps_both_ends() -> None:
    def fail() -> None:
        raise ValueError(f"no\n{SECRET}\n" * 10_000 + "the end")

    with pytest.raises(ValueError, match="the end") as caught:
        fail()
    shown = redact.crash(caught.value)
    assert shown.startswith("Traceback")
    assert "raise ValueError" in shown
    assert shown.endswith("the end")
    assert SECRET not in shown
    assert len(shown) < 20_000

"""The scanner reads what botocore reads, and refuses what botocore refuses: botocore itself is the judge."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ConfigParseError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assumed.credentials.ini import decode, scan
from assumed.credentials.merge import merge, read_section, read_sections
from assumed.errors import FileRefused
from credentials.kit import CONFIG, botocore_reads
from credentials.kit import keys as keys_of

BROKEN = {
    "byte order mark": (b"\xef\xbb\xbf[a]\nx = 1\n", "line 1 ", "byte order mark"),
    "key before a section": (b"x = 1\n[a]\n", "line 1 ", "before the first"),
    "same section twice": (b"[a]\nx = 1\n\n[b]\n[a]\n", "line 5 ", r"\[a\] a second time"),
    "same key twice": (b"[a]\nregion = 1\nREGION: 2\n", "line 3 ", "`region` a second time"),
    "line without =": (b"[a]\n# ok\nnonsense\n", "line 3 ", "neither"),
    "unclosed header": (b"[a]\nx = 1\n[broken\n", "line 3 ", "neither"),
    "no key": (b"[a]\n= 1\n", "line 2 ", "no key"),
    "latin-1": (b"[a]\n# caf\xe9\n", "line 2 ", "UTF-8"),
    "NUL tail of a crash": (b"[a]\nx = 1\n\0\0\0\0", "line 3 ", "NUL"),
    "nested line without =": (b"[a]\ns3 =\n  nonsense\n", "line 3 ", "under `s3`"),
    "same key twice in DEFAULT": (b"[DEFAULT]\nx=1\n[DEFAULT]\nx=1\n[a]\n", "line 4 ", "second time"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_botocore_refuses_is_refused_with_its_line_and_a_way_out(name: str, tmp_path: Path) -> None:
    text, line, words = BROKEN[name]
    path = tmp_path / "credentials"
    path.write_bytes(text)
    with pytest.raises(ConfigParseError):
        botocore_reads(path)
    with pytest.raises(FileRefused, match=words) as refused:
        merge(text, [], "0123456789ab", remove_orphans=True)
    assert refused.value.message.startswith(line)
    assert refused.value.advice


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"[a]\nx = 1\ry = 2\n", "line 2 "),
        (b"[a]\n  [b]\n", "line 2 "),
        (b"[a]\nx = 1\n[b]\ny = \0\n", "line 4 "),
    ],
    ids=["lone carriage return", "indented header", "NUL in a value"],
)
def test_a_file_that_nobody_can_write_beside_safely_is_refused_too(text: bytes, line: str) -> None:
    with pytest.raises(FileRefused) as refused:
        merge(text, [], "0123456789ab", remove_orphans=True)
    assert refused.value.message.startswith(line)


def test_no_message_shows_what_may_be_a_secret() -> None:
    secret = "wJalrCanaryCanaryCanaryCanaryCanaryKey00="
    for text in (f"[a]\n{secret}\n{secret}\n", f"[a]\n{secret[:-1]}\n", f"{secret}\n", f"[a]\nx =\n  {secret[:-1]}\n"):
        with pytest.raises(FileRefused) as refused:
            merge(text.encode(), [], "0123456789ab", remove_orphans=True)
        assert "canary" not in str(refused.value).lower()


def test_a_section_is_read_as_botocore_reads_it() -> None:
    text = b"[DEFAULT]\nregion = eu-west-1\n[a]\nAWS_Access_Key_Id: AKIATEST # kept\ns3 =\n  x = 1\n[ b ]\nx=1\n"
    assert read_section(text, "a") == {
        "region": "eu-west-1",
        "aws_access_key_id": "AKIATEST # kept",
        "s3": "\nx = 1",
    }
    assert read_section(text, "b") is None


SPACES = st.sampled_from(["", "", "", " ", "  ", "\t", "\x1c", "\xa0", "\x0b"])
WORDS = st.text(st.sampled_from("ab=:#;[]% \t\x0b\x1c\x85é\u2028"), max_size=8)
HEADERS = ["[a]", "[b]", "[ a ]", "[a] # note", "[a]x", "[]", "[", "[DEFAULT]", "[broken", "[x] = y]", "[x = 1"]
NOTES = ["", " ", "\t", "# note", "; note", "  # note"]
KEYS = [
    "x = 1",
    "X=2",
    "y: 3",
    "  y = 4",
    "\tz=5",
    "s3 =",
    "  q = 1",
    "  deep",
    "region",
    "region = us",
    "= 1",
    "é = ü",
]
LINES = st.one_of(st.sampled_from([*HEADERS, *NOTES, *KEYS, "region : us = eu"]), st.builds(str.__add__, SPACES, WORDS))


@settings(max_examples=133)
@given(
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n", "\n\n"])), max_size=12), st.booleans(), st.booleans()
)
@example([("[a]", "\n"), ("[x = 1", "\n"), ("[x = 1]", "\n")], True, False)
@example([(line, "\n") for line in ("[a]", "x = 1", "[b]", "  y = 4", "x = 1", " q = 1")], True, False)
@example([("[a]", "\n"), ("s3 =", "\n"), (" a = 1\x0bb", "\n")], True, False)
@example([("[DEFAULT]", "\n"), ("]:", "\n"), (" :", "\n")], True, False)
@example([("[DEFAULT]", "\n"), ("x =", "\n"), (" deep", "\n"), ("[a]", "\n"), ("x = 1", "\n")], True, False)
@example([("[DEFAULT]", "\n"), ("x =", "\n"), (" deep", "\n"), ("[a]", "\n"), ("y = 1", "\n")], True, False)
def test_the_scanner_agrees_with_botocore_on_any_text(lines: list[tuple[str, str]], ends: bool, headed: bool) -> None:
    text = "[a]\n" * headed + "".join(line + ending for line, ending in lines)
    data = (text if ends else text.rstrip("\r\n")).encode()
    expected = _botocore(data)
    try:
        document = scan(decode(data))
        found = read_sections(data, document.sections)
    except FileRefused:
        assert expected is None
    else:
        assert expected is not None
        assert found == expected
        keys = {name: section.keys.keys() | document.defaults for name, section in document.sections.items()}
        assert keys == {name: values.keys() for name, values in expected.items()}
        with suppress(FileRefused):  # a new section may have botocore parse what it has not looked at before
            assert _botocore(merge(data, [keys_of("p")], CONFIG, remove_orphans=True).text) is not None


def _botocore(data: bytes) -> dict[str, dict[str, str]] | None:
    """Every section with nested blocks as their text; None where botocore refuses the file."""
    from botocore.configloader import raw_config_parse

    fd, path = tempfile.mkstemp()
    try:
        os.write(fd, data)
        os.close(fd)
        raw_config_parse(path)  # refuses bad nested blocks, too
        flat: dict[str, dict[str, str]] = raw_config_parse(path, parse_subsections=False)
    except ConfigParseError:
        return None
    finally:
        Path(path).unlink()
    return flat

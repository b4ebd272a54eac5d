"""Surgery on the AWS config file: found by meaning, added beside what is there, taken out to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.credentials.ini import header_of, profile_of
from assumed.credentials.merge import misread
from assumed.credentials.process import line_for, merge_config

OWNER = "0123456789ab"
PIECES = st.lists(
    st.sampled_from([
        "[default]\nregion = a\n",
        '[profile "q"]\ns3 =\n  a = b\n',
        "[profile  p]\noutput = json\n",
        "# a comment\n",
        "\n",
        "[sso-session p]\nsso_region = x\n",
        "[p]\naws_access_key_id = not-here\n",
        "[services p]\nsts =\n  endpoint_url = http://x\n",
    ]),
    unique=True,
)  # fmt: skip


def texts(pieces: list[str]) -> bytes:
    """Comments and empty lines before the first section are allowed, too."""
    return "".join(pieces).encode()


@given(PIECES, st.sampled_from(["p", "q", "default", "new"]))
def test_what_is_added_and_removed_leaves_the_bytes_that_were_there(pieces: list[str], profile: str) -> None:
    before = texts(pieces)
    added = merge_config(before, [line_for(profile, f"/bin/x {profile}")], OWNER, remove_orphans=False)
    assert misread(added) is None
    assert b"/bin/x" in added.text
    assert merge_config(added.text, [line_for(profile, f"/bin/x {profile}")], OWNER, True).text == added.text
    for kept in ([], [line_for(profile, None)]):
        assert merge_config(added.text, kept, OWNER, remove_orphans=True).text == before


@pytest.mark.parametrize(
    "header", ["profile p", 'profile "p"', "profile 'p'", "profile   p", "profile\tp", '"profile" p', "profile p#"]
)
def test_headers_mean_what_botocore_takes_them_for(header: str) -> None:
    from botocore.configloader import build_profile_map

    found = list(build_profile_map({header: {}})["profiles"])
    assert ([profile_of(header)] if profile_of(header) else []) == found


def test_a_header_is_read_back() -> None:
    assert [profile_of(header_of(name)) for name in ("default", "p", "a/b@c.d%e")] == ["default", "p", "a/b@c.d%e"]


def test_another_configurations_line_for_another_session_is_left_alone() -> None:
    """Two credentials files with a profile of one name, and one config file."""
    first = merge_config(b"", [line_for("p", "/py -I --state /home/a/assumed p")], OWNER, remove_orphans=False).text
    second = merge_config(first, [line_for("p", "/py -I --state /home/a/assumed-x p")], "another", remove_orphans=True)
    assert (second.text, [refusal.profile for refusal in second.refused]) == (first, ["p"])


@pytest.mark.parametrize("mark", ["", "x_assumed = p fedcba987654\n"])
def test_an_older_line_for_the_same_session_is_replaced(mark: str) -> None:
    before = f"[profile p]\nregion = a\ncredential_process = /old/py --state /s p\n{mark}".encode()
    result = merge_config(before, [line_for("p", "/new/py --state /s p")], OWNER, remove_orphans=False)
    assert result.refused == ()
    assert b"/new/py" in result.text
    assert b"/old/py" not in result.text
    assert merge_config(result.text, [], OWNER, remove_orphans=True).text == b"[profile p]\nregion = a\n"

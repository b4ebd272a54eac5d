"""What a kept section says, whose sections are touched, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assumed.credentials.merge import KeptProfile, merge, misread, read_section
from credentials.kit import (
    COMMAND,
    CONFIG,
    EXPIRES_TEXT,
    OTHER_CONFIG,
    keys,
    merged,
    no_session,
    process,
    session,
)

FOREIGN_SESSION = (
    b"[p]\naws_access_key_id = ASIATEST0\naws_secret_access_key = canary-0\naws_session_token = canary-0\n"
)
LONG_TERM = b"[p]\naws_access_key_id = AKIATEST0\naws_secret_access_key = canary-0\n"


def test_a_new_section_of_keys_says_everything_a_reader_needs() -> None:
    text = merged(b"", keys("p", region="us-west-2"))
    header, comment, *lines = text.decode().splitlines()
    assert header == "[p]"
    assert comment.startswith("# kept by assumed")
    assert lines == [
        "aws_access_key_id = ASIATEST1",
        "aws_secret_access_key = secret-canary-1",
        "aws_session_token = token-canary-1",
        f"x_security_token_expires = {EXPIRES_TEXT}",
        "x_principal_arn = arn:aws:sts::123456789012:assumed-role/Role/p",
        "region = us-west-2",
        f"x_assumed = p {CONFIG} region",
    ]


def test_a_new_section_of_process_says_the_command_and_no_key() -> None:
    text = merged(b"", process("p"))
    assert read_section(text, "p") == {
        "credential_process": f"{COMMAND} p",
        "x_security_token_expires": EXPIRES_TEXT,
        "x_assumed": f"p {CONFIG}",
    }


def test_process_without_a_session_yet_still_says_the_command() -> None:
    found = read_section(merged(b"", process("p", generation=None)), "p")
    assert found == {"credential_process": f"{COMMAND} p", "x_assumed": f"p {CONFIG}"}


def test_keys_without_a_session_write_nothing() -> None:
    text = b"[other]\nregion = x\n"
    assert merge(text, [no_session("p")], CONFIG, remove_orphans=True).text is text


def test_new_sections_stand_at_the_end_in_the_order_of_the_configuration() -> None:
    text = merged(b"[z]\nregion = x\n", keys("c"), keys("a"), process("b"))
    assert [line for line in text.decode().splitlines() if line.startswith("[")] == ["[z]", "[c]", "[a]", "[b]"]


def test_an_unchanged_merge_returns_the_very_same_object() -> None:
    text = merged(b"", keys("p"), process("q", region="eu-west-1"))
    again = merge(text, [keys("p"), process("q", region="eu-west-1")], CONFIG, remove_orphans=True)
    assert again.text is text
    assert again.meant == {}


def test_a_new_session_replaces_the_values_where_they_stand_and_keeps_the_users_lines() -> None:
    before = merged(b"# mine\n[a]\nregion = x\n", keys("p", region="us-west-2")).decode()
    edited = before.replace("[p]\n", "[p]  # note\n\n; mine\noutput = json\n").replace(
        "x_principal_arn", "cli_pager =\nx_principal_arn"
    )
    after = merged(edited.encode(), keys("p", 2, region="eu-west-1")).decode()
    assert after == (
        edited.replace("ASIATEST1", "ASIATEST2")
        .replace("canary-1", "canary-2")
        .replace("region = us-west-2", "region = eu-west-1")
    )


def test_a_deleted_comment_comes_back_and_a_second_one_goes() -> None:
    text = merged(b"", keys("p")).decode()
    comment = text.splitlines()[1]
    assert merged(text.replace(comment + "\n", "").encode(), keys("p")).decode() == text
    assert merged(text.replace(comment, f"{comment}\n{comment}").encode(), keys("p")).decode() == text


def test_a_change_of_delivery_leaves_nothing_of_the_other_one() -> None:
    as_keys = merged(b"", keys("p", region="x"))
    as_process = merged(as_keys, process("p"))
    assert read_section(as_process, "p") == read_section(merged(b"", process("p")), "p")
    assert read_section(merged(as_process, keys("p", region="x")), "p") == read_section(as_keys, "p")


def test_a_session_that_is_withdrawn_takes_its_section_along_but_not_the_users_lines() -> None:
    """An empty section would send SDKs on to the instance's role."""
    text = merged(b"[a]\nregion = x\n", keys("p"), keys("q"))
    edited = text.replace(b"[q]\n", b"[q]\noutput = json\n")
    result = merge(edited, [no_session("p"), no_session("q")], CONFIG, remove_orphans=True)
    assert result.text == b"[a]\nregion = x\n\n[q]\noutput = json\n"
    assert result.removed == ("p", "q")


# --- the region -------------------------------------------------------------------------------------------------


def test_the_users_own_region_is_kept_and_never_becomes_ours() -> None:
    text = merged(b"[p]\nregion = mine\n", keys("p", region="us-west-2"))
    assert read_section(text, "p") is not None
    assert text.count(b"region =") == 1
    assert b"region = mine\n" in text
    assert merged(text) == b"[p]\nregion = mine\n"


def test_our_region_goes_when_the_role_has_none_any_more() -> None:
    assert merged(merged(b"", keys("p", region="us-west-2")), keys("p")) == merged(b"", keys("p"))


# --- adoption and refusal ---------------------------------------------------------------------------------------


def test_a_section_with_a_session_token_is_adopted_and_every_other_line_stays() -> None:
    text = (
        b"[p]\n# my note\naws_access_key_id = ASIATEST0\noutput = json\naws_secret_access_key=canary-0\n"
        b"aws_security_token = canary-0\nAWS_SESSION_TOKEN: canary-0\nexpiration = 2020-01-01 00:00:00\n"
        b"aws_account_id = 999999999999\n; end\n\n[q]\n"
    )
    result = merge(text, [keys("p")], CONFIG, remove_orphans=True)
    assert result.adopted == ("p",)
    assert b"canary-0" not in result.text
    assert read_section(result.text, "p") == {**(read_section(merged(b"", keys("p")), "p") or {}), "output": "json"}
    assert result.text.startswith(b"[p]\n# my note\n# kept by assumed")
    assert result.text.endswith(b"\n; end\n\n[q]\n")
    assert merge(result.text, [keys("p")], CONFIG, remove_orphans=True).adopted == ()


def test_an_indented_section_is_adopted_at_its_own_depth() -> None:
    """A line in the first column would swallow the indented one behind it, one deeper be swallowed."""
    text = FOREIGN_SESSION.replace(b"aws", b"   aws") + b"   output = json\n  cli_pager =\n"
    result = merge(text, [keys("p", region="x")], CONFIG, remove_orphans=True)
    found = read_section(result.text, "p")
    assert found == {**(read_section(merged(b"", keys("p", region="x")), "p") or {}), "output": "json", "cli_pager": ""}
    assert result.text.endswith(b"   output = json\n  cli_pager =\n")


def test_a_stale_security_token_never_survives_because_botocore_reads_it_first() -> None:
    text = merged(b"", keys("p")).replace(b"[p]\n", b"[p]\naws_security_token = canary-old\n")
    assert b"canary-old" not in merged(text, keys("p", 2))


@pytest.mark.parametrize("token", ["aws_session_token", "aws_security_token"])
def test_either_name_of_the_token_makes_it_a_session(token: str) -> None:
    text = FOREIGN_SESSION.replace(b"aws_session_token", token.encode())
    assert merge(text, [process("p")], CONFIG, remove_orphans=True).adopted == ("p",)


@pytest.mark.parametrize(
    "text",
    [
        b"[p]\n",
        b"[p]",
        b"[p]\n# note\n",
        b"[p]\nregion = x\noutput = json",
        b"[p]\ns3 =\n  a = b\n",
        b"[p]\naws_access_key_id =\n",
    ],
)
def test_a_section_without_credentials_has_none_to_lose_and_is_adopted(text: bytes) -> None:
    result = merge(text, [keys("p")], CONFIG, remove_orphans=True)
    assert result.adopted == ("p",)
    assert misread(result) is None
    if b"access" not in text:
        assert merged(result.text) == text


def test_a_configuration_that_moved_adopts_what_it_wrote_before() -> None:
    for kept in (keys("p"), process("p")):
        text = merged(b"", kept, config_id=OTHER_CONFIG)
        result = merge(text, [kept], CONFIG, remove_orphans=True)
        assert result.adopted == ("p",)
        assert result.text == merged(b"", kept)


REFUSED = {
    "long-term keys": (LONG_TERM, "long-term keys"),
    "a secret alone, as `aws configure set` leaves it for an instant": (
        b"[p]\naws_secret_access_key = canary\n",
        "long",
    ),
    "an access key alone": (b"[p]\naws_access_key_id = AKIATEST0\n", "long-term keys"),
    "a long-term key beside a token": (LONG_TERM + b"aws_session_token = canary\n", "long-term keys"),
    "somebody's credential_process": (b"[p]\ncredential_process = /bin/mine\n", "credential_process"),
    "a role_arn": (b"[p]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = q\n", "role_arn, source_profile"),
    "sso": (FOREIGN_SESSION + b"sso_session = corp\n", "sso_session"),
    "a credential over several lines": (FOREIGN_SESSION + b"  canary-more\n", "under aws_session_token"),
    "a leaking [DEFAULT] token": (b"[DEFAULT]\naws_security_token = canary\n[p]\n", r"\[DEFAULT\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_section_that_is_worth_more_than_ours_is_refused_with_a_way_out(name: str) -> None:
    text, words = REFUSED[name]
    result = merge(text, [keys("p")], CONFIG, remove_orphans=True)
    assert result.text is text
    (refusal,) = result.refused
    assert refusal.profile == "p"
    assert words.replace("\\", "") in refusal.reason
    assert refusal.advice
    assert "canary" not in refusal.reason + refusal.advice


def test_long_term_keys_typed_into_a_kept_profile_are_refused_though_the_mark_is_still_there() -> None:
    """`aws configure --profile p` replaces key and secret and leaves our token and our mark."""
    ours = merged(b"", keys("p")).decode()
    typed = ours.replace("ASIATEST1", "AKIATEST9").replace("secret-canary-1", "typed-canary").encode()
    without_token = b"".join(line for line in typed.splitlines(keepends=True) if b"token" not in line)
    for text in (typed, without_token):
        assert merge(text, [keys("p", 2)], CONFIG, remove_orphans=True).text is text
        assert merge(text, [no_session("p")], CONFIG, remove_orphans=True).text is text
        assert merge(text, [], CONFIG, remove_orphans=True).text is text


def test_a_server_whose_session_keys_look_long_term_is_served_all_the_same() -> None:
    kept = [replace(keys("p"), session=session("p", access_key_id=f"AKIATEST{i}")) for i in (1, 2)]
    assert merge(merged(b"", kept[0]), [kept[1]], CONFIG, remove_orphans=True).refused == ()


def test_a_refusal_stops_no_other_profile() -> None:
    result = merge(LONG_TERM, [keys("p"), keys("q")], CONFIG, remove_orphans=True)
    assert [refusal.profile for refusal in result.refused] == ["p"]
    assert result.text.startswith(LONG_TERM)
    assert read_section(result.text, "q") is not None


@pytest.mark.parametrize("bad", ["a\nb", "a\r[x]", "a b", "", "\x00", "é", "#a", '"a"', "a\x7f"])
@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key", "session_token"])
def test_newline_injection_a_value_that_would_write_a_line_of_its_own_is_never_written(name: str, bad: str) -> None:
    for text in (b"", FOREIGN_SESSION, merged(b"", keys("p"))):
        result = merge(text, [keys("p", 2, **{name: bad}), keys("q")], CONFIG, remove_orphans=True)
        assert [refusal.profile for refusal in result.refused] == ["p"]
        assert read_section(result.text, "p") == read_section(text, "p")
        assert read_section(result.text, "q") is not None
        assert result.adopted == ()


def test_a_hostile_region_or_command_is_never_written() -> None:
    assert merge(b"", [keys("p", region="x\n[q]")], CONFIG, remove_orphans=True).refused
    command = KeptProfile("p", "process", None, None, "/bin/x\naws_access_key_id = y")
    assert merge(b"", [command], CONFIG, remove_orphans=True).refused


@pytest.mark.parametrize("names", [("a b",), ("DEFAULT",), ("a]\n[b",), ("a", "a")])
def test_names_that_the_configuration_should_have_caught_are_an_error_of_ours(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="valid names"):
        merge(b"", [keys(name) for name in names], CONFIG, remove_orphans=True)


# --- [DEFAULT] and lookalikes -----------------------------------------------------------------------------------


def test_defaults_that_do_no_harm_are_left_alone() -> None:
    text = b"[DEFAULT]\nregion = eu-west-1\naws_session_token = canary-leak\n"
    result = merge(text, [keys("p")], CONFIG, remove_orphans=True)
    assert result.refused == ()
    found = read_section(result.text, "p")
    assert found is not None
    assert (found["aws_session_token"], found["region"]) == ("token-canary-1", "eu-west-1")
    assert merge(text, [process("p")], CONFIG, remove_orphans=True).refused


@pytest.mark.parametrize("header", [b"[ p ]", b"[profile p]", b"[P]", b"[p.]", b"[p] x]"])
def test_a_section_whose_name_only_looks_like_ours_is_another_one(header: bytes) -> None:
    text = header + b"\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n"
    result = merge(text, [keys("p")], CONFIG, remove_orphans=True)
    assert result.text.startswith(text)
    assert result.refused == ()


# --- orphans ----------------------------------------------------------------------------------------------------


def test_a_role_that_left_the_configuration_takes_only_its_own_section_along() -> None:
    text = merged(b"[a]\nregion = x\n", keys("p"), keys("q"), keys("r"))
    result = merge(text, [keys("p"), keys("r")], CONFIG, remove_orphans=True)
    assert result.removed == ("q",)
    assert result.text == merged(b"[a]\nregion = x\n", keys("p"), keys("r"))


@pytest.mark.parametrize("change", ["copied", "other configuration", "no mark", "asked not to"])
def test_what_is_not_exactly_ours_is_never_removed(change: str) -> None:
    text = merged(b"", keys("p"))
    match change:
        case "copied":
            text = text.replace(b"[p]", b"[copy]")
        case "other configuration":
            text = merged(b"", keys("p"), config_id=OTHER_CONFIG)
        case "no mark":
            text = text[: text.index(b"x_assumed")]
    assert merge(text, [], CONFIG, remove_orphans=change != "asked not to").text is text


def test_a_copied_section_does_not_pass_as_ours_but_its_session_can_be_adopted() -> None:
    text = merged(b"", keys("p")).replace(b"[p]", b"[copy]")
    result = merge(text, [keys("copy")], CONFIG, remove_orphans=True)
    assert result.adopted == ("copy",)
    assert result.text == merged(b"", keys("copy"))


def test_another_program_that_appends_behind_our_section_keeps_its_own_line() -> None:
    for start in (b"[a]\nx = 1\n", b"[a]\nx = 1"):
        text = merged(start, keys("p"), keys("q")) + b"[new]\ny = 1\n"
        assert merged(text) == b"[a]\nx = 1\n[new]\ny = 1\n"


KEPT = st.lists(
    st.sampled_from(
        [keys("p"), keys("p", 2), process("p"), no_session("p"), keys("q"), keys("q", region="r"), keys("r")]
    ),
    unique_by=lambda kept: kept.profile,
)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(KEPT, st.booleans(), st.sampled_from([CONFIG, CONFIG, OTHER_CONFIG])), min_size=2, max_size=6)
)
def test_what_an_earlier_merge_has_settled_is_passed_over_with_the_same_outcome(
    merges: list[tuple[list[KeptProfile], bool, str]],
) -> None:
    text, known = LONG_TERM.replace(b"[p]", b"[q]"), None
    for kept, remove_orphans, config_id in merges:
        afresh = merge(text, kept, config_id, remove_orphans)
        known = merge(text, kept, config_id, remove_orphans, known)
        assert replace(known, settled={}, document=afresh.document) == replace(afresh, settled={})
        assert known.document.text() == afresh.document.text()
        text = known.text


def test_nothing_secret_shows_in_what_a_merge_prints() -> None:
    assert "canary" not in repr(merge(FOREIGN_SESSION, [keys("p")], CONFIG, remove_orphans=True))
    assert "canary" not in repr(keys("p"))

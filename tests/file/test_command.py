"""The credential_process line: every SDK must run the same words."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.core.errors import ConfigError
from assumed.core.profiles import process_command

READ_ALIKE = st.text("abcXYZ019._/@=+,: -", min_size=1, max_size=12)


def test_plain_words_stay_as_they_are() -> None:
    argv = ["/usr/bin/assumed", "credential-process", "me@corp/prod", "--config=/etc/a,b+c:d"]
    assert process_command(argv) == "/usr/bin/assumed credential-process me@corp/prod --config=/etc/a,b+c:d"


def test_a_path_with_spaces_is_quoted_as_aws_documents_it() -> None:
    assert process_command(["/Users/a b/bin/assumed", "x"]) == '"/Users/a b/bin/assumed" x'


@pytest.mark.parametrize(
    "part", ["", "a$b", "`id`", "~/x", "a;b", "a#b", 'a"b', "a'b", "a\\b", "a\nb", "a|b", "a&b", "é", "a%b", "a*"]
)
def test_what_a_shell_or_an_sdk_would_read_otherwise_is_refused_with_a_sentence(part: str) -> None:
    with pytest.raises(ConfigError, match=r'deliver = "keys"'):
        process_command(["/usr/bin/assumed", part])


@pytest.mark.parametrize("argv", [[], ["assumed", "x"], ["./assumed"]])
def test_a_command_that_path_would_have_to_find_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        process_command(argv)


def test_quotes_at_both_ends_are_refused_because_go_strips_them() -> None:
    with pytest.raises(ConfigError, match="Go"):
        process_command(["/a b/assumed", "c d"])


@given(st.lists(READ_ALIKE, min_size=1, max_size=4))
def test_botocore_splits_it_into_the_same_words(parts: list[str]) -> None:
    argv = ["/bin/x", *parts, "last"]
    assert shlex.split(process_command(argv)) == argv


def test_a_shell_runs_the_same_words() -> None:
    line = process_command(["/usr/bin/env", "a b=c", "printenv", "a b"])
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == "c\n"

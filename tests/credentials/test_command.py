"""The credential_process line: every SDK must run the same words."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.credentials.ownership import Unfit
from assumed.credentials.process import process_command

READ_ALIKE = st.text("abcXYZ019._/@=+,: -'&()[]{}~%*?<>|!^é日\u0301", min_size=1, max_size=12)


def test_plain_words_stay_as_they_are() -> None:
    argv = ["/usr/bin/assumed", "credential-process", "me@corp/prod", "--config=/etc/a,b+c:d"]
    assert process_command(argv) == "/usr/bin/assumed credential-process me@corp/prod --config=/etc/a,b+c:d"


def test_a_path_with_spaces_is_quoted_as_aws_documents_it() -> None:
    assert process_command(["/Users/a b/bin/assumed", "x"]) == '"/Users/a b/bin/assumed" x'


@pytest.mark.parametrize(
    "part",
    ["", "a$b", "`id`", "a;b", "a #b", 'a"b', "a\\b", "a\nb", "a\u2028b", "a\udce9b", "a\tb", "a\x7fb", "a\u200bb"],
)
def test_what_a_shell_or_an_sdk_would_read_otherwise_is_refused_with_what_to_do(part: str) -> None:
    with pytest.raises(Unfit) as caught:
        process_command(["/usr/bin/assumed", part])
    assert caught.value.advice
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("argv", [[], ["assumed", "x"], ["./assumed"]])
def test_a_command_that_path_would_have_to_find_is_refused(argv: list[str]) -> None:
    with pytest.raises(Unfit):
        process_command(argv)


def test_quotes_at_both_ends_are_refused_because_go_strips_them() -> None:
    with pytest.raises(Unfit):
        process_command(["/a b/assumed", "c d"])


@given(st.lists(READ_ALIKE, min_size=1, max_size=4))
def test_botocore_splits_it_into_the_same_words(parts: list[str]) -> None:
    argv = ["/bin/x", *parts, "last"]
    assert shlex.split(process_command(argv)) == argv


@pytest.mark.parametrize("word", ["a b", "José O'Brien", "R&D (old) 50%", "日本", "~a*b?[c]{d}|e<f>!^g"])
def test_a_shell_runs_the_same_words(word: str) -> None:
    line = process_command(["/usr/bin/env", f"{word}=c", "printenv", word, "last"])
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env=os.environ, check=False)
    assert done.stdout == "c\n"

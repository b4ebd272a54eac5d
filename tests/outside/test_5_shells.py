"""5.4: each value that `env` prints is one string for the shell, whatever it contains."""

from __future__ import annotations

import re

import pytest

from world.daemon import Home, role
from world.fake_sts import FakeSts

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

QUOTES = "'\u2018\u2019\u201a\u201b"
"""PowerShell treats each of them as a single quote (about_Quoting_Rules)."""


def values(text: str) -> dict[str, str]:
    """The variables as PowerShell reads them: two quotes in a row are one quote, a single one ends the string."""
    found = {}
    for line in text.splitlines():
        name, _, quoted = line.removeprefix("$Env:").partition(" = ")
        inner = re.fullmatch(f"[{QUOTES}]((?:[^{QUOTES}]|[{QUOTES}]{{2}})*)[{QUOTES}]", quoted)
        found[name] = re.sub(f"([{QUOTES}])[{QUOTES}]", r"\1", inner[1]) if inner else f"not one string: {quoted}"
    return found


@pytest.mark.parametrize("quote", QUOTES)
def test_a_quote_of_powershell_does_not_end_the_string(aws_home: Home, sts: FakeSts, quote: str) -> None:
    region = f"eu{quote}; Remove-Item x; {quote}"
    aws_home.aws_config.write_text(f"[profile job]\nregion = {region}\n")
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    done = aws_home.assumed("env", "job", "--shell", "powershell", AWS_ENDPOINT_URL_STS=sts.url)
    assert values(done.stdout).get("AWS_REGION") == region, done.stderr


@pytest.mark.parametrize("plain", ["eu-west-1", 'a "b" c', "`$(x)"])
def test_every_other_character_is_literal(aws_home: Home, sts: FakeSts, plain: str) -> None:
    aws_home.aws_config.write_text(f"[profile job]\nregion = {plain}\n")
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    done = aws_home.assumed("env", "job", "--shell", "powershell", AWS_ENDPOINT_URL_STS=sts.url)
    assert values(done.stdout).get("AWS_REGION") == plain, done.stderr

"""`serve` prints what each kind of client needs: the token file, or the variable."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from world.daemon import Home, python, role
from world.fake_sts import FakeSts

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

WITHIN = 45.0
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(home: Home, sts: FakeSts, token_file: Path) -> Iterator[str]:
    """The output of a running `serve`."""
    home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    arguments = ["serve", "job", "--port", str(free_port()), "--token-file", str(token_file)]
    with subprocess.Popen(
        [python(), "-m", "assumed", *arguments],
        env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert select.select([process.stderr], [], [], WITHIN)[0], "it does not say that it serves"
            os.set_blocking(process.stdout.fileno(), False)
            yield (process.stdout.read() or b"").decode()
        finally:
            process.terminate()


def evaluated(printed: str) -> dict[str, str]:
    """The variables after a shell has read the output."""
    shell = subprocess.run(
        ["sh", "-c", f"set -a; . /dev/stdin; set +a; exec \"$0\" -c '{SHOW}'", sys.executable],
        input=printed,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(shell.stdout))


def ask(url: str, token: str | None) -> tuple[int, Mapping[str, str]]:
    """A client's request: status and document."""
    headers = {} if token is None else {"Authorization": token}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=WITHIN) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("name", ["token", "a token", "it's a token"])
def test_a_client_that_reads_only_the_variable_finds_the_token(aws_home: Home, sts: FakeSts, name: str) -> None:
    """AWS CLI 2.9, boto3 1.28 and Go SDK v1 do not read a token file."""
    token_file = aws_home.path / name
    with serving(aws_home, sts, token_file) as printed:
        # Its other lines are unchanged; a path with a space is left for the reader to quote.
        lines = [line for line in printed.splitlines() if not line.startswith("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")]
        found = evaluated("\n".join(lines))
        token = found.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        assert token == token_file.read_text()
        assert ask(found["AWS_CONTAINER_CREDENTIALS_FULL_URI"], token)[0] == 200


def test_the_token_itself_is_not_printed(aws_home: Home, sts: FakeSts) -> None:
    """Many people can read a container's logs."""
    token_file = aws_home.path / "token"
    with serving(aws_home, sts, token_file) as printed:
        assert f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={token_file}" in printed.splitlines()
        assert token_file.read_text() not in printed


@pytest.mark.parametrize("token", [None, "", "guess"])
def test_a_refusal_names_the_variables(aws_home: Home, sts: FakeSts, token: str | None) -> None:
    with serving(aws_home, sts, aws_home.path / "token") as printed:
        url = evaluated(printed)["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        status, document = ask(url, token)
        assert status == 401
        assert ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" in document["message"]) is (token != "guess")

"""What a purge takes away: our profiles, our lines in the AWS config file, the state; nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from assumed.config import Config
from assumed.credentials.process import ConfigFile, line_for
from assumed.paths import state_dir
from assumed.service.purge import purge
from assumed.store import Store

OTHERS = b"[profile mine]\nregion = eu-west-1\n"


@pytest.mark.parametrize("place", ["home", "remembered"])
def test_the_lines_in_the_aws_config_file_go_wherever_it_lies(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    credentials, config = home / ".aws" / "credentials", home / "assumed.toml"
    aws_config = home / ".aws" / "config" if place == "home" else home / "elsewhere"
    credentials.parent.mkdir(mode=0o700)
    credentials.write_text("[mine]\nregion = a\n")
    aws_config.write_bytes(OTHERS)
    owner = Config(config, (), credentials).config_id
    store = Store(state_dir(credentials), {"aws_config": str(aws_config)} if place == "remembered" else None)
    store.keep_config("x")
    ConfigFile(aws_config, credentials, state_dir(credentials)).write(
        [line_for("p", "/bin/x p")], owner, remove_orphans=False
    )
    assert b"/bin/x p" in aws_config.read_bytes()

    purge(config, credentials)

    assert aws_config.read_bytes() == OTHERS
    assert not state_dir(credentials).exists()


@pytest.mark.parametrize("content", [b"not an ini file", b"[profile p]\nx_assumed = p 0123456789ab\n", None])
def test_a_config_file_without_a_line_of_ours_is_not_touched(home: Path, content: bytes | None) -> None:
    credentials, aws_config = home / ".aws" / "credentials", home / ".aws" / "config"
    credentials.parent.mkdir(mode=0o700)
    if content is not None:
        aws_config.write_bytes(content)
    purge(home / "assumed.toml", credentials)
    assert (aws_config.read_bytes() if aws_config.exists() else None) == content

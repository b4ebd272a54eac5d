"""Where the configuration is looked for, and what is said when it cannot be read."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assumed.config import SMALLEST_USEFUL, HostFacts, find, host_facts, read, session_name
from assumed.errors import ConfigError


def test_a_named_file_comes_first_whether_it_exists_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config`, then `$ASSUMED_CONFIG`: never silently another file."""
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": "/h", "ASSUMED_CONFIG": "~/env.toml", "XDG_CONFIG_HOME": str(tmp_path)}
    assert find("mine.toml", environ) == tmp_path / "mine.toml"
    assert find(Path("/x/mine.toml"), environ) == Path("/x/mine.toml")
    assert find(None, environ) == Path("/h/env.toml")


def test_only_a_relative_name_needs_a_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of days may outlive the directory that it was started in: its renewals must not end with it."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find("/x/mine.toml", {}) == Path("/x/mine.toml")
    assert find(None, {"HOME": "/h", "ASSUMED_CONFIG": "~/env.toml"}) == Path("/h/env.toml")
    with pytest.raises(ConfigError, match=r"mine\.toml: is relative to the working directory, which no longer exists"):
        find("mine.toml", {})


def test_a_named_file_in_another_users_home_is_refused() -> None:
    """Only a shell knows where that is, and it has expanded it by then."""
    with pytest.raises(ConfigError, match=re.escape("~bob/c.toml: starts with ~bob, another user's home")):
        find("~bob/c.toml", {"HOME": "/h"})


def test_the_users_file_is_found_in_the_xdg_directory_or_dot_config(tmp_path: Path) -> None:
    """A relative XDG_CONFIG_HOME is ignored, as its specification says."""
    for base in (tmp_path / "xdg", tmp_path / ".config"):
        (base / "assumed").mkdir(parents=True)
        (base / "assumed/config.toml").write_text(SMALLEST_USEFUL)
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert find(None, environ) == tmp_path / "xdg/assumed/config.toml"
    assert find(None, {**environ, "XDG_CONFIG_HOME": "xdg"}) == tmp_path / ".config/assumed/config.toml"
    assert find(None, {"HOME": str(tmp_path)}) == tmp_path / ".config/assumed/config.toml"


def test_where_there_is_none_the_places_and_the_smallest_file_are_shown(tmp_path: Path) -> None:
    """Someone who has just installed it can copy the answer."""
    with pytest.raises(ConfigError) as caught:
        find(None, {"HOME": str(tmp_path)})
    said = str(caught.value)
    for place in ("--config", "$ASSUMED_CONFIG", f"{tmp_path}/.config/assumed/config.toml", "/etc/assumed/config.toml"):
        assert place in said
    assert "[[roles]]\n" in said
    assert tomllib.loads(SMALLEST_USEFUL)["roles"]


def test_a_file_is_read_as_utf8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors on Windows put one there."""
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xef\xbb\xbfa = '\xc3\xa9'\r\n")
    assert read(file) == "a = 'é'\r\n"


def _missing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_missing, "{}: does not exist; write it, or name another with --config"),
        (Path.mkdir, "{}: is a directory; name the file in it"),
        (os.mkfifo, "{}: is not a regular file; name a file"),
        (lambda path: path.symlink_to(path), "{}: cannot be read: "),
        (lambda path: path.write_bytes(b"a = 1\n\xff"), "{}:2: is not UTF-8; save the file in that encoding"),
        (lambda path: path.write_text("x = 1\n", "utf-16"), "{}:1: is not UTF-8; save the file in that encoding"),
        (lambda path: path.write_bytes(b"#" * (2**20 + 1)), "{}: has more than 1048576 bytes; "),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, make: object, said: str) -> None:
    """And a FIFO without a writer does not hang the daemon."""
    path = tmp_path / "c.toml"
    assert callable(make)
    make(path)
    with pytest.raises(ConfigError) as caught:
        read(path)
    (problem,) = caught.value.problems
    assert problem.startswith(said.format(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A file of root's, say."""
    path = tmp_path / "c.toml"
    path.touch(0o000)
    with pytest.raises(ConfigError, match="may not be read by this user"):
        read(path)


@pytest.mark.parametrize(
    ("user", "host", "name"),
    [
        ("alice", "laptop", "assumed-alice-laptop"),
        ("alice", "laptop.corp.example.com", "assumed-alice-laptop"),
        ("alice@corp", "Alice's Mac.local", "assumed-alice@corp-Alice-s-Mac"),
        ("DOMAIN\\bob", "h", "assumed-DOMAIN-bob-h"),
        ("", "", "assumed"),
        ("müller", "", "assumed-m-ller"),
        ("a" * 100, "h", "assumed-" + "a" * 56),
    ],
)
def test_the_session_is_named_after_the_user_and_the_host(user: str, host: str, name: str) -> None:
    """CloudTrail's readers should see who and where. The domain changes with the network and is left out."""
    assert session_name(HostFacts(user, host)) == name


@given(st.text(), st.text())
@example("\n", "\n")
def test_any_user_on_any_host_has_a_name_that_sts_takes(user: str, host: str) -> None:
    """STS: 2 to 64 of `[\\w+=,.@-]`, where `\\w` is ASCII."""
    assert re.fullmatch(r"[A-Za-z0-9_+=,.@-]{2,64}", session_name(HostFacts(user, host)))


def test_this_host_has_a_name() -> None:
    """Also for a uid without an entry, as containers have them."""
    assert re.fullmatch(r"assumed-.+-.+", session_name(host_facts()))

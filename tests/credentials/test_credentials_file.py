"""The file on the disk: links, modes, other writers, and what the system may refuse."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assumed.credentials import file as module
from assumed.credentials.file import CredentialsFile, WriteResult
from assumed.credentials.merge import merge
from assumed.errors import FileRefused, FileUnsettled
from credentials.kit import CONFIG, botocore_reads, keys, merged

MINE = b"[mine]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n"


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "aws"
    directory.mkdir(0o700)
    return directory / "credentials"


@pytest.fixture
def file(path: Path, tmp_path: Path, seconds: Seconds) -> Iterator[CredentialsFile]:
    yield CredentialsFile(path, tmp_path / "state", monotonic=seconds)
    assert temps(tmp_path) == [], "a temporary file was left"


def temps(directory: Path) -> list[str]:
    return [name for _, _, names in os.walk(directory) for name in names if name.endswith(".tmp")]


def put(file: CredentialsFile, *profiles: str, generation: int = 1) -> WriteResult:
    return file.write([keys(profile, generation) for profile in profiles], CONFIG, True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the plain way ----------------------------------------------------------------------------------------------


def test_a_missing_file_and_directory_are_made_private(tmp_path: Path, seconds: Seconds) -> None:
    path = tmp_path / "home" / ".aws" / "credentials"
    file = CredentialsFile(path, path.parent / "assumed", monotonic=seconds)
    assert (file.read(), file.signature(), file.sweep()) == (b"", None, 0)
    result = put(file, "p")
    assert result.written
    assert result.durable
    assert result.signature == file.signature()
    assert file.read() == merged(b"", keys("p"))
    assert (mode(path), mode(path.parent), mode(path.parent / "assumed")) == (0o600, 0o700, 0o700)


def test_nothing_is_written_when_nothing_changes(file: CredentialsFile, path: Path) -> None:
    """A needless write makes Java and .NET reload and editors ask."""
    put(file, "p")
    before = path.stat()
    result = put(file, "p")
    assert not result.written
    assert result.signature == file.signature()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_every_write_has_a_new_modification_time_because_java_reloads_by_it(file: CredentialsFile, path: Path) -> None:
    path.write_bytes(MINE)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    put(file, "p")
    assert path.stat().st_mtime > 1_700_000_000


def test_the_last_line_of_a_file_without_a_final_newline_survives(file: CredentialsFile, path: Path) -> None:
    """rolesanywhere lost it."""
    path.write_bytes(MINE.rstrip())
    put(file, "p")
    assert botocore_reads(path)["mine"]["aws_secret_access_key"] == "canary"
    file.write([], CONFIG, True)
    assert path.read_bytes() == MINE.rstrip()


def test_a_profile_is_never_there_twice_however_often_it_is_written(file: CredentialsFile, path: Path) -> None:
    """okta-aws-cli appended a duplicate, and botocore then refuses every profile."""
    path.write_bytes(MINE)
    for generation in range(5):
        put(file, "p", "q", generation=generation)
    assert list(botocore_reads(path)) == ["mine", "p", "q"]


# --- links ------------------------------------------------------------------------------------------------------


def test_a_symlink_stays_and_its_target_is_written(file: CredentialsFile, path: Path, tmp_path: Path) -> None:
    """saml2aws replaced the link by a file and cut it off from the dotfiles."""
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "creds").write_bytes(MINE)
    (dotfiles / "step").symlink_to("creds")
    path.symlink_to(Path("..") / "dotfiles" / "step")
    put(file, "p")
    assert path.is_symlink()
    assert (dotfiles / "step").is_symlink()
    assert (dotfiles / "creds").read_bytes() == merged(MINE, keys("p"))
    assert file.real_path == dotfiles / "creds"


def test_a_dangling_symlink_gets_its_target(file: CredentialsFile, path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "new" / "creds")
    put(file, "p")
    assert path.is_symlink()
    assert mode(tmp_path / "new" / "creds") == 0o600


def test_symlinks_in_a_circle_are_refused(file: CredentialsFile, path: Path) -> None:
    path.symlink_to("other")
    (path.parent / "other").symlink_to("credentials")
    with pytest.raises(FileRefused, match="in a circle"):
        put(file, "p")


# --- modes and owners -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes"), [(0o644, 0o600), (0o600, 0o600), (0o666, 0o600), (0o400, 0o400), (0o700, 0o700)]
)
def test_the_mode_is_kept_but_for_others(was: int, becomes: int, file: CredentialsFile, path: Path) -> None:
    path.write_bytes(MINE)
    path.chmod(was)
    put(file, "p")
    assert mode(path) == becomes


def test_with_umask_000_nothing_is_ever_wider_than_0600(tmp_path: Path) -> None:
    """Watched from outside: every file that the process makes, whatever becomes of it later."""
    script = (
        "import os, sys; os.umask(0)\n"
        "from pathlib import Path\n"
        "from assumed.credentials.file import CredentialsFile\n"
        "from assumed.files import write_atomic, make_private_dir\n"
        "from credentials.kit import CONFIG, keys\n"
        "real = os.open\n"
        "def watch(name, flags, mode=0o777, **more):\n"
        "    fd = real(name, flags, mode, **more)\n"
        "    if flags & os.O_CREAT: print(oct(os.fstat(fd).st_mode & 0o777))\n"
        "    return fd\n"
        "os.open = watch\n"
        "home = Path(sys.argv[1])\n"
        "make_private_dir(home / 'state' / 'sessions')\n"
        "write_atomic(home / 'state' / 'sessions' / 'p.json', b'{}')\n"
        "CredentialsFile(home / 'aws' / 'credentials', home / 'state').write([keys('p')], CONFIG, True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"0o600"}
    for directory, _, names in os.walk(tmp_path):
        assert directory == str(tmp_path) or mode(Path(directory)) == 0o700
        assert all(mode(Path(directory) / name) == 0o600 for name in names)


def test_a_directory_that_everybody_may_write_is_refused(file: CredentialsFile, path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(FileRefused, match="chmod o-w"):
        put(file, "p")
    path.parent.chmod(0o1777)
    assert put(file, "p").written


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_never_writes_another_users_file(file: CredentialsFile, path: Path) -> None:
    """ggshield followed a user's symlink as root."""
    path.write_bytes(MINE)
    os.chown(path, 12345, 12345)
    with pytest.raises(FileRefused, match="belongs to"):
        put(file, "p")
    path.unlink()
    os.chown(path.parent, 12345, 12345)
    with pytest.raises(FileRefused, match="belongs to"):
        put(file, "p")
    assert not path.exists()


# --- what is no file --------------------------------------------------------------------------------------------


def test_a_directory_or_a_pipe_in_its_place_is_refused(file: CredentialsFile, path: Path) -> None:
    path.mkdir()
    with pytest.raises(FileRefused, match="EISDIR"):
        put(file, "p")
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(FileRefused, match="no plain file"):
        put(file, "p")
    with pytest.raises(FileRefused, match="no plain file"):
        file.read()


def test_a_file_in_the_place_of_the_directory_is_refused(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(FileRefused, match="not a directory"):
        put(CredentialsFile(path / "credentials", tmp_path / "state"), "p")


def test_a_broken_file_is_refused_and_stays_as_it_is(file: CredentialsFile, path: Path) -> None:
    path.write_bytes(b"[a]\nx = 1\n[a]\n")
    with pytest.raises(FileRefused, match="line 3"):
        put(file, "p")
    assert path.read_bytes() == b"[a]\nx = 1\n[a]\n"


# --- other writers ----------------------------------------------------------------------------------------------


def test_a_profile_that_is_suddenly_missing_must_be_missing_for_a_second(
    file: CredentialsFile, path: Path, seconds: Seconds
) -> None:
    """The AWS CLI truncates and then writes: what is read in between must not be published (10 of 10 destroyed)."""
    path.write_bytes(MINE)
    put(file, "p")
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(FileUnsettled) as unsettled:
        put(file, "p", generation=2)
    assert unsettled.value.retry_in == pytest.approx(1.0)
    seconds.now += 0.4
    with pytest.raises(FileUnsettled) as unsettled:
        put(file, "p", generation=2)
    assert unsettled.value.retry_in == pytest.approx(0.6)
    path.write_bytes(whole)
    put(file, "p", generation=2)
    assert botocore_reads(path)["mine"]["aws_secret_access_key"] == "canary"


def test_a_profile_that_its_owner_deleted_stays_deleted(file: CredentialsFile, path: Path, seconds: Seconds) -> None:
    path.write_bytes(MINE)
    put(file, "p")
    path.write_bytes(merged(b"", keys("p")))
    with pytest.raises(FileUnsettled):
        put(file, "p", generation=2)
    seconds.now += 1.0
    assert put(file, "p", generation=2).written
    assert list(botocore_reads(path)) == ["p"]


def test_a_deleted_file_is_made_anew_after_a_second(file: CredentialsFile, path: Path, seconds: Seconds) -> None:
    put(file, "p")
    path.unlink()
    with pytest.raises(FileUnsettled):
        put(file, "p")
    seconds.now += 1.0
    assert put(file, "p").written


def test_a_half_written_file_that_cannot_be_read_is_given_a_second_too(
    file: CredentialsFile, path: Path, seconds: Seconds
) -> None:
    path.write_bytes(MINE)
    put(file, "p")
    path.write_bytes(MINE[:-15])
    with pytest.raises(FileUnsettled):
        put(file, "p")
    seconds.now += 1.0
    with pytest.raises(FileRefused, match="line 3") as refused:
        put(file, "p")
    assert not isinstance(refused.value, FileUnsettled)


def test_an_empty_file_at_the_first_read_may_be_one_that_is_being_written(
    file: CredentialsFile, path: Path, seconds: Seconds
) -> None:
    path.touch()
    with pytest.raises(FileUnsettled):
        put(file, "p")
    seconds.now += 1.0
    assert put(file, "p").written


def test_our_own_removal_of_profiles_is_no_reason_to_wait(file: CredentialsFile, path: Path) -> None:
    put(file, "p", "q")
    put(file, "p")
    file.write([], CONFIG, True)
    assert path.read_bytes() == b""
    put(file, "q")
    assert list(botocore_reads(path)) == ["q"]


def test_an_edit_between_our_read_and_our_rename_is_merged_and_not_lost(
    file: CredentialsFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(MINE)
    edits = [MINE + b"[edited]\nx = 1\n"]

    def edit_meanwhile(*args: object, **options: object) -> object:
        result = merge(*args, **options)  # type: ignore[arg-type]
        if edits:
            path.write_bytes(edits.pop())
        return result

    monkeypatch.setattr(module, "merge", edit_meanwhile)
    put(file, "p")
    assert list(botocore_reads(path)) == ["mine", "edited", "p"]


def test_a_file_that_changes_all_the_time_is_left_alone(
    file: CredentialsFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(MINE)
    count = iter(range(100))

    def edit_meanwhile(*args: object, **options: object) -> object:
        result = merge(*args, **options)  # type: ignore[arg-type]
        path.write_bytes(MINE + f"# {next(count)}{'!' * next(count)}\n".encode())
        return result

    monkeypatch.setattr(module, "merge", edit_meanwhile)
    with pytest.raises(FileUnsettled, match="keeps writing"):
        put(file, "p")
    assert path.read_bytes().startswith(MINE)
    assert "p" not in botocore_reads(path)


def test_a_program_that_had_the_file_open_when_it_was_replaced_loses_nothing(file: CredentialsFile, path: Path) -> None:
    """What it writes goes into the replaced file, which has no name any more."""
    path.write_bytes(MINE)
    put(file, "p")
    with path.open("ab") as editor:
        result = put(file, "p", generation=2)
        assert file.signature() == result.signature
        editor.write(b"[edited]\nx = 1\n")
    assert file.signature() != result.signature
    assert b"[edited]" in file.read()
    result = put(file, "p", generation=2)
    assert result.written
    assert file.signature() == result.signature
    found = botocore_reads(path)
    assert list(found) == ["mine", "p", "edited"]
    assert found["p"]["aws_session_token"] == "token-canary-2"


def test_readers_of_the_status_take_no_edit_away_from_the_next_write(file: CredentialsFile, path: Path) -> None:
    """Other threads call `standing`, at any moment of a write: it says what readers find and changes nothing."""
    path.write_bytes(b"[mine]\nregion = x\n")
    file.write([keys("p")], CONFIG, True)
    with path.open("rb+") as late:
        file.write([keys("p", 2)], CONFIG, True)
        late.seek(0, os.SEEK_END)
        late.write(b"[late]\nregion = y\n")
    before = path.read_bytes()

    assert [file.standing() for _ in range(3)] == [before] * 3
    file.write([keys("p", 2)], CONFIG, True)
    assert b"[late]" in path.read_bytes()


def test_a_profile_taken_out_of_the_replaced_file_is_gone_a_second_later(
    file: CredentialsFile, path: Path, seconds: Seconds
) -> None:
    """As one that is taken out of the file that stands."""
    path.write_bytes(MINE + b"[old]\nx = 1\n")
    put(file, "p")
    with path.open("r+b") as editor:
        put(file, "p", generation=2)
        editor.truncate(0)
        editor.write(MINE)
    with pytest.raises(FileUnsettled):
        put(file, "p", generation=3)
    seconds.now += 1.0
    put(file, "p", generation=3)
    assert list(botocore_reads(path)) == ["mine", "p"]


def test_a_lost_edit_that_never_becomes_whole_is_given_up(file: CredentialsFile, path: Path, seconds: Seconds) -> None:
    path.write_bytes(MINE)
    put(file, "p")
    with path.open("r+b") as editor:
        put(file, "p", generation=2)
        editor.truncate(0)
    with pytest.raises(FileUnsettled):
        put(file, "p", generation=3)
    seconds.now += 1.0
    put(file, "p", generation=3)
    assert list(botocore_reads(path)) == ["mine", "p"]
    assert botocore_reads(path)["p"]["aws_session_token"] == "token-canary-3"


def test_a_late_edit_of_the_replaced_file_and_a_newer_one_of_ours_are_both_kept(
    file: CredentialsFile, path: Path
) -> None:
    path.write_bytes(MINE)
    put(file, "p")
    with path.open("ab") as editor:
        put(file, "p", generation=2)
        path.write_bytes(path.read_bytes() + b"[newer]\nx = 1\n")
        editor.write(b"[older]\nx = 1\n")
    put(file, "p", generation=3)
    assert sorted(botocore_reads(path)) == ["mine", "newer", "older", "p"]


# --- the lock and the leftovers ---------------------------------------------------------------------------------


def test_a_second_writer_waits_for_the_lock_and_loses_nothing(
    file: CredentialsFile, path: Path, tmp_path: Path
) -> None:
    put(file, "p")
    with (tmp_path / "state" / "write.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=put, args=(file, "p", "q"))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(60)
    assert list(botocore_reads(path)) == ["p", "q"]


def test_a_lock_that_is_never_released_is_reported(
    file: CredentialsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file, "p")
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
    with (tmp_path / "state" / "write.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FileRefused, match="holds"):
            put(file, "q")


def test_writers_side_by_side_lose_no_profile(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_SECONDS", 120.0)
    names = [f"p{i}" for i in range(8)]

    def writer(name: str) -> None:
        file = CredentialsFile(path, tmp_path / "state")
        for generation in range(5):
            file.write([keys(name, generation)], CONFIG, False)

    threads = [threading.Thread(target=writer, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    found = botocore_reads(path)
    assert sorted(found) == names
    assert all(found[name]["aws_session_token"] == "token-canary-4" for name in names)


def _dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def _leftover(path: Path, pid: int, age: float = 0.0) -> Path:
    temp = path.parent / f".{path.name}.assumed.{pid}.0123456789abcdef.tmp"
    temp.write_bytes(b"canary")
    os.utime(temp, (temp.stat().st_mtime - age, temp.stat().st_mtime - age))
    return temp


STAYS: dict[str, Callable[[Path], Path]] = {
    "of a living process": lambda path: _leftover(path, os.getpid()),
    "of another file": lambda path: _leftover(path.parent / "config", _dead_pid()),
    "not exactly our name": lambda path: _leftover(path, _dead_pid()).rename(
        path.parent / ".credentials.assumed.1.tmp"
    ),
    "an editor's": lambda path: _leftover(path, _dead_pid()).rename(path.parent / ".credentials.swp"),
}


@pytest.mark.parametrize("age", [0.0, 61.0])
def test_leftovers_of_killed_writers_are_swept(age: float, file: CredentialsFile, path: Path) -> None:
    """A SIGKILL inside the write left five files with secrets in 158 tries."""
    put(file, "p")
    leftover = _leftover(path, os.getpid() if age else _dead_pid(), age)
    assert file.sweep() == 1
    assert not leftover.exists()
    assert list(botocore_reads(path)) == ["p"]


@pytest.mark.parametrize("which", STAYS)
def test_what_is_not_surely_a_leftover_of_ours_stays(which: str, path: Path, tmp_path: Path) -> None:
    path.touch()
    other = STAYS[which](path)
    assert CredentialsFile(path, tmp_path / "state").sweep() == 0
    assert other.exists()


def test_a_symlink_with_a_leftovers_name_is_never_followed_nor_removed(path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.touch()
    link = path.parent / f".credentials.assumed.{_dead_pid()}.0123456789abcdef.tmp"
    link.symlink_to(precious)
    assert CredentialsFile(path, tmp_path / "state").sweep() == 0
    assert link.is_symlink()
    assert precious.exists()

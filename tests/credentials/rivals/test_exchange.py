"""Another program writes the file in the very moment in which ours takes its place: between our last look and that."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assumed import files as exchange
from assumed.credentials import snapshot
from assumed.credentials.file import CredentialsFile, WriteResult
from assumed.errors import FileRefused, FileUnsettled
from credentials.kit import CONFIG, botocore_reads, keys

MINE = b"[mine]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n"
EDIT = b"[edited]\nx = 1\n"
really = exchange.exchange

Save = Callable[[Path, bytes], None]


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Dead(BaseException):
    """SIGKILL."""


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "aws").mkdir(0o700)
    path = tmp_path / "aws" / "credentials"
    path.write_bytes(MINE)
    path.chmod(0o600)
    return path


@pytest.fixture
def file(path: Path, tmp_path: Path, seconds: Seconds) -> Iterator[CredentialsFile]:
    """With profile `p` in it; nothing lies beside it at the end."""
    file = CredentialsFile(path, tmp_path / "state", monotonic=seconds)
    put(file, 1)
    yield file
    assert beside(path) == []


def put(file: CredentialsFile, generation: int) -> WriteResult:
    return file.write([keys("p", generation)], CONFIG, True)


def beside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one != path)


def token(path: Path) -> str:
    return str(botocore_reads(path)["p"]["aws_session_token"])


def by_rename(path: Path, text: bytes) -> None:
    """As vim and most editors save."""
    new = path.with_name("4913")
    new.write_bytes(text)
    new.chmod(0o600)
    new.rename(path)


def in_place(path: Path, text: bytes) -> None:
    """As the AWS CLI writes."""
    path.write_bytes(text)


def in_place_unseen(path: Path, text: bytes) -> None:
    """The same within one tick of the file system's clock."""
    before = path.stat()
    path.write_bytes(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def slip_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have something happen right before the next exchanges, one each, and something else right after the first."""

    def slip_in(*before: Callable[[], object], then: Callable[[], object] | None = None) -> None:
        waiting, afterwards = list(before), [then] if then else []

        def watched(dir_fd: int, one: str, other: str) -> None:
            if waiting:
                waiting.pop(0)()
            really(dir_fd, one, other)
            if afterwards:
                afterwards.pop()()

        monkeypatch.setattr(exchange, "exchange", watched)

    return slip_in


def die() -> None:
    raise Dead


@pytest.mark.parametrize("save", [by_rename, in_place])
def test_an_edit_that_slips_in_is_merged_at_once(
    save: Save, file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    slip_in(lambda: save(path, path.read_bytes() + EDIT))
    result = put(file, 2)
    assert result.written
    assert result.signature == file.signature()
    assert list(botocore_reads(path)) == ["mine", "p", "edited"]
    assert token(path) == "token-canary-2"


def test_an_edit_of_the_same_size_and_time_is_seen_as_well(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signatures are as coarse as the clock of the file system: of a young file the bytes are compared."""
    monkeypatch.setattr(snapshot, "_TICK_NS", 60 * 10**9)  # a slow machine does not look while it is young
    by_rename(path, path.read_bytes())
    slip_in(lambda: in_place_unseen(path, path.read_bytes().replace(b"= canary\n", b"= CANARY\n")))
    put(file, 2)
    assert botocore_reads(path)["mine"]["aws_secret_access_key"] == "CANARY"


def test_edits_that_slip_in_one_after_the_other_are_all_merged(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    """The second editor has read the file that did not yet hold the first one's edit again."""
    slip_in(*(lambda n=n: by_rename(path, path.read_bytes() + b"[edited%d]\n" % n) for n in range(3)))  # type: ignore[misc]
    put(file, 2)
    assert sorted(botocore_reads(path)) == ["edited0", "edited1", "edited2", "mine", "p"]


def test_a_program_that_has_read_the_file_without_the_edit_does_not_undo_it(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None], seconds: Seconds
) -> None:
    """Between our exchange and our merge it was not there; two seconds later whoever takes it out means it."""
    slip_in(lambda: by_rename(path, path.read_bytes() + EDIT))
    without = path.read_bytes()
    put(file, 2)
    by_rename(path, without + b"[other]\nx = 1\n")
    put(file, 3)
    assert sorted(botocore_reads(path)) == ["edited", "mine", "other", "p"]
    seconds.now += 2.1
    by_rename(path, without)
    with pytest.raises(FileUnsettled):
        put(file, 4)
    seconds.now += 1.1
    put(file, 4)
    assert list(botocore_reads(path)) == ["mine", "p"]


@pytest.mark.parametrize("by_name", [False, True])
def test_a_file_that_somebody_is_writing_is_given_back_to_him(
    by_name: bool, file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    """The AWS CLI has just truncated it, or a script has: that one goes on by the file's name."""
    whole = path.read_bytes() + EDIT
    with path.open("r+b") as editor:
        slip_in(lambda: editor.truncate(0))
        with pytest.raises(FileUnsettled):
            put(file, 2)
        assert path.read_bytes() == b""
        assert beside(path) == []
        if by_name:
            with path.open("ab") as script:
                script.write(whole)
        else:
            editor.write(whole)
    put(file, 3)
    assert list(botocore_reads(path)) == ["mine", "p", "edited"]


def test_what_is_written_into_ours_before_the_other_is_put_back_is_merged(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    """Two edits in place: the first into the file that we had read, the second into ours."""
    slip_in(
        lambda: path.write_bytes(path.read_bytes() + b"[first]\n"),
        then=lambda: path.write_bytes(path.read_bytes() + b"[second]\n"),
    )
    put(file, 2)
    assert sorted(botocore_reads(path)) == ["first", "mine", "p", "second"]
    assert token(path) == "token-canary-2"


def test_a_program_that_has_read_ours_before_the_other_is_put_back_does_not_undo_an_edit(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    """The AWS CLI twice in a row: the second one has read the file without the first one's edit."""
    read = []
    slip_in(lambda: in_place(path, path.read_bytes() + EDIT), then=lambda: read.append(path.read_bytes()))
    put(file, 2)
    in_place(path, read[0] + b"[other]\n")
    put(file, 3)
    assert sorted(botocore_reads(path)) == ["edited", "mine", "other", "p"]


def test_a_file_that_nobody_can_read_is_set_aside_and_told(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None], seconds: Seconds
) -> None:
    """It may be somebody's only copy of something."""
    slip_in(lambda: by_rename(path, path.read_bytes() + b"<<<<<<< HEAD\n"))
    with pytest.raises(FileUnsettled):
        put(file, 2)
    seconds.now += 1.1
    (aside,) = put(file, 3).set_aside
    assert token(path) == "token-canary-3"
    assert Path(aside).read_bytes().endswith(b"<<<<<<< HEAD\n")
    assert put(file, 4).set_aside == ()
    Path(aside).unlink()


def test_what_is_no_file_is_put_back_where_it_was(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    """Somebody has turned the file into a link to his dotfiles."""
    dotfile = path.with_name("dotfile")

    def link() -> None:
        path.rename(dotfile)
        path.symlink_to(dotfile)

    slip_in(link)
    put(file, 2)
    assert path.is_symlink()
    assert token(dotfile) == "token-canary-2"
    path.unlink()
    dotfile.rename(path)


def test_a_file_that_is_deleted_in_that_moment_is_made_anew_a_second_later(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None], seconds: Seconds
) -> None:
    slip_in(path.unlink)
    with pytest.raises(FileUnsettled):
        put(file, 2)
    seconds.now += 1.1
    put(file, 2)
    assert list(botocore_reads(path)) == ["p"]


def test_a_file_that_appears_at_the_first_write_is_not_replaced(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.unlink()
    real = exchange.rename_to_free_name

    def appear(dir_fd: int, name: str, free: str) -> None:
        monkeypatch.setattr(exchange, "rename_to_free_name", real)
        path.write_bytes(MINE)
        real(dir_fd, name, free)

    monkeypatch.setattr(exchange, "rename_to_free_name", appear)
    put(CredentialsFile(path, tmp_path / "state"), 1)
    assert list(botocore_reads(path)) == ["mine", "p"]
    assert beside(path) == []


# --- systems that cannot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(exchange.UNSUPPORTED))
@pytest.mark.parametrize("first", [False, True])
def test_where_names_cannot_trade_places_the_file_is_renamed(
    number: int, first: bool, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS, some FUSE, old kernels, sandboxes."""

    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(exchange, "exchange", refuse)
    monkeypatch.setattr(exchange, "rename_to_free_name", refuse)
    if first:
        path.unlink()
    file = CredentialsFile(path, tmp_path / "state")
    put(file, 1)
    with path.open("ab") as editor:
        put(file, 2)
        editor.write(EDIT)
    put(file, 3)
    assert list(botocore_reads(path)) == [*([] if first else ["mine"]), "p", "edited"]
    assert beside(path) == []


def test_an_exchange_that_fails_leaves_the_old_file_and_nothing_beside_it(
    file: CredentialsFile, path: Path, slip_in: Callable[..., None]
) -> None:
    def broken() -> None:
        raise OSError(errno.EIO, "")

    before = path.read_bytes()
    slip_in(broken)
    with pytest.raises(FileRefused, match="disk reports an error"):
        put(file, 2)
    assert path.read_bytes() == before


def test_a_name_too_long_for_a_longer_one_beside_it_is_renamed_to(tmp_path: Path) -> None:
    path = tmp_path / ("c" * 190)
    file = CredentialsFile(path, tmp_path / "state")
    put(file, 1)
    assert put(file, 2).written
    assert token(path) == "token-canary-2"


# --- killed -----------------------------------------------------------------------------------------------------


def killed_with_an_edit_in_hand(file: CredentialsFile, path: Path, slip_in: Callable[..., None], save: Save) -> None:
    """The edit lies under the parked name alone."""

    slip_in(lambda: save(path, path.read_bytes() + EDIT), then=die)
    with pytest.raises(Dead):
        put(file, 2)
    assert EDIT not in path.read_bytes()
    (parked,) = beside(path)
    assert EDIT in (path.parent / parked).read_bytes()


@pytest.mark.parametrize("save", [by_rename, in_place])
def test_the_next_start_merges_an_edit_that_was_in_the_hand_of_a_killed_writer(
    save: Save, file: CredentialsFile, path: Path, tmp_path: Path, slip_in: Callable[..., None]
) -> None:
    killed_with_an_edit_in_hand(file, path, slip_in, save)
    second = CredentialsFile(path, tmp_path / "state")
    assert second.sweep() == 0
    put(second, 3)
    assert list(botocore_reads(path)) == ["mine", "p", "edited"]
    assert token(path) == "token-canary-3"


def test_the_next_start_removes_what_it_finds_in_the_file_already(
    file: CredentialsFile, path: Path, tmp_path: Path, slip_in: Callable[..., None]
) -> None:
    """The writer was killed between its merge and the removal."""
    killed_with_an_edit_in_hand(file, path, slip_in, by_rename)
    by_rename(path, MINE + b"[other]\n" + EDIT)
    assert CredentialsFile(path, tmp_path / "state").sweep() == 1


def test_the_next_start_sets_an_edit_aside_when_the_file_has_been_written_since(
    file: CredentialsFile, path: Path, tmp_path: Path, slip_in: Callable[..., None]
) -> None:
    """Nobody can say any more which of the two is the newer one."""
    killed_with_an_edit_in_hand(file, path, slip_in, by_rename)
    by_rename(path, MINE + b"[other]\nx = 1\n")
    second = CredentialsFile(path, tmp_path / "state")
    assert second.sweep() == 0
    (aside,) = put(second, 3).set_aside
    assert EDIT in Path(aside).read_bytes()
    assert second.sweep() == 0
    Path(aside).unlink()


def test_what_a_killed_writer_has_left_that_is_known_is_removed(
    file: CredentialsFile, path: Path, tmp_path: Path, slip_in: Callable[..., None]
) -> None:
    """Killed before the exchange it is our own file, after it the one that we had read."""
    for generation, (before, then) in enumerate((([die], None), ([], die)), 2):
        slip_in(*before, then=then)
        with pytest.raises(Dead):
            put(file, generation)
        left = beside(path)
        assert CredentialsFile(path, tmp_path / "state").sweep() == len(left)
        assert beside(path) == []

"""Files come whole or not at all, with a name of their own or, where the system can, none until they are finished."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import atomic


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _is_open(path: Path) -> bool:
    return any(each.readlink() == path for each in Path("/proc/self/fd").iterdir() if each.is_symlink())


SYSTEMS = ("nameless", "named", "without O_TMPFILE", "without /proc", "Windows", "FAT")


@pytest.fixture(params=SYSTEMS if sys.platform == "linux" else ["another"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system that can make files without a name, or not; rename those that are open, or not; link them, or not."""
    opened, exists, replace = os.open, Path.exists, Path.replace

    def refusing(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return opened(path, flags, *rest, **more)

    def closed(path: Path, target: Path) -> Path:
        if _is_open(path):
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")
        return replace(path, target)

    def unlinked(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param in ("named", "FAT"):
        monkeypatch.setattr(os, "open", refusing)
    elif request.param in ("without O_TMPFILE", "Windows"):
        monkeypatch.delattr(os, "O_TMPFILE")
    elif request.param == "without /proc":
        monkeypatch.setattr(Path, "exists", lambda self: "/proc/" not in str(self) and exists(self))
    if request.param == "Windows":
        monkeypatch.setattr(Path, "replace", closed)
    elif request.param == "FAT":
        monkeypatch.setattr(Path, "hardlink_to", unlinked)
    return str(request.param)


def test_a_file_comes_whole_and_with_the_usual_rights(system: str, tmp_path: Path) -> None:
    path, before, umask = tmp_path / "a" / "b" / "new", _open_files(), os.umask(0o027)
    try:
        with atomic.new_file(path) as file:
            file.write(b"content")
            file.flush()
            assert Path(file.name).read_bytes() == b"content"
            assert not path.exists()
            assert system == "nameless" or Path(file.name).parent == path.parent
            hidden = [each.name for each in path.parent.iterdir()]
            assert hidden == [] if system == "nameless" else hidden[0].startswith(".new.")
            assert all(name.endswith(".part") for name in hidden)
    finally:
        assert os.umask(umask) == 0o027
    assert [each.name for each in path.parent.iterdir()] == ["new"]
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert _open_files() == before


def test_a_failure_leaves_nothing(system: str, tmp_path: Path) -> None:
    before = _open_files()
    with pytest.raises(KeyboardInterrupt), atomic.new_file(tmp_path / "a" / "b" / "new") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert _open_files() == before


def test_a_failure_leaves_folders_that_were_there_or_are_in_use(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for folder in ("old", "fresh"):
        with pytest.raises(ZeroDivisionError), atomic.new_file(tmp_path / folder / "new"):
            if folder == "fresh":
                (tmp_path / folder / "other").touch()
            raise ZeroDivisionError
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")) == ["fresh", "fresh/other", "old"]


def test_a_file_is_replaced_only_if_that_is_wanted(system: str, tmp_path: Path) -> None:
    path, open_before = tmp_path / "it", _open_files()
    path.write_bytes(b"before")
    with pytest.raises(StyleGANError, match="it exists; use --force to replace it"), atomic.new_file(path):
        pytest.fail("the work has begun")
    with atomic.new_file(path, force=True) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]
    assert _open_files() == open_before


@pytest.mark.parametrize("force", [False, True])
def test_a_name_that_is_taken_meanwhile(system: str, force: bool, tmp_path: Path) -> None:
    path = tmp_path / "it"

    def work() -> None:
        with atomic.new_file(path, force) as file:
            file.write(b"ours")
            path.write_bytes(b"theirs")

    if force:
        work()
    else:
        with pytest.raises(StyleGANError, match="it exists; use --force to replace it"):
            work()
    assert path.read_bytes() == (b"ours" if force else b"theirs")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write .*it: No space left on device"),
        (OSError("odd"), "cannot write .*it: odd"),
    ],
)
def test_what_the_system_says_is_told(error: OSError, words: str, tmp_path: Path) -> None:
    with pytest.raises(StyleGANError, match=words), atomic.new_file(tmp_path / "it"):
        raise error
    assert list(tmp_path.iterdir()) == []


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _below_a_file(path: Path) -> Path:
    path.touch()
    return path / "a" / "b"


def _there(path: Path) -> Path:
    path.touch()
    return path


NO_TARGETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a folder": (_folder, "x is a directory; name a file"),
    "a file": (_there, "x exists; use --force to replace it"),
    "below a file": (_below_a_file, "cannot write .*b: Not a directory"),
    "a name with a zero": (lambda path: path.with_name("x\0y"), "cannot write .*: no file has such a name"),
    "a long name": (lambda path: path.with_name("x" * 300), "cannot write .*x: File name too long"),
}


@pytest.mark.parametrize("case", NO_TARGETS)
def test_what_cannot_be_made_is_said_before_the_work(case: str, tmp_path: Path) -> None:
    make, words = NO_TARGETS[case]
    path = make(tmp_path / "x")
    with pytest.raises(StyleGANError, match=words):
        atomic.refuse_existing([None, tmp_path / "fine", path], force=False)
    if case != "a file":
        with pytest.raises(StyleGANError, match=words):
            atomic.refuse_existing([path], force=True)


def test_what_can_be_made_is_not_refused(tmp_path: Path) -> None:
    atomic.refuse_existing([None, tmp_path / "a", tmp_path / "b" / "c" / "d"], force=False)
    (tmp_path / "a").touch()
    atomic.refuse_existing([tmp_path / "a"], force=True)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("lacking", [os.W_OK, os.X_OK])
def test_a_folder_must_be_open_to_writing(lacking: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.F_OK and not mode & lacking)
    for path in (tmp_path / "x", tmp_path / "a" / "x"):
        with pytest.raises(StyleGANError, match=r"cannot write .*x: Permission denied"):
            atomic.refuse_existing([path], force=False)


def test_folders_are_made_or_it_is_said_why_not(tmp_path: Path) -> None:
    for _ in range(2):
        atomic.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(StyleGANError, match=r"cannot write to the folder .*file/b: Not a directory"):
        atomic.make_folder(tmp_path / "file" / "b")


def test_names_that_are_no_text_can_be_opened_by_libraries(tmp_path: Path) -> None:
    usual, odd = tmp_path / "ü", tmp_path / os.fsdecode(b"\xff")
    for path in (usual, odd):
        path.write_bytes(b"content")
    with atomic.opened_by_name(usual) as name:
        assert name == str(usual)
    before = _open_files()
    with atomic.opened_by_name(odd) as name:
        assert name.isascii()
        assert Path(name).read_bytes() == b"content"
    assert _open_files() == before
    assert atomic.spelled("ü") == "ü"
    assert atomic.spelled(odd.name) == r"\udcff"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", "~/there")
    assert atomic.cache_folder() == tmp_path / "there"
    monkeypatch.delenv("STYLEGAN_TORCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert atomic.cache_folder().name == "stylegan-torch"

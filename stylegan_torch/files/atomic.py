"""Writing files so that a name never points at half a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import IO

from platformdirs import user_cache_path

from stylegan_torch.errors import StyleGANError


def cache_folder() -> Path:
    """Return where downloads and prepared data go: `$STYLEGAN_TORCH_CACHE`, or else the user's cache folder."""
    chosen = os.environ.get("STYLEGAN_TORCH_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("stylegan-torch")


def spelled(name: str) -> str:
    """Return the name of a file as text that every file can hold: bytes that are no UTF-8 become escapes."""
    return name.encode(errors="backslashreplace").decode()


@contextmanager
def opened_by_name(path: str | Path) -> Iterator[str]:
    """Give a name by which libraries that take only UTF-8 can open a file, until the block ends."""
    if str(path) == spelled(str(path)):
        yield str(path)
        return
    with Path(path).open("rb") as file:
        yield f"/proc/self/fd/{file.fileno()}"


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        StyleGANError: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise StyleGANError(f"cannot write to the folder {path}: {why(error)}") from error


@contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[IO[bytes]]:
    """Give an open file to write to, which becomes `path` when the block ends without an error.

    Until then what was written and flushed can be read as the file's own `name`.
    Folders that are missing are made, and go again if the file does not come about. Where the system can (Linux), it
    has no name until then, so that not even a killed process leaves anything.

    Args:
        path: the file to make.
        force: replace `path` if it exists.

    Raises:
        StyleGANError: if `path` exists and `force` is off, or it cannot be written.
    """
    refuse_existing([path], force)
    try:
        with new_folder(path.parent):
            temporary = _nameless(path) or _named(path)
            try:
                with temporary.opened() as file:
                    yield file
                temporary.finish(path, force)
            finally:
                temporary.close()
    except FileExistsError as error:
        raise StyleGANError(f"{path} exists; use --force to replace it") from error
    except OSError as error:
        raise StyleGANError(f"cannot write {path}: {why(error)}") from error


def why(error: OSError | ValueError) -> str:
    """Return why a file cannot be made; in what Python says of a name its versions differ."""
    return getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else "no file has such a name")


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder and those above it; if the block fails, those that are empty go again."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for each in missing:
                each.rmdir()
        raise


def is_there(path: Path) -> bool:
    """Tell whether there is such a file or folder.

    Raises:
        OSError: if that cannot be told, or no file can have that name, which `Path.exists` hides from Python 3.14 on.
        ValueError: if a part of the name is no text for this system.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
        return True
    return False


def refuse_existing(paths: Iterable[Path | None], force: bool) -> None:
    """Look whether files can be made, before the work that it takes; None is no file.

    Raises:
        StyleGANError: if one of them exists and `force` is off, is a directory, or its folder, which may be missing,
            cannot be written to.
    """
    folders = set[Path]()
    for path in filter(None, paths):
        try:
            if is_there(path) and path.is_dir():
                raise StyleGANError(f"{path} is a directory; name a file")
            if is_there(path) and not force:
                raise StyleGANError(f"{path} exists; use --force to replace it")
            if path.parent not in folders:
                _check_folder(path.parent)
        except (OSError, ValueError) as error:
            raise StyleGANError(f"cannot write {path}: {why(error)}") from error
        folders.add(path.parent)


def _check_folder(path: Path) -> None:
    """Raise OSError unless a folder, or the nearest one above it that there is, can be written to."""
    there = next(filter(is_there, (path, *path.parents)))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


class _Temporary:
    """An open file that has no name yet (`name` None), or one that nobody asked for."""

    def __init__(self, descriptor: int, name: Path | None) -> None:
        self.descriptor = descriptor
        self.name = name

    def opened(self) -> IO[bytes]:
        """Return it as a file whose name opens it once more."""
        name = self.name or Path(f"/proc/self/fd/{self.descriptor}")
        # Never truncated: some file systems flush what was truncated and written as soon as it is closed.
        return open(name, "r+b", opener=lambda *_: os.dup(self.descriptor))

    def finish(self, path: Path, force: bool) -> None:
        """Give the finished file its name; FileExistsError if it was taken meanwhile."""
        if self.name is None and force:
            # A link cannot replace a file, so this one gets another name for a moment.
            other = _named(path)
            assert other.name is not None
            other.name.unlink()
            self._link(other.name)
            other.close(keep=True)
            self.name = other.name
        if self.name is None:
            self._link(path)
            return
        self._shut()  # Windows gives no open file another name
        if force:
            self.name.replace(path)
            return
        try:
            path.hardlink_to(self.name)
        except FileExistsError:
            raise
        except OSError:  # FAT has no links: an empty file holds the name until this one takes it
            path.touch(exist_ok=False)
            try:
                self.name.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def _link(self, path: Path) -> None:
        # Only with a directory given does Python follow the link that /proc has for an open file.
        os.link(f"/proc/self/fd/{self.descriptor}", path, src_dir_fd=self.descriptor, follow_symlinks=True)

    def close(self, keep: bool = False) -> None:
        """Close the file, and remove the name nobody asked for."""
        self._shut()
        if self.name is not None and not keep:
            self.name.unlink(missing_ok=True)

    def _shut(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _nameless(path: Path) -> _Temporary | None:
    try:
        temporary = _Temporary(os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666), None)
    except (AttributeError, OSError):
        return None
    if Path(f"/proc/self/fd/{temporary.descriptor}").exists():
        return temporary
    temporary.close()
    return None


def _named(path: Path) -> _Temporary:
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    umask = os.umask(0)
    os.umask(umask)
    Path(name).chmod(0o666 & ~umask)
    return _Temporary(descriptor, Path(name))

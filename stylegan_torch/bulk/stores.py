"""Where sets lie: a folder, or a store of fsspec's (s3://, gs://, memory:// …). A name never holds half a file."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from stylegan_torch.bulk.samples import BulkError

_BLOCK = 1 << 20
_UNFINISHED = ".part-"


class Store(ABC):
    """Files by name, with / between folders."""

    url: str

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Make what goes wrong with a file a BulkError, but for its not being there."""
        try:
            yield
        except (FileNotFoundError, BulkError):
            raise
        except Exception as error:  # each store's library has errors of its own
            said = getattr(error, "strerror", None) or error
            raise BulkError(f"cannot read or write {self.url}/{name}: {said}") from error

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Give an open file; BulkError if there is none."""
        file = self.open(name)
        if file is None:
            raise BulkError(f"{name} is missing")
        with file:
            yield file

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is none."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes] | None:
        """Open a file; None if there is none."""

    @abstractmethod
    def put(self, name: str, source: Path) -> None:
        """Make a finished local file the file of that name, whole or not at all; `source` may be moved."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Make a file of that content, whole or not at all."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Return the names of the files below a folder, sorted."""

    @abstractmethod
    def workplace(self) -> AbstractContextManager[Path]:
        """Return a context: a local folder to make files in, gone at its end."""


def open_store(place: str) -> Store:
    """Return the store of a path or a URL.

    Raises:
        BulkError: if its protocol is not known, or needs a package that is missing.
    """
    protocol, found, _ = place.partition("://")
    if not found or protocol in ("file", "local"):
        return LocalStore(Path(place.partition("://")[2] if found else place))
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise BulkError(f"cannot open {place}: {error}") from error
    return RemoteStore(place.rstrip("/"), files, root.rstrip("/"))


def digest(file: IO[bytes]) -> str:
    """Return the sha256 of an open file."""
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
    return found.hexdigest()


class LocalStore(Store):
    """A folder. Files are on the disk (fsync) before they get their names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def read(self, name: str) -> bytes | None:
        with self._told(name), suppress(FileNotFoundError):
            return (self.root / name).read_bytes()
        return None

    def open(self, name: str) -> IO[bytes] | None:
        with self._told(name), suppress(FileNotFoundError):
            return (self.root / name).open("rb")
        return None

    def put(self, name: str, source: Path) -> None:
        path = self.root / name
        with self._told(name):
            with source.open("r+b") as file:  # Windows syncs only what can be written to
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)
            _sync_folder(path.parent)

    def write(self, name: str, content: bytes) -> None:
        with self.workplace() as folder:
            (folder / "file").write_bytes(content)
            self.put(name, folder / "file")

    def remove(self, name: str) -> None:
        with self._told(name):
            (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str = "") -> list[str]:
        top = self.root / folder
        found = (path for path in top.rglob("*") if path.is_file())
        names = (path.relative_to(self.root).as_posix() for path in found)
        return sorted(name for name in names if not name.startswith(_UNFINISHED))

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Give a folder beside the files, so that they can be moved; its name says whose it is."""
        with self._told(""):
            self.root.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.root, prefix=_mine(), ignore_cleanup_errors=True) as name:
                yield Path(name)

    def tidy(self) -> None:
        """Remove what killed processes of this machine left."""
        for path in self.root.glob(f"{_UNFINISHED}*"):
            machine, _, pid = path.name.removeprefix(_UNFINISHED).rpartition("-")[0].rpartition("-")
            if machine == platform.node() and pid.isdecimal() and not _is_alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


class RemoteStore(Store):
    """A store of fsspec's: a file is sent whole, and is there when all of it has come."""

    def __init__(self, url: str, files: Any, root: str) -> None:
        self.url, self._files, self._root = url, files, root

    def read(self, name: str) -> bytes | None:
        with self._told(name), suppress(FileNotFoundError):
            return self._files.cat_file(self._path(name))
        return None

    def open(self, name: str) -> IO[bytes] | None:
        with self._told(name), suppress(FileNotFoundError):
            return self._files.open(self._path(name), "rb")
        return None

    def put(self, name: str, source: Path) -> None:
        with self._told(name):
            self._files.put_file(str(source), self._path(name))

    def write(self, name: str, content: bytes) -> None:
        with self._told(name):
            self._files.pipe_file(self._path(name), content)

    def remove(self, name: str) -> None:
        with self._told(name), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def names(self, folder: str = "") -> list[str]:
        with self._told(folder):
            self._files.invalidate_cache()
            found = self._files.find(f"{self._root}/{folder}".rstrip("/"))
        return sorted(path.removeprefix(self._root).lstrip("/") for path in found)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Give a local folder."""
        with TemporaryDirectory(prefix="stylegan-torch-") as name:
            yield Path(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _sync_folder(path: Path) -> None:
    """Have a folder's new names on the disk; some systems cannot open folders."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mine() -> str:
    """Return how the names of this process's unfinished files begin."""
    return f"{_UNFINISHED}{platform.node()}-{os.getpid()}-"


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there is no way to ask that does no harm
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True

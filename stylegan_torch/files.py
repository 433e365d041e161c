"""Writing files so that a name never points at half a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from stylegan_torch.errors import StyleGANError


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        StyleGANError: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StyleGANError(f"cannot write to the folder {path}: {error.strerror}") from error


@contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` when the block ends without an error.

    Where the system can (Linux), the temporary file has no name at all, so that not even a killed process leaves one.

    Args:
        path: the file to make.
        force: replace `path` if it exists.

    Raises:
        StyleGANError: if `path` exists and `force` is off, or it cannot be written.
    """
    refuse_existing([path], force)
    try:
        with _nameless(path) or _named(path) as temporary:
            yield temporary.path
            temporary.finish(path, force)
    except FileExistsError as error:
        raise StyleGANError(f"{path} exists; use --force to replace it") from error
    except OSError as error:
        raise StyleGANError(f"cannot write {path}: {error.strerror or error}") from error


def refuse_existing(paths: list[Path], force: bool) -> None:
    """Raise StyleGANError if one of the files exists and `force` is off, or is a directory."""
    for path in paths:
        try:
            is_folder, exists = path.is_dir(), path.exists()
        except OSError as error:
            raise StyleGANError(f"cannot write {path}: {error.strerror}") from error
        if is_folder:
            raise StyleGANError(f"{path} is a directory; name a file")
        if exists and not force:
            raise StyleGANError(f"{path} exists; use --force to replace it")


class _Temporary:
    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    def __enter__(self) -> _Temporary:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is None:
            self.path.unlink(missing_ok=True)
        else:
            os.close(self.descriptor)

    def finish(self, path: Path, force: bool) -> None:
        """Give the finished file its name; FileExistsError if it was taken meanwhile."""
        if self.descriptor is None:
            self.path.replace(path) if force else path.hardlink_to(self.path)
            return
        if not force:
            self._link(path)
            return
        # A link cannot replace a file, so the new one gets another name for a moment.
        with _named(path) as other:
            other.path.unlink()
            self._link(other.path)
            other.path.replace(path)

    def _link(self, path: Path) -> None:
        # Only with a directory given does Python follow the link that /proc has for an open file.
        os.link(self.path, path, src_dir_fd=self.descriptor, follow_symlinks=True)


def _nameless(path: Path) -> _Temporary | None:
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):
        return None
    if not Path(f"/proc/self/fd/{descriptor}").exists():
        os.close(descriptor)
        return None
    return _Temporary(Path(f"/proc/self/fd/{descriptor}"), descriptor)


def _named(path: Path) -> _Temporary:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
        umask = os.umask(0)
        os.umask(umask)
        Path(file.name).chmod(0o666 & ~umask)
        return _Temporary(Path(file.name), None)

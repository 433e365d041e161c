"""What visitors brought: files by names that nobody guesses, so that none sees another's; the oldest go."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
import threading
from pathlib import Path

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.states import Base

MOST_BYTES = 500_000_000
"""Of all files together."""
MOST = 1000
"""Files."""


class Shelf:
    """Files of latents by the names under which visitors ask for them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stylegan-explore-")
        self._bases: dict[str, Base] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Return where all files are, until `close`."""
        return Path(self._folder.name)

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    def new_folder(self) -> Path:
        """Return a folder of its own, whose name nobody guesses."""
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        return folder

    def put(self, base: Base) -> str:
        """Keep a file that is alone in a folder of `new_folder`; returns the name to ask for it with.

        Raises:
            StyleGANError: if it is larger than all may be together.
        """
        key = base.path.parent.name
        if size_of(base.path.parent) > MOST_BYTES:
            shutil.rmtree(base.path.parent, ignore_errors=True)
            raise StyleGANError(f"Latents: {base.name} is too large to be kept here")
        with self._lock:
            self._bases[key] = base
            self._trim()
        return key

    def get(self, key: object) -> Base:
        """Return what was kept by this name.

        Raises:
            StyleGANError: if there is nothing, or no longer.
        """
        with self._lock:
            base = self._bases.pop(key, None) if isinstance(key, str) else None
            if base is None:
                raise StyleGANError("Latents: they are no longer here: bring the file again")
            self._bases[str(key)] = base  # now the last one
        return base

    def of(self, path: Path) -> Base:
        """Return what is at a path.

        Raises:
            StyleGANError: if there is nothing, or no longer.
        """
        return self.get(path.parent.name)

    def _trim(self) -> None:
        while len(self._bases) > 1 and (len(self._bases) > MOST or size_of(self.folder) > MOST_BYTES):
            oldest = next(iter(self._bases))
            shutil.rmtree(self._bases.pop(oldest).path.parent, ignore_errors=True)


def digest_of(path: Path) -> str:
    """Return what a file has in common with those that hold the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; what goes meanwhile doesn't count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        total += 0 if path.is_dir() else status.st_size
    return total

"""From what the user names to a file: one that is there, a URL, or a published network."""

from __future__ import annotations

import os
from pathlib import Path

from converter.errors import ConvertError
from converter.sources import catalogue


def check(src: str) -> None:
    """Look whether a text names a file that can be read, a URL or a published network; nothing is downloaded.

    Raises:
        ConvertError, DownloadError: as `locate` and `check_file` do.
    """
    path = Path(src)
    if _exists(path):
        check_file(path)
    else:
        catalogue.check_url(_url(src))


def locate(src: str | Path) -> Path:
    """Return the file that a path, URL or catalogue name stands for, downloading it to the cache if need be.

    Raises:
        ConvertError: if it is none of these.
        DownloadError: if the download fails.
    """
    path = Path(src)
    if _exists(path):
        return path
    found = _url(str(src))
    if isinstance(found, catalogue.Entry):
        return catalogue.fetch(found)
    from converter.sources.download import download

    return download(found)


def check_file(path: Path) -> None:
    """Raise ConvertError unless there is something to read."""
    if path.is_dir():
        raise ConvertError(f"{path}: is a directory, not a network file")
    if not path.is_file():
        raise ConvertError(f"{path}: is not a regular file")
    if path.stat().st_size == 0:
        raise ConvertError(f"{path}: is empty")
    if not os.access(path, os.R_OK):
        raise ConvertError(f"{path}: cannot be read: Permission denied")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise ConvertError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _url(text: str) -> str | catalogue.Entry:
    """Return a URL as it is, or the published network of a name."""
    if text.startswith(("http://", "https://")):
        return text
    entry = catalogue.find(text)
    if entry is None:
        hint = catalogue.suggestion(text)
        raise ConvertError(f"{text}: no such file, and no network of that name in the catalogue{hint and '; ' + hint}")
    return entry

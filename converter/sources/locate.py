"""From what the user names to a file: one that is there, a URL, or a published network."""

from __future__ import annotations

import os
from pathlib import Path

from converter.errors import ConvertError
from converter.sources import catalogue
from converter.sources.hashes import sha256_of
from stylegan_torch.files.atomic import is_there

_WEB = ("http://", "https://")


def check(src: str) -> None:
    """Look whether a text names a file that can be read, a URL or a published network; nothing is downloaded.

    Raises:
        ConvertError, DownloadError: as `locate` and `check_file` do.
    """
    place, _ = split(src)
    if is_here(place):
        check_file(Path(place))
    else:
        catalogue.check_url(_url(place))


def split(src: str | Path) -> tuple[str, str | None]:
    """Return file, URL or name, and what is named of an archive after a "!", as in "networks.zip!ffhq.pkl"."""
    place, _, member = str(src).partition("!")
    return (place, member) if place and member and not is_here(str(src)) else (str(src), None)


def locate(src: str | Path, sha256: str | None = None) -> tuple[Path, str | None]:
    """Return the file that a path, URL or catalogue name stands for, downloading it to the cache if need be.

    Args:
        src: what the user names.
        sha256: hash that the file must have, in hex; of an archive, the archive's.

    Returns:
        The file, and which one in it is meant if it is an archive and that is said.

    Raises:
        ConvertError: if it is none of these, or has another hash.
        DownloadError: if the download fails, or gives another hash.
    """
    place, member = split(src)
    if is_here(place):
        if sha256:
            check_hash(Path(place), sha256)
        return Path(place), member
    found = _url(place)
    if isinstance(found, catalogue.Entry):
        return catalogue.fetch(found, sha256=sha256), member
    from converter.sources.download import download

    return download(found, sha256=sha256), member


def check_hash(path: Path, sha256: str) -> None:
    """Raise ConvertError unless a file has a hash, given in hex."""
    check_file(path)
    found = sha256_of(path)
    if found != sha256.lower():
        raise ConvertError(f"its sha256 is {found}, not {sha256.lower()}", path)


def check_file(path: Path) -> None:
    """Raise ConvertError unless there is something to read."""
    if path.is_dir():
        raise ConvertError("is a directory, not a network file", path)
    if not path.is_file():
        raise ConvertError("is not a regular file", path)
    if path.stat().st_size == 0:
        raise ConvertError("is empty", path)
    if not os.access(path, os.R_OK):
        raise ConvertError("cannot be read: Permission denied", path)


def is_here(text: str) -> bool:
    """Tell whether a text names something here; URLs may be longer than names can be."""
    if text.startswith(_WEB):
        return False
    try:
        return is_there(Path(text))
    except ValueError:
        return False
    except OSError as error:
        raise ConvertError(f"cannot read {Path(text)}: {error.strerror or error}") from error


def _url(text: str) -> str | catalogue.Entry:
    """Return a URL as it is, or the published network of a name."""
    if text.startswith(_WEB):
        return text
    entry = catalogue.find(text)
    if entry is None:
        hint = catalogue.suggestion(text) if Path(text).name == text else ""  # a folder says that a file is meant
        raise ConvertError(f"{text}: no such file, and no network of that name in the catalogue{hint and '; ' + hint}")
    return entry

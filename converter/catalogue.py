"""The published official networks by name: rows of `checkpoints/catalogue.json`."""

import difflib
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from checkpoints import CATALOGUE
from converter.errors import DownloadError

__all__ = ["Entry", "entries", "fetch", "find", "suggestion"]


@dataclass(frozen=True)
class Entry:
    """One published network."""

    name: str
    """What a user types; unique, whatever its case."""
    release: Literal["progan", "stylegan", "stylegan2", "stylegan2-ada", "stylegan2-ada-pytorch"]
    """The official code release it was published with."""
    family: Literal["progan", "stylegan1", "stylegan2"]
    """The architecture it has; StyleGAN2's config A is a StyleGAN1 network."""
    resolution: int
    """Width and height of the network's pictures in pixels, before any cropping."""
    conditional: int
    """Number of classes, 0 for an unconditional network."""
    licence: str
    file: str
    """Its file's name where it was published."""
    url: str | None = None
    """Where the file is; None where only a page that holds it is known."""
    page: str | None = None
    """The page to open when there is no `url`."""
    sha256: str | None = None
    """Hash of the file; None where nobody published one."""
    size: int | None = None
    """Bytes of the file; None where unknown."""


@cache
def _catalogue() -> tuple[Entry, ...]:
    return tuple(Entry(**row) for row in json.loads(CATALOGUE.read_text(encoding="utf-8")))


def entries(pattern: str = "*") -> list[Entry]:
    """Networks whose name matches a shell pattern (`*`, `?`, `[…]`) in any case, in catalogue order."""
    return [entry for entry in _catalogue() if fnmatchcase(entry.name.lower(), pattern.lower())]


def find(name: str) -> Entry | None:
    """The network of this name, whatever its case, or None."""
    return next((entry for entry in _catalogue() if entry.name.lower() == name.lower()), None)


def suggestion(name: str) -> str:
    """`did you mean …?` with up to three catalogue names close to `name`, or the empty string if none is."""
    names = {entry.name.lower(): entry.name for entry in _catalogue()}
    close = [names[match] for match in difflib.get_close_matches(name.lower(), names)]
    return f"did you mean {' or '.join(close)}?" if close else ""


def fetch(entry: Entry, *, cache_dir: Path | None = None, progress: bool | None = None) -> Path:
    """The network's file in the cache folder, downloaded if it is not there yet; arguments as for `download`.

    Raises `DownloadError` if the download fails, or if only a page to open is known.
    """
    if entry.url is None:
        raise DownloadError(
            f"{entry.name}: has no address of its own; open {entry.page} in a browser, "
            f"download {entry.file} there, then give stylegan-convert the file"
        )
    from converter.download import download  # brings in requests, which few commands need

    return download(entry.url, sha256=entry.sha256, size=entry.size, cache_dir=cache_dir, progress=progress)

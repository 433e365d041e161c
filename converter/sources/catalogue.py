"""The published official networks by name: rows of `checkpoints/catalogue.json`."""

import difflib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePath
from typing import Literal

from checkpoints import CATALOGUE
from converter.errors import DownloadError

__all__ = ["Entry", "check_url", "entries", "fetch", "find", "suggestion"]

SHOWN = 5
"""Names that a suggestion has at most."""
_MISSPELT = 0.75
"""How alike two words are, of 1, where one may be the other misspelt: two letters of four changed round are."""


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
    """`did you mean …?` with up to five catalogue names like `name`, the likest first; "" if there is none.

    Like it are those that have its words, whole, in part, or misspelt; a rare word counts for more than a frequent one.
    """
    asked = PurePath(name.lower()).name.removesuffix(".pkl")
    words = [word for word in re.split(r"[^a-z0-9]+", asked) if len(word) > 1]
    scores: dict[str, float] = dict.fromkeys((entry.name for entry in _catalogue()), 0)
    for word in words:
        found = {each: max(_likeness(word, part) for part in each.lower().split("-")) for each in scores}
        rarity = 1 / max(1, sum(map(bool, found.values())))
        scores = {each: scores[each] + rarity * found[each] for each in scores}
    enough = max(scores.values()) / 2
    close = sorted(
        (each for each in scores if scores[each] > 0 and scores[each] >= enough),
        key=lambda each: (-scores[each], -difflib.SequenceMatcher(None, asked, each.lower()).ratio()),
    )
    if not close:
        return ""
    *others, last = close[:SHOWN]
    more = f" ({len(close) - SHOWN} more in stylegan-convert --list)" if len(close) > SHOWN else ""
    return f"did you mean {', '.join(others)}{' or ' * bool(others)}{last}?{more}"


def _likeness(word: str, part: str) -> float:
    """Return how much two words are one, from 0 to 1."""
    if word == part:
        return 1
    if min(len(word), len(part)) < 4:
        return 0
    within = word in part or part in word
    return 0.75 if within else 0.5 * (difflib.SequenceMatcher(None, word, part).ratio() >= _MISSPELT)


def check_url(found: str | Entry) -> None:
    """Raise `DownloadError` if a URL, or the network's file, is none that can be downloaded; nothing is."""
    from converter.sources.download import direct_url

    direct_url(found if isinstance(found, str) else _address(found))


def fetch(
    entry: Entry, *, sha256: str | None = None, cache_dir: Path | None = None, progress: bool | None = None
) -> Path:
    """The network's file in the cache folder, downloaded if it is not there yet; arguments as for `download`.

    Raises `DownloadError` if the download fails, if only a page to open is known, or for another hash than its own.
    """
    url = _address(entry)
    if sha256 and entry.sha256 and sha256.lower() != entry.sha256:
        raise DownloadError(f"{entry.name}: its sha256 is {entry.sha256}, not {sha256.lower()}")
    from converter.sources.download import download  # brings in requests, which few commands need

    return download(url, sha256=sha256 or entry.sha256, size=entry.size, cache_dir=cache_dir, progress=progress)


def _address(entry: Entry) -> str:
    if entry.url is None:
        raise DownloadError(
            f"{entry.name}: has no address of its own; open {entry.page} in a browser, "
            f"download {entry.file} there, then give stylegan-convert the file"
        )
    return entry.url

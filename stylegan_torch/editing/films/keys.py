"""Keyframes of a film in a table: when it shows which picture, and how it goes on from there."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stylegan_torch.editing.composition import is_file_of_latents
from stylegan_torch.errors import StyleGANError

EASINGS = ("linear", "sine", "cubic", "quintic")
"""How a film goes from one keyframe to the next; `trajectories` has the formulas."""


class KeysError(StyleGANError):
    """A table has no keyframes."""


@dataclass(frozen=True)
class KeyFrame:
    """A picture that a film shows at a time.

    seconds: from the beginning. picture: a seed, or a file of latents. row: which of the file.
    easing: how it goes on; "" = as all.
    """

    seconds: float
    picture: int | Path
    row: int = 0
    easing: str = ""

    def __str__(self) -> str:
        picture = f"{self.picture.name}:{self.row}" if isinstance(self.picture, Path) else self.picture
        return f"{self.seconds:g},{picture}" + (f",{self.easing}" if self.easing else "")


def read_keys(path: Path) -> list[KeyFrame]:
    """Read a table (.csv): seconds, a seed or a file of latents (me.npz, or me.npz:3 for its row 3), an easing or none.

    A heading is passed over. Files are named as seen from the folder of the table.

    Raises:
        KeysError: if it cannot be read, or is none, or its times do not rise from 0.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except OSError as error:
        raise KeysError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise KeysError(f"{path} is no table in UTF-8: {error}") from error
    if rows and rows[0] and _number(rows[0][0]) is None:  # a heading
        rows[0] = []
    places = [(f"{path}, line {line}", row) for line, row in enumerate(rows, start=1)]
    keys = _rising([(place, row) for place, row in places if any(map(str.strip, row))])
    if not keys:
        raise KeysError(f"{path} has no keyframes: lines such as 2.5,7 are wanted")
    return [replace(key, picture=_from(path.parent, key.picture)) for key in keys]


def parse_keys(texts: Sequence[str]) -> list[KeyFrame]:
    """Read lines of such a table.

    Raises:
        ValueError: if one is none, or the times do not rise from 0.
    """
    try:
        return _rising([(repr(text), next(csv.reader([text]), [])) for text in texts])
    except (KeysError, csv.Error) as error:
        raise ValueError(str(error)) from error


def _rising(rows: Sequence[tuple[str, Sequence[str]]]) -> list[KeyFrame]:
    """Read rows, each with the place that is named if it is wrong."""
    keys: list[KeyFrame] = []
    for place, row in rows:
        key = _key([cell.strip() for cell in row])
        if key is None:
            raise KeysError(
                f"{place}: {','.join(row)!r} is not seconds, a seed or a file of latents, and one of "
                f"{', '.join(EASINGS)} or nothing"
            )
        if key.seconds <= keys[-1].seconds if keys else key.seconds != 0:
            raise KeysError(f"{place}: times must begin with 0, and rise")
        keys.append(key)
    return keys


def _from(folder: Path, picture: int | Path) -> int | Path:
    return folder / picture if isinstance(picture, Path) else picture


def _key(cells: Sequence[str]) -> KeyFrame | None:
    seconds, picture, easing = (*cells, "", "", "")[:3]
    name, colon, row = picture.rpartition(":")
    name, row = (name, row) if colon and row.isdecimal() else (picture, "0")
    time = _number(seconds)
    known = name.isdecimal() and not colon and int(name) < 1 << 32
    if len(cells) > 3 or time is None or not 0 <= time < float("inf") or not (known or is_file_of_latents(name)):
        return None
    if easing and easing not in EASINGS:
        return None
    return KeyFrame(time, int(name) if known else Path(name), int(row), easing)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None

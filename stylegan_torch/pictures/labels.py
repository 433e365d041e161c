"""Labels of pictures: the official `dataset.json`, tables, names of classes; and the numbers a network takes."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from stylegan_torch.pictures.decode import DataError

FILE = "dataset.json"
"""Where the official form keeps labels, beside the folders of pictures."""
Label = int | tuple[float, ...] | str
"""The number of a class, a vector, or the name of a class."""
_MOST_CLASSES = 1_000_000
_SHARD = re.compile(r"\d{5}/img\d{8}\.\w+")
"""A picture of the official form: its folder only keeps folders small."""


@dataclass(frozen=True)
class Labels:
    """The labels of pictures in order.

    classes: [N] int64, -1 without. class_names: in the order of their numbers. vectors: [N, L] float32 in place of
    classes, or None.
    """

    classes: npt.NDArray[np.int64]
    class_names: tuple[str, ...] = ()
    vectors: npt.NDArray[np.float32] | None = None


def numbered(labels: Sequence[Label | None]) -> Labels:
    """Return labels as numbers. Those of classes stay what they are; names are numbered in order.

    Raises:
        DataError: if there are vectors and classes, vectors of several lengths, or absurd numbers.
    """
    classes = np.full(len(labels), -1)
    given = [label for label in labels if label is not None]
    vectors = [label for label in given if isinstance(label, tuple)]
    if vectors:
        lengths = {len(label) if isinstance(label, tuple) else 0 for label in labels}
        if len(lengths) > 1:
            raise DataError("has labels that are vectors and others that are not, or not as long")
        return Labels(classes, vectors=np.array(vectors, np.float32))
    if given and all(isinstance(label, int) for label in given):
        last = max(label for label in given if isinstance(label, int))
        if last >= _MOST_CLASSES:
            raise DataError(f"has the class {last}, and there may be {_MOST_CLASSES}")
        numbers: dict[Label, int] = {number: number for number in range(last + 1)}
    else:
        names = sorted({str(label) for label in given})
        if all(name.isdecimal() for name in names):
            names.sort(key=int)
        numbers = {name: number for number, name in enumerate(names)}
        labels = [None if label is None else str(label) for label in labels]
    classes[:] = [-1 if label is None else numbers[label] for label in labels]
    return Labels(classes, tuple(map(str, numbers)))


def folder_class(name: PurePosixPath) -> str | None:
    """Return the class of a picture by the sub-folder it is in; None if that is none."""
    return None if len(name.parts) == 1 or _SHARD.fullmatch(str(name)) else name.parts[0]


def from_json(data: bytes) -> dict[PurePosixPath, Label] | None:
    """Return the labels in a `dataset.json` by the names of pictures; None if it has none on purpose.

    Raises:
        DataError: saying what is wrong with it, without its name.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is damaged: {error}") from error
    if not isinstance(content, dict) or "labels" not in content:
        raise DataError('has no "labels": it is a list of names with labels, or null')
    entries = content["labels"]
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise DataError('has "labels" that are no list')
    labels: dict[PurePosixPath, Label] = {}
    for entry in entries:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)):
            raise DataError(f"has the entry {json.dumps(entry)[:100]}, which is no pair of a name and a label")
        name, label = picture_name(entry[0]), _label(*entry)
        if labels.setdefault(name, label) != label:
            raise DataError(f"has two labels for {name}")
    numbered(list(labels.values()))
    return labels


def picture_name(text: str) -> PurePosixPath:
    """Return a name in an archive or a list of labels; some are made with backslashes, on Windows."""
    return PurePosixPath(text.replace("\\", "/").lstrip("/"))


def _label(name: str, value: object) -> Label:
    if isinstance(value, list) and value and all(map(_is_finite, value)):
        return tuple(map(float, value))
    if not _is_finite(value):
        raise DataError(f"has the label {json.dumps(value)[:100]} for {name}: neither a class, 0, 1, …, nor a vector")
    if value < 0 or value != int(value):
        raise DataError(f"has the class {value} for {name}: classes are 0, 1, 2, …; a vector is [{value}]")
    return int(value)


def _is_finite(number: object) -> TypeGuard[int | float]:
    # Beyond this float32 has no numbers, and Python no floats beyond 1e308.
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= 3e38


def from_csv(path: Path, names: Iterable[PurePosixPath]) -> dict[PurePosixPath, Label]:
    """Return the labels of pictures in a table of names and labels; rows of other pictures, or a heading, are left out.

    A label is the number of a class, as 1 or 1.0, the name of one, or several numbers, each in its column: a vector.

    Raises:
        DataError: if it cannot be read, or a row has no label.
    """
    wanted = set(names)
    found: dict[PurePosixPath, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.reader(file):
                name = picture_name(row[0].strip()) if row else None
                if name in wanted:
                    values = [value.strip() for value in row[1:]]
                    if not values or "" in values:
                        raise DataError(f"{path} has no label for {name}")
                    if found.setdefault(name, values) != values:
                        raise DataError(f"{path} has two labels for {name}")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table in UTF-8: {error}") from error
    texts = {name: values[0] for name, values in found.items() if len(values) == 1}
    if len(texts) == len(found) and not all(map(_is_number, texts.values())):
        return dict(texts)
    if len(texts) == len(found) and all(map(_is_whole, texts.values())):
        return {name: _label(str(name), int(float(text))) for name, text in texts.items()}
    for name, values in found.items():
        if not all(map(_is_number, values)):
            raise DataError(f"{path} has the label {','.join(values)[:100]} for {name}, which is no vector")
    return {name: tuple(map(float, values)) for name, values in found.items()}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_whole(text: str) -> bool:
    return float(text).is_integer()


def every(labels: Mapping[PurePosixPath, Label], names: Sequence[PurePosixPath], where: str) -> None:
    """Raise DataError if a picture has no label."""
    without = [name for name in names if name not in labels]
    if without:
        others = f", and for {len(without) - 1} more" if len(without) > 1 else ""
        raise DataError(f"{where} has no label for {without[0]}{others}: add what is missing, or take them out")

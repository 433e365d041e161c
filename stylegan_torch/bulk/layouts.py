"""How a set is laid out: what a shard's files are, and what is added when all shards are there."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stylegan_torch.bulk import table
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.stores import Store
from stylegan_torch.bulk.table import Row
from stylegan_torch.drawing.images import ENCODERS

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that zip knows: files are the same whenever they are written."""


class Writer(Protocol):
    """Writes the files of a shard."""

    def add(self, row: Row, picture: bytes) -> None:
        """Add a picture, in the order of the set."""

    def finish(self) -> dict[str, Path]:
        """Return the finished local files by their names in the set."""

    def close(self) -> None:
        """Let go of the files, finished or not."""


@dataclass(frozen=True)
class Place:
    """Where and what a writer writes: a local folder, the plan, and the shard's number."""

    folder: Path
    plan: Plan
    shard: int

    @property
    def suffix(self) -> str:
        """Return the suffix of pictures."""
        return ENCODERS[self.plan.encoding.kind].suffix

    @property
    def names(self) -> list[str]:
        """Return the columns of the table."""
        return table.columns(self.plan.encoding.columns)

    def numbered(self, end: str) -> str:
        """Return the name of the shard's file with an end."""
        return f"{self.shard:0{max(5, len(str(self.plan.shards - 1)))}d}{end}"

    def table(self, rows: list[Row]) -> dict[str, Path]:
        """Write the table beside a shard, and return it by its name."""
        path = self.folder / "table.parquet"
        table.write(path, rows, self.names)
        return {self.numbered(".parquet"): path}


class _Tar:
    """WebDataset: a tar file with a picture and a record (.json) of each sample."""

    def __init__(self, place: Place) -> None:
        self._place, self._rows, self._path = place, list[Row](), place.folder / "shard.tar"
        self._tar = tarfile.open(self._path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, row: Row, picture: bytes) -> None:
        self._rows.append(row)
        record = {name: value for name, value in row.items() if value is not None and name != "w"}
        self._member(f"{row['key']}{self._place.suffix}", picture)
        self._member(f"{row['key']}.json", json.dumps(record).encode())

    def _member(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)  # time, owner and rights are fixed
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def finish(self) -> dict[str, Path]:
        self.close()
        return {self._place.numbered(".tar"): self._path} | self._place.table(self._rows)

    def close(self) -> None:
        self._tar.close()


class _Zip:
    """NVIDIA's data set: a zip file of stored pictures, and dataset.json with their labels."""

    def __init__(self, place: Place) -> None:
        self._place, self._rows, self._path = place, list[Row](), place.folder / "shard.zip"
        self._zip = zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED)

    def add(self, row: Row, picture: bytes) -> None:
        self._rows.append(row)
        self._zip.writestr(zip_entry(picture_name(row, self._place.suffix)), picture)

    def finish(self) -> dict[str, Path]:
        self._zip.writestr(zip_entry("dataset.json"), labels(self._rows, self._place.suffix))
        self.close()
        return {self._place.numbered(".zip"): self._path} | self._place.table(self._rows)

    def close(self) -> None:
        self._zip.close()


class _Folder:
    """A folder of pictures a shard."""

    def __init__(self, place: Place) -> None:
        self._place, self._rows, self._files = place, list[Row](), dict[str, Path]()

    def add(self, row: Row, picture: bytes) -> None:
        self._rows.append(row)
        path = self._place.folder / f"{row['key']}{self._place.suffix}"
        path.write_bytes(picture)
        self._files[f"{self._place.numbered('')}/{path.name}"] = path

    def finish(self) -> dict[str, Path]:
        return self._files | self._place.table(self._rows)

    def close(self) -> None:
        """Hold nothing."""


class _HuggingFace:
    """A data set of Hugging Face's: Parquet files that have the pictures in them."""

    def __init__(self, place: Place) -> None:
        self._place, self._rows, self._pictures = place, list[Row](), list[bytes]()

    def add(self, row: Row, picture: bytes) -> None:
        self._rows.append(row)
        self._pictures.append(picture)

    def finish(self) -> dict[str, Path]:
        path = self._place.folder / "train.parquet"
        table.write_with_pictures(path, self._rows, self._pictures, self._place.names)
        return {f"data/train-{self._place.numbered('.parquet')}": path}

    def close(self) -> None:
        """Hold nothing."""


def picture_name(row: Mapping[str, object], suffix: str) -> str:
    """Return the name of a picture in NVIDIA's layout: a thousand in a folder."""
    key = str(row["key"])
    return f"{key[:-3]}/img{key}{suffix}"


def labels(rows: list[Row], suffix: str) -> str:
    """Return dataset.json for pictures in NVIDIA's layout; labels are null for networks without classes."""
    known = any(row["class"] is not None for row in rows)
    return json.dumps({"labels": [[picture_name(row, suffix), row["class"]] for row in rows] if known else None})


def zip_entry(name: str) -> zipfile.ZipInfo:
    """Return the entry of a file in a zip, the same whenever it is written."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    return info


WRITERS: Mapping[str, Callable[[Place], Writer]] = {
    "webdataset": _Tar,
    "zip": _Zip,
    "huggingface": _HuggingFace,
    "folder": _Folder,
}
"""By the names of layouts in plans."""


Find = Callable[[Row], bytes | None]
"""Returns the picture file of a row; None if it is not there."""


@contextmanager
def _in_tar(store: Store, names: Sequence[str], suffix: str) -> Iterator[Find]:
    with store.opened(_ending(names, ".tar")) as file, _readable(tarfile.open, fileobj=file) as tar:
        members = {member.name: member for member in tar}

        def find(row: Row) -> bytes | None:
            member = members.get(f"{row['key']}{suffix}")
            content = member and tar.extractfile(member)
            return content.read() if content else None

        yield find


@contextmanager
def _in_zip(store: Store, names: Sequence[str], suffix: str) -> Iterator[Find]:
    with store.opened(_ending(names, ".zip")) as file, _readable(zipfile.ZipFile, file) as archive:
        known = set(archive.namelist())

        def find(row: Row) -> bytes | None:
            name = picture_name(row, suffix)
            return archive.read(name) if name in known else None

        yield find


@contextmanager
def _in_folder(store: Store, names: Sequence[str], suffix: str) -> Iterator[Find]:
    places = {name.rpartition("/")[2]: name for name in names}

    def find(row: Row) -> bytes | None:
        name = places.get(f"{row['key']}{suffix}")
        return store.read(name) if name else None

    yield find


@contextmanager
def _in_parquet(store: Store, names: Sequence[str], suffix: str) -> Iterator[Find]:
    with store.opened(_ending(names, ".parquet")) as file:
        content = table.read(file.read(), ["key", "image"])
    known = {row["key"]: row["image"]["bytes"] for row in content}
    yield lambda row: known.get(row["key"])


@contextmanager
def _readable(open_archive: Callable[..., AbstractContextManager[Any]], *args: Any, **more: Any) -> Iterator[Any]:
    """Give an open archive; BulkError if it is damaged."""
    try:
        with open_archive(*args, **more) as archive:
            yield archive
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise BulkError(f"it is damaged: {error}") from error


def _ending(names: Sequence[str], suffix: str) -> str:
    found = next((name for name in names if name.endswith(suffix)), None)
    if found is None:
        raise BulkError(f"it has no {suffix}")
    return found


READERS: Mapping[str, Callable[[Store, Sequence[str], str], AbstractContextManager[Find]]] = {
    "webdataset": _in_tar,
    "zip": _in_zip,
    "huggingface": _in_parquet,
    "folder": _in_folder,
}
"""What finds pictures again in the files of a shard, by layouts: takes the files' names and pictures' suffix."""

"""The table of a shard: one row a picture, as Parquet (extra `bulk`)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylegan_torch.bulk.samples import BulkError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
_TYPES = {
    "key": "string",
    "index": "int64",
    "attempt": "int32",
    "seed": "int64",
    "identity": "int64",
    "variation": "int32",
    "class": "int32",
    "truncation_psi": "float64",
    "network": "string",
    "mixes": "list<string>",
    "moves": "list<string>",
    "sha256": "string",
    "scores": "string",
    "sharpness": "float64",
    "phash": "string",
    "score": "float64",
    "w": "list<float16>",
}
"""The columns there may be; of `scores`, the filters' by name, as JSON."""


def arrow() -> Any:
    """Return pyarrow.

    Raises:
        BulkError: if it is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BulkError("sets need pyarrow: pip install 'stylegan-torch[bulk]'") from error
    return pyarrow


def columns(optional: Sequence[str]) -> list[str]:
    """Return the columns of a set that has these optional ones."""
    return [name for name in _TYPES if name not in ("sharpness", "phash", "score", "w") or name in optional]


def schema(names: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema of columns."""
    pa = arrow()
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "list<string>": pa.list_(pa.string()),
        "list<float16>": pa.list_(pa.float16()),
    }
    return pa.schema([(name, types[_TYPES[name]]) for name in names])


def write(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Write rows as a Parquet file of one row group."""
    pa = arrow()
    table = pa.Table.from_pylist(list(rows), schema=schema(names))
    pa.parquet.write_table(table, path, row_group_size=max(1, len(rows)))


def write_with_pictures(path: Path, rows: Sequence[Row], pictures: Sequence[bytes], names: Sequence[str]) -> None:
    """Write rows and their pictures as `datasets` of Hugging Face reads them: the column `image` is one of pictures."""
    pa = arrow()
    about = schema(names)
    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features: Mapping[str, object] = {"image": {"_type": "Image"}} | {f.name: _feature(f.type) for f in about}
    record = {"huggingface": json.dumps({"info": {"features": features}})}
    images = [{"bytes": data, "path": None} for data in pictures]
    content = [{"image": image, **row} for image, row in zip(images, rows, strict=True)]
    table = pa.Table.from_pylist(content, schema=pa.schema([image, *about], metadata=record))
    pa.parquet.write_table(table, path, row_group_size=100)


def _feature(kind: pa.DataType) -> dict[str, object]:
    pa = arrow()
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    names = {"double": "float64", "halffloat": "float16"}
    return {"_type": "Value", "dtype": names.get(str(kind), str(kind))}


def read(data: bytes, names: Sequence[str] | None = None) -> list[Row]:
    """Return the rows of a Parquet file, or some of their columns.

    Raises:
        BulkError: if it is none.
    """
    pa = arrow()
    try:
        return pa.parquet.read_table(io.BytesIO(data), columns=names).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BulkError(f"its table is damaged: {error}") from error

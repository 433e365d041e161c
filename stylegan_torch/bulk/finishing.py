"""What a set gets when all its shards are there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stylegan_torch.bulk import table
from stylegan_torch.bulk.layouts import labels, zip_entry
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.shards import read_record
from stylegan_torch.bulk.stores import Store, digest
from stylegan_torch.bulk.table import Row
from stylegan_torch.drawing.images import ENCODERS

JOINED = "dataset.zip"
JOINED_RECORD = "dataset.zip.json"
_LABELS = "dataset.json"
_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
tags:
- synthetic
- stylegan
size_categories:
- {size}
---

# {count:,} pictures drawn by {networks}

All pictures are synthetic: drawn by stylegan-torch {version}. `manifest.json` says how, and draws them again;
`stylegan bulk verify` checks them. The licence of the network's weights may bind what is made with them.

| column | |
|---|---|
{columns}
"""
_MEANINGS = {
    "image": "the picture",
    "key": "its name",
    "index": "its place in the set",
    "attempt": "how many were rejected for this place",
    "seed": "of its latent z",
    "identity": "the same for all variations of a seed",
    "variation": "which of them",
    "class": "of a conditional network",
    "truncation_psi": "truncation",
    "network": "a hash of the weights that drew it",
    "mixes": "styles of other seeds, and their layers",
    "moves": "steps along directions, in standard deviations of w",
    "sha256": "of the picture's file",
    "scores": "what the filters measured",
    "sharpness": "variance of the Laplacian of brightness",
    "phash": "perceptual hash, 64 bits",
    "score": "the discriminator's",
    "w": "its ws, layer after layer",
}
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}


def finish(store: Store, plan: Plan) -> None:
    """Write what a set of this layout has besides its shards; what is there already is written again, the same."""
    _FINISHERS[plan.layout](store, plan)


def is_joined(store: Store) -> bool:
    """Return whether a set's shards were joined to one file, and it is whole."""
    record = json.loads(store.read(JOINED_RECORD) or b"null")
    file = store.open(JOINED) if record else None
    if file is None:
        return False
    with file:
        return digest(file) == record["sha256"]


def rows(store: Store, plan: Plan, shard: int, names: Sequence[str] | None = None) -> list[Row]:
    """Return the rows of a shard, or some of their columns.

    Raises:
        BulkError: if its table is missing or damaged.
    """
    record = read_record(store, plan, shard)
    name = next((name for name in (record or {"files": {}})["files"] if name.endswith(".parquet")), "")
    content = store.read(name) if name else None
    if content is None:
        raise BulkError(f"shard {shard} has no table")
    return table.read(content, names or table.columns(plan.encoding.columns))


def _nothing(store: Store, plan: Plan) -> None:
    """WebDataset needs nothing else."""


def _join(store: Store, plan: Plan) -> None:
    """Make one zip file of the shards', as NVIDIA's tools take one; then those go."""
    names = [next(n for n in _files(store, plan, shard) if n.endswith(".zip")) for shard in range(plan.shards)]
    if not is_joined(store):
        known = list[Row]()
        with store.workplace() as folder:
            path = folder / JOINED
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as joined:
                for shard, name in enumerate(names):
                    known += [{each: row[each] for each in ("key", "class")} for row in rows(store, plan, shard)]
                    with store.opened(name) as file, zipfile.ZipFile(file) as part:
                        for info in part.infolist():
                            if info.filename != _LABELS:
                                joined.writestr(zip_entry(info.filename), part.read(info))
                joined.writestr(zip_entry(_LABELS), labels(known, ENCODERS[plan.encoding.kind].suffix))
            with path.open("rb") as file:
                record = {"sha256": digest(file), "bytes": path.stat().st_size}
            store.put(JOINED, path)
        store.write(JOINED_RECORD, json.dumps(record).encode())
    for name in names:
        store.remove(name)


def _label(store: Store, plan: Plan) -> None:
    """Write dataset.json beside the folders of pictures."""
    found, suffix = list[tuple[str, object]](), ENCODERS[plan.encoding.kind].suffix
    for shard in range(plan.shards):
        names = {name.rpartition("/")[2]: name for name in _files(store, plan, shard)}
        found += [(names[f"{row['key']}{suffix}"], row["class"]) for row in rows(store, plan, shard)]
    known = any(label is not None for _, label in found)
    store.write(_LABELS, json.dumps({"labels": found if known else None}).encode())


def _describe(store: Store, plan: Plan) -> None:
    """Write the card of a data set of Hugging Face's."""
    size = next((text for most, text in _SIZES.items() if plan.count < most), "10M<n<100M")
    names = ["image", *table.columns(plan.encoding.columns)]
    card = _CARD.format(
        size=size,
        count=plan.count,
        networks=", ".join(each.name for each in plan.networks),
        version=plan.version,
        columns="\n".join(f"| `{name}` | {_MEANINGS[name]} |" for name in names),
    )
    store.write("README.md", card.encode())


_FINISHERS: Mapping[str, Callable[[Store, Plan], None]] = {
    "webdataset": _nothing,
    "zip": _join,
    "folder": _label,
    "huggingface": _describe,
}


def _files(store: Store, plan: Plan, shard: int) -> list[str]:
    record: Any = read_record(store, plan, shard)
    if record is None:
        raise BulkError(f"shard {shard} is missing")
    return list(record["files"])

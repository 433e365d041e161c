"""Reference files: what an original program computed, with all that is needed to compute it again.

An `.npz` without pickled objects. Arrays, for N seeds:

    z [N, z_dim], labels [N, c_dim]     the inputs
    noise0, noise1, …                   noise maps, [N, 1, H, W], or [1, 1, H, W] if all pictures share them
    w [N, num_ws, w_dim]                untruncated (not for ProGAN)
    images [N, C, H, W] float32         in about [-1, 1]; images_uint8 [N, H, W, C] as the release's script writes them
    d_scores [N, 1], d_labels           the discriminator's outputs, if the file had one
    layers/…                            evenly spread values of each layer's result, for the first picture

The entry `stylegan_torch` is JSON: seeds, truncation, class, which file and which program.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.npz_record import Array, read_npz, record_of, write_npz
from stylegan_torch.files.plain_json import plain
from stylegan_torch.types import JsonObject

__all__ = ["Layer", "Reference", "read_reference", "write_reference"]

FORMAT = "stylegan-torch reference"
VERSION = 1
RECORD = "stylegan_torch"
_NEEDED = {"z": 2, "labels": 2, "images": 4, "images_uint8": 4}
_OPTIONAL = {"w": 3, "d_scores": 2, "d_labels": 2}
_RECORD: dict[str, tuple[type, ...]] = {
    "origin": (dict,),
    "source_sha256": (list,),
    "seeds": (list,),
    "truncation_psi": (int, float, NoneType),
    "class": (int, NoneType),
    "noise_maps": (list,),
    "d_batch": (int, NoneType),
    "layers": (list,),
}
"""Entries that a reference needs, and their types."""
_LATER: dict[str, type] = {"half_precision": list, "put_back": bool, "modules": dict}
"""Entries that references of older programs lack."""


@dataclass(frozen=True)
class Layer:
    """What the original recorded of one layer.

    network: "G_ema" or "D".
    module: its name in our network.
    scope: its name in the original.
    shape: of the whole result.
    step: every how many values of the flattened result one is recorded.
    values: those.
    """

    network: str
    module: str
    scope: str
    shape: tuple[int, ...]
    step: int
    values: Tensor


@dataclass(frozen=True)
class Reference:
    """An open reference file.

    record: seeds, truncation_psi (None = the network's own), class, noise, d_batch, origin and more:
        half_precision, the networks that compute so by themselves, though they were run in float32;
        put_back, whether what evaluations overwrite (spectral norms) was as in the file at each.
    arrays: by name, see the module.
    noise: explicit noise as `synthesis(ws, noise=...)` takes it; None if the network has none.
    layers: in the order of computation.
    """

    record: JsonObject
    arrays: dict[str, Tensor]
    noise: list[Tensor] | None
    layers: list[Layer]


def write_reference(file: IO[bytes], record: JsonObject, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a reference file.

    Args:
        file: open for writing.
        record: see `Reference`; `noise_maps` names the noise arrays in layer order, `layers` lists dicts with the
            fields of `Layer`, and `array` for its values.
        arrays: by name.
    """
    record = {"format": FORMAT, "version": VERSION, **record}
    write_npz(file, arrays, **{RECORD: record})


def read_reference(path: Path) -> Reference:
    """Read a reference file; nothing in it is run.

    Raises:
        StyleGANError: naming the file, and what is wrong with it.
    """
    try:
        file = read_npz(path)
        record = plain(record_of(file, RECORD), "its record")
        if record["format"] != FORMAT:
            raise StyleGANError(f"{path}: is no reference file but a {record['format']}")
        if record["version"] != VERSION:
            raise StyleGANError(f"{path}: is a reference of version {record['version']}; this program reads {VERSION}")
        return _read(file, record)
    except StyleGANError as error:
        raise error if str(error).startswith(str(path)) else StyleGANError(f"{path}: {error}") from error
    except OSError as error:
        raise StyleGANError(f"{path}: cannot be read: {error.strerror or 'it is no .npz file'}") from error
    except Exception as error:  # what numpy and zipfile raise for a damaged file is anything
        raise StyleGANError(
            f"{path}: is no sound reference file; stylegan-export-tf --reference writes them"
        ) from error


def _read(file: Mapping[str, Array], record: JsonObject) -> Reference:
    for key, kinds in _RECORD.items():
        if not isinstance(record.get(key), kinds) or isinstance(record[key], bool):
            raise StyleGANError(f"its record has no sound {key}")
    for key, kind in _LATER.items():
        if not isinstance(record.get(key, kind()), kind):
            raise StyleGANError(f"its record has no sound {key}")
    if "d_scores" in file and not (record["d_batch"] or 0) > 0:
        raise StyleGANError("its record has no sound d_batch")
    arrays = {name: _tensor(file, name, ndim) for name, ndim in _NEEDED.items()}
    arrays |= {name: _tensor(file, name, ndim) for name, ndim in _OPTIONAL.items() if name in file}
    count = len(record["seeds"])
    for name, value in arrays.items():
        if len(value) != count:
            raise StyleGANError(f"array {name} has {len(value)} rows for {count} seeds")
    noise = [_tensor(file, name, 4) for name in record["noise_maps"]]
    layers = []
    for entry in record["layers"]:
        fields = {**entry, "shape": tuple(entry["shape"])}
        layer = Layer(values=_tensor(file, fields.pop("array"), 1), **fields)
        if layer.step < 1 or len(layer.values) != -(-math.prod(layer.shape) // layer.step):
            raise StyleGANError(f"layer {layer.module} has {len(layer.values)} values, which do not fit its shape")
        layers.append(layer)
    return Reference(record, arrays, noise or None, layers)


def _tensor(file: Mapping[str, Array], name: str, ndim: int) -> Tensor:
    array = file[name]
    dtype = np.uint8 if name == "images_uint8" else np.float32
    if array.dtype != dtype or array.ndim != ndim:
        raise StyleGANError(f"array {name} is {array.dtype} {list(array.shape)}, not {dtype.__name__} of {ndim} axes")
    return torch.from_numpy(array)

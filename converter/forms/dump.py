"""The `.npz` dump: the original tensors under the original names, the headers as JSON. Reads back to the same networks.

Names are `<network>/<tensor>`, the network being `G`, `D` or `Gs` (TensorFlow) or `G_ema` (PyTorch). The entry
`stylegan_torch` holds the JSON. Any program with numpy opens it, with `allow_pickle=False`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import IO, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from converter.errors import ConvertError, within
from converter.foreign import ForeignFile, ForeignNetwork, Header, walk
from converter.forms.registry import FORMS
from converter.header import Header as BaseHeader
from converter.header import check
from converter.safe.containers import Bytes
from stylegan_torch.errors import CheckpointError
from stylegan_torch.files.npz_record import write_arrays
from stylegan_torch.files.plain_json import parse, plain

FORMAT = "stylegan-torch dump"
VERSION = 1
RECORD = "stylegan_torch"


class _Form(TypedDict):
    form: str


class _Prefix(TypedDict):
    prefix: str


def prefix_of(network: ForeignNetwork) -> str:
    """Return what the names of a network's arrays begin with."""
    form = FORMS.get(network.form)
    return form.scopes.get(network.role, network.role) if form else network.role


def header_of_record(record: Mapping[str, object]) -> tuple[str, Header]:
    """Return the form and the header of a network, of which a file has a record; fields are checked by that form.

    Raises:
        ConvertError: naming a field that is missing or of another type.
    """
    check(record, _Form)
    header = dict(record)
    id = str(header.pop("form"))
    form = FORMS.get(id)
    check(header, form.header if form else BaseHeader)
    return id, header


def write_npz(file: IO[bytes], source: ForeignFile) -> None:
    """Write the networks of a source."""
    networks = list(walk(source.networks))
    record = {
        "format": FORMAT,
        "version": VERSION,
        "origin": source.origin,
        "networks": {net.role: {"form": net.form, "prefix": prefix_of(net), **net.header} for net in networks},
    }
    arrays = (
        (f"{prefix_of(net)}/{name}", np.asarray(value.numpy(), order="C"))
        for net in networks
        for name, value in source.pages.of(net.tensors).items()
    )
    write_arrays(file, chain([(RECORD, np.array(json.dumps(record)))], arrays))


def is_dump(names: list[str]) -> bool:
    """Tell whether a zip file with some members is a dump."""
    return f"{RECORD}.npy" in names


def read_npz(data: memoryview) -> ForeignFile:
    """Read what `write_npz` wrote.

    Raises:
        ConvertError: if it is damaged, or not a dump.
    """
    try:
        with np.load(Bytes(data), allow_pickle=False) as file:
            record = parse(str(file[RECORD]), "its record")
            if record["format"] != FORMAT:
                raise ConvertError("is not a dump of ours")
            if record["version"] != VERSION:
                raise ConvertError(f"is a dump of version {record['version']}; this program reads {VERSION}")
            record = plain(record, "its record")
            networks = {role: _network(role, entry, file) for role, entry in record["networks"].items()}
    except CheckpointError:
        raise
    except Exception as error:  # what numpy and zipfile raise for a damaged file is anything
        raise ConvertError("is not a sound dump of networks") from error
    return ForeignFile(networks, record.get("origin") or {})


def _network(role: str, record: dict[str, object], arrays: Mapping[str, npt.NDArray[np.float32]]) -> ForeignNetwork:
    with within(f"network {role}"):
        check(record, _Prefix)
        prefix = record.pop("prefix")
        form, header = header_of_record(record)
        tensors = {name: _tensor(arrays[f"{prefix}/{name}"], name) for name in all_variables(header)}
    return ForeignNetwork(role, form, header, tensors)


def _tensor(array: npt.NDArray[np.float32], name: str) -> Tensor:
    if array.dtype != np.float32:
        raise ConvertError(f"variable {name} is {array.dtype}, not float32")
    return torch.from_numpy(array)


def all_variables(header: Header) -> list[str]:
    """Return the full names of a network's tensors in the original order."""
    names = list(header["variables"])
    for part in header.get("components", {}).values():
        names += [f"{part['name']}/{name}" for name in all_variables(part)]
    return names

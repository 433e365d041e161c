"""The `.npz` dump: the original tensors under the original names, the headers as JSON. Reads back to the same networks.

Names are `<network>/<tensor>`, the network being `G`, `D` or `Gs` (TensorFlow) or `G_ema` (PyTorch). The entry
`stylegan_torch` holds the JSON. Any program with numpy opens it, with `allow_pickle=False`.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import Network, Source, walk
from converter.safe.containers import Bytes
from stylegan_torch.files.plain_json import plain

FORMAT = "stylegan-torch dump"
VERSION = 1
RECORD = "stylegan_torch"


def prefix_of(network: Network) -> str:
    """Return what the names of a network's arrays begin with."""
    return "Gs" if network.role == "G_ema" and network.form in ("tf", "theano") else network.role


def write_npz(file: IO[bytes], source: Source) -> None:
    """Write the networks of a source."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "origin": source.origin,
        "networks": {
            net.role: {"form": net.form, "prefix": prefix_of(net), **net.header} for net in walk(source.networks)
        },
    }
    arrays: dict[str, Any] = {
        f"{prefix_of(net)}/{name}": np.asarray(value.numpy(), order="C")
        for net in walk(source.networks)
        for name, value in net.tensors.items()
    }
    np.savez(file, **{RECORD: np.array(json.dumps(record)), **arrays})


def is_dump(names: list[str]) -> bool:
    """Tell whether a zip file with some members is a dump."""
    return f"{RECORD}.npy" in names


def read_npz(data: memoryview) -> Source:
    """Read what `write_npz` wrote.

    Raises:
        ConvertError: if it is damaged, or not a dump.
    """
    try:
        with np.load(Bytes(data), allow_pickle=False) as file:
            record = json.loads(str(file[RECORD]))
            if record["format"] != FORMAT:
                raise ConvertError("is not a dump of ours")
            if record["version"] != VERSION:
                raise ConvertError(f"is a dump of version {record['version']}; this program reads {VERSION}")
            record = plain(record, "its record")
            networks = {}
            for role, header in record["networks"].items():
                form, prefix = header.pop("form"), header.pop("prefix")
                tensors = {name: _tensor(file[f"{prefix}/{name}"], name) for name in all_variables(header)}
                networks[role] = Network(role, form, header, tensors)
    except ConvertError:
        raise
    except Exception as error:  # what numpy and zipfile raise for a damaged file is anything
        raise ConvertError("is not a sound dump of networks") from error
    return Source(networks, record["origin"])


def _tensor(array: np.ndarray[Any, Any], name: str) -> Tensor:
    if array.dtype != np.float32:
        raise ConvertError(f"variable {name} is {array.dtype}, not float32")
    return torch.from_numpy(array)


def all_variables(header: dict[str, Any]) -> list[str]:
    """Return the full names of a network's tensors in the original order."""
    names = list(header["variables"])
    for part in header.get("components", {}).values():
        names += [f"{part['name']}/{name}" for name in all_variables(part)]
    return names

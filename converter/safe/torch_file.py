"""Files of `torch.save`: a pickle that names storages, and the bytes of each (docs/spec/TORCH.md 4)."""

from __future__ import annotations

from typing import Any

from converter.errors import ConvertError
from converter.safe.containers import open_zip, zip_member
from converter.safe.torch_tensors import STORAGE_NAMES, Storage, load_old_container, storage_type
from converter.safe.unpickler import Loaded, Names, load

OLD_MAGIC = bytes.fromhex("80028a0a6cfc9c46f920")
"""What files of `torch.save` before 1.6 begin with."""
PICKLE = "data.pkl"


def pickle_in(names: list[str]) -> str | None:
    """Return the member of a zip file that is the pickle of `torch.save`; None if it is no such file."""
    return next((name for name in names if name == PICKLE or name.endswith("/" + PICKLE)), None)


def load_torch(data: memoryview, names: Names) -> Loaded:
    """Read a file of `torch.save`, of either container; nothing of it is run.

    Args:
        data: the file.
        names: what its pickle may ask for besides storages.

    Raises:
        UnsafePickleError: if it asks for something else.
        ConvertError: if it is damaged.
    """
    if bytes(data[: len(OLD_MAGIC)]) == OLD_MAGIC:
        return load_old_container(data, names)
    with open_zip(data) as archive:
        members = {entry.filename: entry for entry in archive.infolist()}
        content = pickle_in(list(members))
        if content is None:
            raise ConvertError("is a zip file without networks")
        root = content.removesuffix(PICKLE)
        if "code/" in {name.removeprefix(root)[:5] for name in members}:
            raise ConvertError("is a TorchScript program, not a file of networks: save its state_dict() instead")
        order = members.get(f"{root}byteorder")
        if order and bytes(zip_member(data, archive, order)) != b"little":
            raise ConvertError("was written on a machine whose numbers are in another order of bytes")
        storages: dict[str, Storage] = {}

        def refer(identity: Any) -> Storage:
            if len(identity) != 5 or identity[0] != "storage":
                raise ConvertError("refers to something that is no storage")
            _, kind, key, _, count = identity
            if not isinstance(key, str) or not isinstance(count, int) or not 0 <= count < 1 << 48:
                raise ConvertError("refers to something that is no storage")
            if key not in storages:
                entry = members.get(f"{root}data/{key}")
                if entry is None:
                    raise ConvertError("lacks the data of a tensor: it is damaged or cut off")
                storages[key] = Storage(storage_type(kind), count, zip_member(data, archive, entry))
            return storages[key]

        return load(zip_member(data, archive, members[content]), {**STORAGE_NAMES, **names}, persistent=refer)

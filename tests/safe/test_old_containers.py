"""What `torch.save` wrote before 1.6: tensors that share their data, whole modules, and the tar files of torch 0.1."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import converter
from converter.errors import ConvertError
from converter.forms.networks import _names
from converter.safe.torch_file import load_torch
from tests import DATA

SAMPLE = DATA / "community" / "rosinality_sg2_convert.pt"


def _tensors(data: bytes) -> dict[str, Tensor]:
    values = load_torch(memoryview(bytearray(data)), _names()).value
    return {name: value.tensor(name) for name, value in values.items()}


def _saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def _sharing() -> dict[str, Tensor]:
    whole = torch.arange(24.0).reshape(4, 6)
    return {"whole": whole, "rows": whole[1:3], "turned": whole.t(), "every other": whole[:, ::2], "one": whole[2, 3]}


def test_tensors_that_share_their_data() -> None:
    found = _tensors(_saved(_sharing()))
    assert all(torch.equal(found[name], value) for name, value in _sharing().items())


class _Part:
    """A part of a storage, as torch before 0.4 told of it."""

    def __init__(self, name: str, start: int, count: int) -> None:
        self.name, self.start, self.count = name, start, count


class _Pickler(pickle.Pickler):
    whole = 24

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Part):
            view = (obj.name, obj.start, obj.count) if obj.name else None
            return ("storage", torch.FloatStorage, "root", "cpu", self.whole, view)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, tuple) or not hasattr(obj, "part"):
            return NotImplemented
        return torch._utils._rebuild_tensor, (obj.part, obj.offset, obj.size, obj.stride)


class _View:
    """A tensor of a part."""

    def __init__(self, part: _Part, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.part, self.offset, self.size, self.stride = part, offset, size, stride


def _with_views(content: dict[str, _View]) -> bytes:
    file = io.BytesIO(_saved(0))
    for _ in range(3):
        pickle.load(file)
    file.truncate()
    _Pickler(file, 2).dump(content)
    pickle.dump(["root"], file, 2)
    file.write((24).to_bytes(8, "little") + torch.arange(24.0).numpy().tobytes())
    return file.getvalue()


def test_parts_of_a_storage() -> None:
    part = _Part("part", 6, 12)
    content = {
        "whole": _View(_Part("", 0, 0), 0, (4, 6), (6, 1)),
        "rows": _View(part, 0, (2, 6), (6, 1)),
        "turned": _View(part, 0, (6, 2), (1, 6)),
        "last": _View(_Part("other", 20, 4), 1, (3,), (1,)),
    }
    found, whole = _tensors(_with_views(content)), torch.arange(24.0).reshape(4, 6)
    expected = {"whole": whole, "rows": whole[1:3], "turned": whole[1:3].t(), "last": torch.tensor([21.0, 22, 23])}
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "view",
    [
        _View(_Part("part", 20, 5), 0, (1,), (1,)),
        _View(_Part("part", -1, 5), 0, (1,), (1,)),
        _View(_Part("part", 0, -1), 0, (1,), (1,)),
        _View(_Part("part", 0, 5), 0, (6,), (1,)),
    ],
)
def test_parts_that_are_none(view: _View) -> None:
    with pytest.raises(ConvertError, match="reaches beyond its data"):
        _tensors(_with_views({"a": view}))


class Net(nn.Module):
    """A module whose class is the user's own."""


def test_a_whole_module_with_its_program(tmp_path: Path) -> None:
    module = Net()
    for name, value in torch.load(SAMPLE, weights_only=True)["g_ema"].items():
        *scopes, leaf = name.split(".")
        inner: nn.Module = module
        for scope in scopes:
            inner.add_module(scope, getattr(inner, scope, Net()))
            inner = getattr(inner, scope)
        inner.register_buffer(leaf, value)
    (tmp_path / "module.pt").write_bytes(_saved(OrderedDict(g_ema=module)))
    found, wanted = (converter.load(path).networks["G_ema"].state_dict for path in (tmp_path / "module.pt", SAMPLE))
    assert all(torch.equal(found[name], value) for name, value in wanted.items() if name != "mapping.w_avg")


def test_tar_files_of_torch_0_1_are_named(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ConvertError, match=r"old\.pt: is a file of torch 0\.1"):
        converter.load(path)

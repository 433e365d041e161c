"""Files of ours whose pickle is a bomb for whoever builds, hashes, compares or prints what is in it."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

import converter
import stylegan_torch
from stylegan_torch.errors import CheckpointError
from stylegan_torch.files import checkpoint
from stylegan_torch.files.plain_pickle import MAX_DEPTH, check_pickle
from tests import DATA
from tests.tools.hostile import (
    Job,
    call,
    check_refused,
    group,
    laughs,
    name,
    number,
    pickled,
    run_limited,
    table,
    text,
)

CONFIG = {"kind": text("Generator"), "family": text("progan")}


def twice(depth: int, start: bytes = text("a"), pair: bytes = b"\x86") -> bytes:
    """A pair of the same pair of …: 2 ** depth texts, if they are counted one by one."""
    code = start
    for level in range(depth):
        index = (100 + level).to_bytes(4, "little")
        code += b"r" + index + b"j" + index + pair
    return code


def objects(depth: int) -> bytes:
    """The same with what functions make."""
    code = call("collections:OrderedDict")
    for level in range(depth):
        index = (100 + level).to_bytes(4, "little")
        code = name("collections", "OrderedDict") + group(group(code + b"r" + index, b"j" + index)) + b"R"
    return code


def ours(**parts: bytes) -> bytes:
    sound = {"format": text("stylegan-torch"), "version": number(2), "provenance": b"}"}
    return pickled(table(**sound | parts))


def network(**config: bytes) -> bytes:
    return table(G_ema=table(config=table(**CONFIG | config), state_dict=b"}", source=b"}"))


ONCE = "holds a container twice"
DEEP = "nested deeper than"
BOMBS = {
    "a key to hash": (ours(provenance=b"}(" + twice(60) + number(1) + b"u"), ONCE),
    "a deep key": (ours(provenance=b"}(" + text("a") + b"\x85" * 200_000 + number(1) + b"u"), DEEP),
    "a key that is a tuple": (ours(provenance=b"}(" + group(number(1)) + number(1) + b"u"), "keys that are neither"),
    "a deep value": (ours(provenance=text("a") + b"\x85" * 200_000), DEEP),
    "a deep list": (ours(provenance=b"]" * 200_000 + b"a" * 199_999), DEEP),
    "a version to compare": (ours(version=twice(60)), ONCE),
    "a version to print": (ours(version=laughs(10, 10)), ONCE),
    "a family to print": (ours(networks=network(family=laughs(10, 10))), ONCE),
    "a number to print": (ours(networks=network(z_dim=laughs(10, 10))), ONCE),
    "objects in objects": (ours(version=objects(60)), ONCE),
    "another opcode": (ours(provenance=b"\x8f"), "opcode EMPTY_SET"),
    "a list that holds itself": (ours(provenance=b"]q\x01h\x01a"), ONCE),
}


def write(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, data in (("data.pkl", content), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"archive/{member}", data)
    return path


def test_bombs(tmp_path: Path) -> None:
    for index, case in enumerate(BOMBS):
        content, words = BOMBS[case]
        path = write(tmp_path / f"{index}.pt", content)
        ((status, stderr),) = run_limited([Job(["--inspect", path], memory=1 << 30, seconds=20)])
        assert words in check_refused(status, stderr, path, tmp_path / "target"), case


def test_packed_bombs(tmp_path: Path) -> None:
    path = write(tmp_path / "in.pt", ours(provenance=text("a" * 100_000)), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="is packed otherwise than files of ours are"):
        stylegan_torch.load(path)


def test_depth_has_an_edge() -> None:
    check_pickle(pickled(text("a") + b"\x85" * MAX_DEPTH))
    with pytest.raises(CheckpointError, match=DEEP):
        check_pickle(pickled(text("a") + b"\x85" * (MAX_DEPTH + 1)))


@pytest.mark.parametrize(
    "content", [b"", b"}", b"\x80\x02", pickled(b"0"), pickled(b"h\x07"), pickled(b"t"), pickled(b"u")]
)
def test_nonsense(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.read(write(tmp_path / "in.pt", content))


def test_what_torch_saves_is_plain(tmp_path: Path) -> None:
    """Tensors used twice, parameters, ordered dicts, and all that our own records hold."""
    for source in ("ada-cond.pkl", "sg3t_64.pkl", "pg.pkl"):
        converter.convert(DATA / source, tmp_path / "in.pt", force=True)
        content = torch.load(tmp_path / "in.pt", weights_only=True)
        for net in content["networks"].values():
            state = {key: torch.nn.Parameter(value, requires_grad=False) for key, value in net["state_dict"].items()}
            net["state_dict"] = OrderedDict(state)
        content["networks"]["G"]["state_dict"] = dict(content["networks"]["G_ema"]["state_dict"])
        torch.save(content, tmp_path / "again.pt")
        assert stylegan_torch.load(tmp_path / "again.pt")

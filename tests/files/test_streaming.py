"""Tensors that are made while they are written: the same bytes, none kept, and nothing left where one fails."""

from __future__ import annotations

import io
import json
import mmap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest
import safetensors.torch
import torch
from torch import Tensor

import converter
from converter.conversion import opened
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files import checkpoint, promised, safetensors_file
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.files.pages import RESIDENT, Pages
from stylegan_torch.files.promised import Promised, PromisedNetwork
from stylegan_torch.files.streaming import Made
from stylegan_torch.networks import registry
from stylegan_torch.types import Json
from tests import DATA
from tests.test_checkpoint import NAME, TINY
from tests.tools.interrupt import run_interrupted

each_suffix = pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
LATER = {"origin": "here"}


class Counted(Made):
    """Tensors of which it is noted when they are made."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors, self.made = tensors, list[str]()

    def __getitem__(self, name: str) -> Tensor:
        self.made.append(name)
        return self.tensors[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def blank(self, name: str) -> Tensor | None:
        return torch.empty_like(self.tensors[name])


def _content() -> Checkpoint:
    content = checkpoint.of_modules({"G_ema": registry.build(TINY)}, LATER)
    half = torch.rand(6, dtype=torch.float64)
    source = {"none": torch.zeros(0), "one": half[:3], "other": half[3:], "turned": torch.rand(2, 3).t()}
    source["pixel"] = torch.rand(3, 4, 1, 1).to(memory_format=torch.channels_last)
    return replace(content, networks={"G_ema": replace(content.networks["G_ema"], source=source)})


def _promised(content: Checkpoint, kind: type[Counted] = Counted, provenance: Json = LATER) -> Promised:
    net = content.networks["G_ema"]
    networks = {"G_ema": PromisedNetwork(net.config, kind(net.state_dict), net.source)}
    return Promised(networks, lambda: provenance, {"origin": "____"})


@each_suffix
def test_what_is_made_is_written_as_what_is_there(suffix: str, tmp_path: Path) -> None:
    content = _content()
    checkpoint.write(tmp_path / f"a{suffix}", content)
    promised.write(tmp_path / f"b{suffix}", ours := _promised(content))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    made = ours.networks["G_ema"].state_dict
    assert isinstance(made, Counted)
    assert sorted(made.made) == sorted(made.tensors)  # each once


@each_suffix
@pytest.mark.parametrize("name", ["sg2-skip.pkl", "ada3_resnetG_skipD.pkl", "sg3t_64.pkl", "pg.pkl", "version1.pt"])
def test_a_conversion_writes_what_all_at_once_would_be(suffix: str, name: str, tmp_path: Path) -> None:
    converter.convert(DATA / name, tmp_path / f"a{suffix}")
    with opened(DATA / name) as file:
        checkpoint.write(tmp_path / f"b{suffix}", file.checkpoint())
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_safetensors_are_those_of_the_library() -> None:
    tensors = {
        f"{place} é\n{dtype}": torch.arange(count).to(dtype).reshape(shape)
        for place, (count, shape) in enumerate([(6, (2, 3)), (1, ()), (0, (0, 2)), (3, (3,))])
        for dtype in safetensors_file._TYPES
    }
    metadata = {"stylegan_torch": json.dumps({"a": ['"', "\\", "é", "\x01"]}) + "\x7fé\x01\b"}
    safetensors_file.write(file := io.BytesIO(), tensors, metadata)
    assert file.getvalue() == safetensors.torch.save(tensors, metadata)


@each_suffix
@pytest.mark.parametrize("nameless", [True, False])
def test_one_that_cannot_be_made_leaves_nothing(
    suffix: str, nameless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Counted):
        def __getitem__(self, name: str) -> Tensor:
            if len(self.made) == 3:
                raise CheckpointError("cannot be made")
            return super().__getitem__(name)

    if not nameless:
        monkeypatch.setattr("stylegan_torch.files.atomic._nameless", lambda path: None)
    with pytest.raises(CheckpointError, match=r"^cannot be made$"):
        promised.write(tmp_path / "new" / f"a{suffix}", _promised(_content(), Failing))
    assert list(tmp_path.iterdir()) == []


@each_suffix
def test_what_comes_late_must_be_as_long(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(StyleGANError, match="its tensors would lie elsewhere"):
        promised.write(tmp_path / f"a{suffix}", _promised(_content(), provenance={"origin": "here" * 50}))
    assert list(tmp_path.iterdir()) == []


@each_suffix
def test_bytes_that_read_back_otherwise(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsound(io.FileIO):
        def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
            count = super().readinto(buffer)
            buffer[count - 1] ^= 1
            return count

    monkeypatch.setattr("stylegan_torch.files.streaming.io.FileIO", Unsound)
    with pytest.raises(StyleGANError, match=r"cannot write .*: what was written reads back otherwise; is the disk"):
        converter.convert(DATA / "sg2-skip.pkl", tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "another number": lambda value: value + 1,
    "another sign": lambda value: -value,
    "another shape": lambda value: value[:1],
}


@pytest.mark.parametrize("case", CHANGES)
def test_tensors_under_other_names_are_noticed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(path: Path) -> Checkpoint:
        found = read(path)
        state = found.networks["G_ema"].state_dict
        state[NAME] = CHANGES[case](state[NAME])
        return found

    read = checkpoint.read
    monkeypatch.setattr(checkpoint, "read", other)
    with pytest.raises(CheckpointError, match=rf"reads back otherwise \(network G_ema: tensor {NAME}\)"):
        promised.write(tmp_path / "a.pt", _promised(_content()))
    assert list(tmp_path.iterdir()) == []


@each_suffix
def test_a_killed_conversion_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    stop = 'from converter.table import _Imported\ninterrupt_after(20, _Imported, "__getitem__", number)'
    words = ["convert", DATA / "sg2-skip.pkl", tmp_path / "new" / f"a{suffix}"]
    assert run_interrupted(stop, words, SIGKILL).returncode == -SIGKILL
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_pages_that_were_read_go_back(tmp_path: Path) -> None:
    class Noting(mmap.mmap):
        returned = 0

        def madvise(self, *options: int) -> None:
            self.returned += 1
            super().madvise(*options)

    (tmp_path / "file").write_bytes(bytes(range(256)))
    with (tmp_path / "file").open("rb") as file:
        mapped = Noting(file.fileno(), 0, access=mmap.ACCESS_COPY)
    pages, large = Pages(mapped), torch.empty(RESIDENT // 8)
    passing = pages.of({"a": large, "b": torch.frombuffer(mapped, dtype=torch.uint8)})
    assert [passing["a"].numel(), passing["a"].numel(), mapped.returned] == [large.numel()] * 2 + [0]
    assert passing["b"].tolist() == list(range(256))
    assert mapped.returned == 1
    assert "a" in passing and "c" not in passing and list(passing) == ["a", "b"]

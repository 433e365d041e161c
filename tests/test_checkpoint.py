"""Our files are read back and compared before they take their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import torch

import stylegan_torch
from stylegan_torch.files import atomic, checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import registry, stylegan2

TINY = stylegan2.GeneratorConfig(stylegan2.MappingConfig(4, 0, 4, 1, 4), 8, 3, (4, 4), 4)
NAME = "synthesis.b4.conv1.bias"

pytestmark = pytest.mark.parametrize("suffix", [".pt", ".safetensors"])


def _changed(content: Checkpoint, **fields: Any) -> Checkpoint:
    return replace(content, networks={"G_ema": replace(content.networks["G_ema"], **fields)})


def _zero_of_another_sign(content: Checkpoint) -> Checkpoint:
    state = content.networks["G_ema"].state_dict
    assert torch.equal(state[NAME], -state[NAME])
    return _changed(content, state_dict={**state, NAME: -state[NAME]})


CHANGES: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    f"network G_ema: tensor {NAME}": _zero_of_another_sign,
    "network G_ema: tensor kept": lambda content: _changed(content, source={"kept": torch.ones(2)}),
    "network G_ema: its config": lambda content: _changed(content, config=replace(TINY, truncation_psi=0.25)),
    "its provenance": lambda content: replace(content, provenance={"origin": "elsewhere"}),
    "its networks": lambda content: replace(content, networks={"G": content.networks["G_ema"]}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_file_that_reads_back_otherwise_is_not_kept(
    suffix: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, change = checkpoint._WRITERS[suffix], CHANGES[what]
    monkeypatch.setitem(checkpoint._WRITERS, suffix, lambda file, content: sound(file, change(content)))
    path = tmp_path / "new" / f"net{suffix}"
    with pytest.raises(stylegan_torch.CheckpointError) as caught:
        stylegan_torch.save(path, {"G_ema": registry.build(TINY)}, provenance={"origin": "here"})
    assert str(caught.value) == f"{path}: what was written reads back otherwise ({what}); is the disk sound?"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_that_is_cut_off_replaces_none(
    suffix: str, nameless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(file: IO[bytes], content: Checkpoint) -> None:
        sound(file, content)
        file.truncate(file.tell() // 2)

    sound, path = checkpoint._WRITERS[suffix], tmp_path / f"net{suffix}"
    monkeypatch.setitem(checkpoint._WRITERS, suffix, cut)
    if not nameless:
        monkeypatch.setattr(atomic, "_nameless", lambda path: None)
    path.write_bytes(b"before")
    with pytest.raises(stylegan_torch.CheckpointError) as caught:
        stylegan_torch.save(path, {"G_ema": registry.build(TINY)}, force=True)
    said = str(caught.value).removeprefix(f"{path}: what was written reads back otherwise (")
    assert said.startswith(("is damaged", "cannot read it")) and said.endswith("is the disk sound?")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"before"]


@pytest.mark.parametrize("nameless", [True, False])
def test_all_bits_are_kept(suffix: str, nameless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not nameless:
        monkeypatch.setattr(atomic, "_nameless", lambda path: None)
    odd = torch.tensor([0x7FC00001, -0x00400000, 0x7F800000, 1], dtype=torch.int32)  # NaN twice, infinity, tiny
    G = registry.build(TINY)
    G.get_parameter(NAME).data.copy_(odd.view(torch.float32))
    stylegan_torch.save(tmp_path / f"net{suffix}", {"G_ema": G})
    again = stylegan_torch.load(tmp_path / f"net{suffix}", allow_nonfinite=True)
    assert torch.equal(again.get_parameter(NAME).view(torch.int32), odd)


def test_kept_tensors_of_any_kind_and_halves_are_compared_as_they_are_read(suffix: str, tmp_path: Path) -> None:
    content = checkpoint.of_modules({"G_ema": registry.build(TINY)})
    state = {name: value.half() for name, value in content.networks["G_ema"].state_dict.items()}
    source = {
        "count": torch.tensor(3),
        "half": torch.rand(2).half(),
        "flags": torch.tensor([True, False]),
        "turned": torch.rand(2, 3).t(),
    }
    checkpoint.write(tmp_path / f"net{suffix}", _changed(content, state_dict=state, source=source))
    again = checkpoint.read(tmp_path / f"net{suffix}").networks["G_ema"]
    assert torch.equal(again.state_dict[NAME], state[NAME].float())
    for name, value in source.items():
        assert again.source[name].dtype == value.dtype and torch.equal(again.source[name], value)

"""Files of ours that were changed by hand: what is read is plain numbers that the file has, of a known version."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import stylegan_torch
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.fast.folding import DrawsOnly
from stylegan_torch.files import checkpoint
from stylegan_torch.networks import registry
from tests.test_checkpoint import NAME, TINY
from tests.tools.hostile import written

Content = dict[str, Any]
SUFFIXES = [".pt", ".safetensors"]


def _written(path: Path) -> Path:
    checkpoint.write(path, checkpoint.of_modules({"G_ema": registry.build(TINY)}, {"origin": "here"}))
    return path


def _changed(path: Path, change: Callable[[Content], object]) -> Path:
    """A file of ours after a change to its record."""
    _written(path)
    if path.suffix == ".pt":
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)
    else:
        with safetensors.safe_open(path, framework="pt") as file:
            content, tensors = json.loads(file.metadata()["stylegan_torch"]), safetensors.torch.load_file(path)
        change(content)
        safetensors.torch.save_file(tensors, path, {"stylegan_torch": json.dumps(content)})
    return path


def _set(key: str, value: Any) -> Callable[[Content], object]:
    return lambda content: content.update({key: value})


RECORDS: dict[str, tuple[Callable[[Content], object], str]] = {
    "another format": (_set("format", "other"), "is not a file of ours; stylegan-convert"),
    "no format": (lambda content: content.pop("format"), "is not a file of ours; stylegan-convert"),
    "no networks": (_set("networks", {}), "holds no networks"),
    "no entry for networks": (lambda content: content.pop("networks"), "holds no networks"),
    "a later version": (_set("version", 3), "has version 3; this program reads 2, so update it"),
    "version 0": (_set("version", 0), "has version 0; this program reads 2, so update it"),
    "no version": (lambda content: content.pop("version"), "has version None; this program reads 2"),
    "no provenance": (lambda content: content.pop("provenance"), r"is damaged \(KeyError"),
    "networks that are a list": (_set("networks", [1]), r"is damaged \(AttributeError"),
    "a network that is a number": (_set("networks", {"G": 1}), "is damaged"),
}


@pytest.mark.parametrize("case", RECORDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_are_checked(suffix: str, case: str, tmp_path: Path) -> None:
    change, words = RECORDS[case]
    path = _changed(tmp_path / f"in{suffix}", change)
    with pytest.raises(CheckpointError, match=words) as caught:
        checkpoint.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.path == path


CONFIGS = {"img_resolution": (3, "ValueError"), "activation": ("x", "KeyError"), "num_fp16_res": (-1, "ValueError")}


@pytest.mark.parametrize("key", CONFIGS)
def test_configs_that_make_no_network(key: str, tmp_path: Path) -> None:
    value, kind = CONFIGS[key]
    path = _changed(tmp_path / "in.pt", lambda content: content["networks"]["G_ema"]["config"].update({key: value}))
    with pytest.raises(CheckpointError, match=rf"in\.pt: is damaged \({kind}: "):
        checkpoint.read(path)


def test_a_record_is_a_dict(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "in.pt")
    safetensors.torch.save_file({"x": torch.ones(1)}, tmp_path / "in.safetensors", {"stylegan_torch": "[1]"})
    for suffix in SUFFIXES:
        with pytest.raises(CheckpointError, match="is not a file of ours"):
            checkpoint.read(tmp_path / f"in{suffix}")


def _quantized(value: Tensor) -> Tensor:
    with warnings.catch_warnings(action="ignore"):
        return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


TENSORS: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "a list": (lambda value: value.tolist(), f"tensor {NAME} is a list"),
    "sparse": (lambda value: value.to_sparse(), "calls what no file of ours does"),
    "without values": (lambda value: value.to("meta"), f"tensor {NAME} is not of plain numbers"),
    "quantised": (_quantized, f"tensor {NAME} is not of plain numbers"),
    "with its sign to be turned": (torch._neg_view, f"tensor {NAME} is not of plain numbers"),
    "integers": (lambda value: value.to(torch.int64), f"tensor {NAME} is not of plain numbers"),
    "doubles": (lambda value: value.double(), f"tensor {NAME} is not of plain numbers"),
    "complex": (lambda value: value.to(torch.complex64), f"tensor {NAME} is not of plain numbers"),
    "more numbers than there are": (lambda value: value[:1].clone().expand(4), f"tensor {NAME} claims more numbers"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_are_plain_numbers_that_the_file_has(case: str, tmp_path: Path) -> None:
    make, words = TENSORS[case]

    def change(content: Content) -> None:
        state = content["networks"]["G_ema"]["state_dict"]
        state[NAME] = make(state[NAME])

    with pytest.raises(CheckpointError, match=words):
        checkpoint.read(_changed(tmp_path / "in.pt", change))


KEPT: dict[str, tuple[Tensor, bool]] = {
    **{str(dtype): (torch.ones(2, dtype=dtype), True) for dtype in checkpoint._KEPT},
    "complex": (torch.ones(2, dtype=torch.complex64), False),
    "more numbers than there are": (torch.ones(1).expand(4), False),
}


@pytest.mark.parametrize("case", KEPT)
def test_kept_tensors_are_plain_numbers_too(case: str, tmp_path: Path) -> None:
    value, sound = KEPT[case]
    path = _changed(tmp_path / "in.pt", lambda content: content["networks"]["G_ema"]["source"].update(kept=value))
    if sound:
        assert torch.equal(checkpoint.read(path).networks["G_ema"].source["kept"], value)
    else:
        with pytest.raises(CheckpointError, match="tensor kept"):
            checkpoint.read(path)


def test_provenance_is_plain_data(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        deep: Any = 1
        for _ in range(20):
            deep = [deep]
        with pytest.raises(CheckpointError, match="provenance holds more, or deeper"):
            checkpoint.read(_changed(tmp_path / f"in{suffix}", _set("provenance", deep)))
    with pytest.raises(CheckpointError, match=r"provenance\.x holds a value"):
        checkpoint.of_modules({"G": registry.build(TINY)}, {"x": {1}})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")
def test_tensors_are_mapped_from_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path / "in.pt")
    content = checkpoint.read(path)
    assert str(path) in Path("/proc/self/maps").read_text(errors="replace")
    assert content.networks


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "cut.pt").write_bytes(_written(tmp_path / "in.pt").read_bytes()[:1000])
    for name in ("text.pt", "cut.pt"):
        with pytest.raises(CheckpointError, match=rf"{name}: is damaged, or not a file of ours; stylegan-convert"):
            checkpoint.read(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"cannot read .*none\.pt: No such file"):
        checkpoint.read(tmp_path / "none.pt")


def test_what_pytorch_warns_of_while_reading_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, load = _written(tmp_path / "in.pt"), torch.load

    def warning(*args: Any, **kwargs: Any) -> Any:
        warnings.warn("odd", stacklevel=1)
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", warning)
    with warnings.catch_warnings(action="error"):
        assert checkpoint.read(path).networks


def test_a_file_that_vanishes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    path = _written(tmp_path / "in.pt")
    monkeypatch.setattr(torch, "load", gone)
    with pytest.raises(CheckpointError, match=r"cannot read .*in\.pt: No such file"):
        checkpoint.read(path)


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def _safetensors(path: Path, metadata: dict[str, str] | None) -> Path:
    safetensors.torch.save_file({"x": torch.ones(1)}, path, metadata)
    return path


NOT_OURS: dict[str, Callable[[Path], Path]] = {
    "a folder": lambda path: path.parent,
    "nothing": lambda path: path,
    "a text": lambda path: written(path, b"stylegan-torch stylegan_torch"),
    "a zip file without a pickle": lambda path: _zip(path, a=b"stylegan-torch"),
    "a zip file with another pickle": lambda path: _zip(path, a__data=b"stylegan-torch", **{"a__data.pkl": b"other"}),
    "one that says so far behind": lambda path: _zip(path, **{"a__data.pkl": bytes(1 << 14) + b"stylegan-torch"}),
    "safetensors without more": lambda path: _safetensors(path, None),
    "safetensors of others": lambda path: _safetensors(path, {"format": "pt"}),
}


@pytest.mark.parametrize("case", NOT_OURS)
def test_files_of_others_are_told_apart(case: str, tmp_path: Path) -> None:
    assert not checkpoint.is_ours(NOT_OURS[case](tmp_path / "in.pt"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_ours_are_told_by_what_is_in_them(suffix: str, tmp_path: Path) -> None:
    path = _written(tmp_path / f"in{suffix}").rename(tmp_path / "other")
    assert checkpoint.is_ours(path)
    assert checkpoint.is_ours(str(path))
    assert stylegan_torch.load(path).config == TINY


def test_pickled_names_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    _written(tmp_path / "a.pt")
    content = checkpoint.read(tmp_path / "a.pt")
    checkpoint.write(tmp_path / "b.pt", content)
    again = checkpoint.read(tmp_path / "b.pt")
    checkpoint.write(tmp_path / "b.pt", again, force=True)
    with zipfile.ZipFile(tmp_path / "a.pt") as a, zipfile.ZipFile(tmp_path / "b.pt") as b:
        assert [a.read(x) for x in a.namelist()] == [b.read(x) for x in b.namelist()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_buffered_is_read_back_too(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_pieces(file: Any, content: checkpoint.Checkpoint) -> None:
        sound(made := io.BytesIO(), content)
        for start in range(0, len(made.getvalue()), 100):
            file.write(made.getvalue()[start : start + 100])

    sound = checkpoint._WRITERS[suffix]
    monkeypatch.setitem(checkpoint._WRITERS, suffix, in_pieces)
    assert checkpoint.is_ours(_written(tmp_path / f"net{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_kept_tensor_that_is_lost_is_noticed(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = checkpoint.of_modules({"G_ema": registry.build(TINY)})
    network = content.networks["G_ema"]
    more = replace(content, networks={"G_ema": replace(network, source={"kept": torch.ones(1)})})
    sound = checkpoint._WRITERS[suffix]
    monkeypatch.setitem(checkpoint._WRITERS, suffix, lambda file, _: sound(file, content))
    with pytest.raises(CheckpointError, match=r"reads back otherwise \(network G_ema: tensor kept\)"):
        checkpoint.write(tmp_path / f"net{suffix}", more)


def test_a_file_is_replaced_only_if_that_is_wanted(tmp_path: Path) -> None:
    path = _written(tmp_path / "net.pt")
    for write in (_written, lambda path: stylegan_torch.save(path, {"G_ema": registry.build(TINY)})):
        with pytest.raises(StyleGANError, match=r"net\.pt exists; use --force"):
            write(path)


STATES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (lambda state: state.pop(NAME), f"network G_ema: tensor {NAME} is missing"),
    "unknown": (lambda state: state.update(more=torch.ones(1)), "network G_ema: tensor more is unknown"),
    "of another shape": (lambda state: state.update({NAME: torch.ones(1)}), f"tensor {NAME} is not one of numbers"),
}


@pytest.mark.parametrize("case", STATES)
def test_tensors_are_those_of_the_network(case: str, tmp_path: Path) -> None:
    change, words = STATES[case]
    with pytest.raises(CheckpointError, match=words):
        checkpoint.read(_changed(tmp_path / "in.pt", lambda c: change(c["networks"]["G_ema"]["state_dict"])))


def test_halves_are_read_as_float32(tmp_path: Path) -> None:
    def halve(content: Content) -> None:
        network = content["networks"]["G_ema"]
        network["state_dict"] = {name: value.half() for name, value in network["state_dict"].items()}

    state = checkpoint.read(_changed(tmp_path / "in.pt", halve)).networks["G_ema"].state_dict
    assert {value.dtype for value in state.values()} == {torch.float32}


@pytest.mark.parametrize("record", [None, {"format": "pt"}, {"stylegan_torch": "no JSON"}])
def test_safetensors_of_others(record: dict[str, str] | None, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a file of ours; stylegan-convert may be able to read it"):
        checkpoint.read(_safetensors(tmp_path / "in.safetensors", record))


def test_a_record_that_is_nested_without_end(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="its record holds more, or deeper, than any network needs"):
        checkpoint.read(_safetensors(tmp_path / "in.safetensors", {"stylegan_torch": "[" * 100_000}))


def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(zipfile, "is_zipfile", lambda path: pytest.fail("it was opened"))
    assert not checkpoint.is_ours(tmp_path / "pipe")


def test_tensors_keep_their_order(tmp_path: Path) -> None:
    expected = list(registry.shapes(TINY))
    for suffix in SUFFIXES:
        assert list(checkpoint.read(_written(tmp_path / f"in{suffix}")).networks["G_ema"].state_dict) == expected


def test_loading(tmp_path: Path) -> None:
    path = _written(tmp_path / "in.pt")
    with pytest.raises(CheckpointError, match=r"in\.pt: there is no network D, only G_ema"):
        stylegan_torch.load(path, "D")
    assert not isinstance(stylegan_torch.load(path), DrawsOnly)
    assert isinstance(stylegan_torch.load(path, fast=True), DrawsOnly)


def test_what_is_in_the_way_is_said_of_files_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "in_the_way", lambda: "something is in the way")
    path, other = _written(tmp_path / "in.pt"), written(tmp_path / "in.pkl", b"x")
    assert stylegan_torch.load(path).config == TINY
    for name, assumed in ((other, None), (path, {"x": 1})):
        with pytest.raises(CheckpointError, match="something is in the way"):
            stylegan_torch.load(name, assumed=assumed)


def test_networks_may_share_their_tensors(tmp_path: Path) -> None:
    G = registry.build(TINY)
    stylegan_torch.save(tmp_path / "in.safetensors", {"G_ema": G, "G": G})
    networks = checkpoint.read(tmp_path / "in.safetensors").networks
    assert torch.equal(networks["G"].state_dict[NAME], networks["G_ema"].state_dict[NAME])
    one = torch.ones(2)
    thrice = replace(checkpoint.of_modules({"G": G}).networks["G"], source={"a": one, "b": one, "c": one})
    checkpoint.write(tmp_path / "more.safetensors", checkpoint.Checkpoint({"G": thrice}))


def test_style_biases_of_version_1(tmp_path: Path) -> None:
    def age(content: Content) -> None:
        content["version"] = 1
        content["networks"]["G_ema"]["config"]["style_bias"] = 1.0

    now, name = checkpoint.read(_written(tmp_path / "now.pt")).networks["G_ema"], "synthesis.b4.conv1.affine.bias"
    old = checkpoint.read(_changed(tmp_path / "old.pt", age)).networks["G_ema"]
    assert old.config == now.config
    assert torch.equal(old.state_dict[name], now.state_dict[name] + 1)
    assert torch.equal(old.source[name], now.state_dict[name])
    assert torch.equal(old.state_dict[NAME], now.state_dict[NAME])
    plain = checkpoint.read(_changed(tmp_path / "plain.pt", _set("version", 1))).networks["G_ema"]
    assert torch.equal(plain.state_dict[name], now.state_dict[name])
    assert plain.source == {}


# Modules that are saved.


class _Compiled(nn.Module):
    """As `torch.compile` wraps a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


def test_nothing_is_said_of_where_a_module_comes_from_unless_it_is_told() -> None:
    assert checkpoint.of_modules({"G": registry.build(TINY)}).provenance == {}


def test_what_was_compiled_is_saved_as_it_was(tmp_path: Path) -> None:
    stylegan_torch.save(tmp_path / "net.pt", {"G_ema": _Compiled(registry.build(TINY))})
    assert stylegan_torch.load(tmp_path / "net.pt").config == TINY


def test_no_digits_are_lost(tmp_path: Path) -> None:
    G = registry.build(TINY)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        exact = registry.build(TINY)
        exact.load_state_dict({name: value.bfloat16() for name, value in G.state_dict().items()})
        exact = exact.to(dtype)
        exact.get_parameter(NAME).data[:2] = torch.tensor([torch.nan, torch.inf])
        content = checkpoint.of_modules({"G_ema": exact}).networks["G_ema"].state_dict
        assert all(value.dtype == torch.float32 for value in content.values())
    for lost in (1 / 3, 1e300, torch.finfo(torch.float64).max):
        precise = registry.build(TINY).double()
        precise.get_parameter(NAME).data[1] = lost
        with pytest.raises(CheckpointError, match=rf"G_ema: tensor {NAME} has digits that float32 has no place for"):
            stylegan_torch.save(tmp_path / "net.pt", {"G_ema": precise})


def _counting() -> dict[str, nn.Module]:
    G: Any = registry.build(TINY)
    G.mapping.w_avg = torch.zeros(4, dtype=torch.int64)
    return {"G": G}


def _drawing() -> Any:
    return registry.build(TINY).eval().requires_grad_(False)


def _with_a_layer_more() -> nn.Module:
    G: nn.Module = registry.build(TINY)
    G.add_module("more", nn.Linear(1, 1))
    return G


MODULES: dict[str, tuple[Callable[[], dict[str, nn.Module]], str]] = {
    "none": (dict, "networks are named G_ema, G, D, not none at all"),
    "another role": (lambda: {"H": registry.build(TINY)}, r"networks are named G_ema, G, D, not \['H'\]"),
    "another module": (lambda: {"G": nn.Linear(1, 1)}, "G is a Linear, not a network of this package"),
    "the fast form": (lambda: {"G": stylegan_torch.optimize(_drawing())}, "G is in its fast form"),
    "a tensor of integers": (_counting, "tensor mapping.w_avg is not one of numbers"),
    "a layer more": (lambda: {"G": _with_a_layer_more()}, "with no layer more or less"),
}


@pytest.mark.parametrize("case", MODULES)
def test_other_modules_are_not_saved(case: str, tmp_path: Path) -> None:
    make, words = MODULES[case]
    with pytest.raises(CheckpointError, match=words):
        checkpoint.of_modules(make())
    with pytest.raises(CheckpointError, match=words):
        stylegan_torch.save(tmp_path / "net.pt", make())
    assert list(tmp_path.iterdir()) == []


def test_roles_and_suffixes_are_checked_before_the_work(tmp_path: Path) -> None:
    content = checkpoint.of_modules({"G_ema": registry.build(TINY)})
    other = replace(content, networks={"H": content.networks["G_ema"]})
    with pytest.raises(CheckpointError, match=r"net\.pt: networks are named"):
        checkpoint.write(tmp_path / "net.pt", other)
    with pytest.raises(CheckpointError, match=r"net\.pth: the name must end in \.pt or \.safetensors"):
        checkpoint.write(tmp_path / "net.pth", content)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StyleGANError, match=r"cannot write .*net\.pt: no space left, it seems"):
        stylegan_torch.save(tmp_path / "net.pt", {"G_ema": registry.build(TINY)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", checkpoint._KEPT)
def test_bits_of_every_type(dtype: torch.dtype) -> None:
    assert checkpoint.same_bits(torch.ones(2, dtype=dtype), torch.ones(2, dtype=dtype))
    assert not checkpoint.same_bits(torch.ones(2, dtype=dtype), torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2), torch.zeros(1, 2)),
        (torch.zeros(2), -torch.zeros(2)),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
    ],
)
def test_bits_differ(a: Tensor, b: Tensor) -> None:
    assert checkpoint.same_bits(a, a.clone().requires_grad_())
    assert not checkpoint.same_bits(a, b)

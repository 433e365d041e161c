"""Every wrapping that people's files have, around every form whose networks are known by their tensors."""

from __future__ import annotations

import argparse
import collections
import functools
import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import joblib
import numpy as np
import pytest
import safetensors.torch
import torch
import zstandard
from torch import Tensor, nn

import converter
from converter.errors import ConvertError
from converter.translate import import_network
from stylegan_torch.files.checkpoint import StoredNetwork
from tests import DATA
from tests.tools.samples import GENERATORS, Kind, Sample, sample

ROSINALITY: Kind = ("rosinality-stylegan2", "Generator")


@functools.cache
def expected(kind: Kind) -> StoredNetwork:
    return import_network(sample(kind).network)


def matrix(wrappings: Iterable[str]) -> pytest.MarkDecorator:
    """Every form that can be wrapped × every wrapping; `make test` has some of each."""
    pairs = [
        pytest.param(kind, wrapping, id=f"{'-'.join(kind)}-{wrapping}", marks=[pytest.mark.long] * ((i + j) % 6 > 0))
        for i, kind in enumerate(GENERATORS)
        for j, wrapping in enumerate(wrappings)
    ]
    return pytest.mark.parametrize(("kind", "wrapping"), pairs)


# What is saved: the generator under keys and prefixes.

Layout = Callable[[Sample], Any]


def _prefixed(*prefixes: str) -> Layout:
    start = "".join(prefixes)
    return lambda g: {**{start + name: value for name, value in g.state.items()}, **g.beside}


def _nested(*keys: str) -> Layout:
    def nest(g: Sample) -> Any:
        content: Any = g.state
        for key in reversed(keys):
            content = {key: content, **(g.beside if key == keys[-1] else {})}
        return content

    return nest


def _lightning(g: Sample) -> Any:
    """As Lightning saves it, with what the program had for options."""
    state = {**{f"G_ema.{name}": value for name, value in g.state.items()}, "loss.weight": torch.zeros(3)}
    options = argparse.Namespace(outdir=PurePosixPath("runs/1"), batch=8)
    about = {"epoch": 3, "global_step": 100, "pytorch-lightning_version": "1.9", "hyper_parameters": options}
    return {**about, "state_dict": state, **g.beside, "optimizer_states": [{"state": {}}]}


def _beside_an_encoder(g: Sample) -> Any:
    state = {f"decoder.{name}": value for name, value in g.state.items()}
    return {"state_dict": {"encoder.body.0.weight": torch.zeros(2), **state}, **g.beside, "opts": {"lr": 0.1}}


LAYOUTS: dict[str, Layout] = {
    "flat": _prefixed(""),
    "an OrderedDict": lambda g: collections.OrderedDict({**g.state, **g.beside}),
    **{
        prefix: _prefixed(prefix)
        for prefix in ("module.", "decoder.", "G.", "g_ema.", "generator.", "ema_model.", "netG.")
    },
    "netG.module.": _prefixed("netG.", "module."),
    "model, generator.": lambda g: {"model": {f"generator.{n}": v for n, v in g.state.items()}, **g.beside},
    **{key: _nested(key) for key in ("G_ema", "params_ema", "ema", "model", "state_dict", "generator_ema")},
    "state_dict, model": _nested("state_dict", "model"),
    "Lightning": _lightning,
    "an encoder's decoder": _beside_an_encoder,
}


def check(kind: Kind, path: Path, change: Callable[[Tensor], Tensor] = lambda value: value) -> None:
    """Hold what is read of a file against the network that was wrapped."""
    found, wanted = converter.load(path).networks["G_ema"], expected(kind)
    assert found.config == wanted.config
    assert list(found.state_dict) == list(wanted.state_dict)
    for key, value in wanted.state_dict.items():
        assert torch.equal(found.state_dict[key], change(value)), key


@matrix(LAYOUTS)
def test_a_generator_is_found_wherever_it_stands(kind: Kind, wrapping: str, tmp_path: Path) -> None:
    torch.save(LAYOUTS[wrapping](sample(kind)), tmp_path / "wrapped.pt")
    check(kind, tmp_path / "wrapped.pt")


# How it is saved: containers of PyTorch, pickles, archives, compressions.


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "weights")
        archive.writestr("weights/network.pt", content)
    return file.getvalue()


def _tar(content: bytes, mode: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        entry = tarfile.TarInfo("weights/network.pt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def _arrays(g: Sample) -> dict[str, Any]:
    return {**{name: value.numpy() for name, value in g.state.items()}, **_plain(g.beside)}


def _plain(beside: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in beside.items()}


def _pickled(protocol: int, g: Sample) -> bytes:
    return pickle.dumps(_arrays(g), protocol)


def _joblib(g: Sample) -> bytes:
    file = io.BytesIO()
    joblib.dump({"G_ema": _arrays(g)}, file)
    return file.getvalue()


def _tensors(g: Sample) -> dict[str, Tensor]:
    beside = {name: value for name, value in g.beside.items() if isinstance(value, Tensor)}
    return {name: value.contiguous() for name, value in {**g.state, **beside}.items()}


class Net(nn.Module):
    """A module whose class is the user's own."""

    def __init__(self, parts: dict[str, Any]) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, dict):
                self.add_module(name, Net(part))
            else:
                self.register_buffer(name, part)


def _tree(state: Mapping[str, Tensor]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in state.items():
        *scopes, leaf = name.split(".")
        inner = tree
        for scope in scopes:
            inner = inner.setdefault(scope, {})
        inner[leaf] = value
    return tree


def _module(g: Sample, **options: Any) -> bytes:
    return _saved({"G_ema": Net(_tree(g.state)), **g.beside}, **options)


CONTAINERS: dict[str, Callable[[Sample], bytes]] = {
    "torch.save before 1.6": lambda g: _saved(LAYOUTS["G_ema"](g), _use_new_zipfile_serialization=False),
    "parameters": lambda g: _saved({"G_ema": {k: nn.Parameter(v) for k, v in g.state.items()}, **g.beside}),
    "a module of an unknown class": _module,
    "a module, before 1.6": functools.partial(_module, _use_new_zipfile_serialization=False),
    "pickle of tensors": lambda g: pickle.dumps(collections.OrderedDict({**g.state, **g.beside})),
    **{f"pickle of arrays, protocol {protocol}": functools.partial(_pickled, protocol) for protocol in range(6)},
    "joblib": _joblib,
    "safetensors": lambda g: safetensors.torch.save(_tensors(g)),
    "zip": lambda g: _zip(_saved(LAYOUTS["flat"](g))),
    "tar": lambda g: _tar(_saved(LAYOUTS["flat"](g)), "w"),
    "tar.gz": lambda g: _tar(_saved(LAYOUTS["flat"](g)), "w:gz"),
    "gz": lambda g: gzip.compress(pickle.dumps(_arrays(g))),
    "zst": lambda g: zstandard.compress(_saved(LAYOUTS["flat"](g))),
    "safetensors in a zip": lambda g: _zip(safetensors.torch.save(_tensors(g))),
}


@matrix(CONTAINERS)
def test_a_generator_is_read_however_it_was_saved(kind: Kind, wrapping: str, tmp_path: Path) -> None:
    if "conf" in sample(kind).beside and "safetensors" in wrapping:
        pytest.skip("its settings are no tensors")
    (tmp_path / "wrapped").write_bytes(CONTAINERS[wrapping](sample(kind)))
    check(kind, tmp_path / "wrapped")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    content = {
        "g_ema": {key: value.to(dtype) for key, value in g.state.items()},
        "latent_avg": g.beside["latent_avg"].to(dtype),
    }
    torch.save(content, tmp_path / "other.pt")
    check(ROSINALITY, tmp_path / "other.pt", lambda value: value.to(dtype).float())


def test_what_training_leaves_beside_networks_is_passed_over_and_said(tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    content = {"g_ema": g.state, **g.beside, "folder": PurePosixPath("runs/1"), "random": np.random.RandomState(3)}
    content["schedule"] = functools.partial(max, 0.1)
    torch.save({**content, "hook": Net}, tmp_path / "training.pt")
    with pytest.raises(ConvertError, match=r"asks for __builtin__\.max"):
        converter.load(tmp_path / "training.pt")
    torch.save({**content, "hook": Net, "schedule": None}, tmp_path / "training.pt")
    check(ROSINALITY, tmp_path / "training.pt")
    notes = " ".join(converter.inspect(tmp_path / "training.pt").notes)
    assert "folder, random, schedule, hook of the training passed over" in notes
    assert f"{PurePosixPath.__module__}.PurePosixPath" in notes  # which Python 3.13 alone calls pathlib._local


AVERAGES: dict[str, Callable[[Tensor], Any]] = {
    "[1, w]": lambda w: w[None],
    "[num_ws, w]": lambda w: w[None].repeat(10, 1),
    "float64": lambda w: w.double(),
    "numpy": lambda w: w.numpy(),
    "numpy, [1, w]": lambda w: w.numpy()[None],
}


@pytest.mark.parametrize("shape", AVERAGES)
def test_the_average_w_is_read_in_any_shape(shape: str, tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    torch.save({"g_ema": g.state, "latent_avg": AVERAGES[shape](g.beside["latent_avg"])}, tmp_path / "average.pt")
    check(ROSINALITY, tmp_path / "average.pt")


def test_an_average_w_that_is_none_is_made(tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    torch.save({"g_ema": g.state, "latent_avg": None, "step": np.float64(3.0)}, tmp_path / "none.pt")
    assert converter.load(tmp_path / "none.pt").networks["G_ema"].state_dict["mapping.w_avg"].isfinite().all()


def test_averages_that_differ_by_layer_are_refused(tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    torch.save({"g_ema": g.state, "latent_avg": torch.eye(len(g.beside["latent_avg"]))}, tmp_path / "layers.pt")
    with pytest.raises(ConvertError, match=r"latent_avg .* is not the same for every layer"):
        converter.load(tmp_path / "layers.pt")


def test_one_state_dict_under_two_keys_is_two_networks(tmp_path: Path) -> None:
    g = sample(ROSINALITY)
    torch.save({"g": g.state, "g_ema": g.state, **g.beside}, tmp_path / "same.pt")
    networks = converter.load(tmp_path / "same.pt").networks
    assert list(networks) == ["G_ema", "G"]
    assert all(torch.equal(networks["G"].state_dict[k], v) for k, v in networks["G_ema"].state_dict.items())


# Archives of several files.


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "networks.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("rosinality_sg2_convert.pt", "genforce_pggan32.pth"):
            file.write(DATA / "community" / name, f"all/{name}")
        file.writestr("README.md", "two networks")
    return path


def test_an_archive_of_several_networks_lists_them(archive: Path) -> None:
    with pytest.raises(ConvertError) as error:
        converter.load(archive)
    assert "all/rosinality_sg2_convert.pt, all/genforce_pggan32.pth" in str(error.value)
    assert "networks.zip!" in str(error.value) or "FILE!all/rosinality_sg2_convert.pt" in str(error.value)


@pytest.mark.parametrize("member", ["all/genforce_pggan32.pth", "genforce_pggan32.pth"])
def test_one_of_an_archive_is_taken_by_name(archive: Path, member: str) -> None:
    found = converter.load(f"{archive}!{member}").networks["G_ema"]
    assert found.config == expected(("genforce", "PGGANGenerator")).config
    assert converter.inspect(f"{archive}!{member}").origin["name"] == f"networks.zip!{member}"


def test_a_name_that_is_not_in_an_archive_is_refused_with_those_that_are(archive: Path) -> None:
    with pytest.raises(ConvertError, match=r"networks.zip!none.pt: .* it holds .*all/genforce_pggan32.pth"):
        converter.load(f"{archive}!none.pt")
    with pytest.raises(ConvertError, match="is no archive"):
        converter.load(f"{DATA / 'pg.pkl'}!pg.pkl")

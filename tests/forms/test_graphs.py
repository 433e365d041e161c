"""Generators as graphs, run without this package: ONNX by onnxruntime, `.pt2` by torch.export; both draw what we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from torch.torch_version import TorchVersion

import converter
import stylegan_torch
from converter.errors import ConvertError
from converter.form import OPSETS, Options
from converter.forms.graph import onnx_model
from stylegan_torch.commands.convert import main
from stylegan_torch.errors import StyleGANError
from tests import DATA
from tests.tools.long import cases

FAMILIES = {"progan": "pg-unfused", "stylegan1": "sg1-cond", "stylegan2": "sg2-resnet", "ada": "ada-cond"}
FAMILIES |= {"stylegan3-t": "sg3t_64", "non-square": "nonsquare/sky-3x5"}
Arrays = dict[str, np.ndarray[Any, Any]]


def _graph(name: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Our generator, and a session of the ONNX model."""
    converter.convert(DATA / f"{name}.pkl", folder / "net.onnx", ["G_ema"], options=Options(**options))
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    return converter.load(DATA / f"{name}.pkl").network("G_ema"), session


def _latents(G: Any, z_count: int, ws_count: int, psi: float, cutoff: int) -> Arrays:
    random = np.random.RandomState(5)
    arrays: Arrays = {"z": random.randn(z_count, G.z_dim)}
    if G.c_dim:
        arrays["c"] = np.eye(G.c_dim)[random.randint(G.c_dim, size=z_count)]
    if hasattr(G, "mapping"):
        arrays |= {"truncation_psi": np.array(psi), "ws": random.randn(ws_count, G.num_ws, G.w_dim)}
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    return arrays | ({"truncation_cutoff": np.array(cutoff)} if hasattr(G, "mapping") else {})


def _ours(G: Any, arrays: Arrays, **noise: Any) -> np.ndarray[Any, Any]:
    given = {name: torch.from_numpy(np.asarray(value)) for name, value in arrays.items()}
    if not hasattr(G, "mapping"):
        return G(given["z"], given.get("c")).numpy()
    psi, cutoff = float(given["truncation_psi"]), int(given["truncation_cutoff"])
    ws = G.mapping(given["z"], given.get("c"), truncation_psi=psi, truncation_cutoff=cutoff)
    return G.synthesis(torch.cat([ws, given["ws"]]), **noise).numpy()


@pytest.mark.parametrize("family", cases(FAMILIES, long=["stylegan3-t", "ada", "non-square"]))
def test_onnx_draws_the_same(family: str, tmp_path: Path) -> None:
    G, session = _graph(FAMILIES[family], tmp_path)
    for counts in ((3, 2, 0.7, 3), (1, 0, 1.0, 100), (0, 4, 0.5, 0)):
        arrays = _latents(G, *counts)
        arrays["z"][:1] = 0  # whose norm is 0
        if arrays["z"].shape[0] + arrays.get("ws", arrays["z"][:0]).shape[0] == 0:
            continue
        images = session.run(["images"], arrays)[0]
        assert np.abs(images - _ours(G, arrays)).max() <= 1e-4


def test_onnx_inputs_and_metadata(tmp_path: Path) -> None:
    G, session = _graph("sg1-cond", tmp_path, noise="inputs")
    inputs = {value.name: value.shape for value in session.get_inputs()}
    noise = {f"noise{i}": ["noise_batch", 1, *stored.shape] for i, stored in enumerate(G.synthesis.noise_buffers())}
    assert inputs == {
        "z": ["z_batch", G.z_dim],
        "c": ["z_batch", G.c_dim],
        "truncation_psi": [],
        "truncation_cutoff": [],
        "ws": ["ws_batch", G.num_ws, G.w_dim],
        **noise,
    }
    assert [value.name for value in session.get_outputs()] == ["images", "all_ws"]
    record = json.loads(session.get_modelmeta().custom_metadata_map["stylegan_torch"])
    assert record["config"]["family"] == "stylegan1"
    assert record["provenance"]["origin"]["name"] == "sg1-cond.pkl"
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)


@pytest.mark.parametrize("noise", cases(["inputs", "none"], long=["none"]))
def test_noise_of_onnx(noise: str, tmp_path: Path) -> None:
    G, session = _graph("sg2-skip", tmp_path, noise=noise)
    arrays = _latents(G, 2, 1, 0.7, 100)
    if noise == "none":
        images = session.run(["images"], arrays)[0]
        assert np.abs(images - _ours(G, arrays, noise_mode="none")).max() <= 1e-4
        return
    for count in (1, 3):
        maps = [torch.randn(count, 1, *stored.shape) for stored in G.synthesis.noise_buffers()]
        named = {f"noise{i}": value.numpy() for i, value in enumerate(maps)}
        images = session.run(["images"], arrays | named)[0]
        assert np.abs(images - _ours(G, arrays, noise=maps)).max() <= 1e-4


@pytest.mark.parametrize("name", cases(["pg", "sg1", "ada"], long=["sg1"]))
def test_torch_export_draws_the_same(name: str, tmp_path: Path) -> None:
    summary = converter.convert(DATA / f"{name}.pkl", tmp_path / "net.pt2")
    assert set(summary.configs) == {"G_ema"}
    G = converter.load(DATA / f"{name}.pkl").network("G_ema")
    extra = {"stylegan_torch.json": ""}
    module = torch.export.load(tmp_path / "net.pt2", extra_files=extra).module()
    assert json.loads(extra["stylegan_torch.json"])["config"]["img_resolution"] == G.img_resolution
    arrays = _latents(G, 3, 2, 0.7, 3)
    names = ["z", "truncation_psi", "truncation_cutoff", "ws"] if name != "pg" else ["z"]
    images = module(*(torch.from_numpy(np.asarray(arrays[name])) for name in names))[0]
    assert np.abs(images.numpy() - _ours(G, arrays)).max() <= 1e-4


def test_other_networks_are_left_out(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(DATA / "pg-unfused.pkl"), str(tmp_path / "net.onnx")])
    assert result.exit_code == 0, result.output
    assert "Note: D is left out: a graph is of one network." in result.stderr
    with pytest.raises(ConvertError, match=r"sg1\.pkl: has no generator to make a graph of"):
        converter.convert(DATA / "sg1.pkl", tmp_path / "D.onnx", ["D"])
    assert not (tmp_path / "D.onnx").exists()


def test_images_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    next(G.synthesis.parameters()).fill_(float("nan"))
    stylegan_torch.save(tmp_path / "nan.pt", {"G_ema": G})
    with pytest.raises(ConvertError, match="the network's own images are not finite numbers"):
        converter.convert(tmp_path / "nan.pt", tmp_path / "net.pt2")


def test_an_old_pytorch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.__version__", TorchVersion("2.9.1+cu128"))
    with pytest.raises(ConvertError, match=r"a graph needs PyTorch 2\.10 or later, this is 2\.9\.1\+cu128"):
        converter.convert(DATA / "pg.pkl", tmp_path / "net.pt2")


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ConvertError, match=r"ONNX needs onnxscript: pip install 'stylegan-torch\[onnx\]'"):
        converter.convert(DATA / "pg.pkl", tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


HALF_ERRORS = {"progan": 0.002, "stylegan1": 0.005, "stylegan2": 0.002, "ada": 0.005, "stylegan3-t": 0.012}
"""How far pictures in [-1, 1] may be from those in float32."""


@pytest.mark.parametrize("family", cases(HALF_ERRORS, long=["stylegan1", "ada", "stylegan3-t"]))
def test_half_precision(family: str, tmp_path: Path) -> None:
    G, session = _graph(FAMILIES[family], tmp_path, dtype="float16")
    arrays = _latents(G, 3, 2, 0.7, 3)
    images = session.run(["images"], arrays)[0]
    assert images.dtype == np.float32
    assert np.abs(images - _ours(G, arrays)).max() <= HALF_ERRORS[family]
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= 256]
    assert {tensor.data_type for tensor in large} <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}


LATER_OPSETS = [pytest.param(opset, marks=pytest.mark.long) for opset in range(OPSETS[0] + 1, OPSETS[1])]


@pytest.mark.parametrize("opset", [*LATER_OPSETS, OPSETS[1]])
def test_opsets(opset: int, tmp_path: Path) -> None:
    G, session = _graph("ada-cond", tmp_path, opset=opset)
    model = onnx.load(tmp_path / "net.onnx")
    assert [each.version for each in model.opset_import if each.domain == ""] == [opset]
    onnx.checker.check_model(model, full_check=True)
    arrays = _latents(G, 1, 1, 0.7, 3)
    assert np.abs(session.run(["images"], arrays)[0] - _ours(G, arrays)).max() <= 1e-4


@pytest.mark.long
def test_weights_that_are_too_many_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "_LARGEST", 10_000)
    source, target = DATA / "pg-unfused.pkl", tmp_path / "net.onnx"
    target.write_bytes(b"an old one")
    summary = converter.convert(source, target, ["G_ema"], force=True)
    assert "its weights are in net.onnx.data, which belongs next to it" in summary.notes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    onnx.checker.check_model(target, full_check=True)
    stored = onnx.load(target, load_external_data=False).graph.initializer
    assert {tensor.data_location for tensor in stored if np.prod(tensor.dims) >= 256} == {onnx.TensorProto.EXTERNAL}
    G = converter.load(source).network("G_ema")
    arrays = _latents(G, 2, 0, 1.0, 0)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, arrays)[0] - _ours(G, arrays)).max() <= 1e-4
    target.unlink()
    with pytest.raises(StyleGANError, match=r"net\.onnx\.data exists; use --force to replace it"):
        converter.convert(source, target, ["G_ema"])
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["net.onnx", "--opset", OPSETS[0] - 1], "is not in the range"),
        (["net.onnx", "--opset", OPSETS[1] + 1], "is not in the range"),
        (["net.onnx", "--dtype", "int8"], "is not one of"),
        (["net.pt", "--opset", OPSETS[0]], "--opset goes with .onnx"),
        (["net.pt2", "--dtype", "float16"], "--dtype goes with .onnx"),
    ],
)
def test_options_of_graphs(words: list[Any], reason: str, tmp_path: Path) -> None:
    name, *options = map(str, words)
    result = CliRunner().invoke(main, [str(DATA / "pg.pkl"), str(tmp_path / name), *options])
    assert result.exit_code == 2
    assert reason in result.stderr

"""The nodes, loaded and run as ComfyUI does by its documented interface (docs.comfy.org, "Custom nodes, backend")."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import checkpoints
import converter
from stylegan_torch import StyleGANError
from stylegan_torch.drawing.draw import DrawSettings, draw
from tests import DATA, HOME

PACK = HOME / "integrations" / "comfyui"
VALUES: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
OWN = {"STYLEGAN", "STYLEGAN_LATENTS", "IMAGE"}
"""Types that come by wires."""


class FolderPaths(types.ModuleType):
    """ComfyUI's module of this name, as far as nodes use it."""

    def __init__(self, models: Path) -> None:
        super().__init__("folder_paths")
        self.models_dir = str(models)
        self._folders: dict[str, Path] = {}

    def add_model_folder_path(self, folder_name: str, full_folder_path: str) -> None:
        self._folders[folder_name] = Path(full_folder_path)

    def get_filename_list(self, folder_name: str) -> list[str]:
        return sorted(path.name for path in self._folders[folder_name].glob("*"))

    def get_full_path(self, folder_name: str, filename: str) -> str | None:
        path = self._folders[folder_name] / filename
        return str(path) if path.is_file() else None


class Comfy:
    """Runs nodes: checks what they are given as ComfyUI does, and runs them again only if that changed."""

    def __init__(self, nodes: dict[str, Any]) -> None:
        self.nodes = nodes
        self.ran: list[str] = []
        self._kept: dict[tuple[object, ...], Any] = {}

    def run(self, name: str, **given: Any) -> Any:
        """Return the first output of a node; inputs that are left out have their defaults."""
        node = self.nodes[name]
        inputs = {key: spec for part in node.INPUT_TYPES().values() for key, spec in part.items()}
        assert set(given) <= set(inputs)
        values = {key: given[key] if key in given else _default(spec) for key, spec in inputs.items()}
        for key, (kind, *_) in inputs.items():
            assert not isinstance(kind, list) or values[key] in kind, f"Value not in list: {key}"
        key = (name, getattr(node, "IS_CHANGED", lambda **_: "")(**values), *(id(v) for v in values.values()))
        if key not in self._kept:
            self.ran.append(name)
            with torch.inference_mode():
                outputs = getattr(node(), node.FUNCTION)(**values)
            assert isinstance(outputs, tuple)
            assert len(outputs) == len(node.RETURN_TYPES)
            self._kept[key] = (outputs, values)  # the values, so that no other one gets an id of theirs
        return self._kept[key][0][0]


def _default(spec: tuple[Any, ...]) -> Any:
    kind, options = spec
    return kind[0] if isinstance(kind, list) else options["default"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "stylegan"
    folder.mkdir()
    for name in ("ada-cond.pkl", "ada5_fp16_nhwc_gray.pkl", "pg.pkl", "sg3t_64.pkl", "version1.safetensors"):
        shutil.copy(DATA / name, folder)
    return folder


@pytest.fixture(scope="module")
def comfy(models: Path) -> Iterator[Comfy]:
    sys.modules["folder_paths"] = FolderPaths(models.parent)
    spec = importlib.util.spec_from_file_location("custom_nodes_stylegan", PACK / "__init__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert module.NODE_CLASS_MAPPINGS.keys() == module.NODE_DISPLAY_NAME_MAPPINGS.keys()
    yield Comfy(module.NODE_CLASS_MAPPINGS)
    for name in ("folder_paths", spec.name, f"{spec.name}.nodes"):
        del sys.modules[name]


def test_nodes_are_of_the_documented_form(comfy: Comfy) -> None:
    for name, node in comfy.nodes.items():
        assert name.startswith("StyleGAN")
        assert isinstance(node.CATEGORY, str)
        assert callable(getattr(node, node.FUNCTION))
        assert isinstance(node.RETURN_TYPES, tuple)
        assert set(node.RETURN_TYPES) <= OWN
        parts = node.INPUT_TYPES()
        assert "required" in parts
        assert set(parts) <= {"required", "optional", "hidden"}
        for inputs in parts.values():
            for kind, options in inputs.values():
                _check_input(kind, options)


def _check_input(kind: Any, options: dict[str, Any]) -> None:
    if isinstance(kind, list):
        assert all(isinstance(each, str) for each in kind)
        return
    assert kind in OWN | VALUES.keys()
    if kind in VALUES:
        assert type(options["default"]) is VALUES[kind]
    if kind in ("INT", "FLOAT"):
        assert options["min"] <= options["default"] <= options["max"]
        assert all(type(options[key]) is VALUES[kind] for key in ("min", "max", "step") if key in options)


def test_a_seed_is_the_picture_that_generate_draws(comfy: Comfy) -> None:
    network = comfy.run("StyleGANLoad")
    latents = comfy.run("StyleGANSeeds", network=network, seed=7, truncation=0.5)
    pictures = comfy.run("StyleGANDraw", network=network, latents=latents)
    assert (pictures.shape, pictures.dtype, pictures.device.type) == ((1, 64, 64, 3), torch.float32, "cpu")
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    G = converter.load(checkpoints.DEMO).network()
    settings = DrawSettings(truncation_psi=0.5, noise_mode="const")
    ((_, expected),) = draw(G, [7], settings, fast=True)
    assert torch.equal((pictures[0] * 255).round().byte(), torch.from_numpy(expected))


def test_mixing_and_moving(comfy: Comfy) -> None:
    network = comfy.run("StyleGANLoad")
    two, one = (comfy.run("StyleGANSeeds", network=network, seed=seed, count=2 - seed) for seed in (0, 1))
    mixed = comfy.run("StyleGANMix", network=network, latents=two, styles_of=one, layers="0-2")
    assert torch.equal(mixed.ws[:, :3], one.ws[:, :3].expand(2, -1, -1))
    assert torch.equal(mixed.ws[:, 3:], two.ws[:, 3:])
    for method in ("pca", "sefa"):
        moved = comfy.run(
            "StyleGANDirection", network=network, latents=two, method=method, index=3, strength=2.0, layers="4"
        )
        assert torch.equal(moved.ws[:, :4], two.ws[:, :4])
        directions = network.composer.directions(method)
        expected = 2 * directions.scales[3] * directions.vectors[3]
        assert torch.allclose(moved.ws[:, 4] - two.ws[:, 4], expected.expand(2, -1), atol=1e-5)
    assert comfy.run("StyleGANDraw", network=network, latents=moved).shape == (2, 64, 64, 3)


def test_what_did_not_change_is_not_run_again(comfy: Comfy, models: Path) -> None:
    shutil.copy(DATA / "ada-cond.pkl", models / "changing.pkl")
    comfy.ran.clear()
    network = comfy.run("StyleGANLoad", file="changing.pkl")
    assert comfy.run("StyleGANLoad", file="changing.pkl") is network
    shutil.copy(DATA / "sg3t_64.pkl", models / "changing.pkl")
    other = comfy.run("StyleGANLoad", file="changing.pkl")
    assert comfy.ran == ["StyleGANLoad"] * 2
    latents = comfy.run("StyleGANSeeds", network=network, class_index=3)
    with pytest.raises(StyleGANError, match="these latents are of another network"):
        comfy.run("StyleGANDraw", network=other, latents=latents)


@pytest.mark.parametrize("file", ["ada-cond.pkl", "ada5_fp16_nhwc_gray.pkl", "sg3t_64.pkl", "version1.safetensors"])
def test_pictures_of_any_network_have_three_channels(file: str, comfy: Comfy) -> None:
    network = comfy.run("StyleGANLoad", file=file)
    latents = comfy.run("StyleGANSeeds", network=network, seed=2**32 - 1, count=2)
    pictures = comfy.run("StyleGANDraw", network=network, latents=latents)
    assert pictures.shape == (2, *network.G.img_size, 3)


def test_wrong_inputs_are_one_line(comfy: Comfy) -> None:
    with pytest.raises(StyleGANError, match="ProGAN has no W: this needs StyleGAN or later"):
        comfy.run("StyleGANLoad", file="pg.pkl")
    network = comfy.run("StyleGANLoad")
    two, three = (comfy.run("StyleGANSeeds", network=network, count=count) for count in (2, 3))
    for node, given, line in (
        ("StyleGANSeeds", {"class_index": 0}, "there is no class 0: this network has no classes"),
        ("StyleGANMix", {"latents": three, "styles_of": two}, "styles of 2 pictures do not go with 3"),
        ("StyleGANMix", {"latents": two, "styles_of": two, "layers": "99"}, "'99' is not within the layers 0 to 9"),
        ("StyleGANDirection", {"latents": two, "layers": "eyes"}, "eyes"),
    ):
        with pytest.raises((StyleGANError, ValueError), match=line):
            comfy.run(node, network=network, **given)

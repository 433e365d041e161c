"""The nodes: load a network, latents of seeds, mix and move them, draw them.

A network travels between them as STYLEGAN, latents as STYLEGAN_LATENTS, pictures as ComfyUI's own IMAGE: a tensor
[N, height, width, 3] of float32 in [0, 1]. Networks are files in ComfyUI's folder `models/stylegan`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from torch import Tensor

import checkpoints
import converter
from stylegan_torch import StyleGANError
from stylegan_torch.drawing.devices import best_device, has_fast_form
from stylegan_torch.drawing.draw import set_transform
from stylegan_torch.editing.composer import Composer
from stylegan_torch.editing.latents import Latents, drawn, from_seeds
from stylegan_torch.editing.mixing import layers_of, mix
from stylegan_torch.fast import optimize

FOLDER, BUNDLED = "stylegan", "bundled faces"
_Input = dict[str, tuple[Any, ...]]
_Inputs = dict[str, _Input]
_NETWORK: _Input = {"network": ("STYLEGAN", {})}
_LATENTS: _Input = {"latents": ("STYLEGAN_LATENTS", {})}
_LAYERS = {"tooltip": "Layers by number, such as 0-3,6; or coarse, middle, fine, all."}

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir, FOLDER)))


class Network:
    """A generator where it draws, and what was found in it."""

    def __init__(self, path: str | Path) -> None:
        G = converter.load(path, ["G_ema"]).network("G_ema").to(best_device())
        set_transform(G)
        self.composer = Composer(G)  # which refuses networks without a w
        self.G, self.drawer = G, optimize(G) if has_fast_form(G.device) else G


class Load:
    """Opens a file of ours, or anything else that stylegan-convert reads."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STYLEGAN",), "load", "StyleGAN"

    @classmethod
    def INPUT_TYPES(cls) -> _Inputs:
        names = [BUNDLED, *folder_paths.get_filename_list(FOLDER)]
        return {"required": {"file": (names, {"tooltip": "A file in models/stylegan: .pt, .safetensors, .pkl …"})}}

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        """Return what is another if the file is, though its name is the same."""
        about = _path_of(file).stat()
        return f"{about.st_mtime_ns} {about.st_size}"

    def load(self, file: str) -> tuple[Network]:
        return (Network(_path_of(file)),)


class Seeds:
    """Latents of seeds that follow one another, as stylegan-generate has them."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STYLEGAN_LATENTS",), "latents", "StyleGAN"

    @classmethod
    def INPUT_TYPES(cls) -> _Inputs:
        seed = {"default": 0, "min": 0, "max": 2**32 - 1, "control_after_generate": True}
        psi = {"default": 0.7, "min": -2.0, "max": 2.0, "step": 0.05, "tooltip": "1 = none, 0 = the average picture."}
        count = {"default": 1, "min": 1, "max": 64, "tooltip": "So many seeds, from this one on."}
        number = {"default": -1, "min": -1, "max": 100_000, "tooltip": "Of a conditional network; -1 = none."}
        inputs = {"seed": ("INT", seed), "truncation": ("FLOAT", psi), "count": ("INT", count)}
        return {"required": {**_NETWORK, **inputs}, "optional": {"class_index": ("INT", number)}}

    def latents(
        self, network: Network, seed: int, truncation: float, count: int, class_index: int = -1
    ) -> tuple[Latents]:
        seeds = [(seed + i) % 2**32 for i in range(count)]  # after the last one comes the first
        cutoff, index = network.G.config.truncation_cutoff, None if class_index < 0 else class_index
        hashed = network.composer.network
        found = from_seeds(network.G, seeds, truncation, truncation_cutoff=cutoff, class_index=index, network=hashed)
        return (found,)


class Mix:
    """Style mixing: some layers from other latents, of which there is one for all, or one for each."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STYLEGAN_LATENTS",), "mixed", "StyleGAN"

    @classmethod
    def INPUT_TYPES(cls) -> _Inputs:
        inputs = {"styles_of": ("STYLEGAN_LATENTS", {}), "layers": ("STRING", {"default": "0-3", **_LAYERS})}
        return {"required": {**_NETWORK, **_LATENTS, **inputs}}

    def mixed(self, network: Network, latents: Latents, styles_of: Latents, layers: str) -> tuple[Latents]:
        if len(styles_of) not in (1, len(latents)):
            raise StyleGANError(f"styles of {len(styles_of)} pictures do not go with {len(latents)}: one, or as many")
        others = styles_of.ws.expand_as(latents.ws)
        return (latents.with_ws(mix(latents.ws, others, layers_of(network.G, layers))),)


class Direction:
    """Moves latents along a direction that is found in the network alone, by GANSpace's method (pca) or SeFa's."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("STYLEGAN_LATENTS",), "moved", "StyleGAN"

    @classmethod
    def INPUT_TYPES(cls) -> _Inputs:
        index = {"default": 0, "min": 0, "max": 49, "tooltip": "The first ones change most."}
        strength = {"default": 2.0, "min": -20.0, "max": 20.0, "step": 0.1, "tooltip": "In standard deviations of w."}
        inputs = {"method": (["pca", "sefa"], {}), "index": ("INT", index), "strength": ("FLOAT", strength)}
        layers = ("STRING", {"default": "all", **_LAYERS})
        return {"required": {**_NETWORK, **_LATENTS, **inputs, "layers": layers}}

    def moved(
        self, network: Network, latents: Latents, method: str, index: int, strength: float, layers: str
    ) -> tuple[Latents]:
        directions = network.composer.directions(method)
        if index >= len(directions):
            raise StyleGANError(f"there is no direction {index}: this network has 0 to {len(directions) - 1}")
        rows = layers_of(network.G, layers)
        return (latents.with_ws(directions.apply(latents.ws, index, strength, layers=rows)),)


class Draw:
    """Draws latents, with the network's stored noise."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "draw", "StyleGAN"

    @classmethod
    def INPUT_TYPES(cls) -> _Inputs:
        return {"required": {**_NETWORK, **_LATENTS}}

    def draw(self, network: Network, latents: Latents) -> tuple[Tensor]:
        """Return the pictures; gray ones have three equal channels, and those beyond three are left out."""
        if latents.network != network.composer.network:
            raise StyleGANError("these latents are of another network")
        pictures = torch.from_numpy(np.stack(list(drawn(network.drawer, latents)))).float() / 255
        return (pictures[..., :3].expand(-1, -1, -1, 3).contiguous(),)


def _path_of(file: str) -> Path:
    path = checkpoints.DEMO if file == BUNDLED else folder_paths.get_full_path(FOLDER, file)
    if path is None:
        raise StyleGANError(f"there is no {file} in models/{FOLDER}")
    return Path(path)


NODE_CLASS_MAPPINGS = {f"StyleGAN{node.__name__}": node for node in (Load, Seeds, Mix, Direction, Draw)}
NODE_DISPLAY_NAME_MAPPINGS = {name: f"StyleGAN {node.__name__.lower()}" for name, node in NODE_CLASS_MAPPINGS.items()}

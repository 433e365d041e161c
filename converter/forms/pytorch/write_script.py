"""Writer of the script with which users make an official pickle where the official classes are."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from pprint import pformat
from typing import IO

from converter.errors import ConvertError
from converter.form import Options, Written
from converter.forms.pytorch.write_state import to_ada, to_stylegan3
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import stylegan2, stylegan3
from stylegan_torch.networks.registry import Config, kind_of
from stylegan_torch.types import Arguments

_Official = stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig | stylegan3.GeneratorConfig
_SCRIPT = Path(__file__).with_name("make_pickle.py")
_PLACE = "NETWORKS: dict[str, dict[str, Any]] ="


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write the script for networks, whose state dicts it takes.

    Raises:
        ConvertError: saying why the official classes cannot hold a network.
    """
    written, format = _held(checkpoint)
    networks = {role: _entry(network.config) for role, network in written.networks.items()}
    networks.setdefault("D", _untrained(written.networks["G_ema"].config))
    plain = json.loads(json.dumps(networks))  # lists, as the classes take them, and no tuples
    text = pformat(plain, sort_dicts=False, width=118)
    script = _SCRIPT.read_text(encoding="utf-8").replace(f"{_PLACE} {{}}", f"{_PLACE} {text}")
    ast.parse(script)
    file.write(script.encode())
    return Written(written, [f"the script takes what --format {format} writes of the same network"])


def _held(checkpoint: Checkpoint) -> tuple[Checkpoint, str]:
    """Return what the state dicts hold of the networks, which `--format` writes them, or raise why there are none."""
    if "G_ema" not in checkpoint.networks:
        raise ConvertError("format make-pickle needs network G_ema")
    if isinstance(checkpoint.networks["G_ema"].config, stylegan3.GeneratorConfig):
        to_stylegan3(checkpoint)
        if checkpoint.networks["G_ema"].config.aspect != 1:
            raise ConvertError("format make-pickle has no place for images that are not square")
        return Checkpoint({"G_ema": checkpoint.networks["G_ema"]}, checkpoint.provenance), "stylegan3"
    to_ada(checkpoint)
    return checkpoint, "ada"


def _entry(config: Config) -> Arguments:
    assert isinstance(config, _Official)
    family, kind = kind_of(config)
    arguments = config.official_arguments()
    if "channels" in arguments or "channels" in arguments.get("synthesis_kwargs", {}):
        raise ConvertError("format make-pickle has no place for such numbers of feature maps: the classes make others")
    return {"family": family, "class": kind, "arguments": arguments}


def _untrained(G: Config) -> Arguments:
    sizes = {"c_dim": G.c_dim, "img_resolution": G.img_resolution, "img_channels": G.img_channels}
    return {"family": "stylegan2", "class": "Discriminator", "arguments": sizes}

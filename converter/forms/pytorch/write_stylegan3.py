"""Writer of StyleGAN3's plain `state_dict`, which the official module and stylegan3-editing load."""

from __future__ import annotations

from typing import IO

from converter.errors import ConvertError
from converter.form import Options, Written
from converter.forms.state_dict import Tensors, write_state_dicts
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import stylegan3


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write a file.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    content, notes = to_stylegan3(checkpoint)
    write_state_dicts(file, content)
    return Written(Checkpoint({"G_ema": checkpoint.networks["G_ema"]}, checkpoint.provenance), notes)


def to_stylegan3(checkpoint: Checkpoint) -> tuple[Tensors, list[str]]:
    """Return the tensors of G_ema under the official names, which are ours too, and notes on what is lost.

    Raises:
        ConvertError: if there is no generator of StyleGAN3.
    """
    network = checkpoint.networks.get("G_ema")
    if network is None or not isinstance(network.config, stylegan3.GeneratorConfig):
        raise ConvertError("format stylegan3 holds a G_ema of StyleGAN3, and there is none")
    if network.config.aspect != 1:
        height, width = network.config.img_size
        raise ConvertError(
            f"network G_ema has no place in format stylegan3: its images are {height}x{width}, not square"
        )
    others = [role for role in checkpoint.networks if role != "G_ema"]
    return network.state_dict, [f"{role} is left out: that form has no place for it" for role in others]

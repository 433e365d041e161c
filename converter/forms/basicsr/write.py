"""Writer of BasicSR's StyleGAN2 files: generators in one, a discriminator in one of its own."""

from __future__ import annotations

from functools import partial
from typing import IO

from torch import Tensor

from converter.errors import ConvertError
from converter.form import Options, Written
from converter.forms.basicsr import FORM
from converter.forms.basicsr.networks import discriminator_name, generator_name
from converter.forms.fit import networks_in
from converter.forms.rosinality.write import AVERAGE, Template, anew
from converter.forms.state_dict import write_state_dicts
from stylegan_torch.files.checkpoint import Checkpoint, same_bits

_KEYS = {"G_ema": "params_ema", "G": "params", "D": "params"}


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write a file.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    roles = ["D"] if list(checkpoint.networks) == ["D"] else ["G_ema", "G"]
    if roles[0] not in checkpoint.networks:
        raise ConvertError("format basicsr needs network G_ema, or D alone")
    notes = []
    if "D" in checkpoint.networks and "D" not in roles:
        notes.append("D is left out: that form has it in a file of its own, which --networks d writes")
    content: dict[str, object] = {}
    average: Tensor | None = None
    name = discriminator_name if roles == ["D"] else generator_name
    make = partial(anew, template=Template(FORM.id, "StyleGAN2", name, kernels=False))
    for network in networks_in(FORM, checkpoint, make, notes=notes, roles=roles):
        tensors = dict(network.tensors)
        own = tensors.pop(AVERAGE, None)
        if average is not None and own is not None and not same_bits(own, average):
            notes.append(f"the average w of {network.role} is lost: that form has one for all, which is that of G_ema")
        average = own if average is None else average
        content[_KEYS[network.role]] = tensors
    if average is not None:
        content[AVERAGE] = average
    write_state_dicts(file, content)
    written = {role: network for role, network in checkpoint.networks.items() if role in roles}
    return Written(Checkpoint(written, checkpoint.provenance), notes)

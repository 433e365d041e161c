"""What lernapparat's program makes first, the official networks under TensorFlow's names, and what PULSE made of the
last: two files, neither of which draws (docs/spec/COMMUNITY.md 8)."""

from __future__ import annotations

import re
from dataclasses import replace

from converter.contents import Contents, Found
from converter.errors import ConvertError, within
from converter.foreign import ForeignFile, ForeignNetwork
from converter.forms.lernapparat import FORM
from converter.forms.lernapparat.networks import INSTANCE_NORM_EPS, completed
from converter.forms.state_dict import count, shape_of, shapes_of
from converter.forms.tensorflow import TF
from converter.forms.tensorflow import stylegan1 as tf_stylegan1
from converter.forms.tensorflow.header import bare_header
from converter.table import Table
from stylegan_torch.networks import stylegan1

_ROLES = {"G": "TensorFlowGenerator", "D": "TensorFlowDiscriminator", "G_ema": "TensorFlowGenerator"}
"""The networks of a list in order, and what each is."""
_DENSE = "G_mapping/Dense{}/weight"
_HALVES = (
    ("mapping.pt", "synthesis.pt", r"(module\.)?dense\d+\.(weight|bias)"),
    ("synthesis.pt", "mapping.pt", r"(module\.)?(blocks\.\d+x\d+|torgb)\..*"),
)
"""What PULSE calls a file, and its other half, and which tensors it has."""


def read_objects(contents: Contents) -> ForeignFile | None:
    """Return the networks of a list of state dicts of TensorFlow's names; None if the file holds none.

    Raises:
        ConvertError: if it is a part of a generator as PULSE has them.
    """
    _refuse_part(contents)
    top = contents.top
    if not isinstance(top, list | tuple) or len(top) != len(_ROLES):
        return None
    if not all(isinstance(part, dict) for part in top) or _DENSE.format(0) not in top[2]:
        return None
    networks = {}
    for index, (role, kind) in enumerate(_ROLES.items()):
        with within(f"network {role}"):
            network = Found(kind, f"{index}.", contents, top[index]).network(FORM.id)
            networks[role] = replace(network, role=role)
    return ForeignFile(networks)


def _refuse_part(contents: Contents) -> None:
    names = set(contents.tensors)
    if names == {"mean", "std"}:
        raise ConvertError("is like PULSE's gaussian_fit.pt, where w lies, and no network")
    for this, other, tensors in _HALVES:
        if names and all(re.fullmatch(tensors, name) for name in names):
            raise ConvertError(
                f"is like PULSE's {this}, which is half a generator and useless without {other}; "
                'put both into one file: torch.save({"g_mapping": torch.load("mapping.pt"), '
                '"g_synthesis": torch.load("synthesis.pt")}, "both.pt")'
            )


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `TensorFlowGenerator`."""
    tensors = network.tensors
    z_dim, layer_dim = shape_of(tensors, _DENSE.format(0), 2)
    depth = count(tensors, _DENSE)
    w_dim = shape_of(tensors, _DENSE.format(depth - 1), 2)[1]
    rgb = "G_synthesis/ToRGB_lod{}/weight"
    shapes = shapes_of(tensors, rgb, 4)[::-1]
    return stylegan1.GeneratorConfig(
        mapping=stylegan1.MappingConfig(z_dim, 0, w_dim, num_layers=depth, layer_dim=layer_dim),
        img_resolution=2 << len(shapes),
        img_channels=shapes[0][3],
        channels=tuple(shape[2] for shape in shapes),
        instance_norm_eps=INSTANCE_NORM_EPS,
        truncation_psi=1.0,
        truncation_cutoff=None,
        official_noise="stored",
    )


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `TensorFlowGenerator`, the official one."""
    parts = {key: bare_header(f"G_{key}", f"G_{key}", {}) for key in ("mapping", "synthesis")}
    official = replace(network, form=TF.id, header=bare_header(network.role, "G_style", {}, components=parts))
    return replace(tf_stylegan1.generator_table(official, config), optional=r"dlatent_avg|G_synthesis/noise\d+")


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make noise maps and the average w."""
    config = generator_config(network)
    return completed(network, config, generator_table(network, config))


def discriminator_config(network: ForeignNetwork) -> stylegan1.DiscriminatorConfig:
    """Return the config of a `TensorFlowDiscriminator`; the groups of four are the official ones."""
    tensors, rgb = network.tensors, "FromRGB_lod{}/weight"
    shapes = shapes_of(tensors, rgb, 4)[::-1]
    return stylegan1.DiscriminatorConfig(
        img_resolution=2 << len(shapes),
        img_channels=shapes[0][2],
        channels=tuple(shape[3] for shape in shapes),
        fc_dim=shape_of(tensors, "4x4/Dense0/weight", 2)[1],
        mbstd_num_features=shape_of(tensors, "4x4/Conv/weight", 4)[2] - shapes[0][3],
    )


discriminator_table = tf_stylegan1.discriminator_table

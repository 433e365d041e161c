"""lucidrains/stylegan2-pytorch (docs/spec/COMMUNITY.md 14): its generators, of two parts that stand side by side, S and
G or, averaged, SE and GE. The arithmetic is a family of its own; sizes follow from the tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from converter.contents import Found, plain_tensor
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.completion import with_average_w
from converter.forms.lucidrains import FORM
from converter.forms.lucidrains.header import Header, header_of
from converter.forms.state_dict import bounded, shape_of, shapes_of
from converter.table import SAME, UNBATCH, Kept, Row, Step, Table, Transform, product
from stylegan_torch.networks import lucidrains
from stylegan_torch.networks.layers import log2_resolution
from stylegan_torch.networks.registry import shapes

MEAN_SAMPLES = 2000
"""How many w the program averages before it draws."""
LR_MULTIPLIER = 0.1
"""The program's default, which files don't tell."""
_W_AVG, _NOISE = "w_avg", "noise"
"""What we call that which no file has."""
_COLUMN = Transform(Step(lambda x: x[:, 0], lambda x: x[:, None]))
"""[C, 1] to [C]."""
_BOTH = {"weight": ("weight", SAME), "bias": ("bias", SAME)}
_BLUR = torch.tensor([1.0, 2.0, 1.0])


def read(found: Found) -> ForeignNetwork:
    """Return a generator of a file, with the mapping network that stands beside it.

    Raises:
        ConvertError: if there is none, or the generator has layers whose arithmetic is not known here.
    """
    before, _, synthesis = found.path.removesuffix(".").rpartition(".")
    if synthesis not in ("G", "GE"):
        raise ConvertError("the generator is without its mapping network: S stands beside G, or SE beside GE")
    mapping = "S" + synthesis[1:]
    start = f"{before}.{mapping}." if before else f"{mapping}."
    values = {path: value for path, value in found.contents.tensors.items() if path.startswith(start)}
    tensors = {
        **{mapping + path.removeprefix(start[:-1]): plain_tensor(value, path) for path, value in values.items()},
        **{f"{synthesis}.{name}": value for name, value in found.tensors().items()},
    }
    attention = next((name for name in found.values if name.startswith("attns.")), None)
    if attention:
        raise ConvertError(f"variable {synthesis}.{attention}: its linear attention is not known here")
    header: Header = {
        "build_func_name": found.kind,
        "variables": list(tensors),
        "mapping": mapping,
        "synthesis": synthesis,
        "assumed": {"lr_multiplier": LR_MULTIPLIER},
    }
    return ForeignNetwork("", FORM.id, header, tensors)


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    return [
        f"the file has no average w; that of {MEAN_SAMPLES} z is taken, as its program does",
        "the file has no noise map, which its program draws for every picture; one is made, uniform in [0, 1)",
    ]


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what no file has: the noise map, the same whenever it is read, and the average w."""
    config = generator_config(network)
    table, mapping = generator_table(network, config), lucidrains.MappingNetwork(config.mapping, num_ws=1)
    bounded(*config.img_size)
    table.check(shapes(config), network.tensors, table.optional)
    noise = torch.from_numpy(np.random.RandomState(0).random_sample(config.img_size).astype(np.float32))
    network = replace(network, tensors={**network.tensors, _NOISE: noise})
    return with_average_w(network, table, mapping, samples=MEAN_SAMPLES)


def generator_config(network: ForeignNetwork) -> lucidrains.GeneratorConfig:
    """Return the config of a generator, read off its tensors."""
    tensors, header = network.tensors, header_of(network)
    S, G = header["mapping"], header["synthesis"]
    depth = next(i for i in range(len(tensors) + 1) if f"{S}.net.{2 * i}.weight" not in tensors)
    convs = shapes_of(tensors, f"{G}.blocks.{{}}.conv1.weight", 4)
    w_dim, z_dim = shape_of(tensors, f"{S}.net.0.weight", 2)
    for level in range(len(convs) - 1):
        shape_of(tensors, f"{G}.blocks.{level}.to_rgb.upsample.1.f", 1)
    return lucidrains.GeneratorConfig(
        mapping=lucidrains.MappingConfig(z_dim, w_dim, depth, header["assumed"]["lr_multiplier"]),
        img_resolution=2 << len(convs),
        img_channels=shape_of(tensors, f"{G}.blocks.0.to_rgb.conv.weight", 4)[0],
        channels=tuple(conv[0] for conv in convs),
        const_channels=shape_of(tensors, f"{G}.initial_conv.weight", 4)[0],
        const_input=f"{G}.to_initial_block.weight" not in tensors,
    )


def generator_table(network: ForeignNetwork, config: lucidrains.GeneratorConfig) -> Table:
    """Return the table of a generator."""
    header = header_of(network)
    S, G = header["mapping"], header["synthesis"]
    rows = [
        Row("mapping.w_avg", _W_AVG),
        Row("synthesis.noise_const", _NOISE),
        *product({"mapping.fc{i}": S + ".net.{even}"}, _BOTH, "."),
        Row("synthesis.b4.const", f"{G}.initial_block", UNBATCH),
        Row("synthesis.b4.dense", f"{G}.to_initial_block.weight"),
        *product({"synthesis.b4.conv": f"{G}.initial_conv"}, _BOTH, "."),
        *product({"synthesis.b{r}.torgb": G + ".blocks.{level}.to_rgb"}, _styled("conv", "to_style"), "."),
    ]
    for ours, theirs in (("conv0", "1"), ("conv1", "2")):
        noise = {
            "noise_strength": (f"to_noise{theirs}.weight", _COLUMN),
            "noise_bias": (f"to_noise{theirs}.bias", SAME),
        }
        leaves = {**_styled(f"conv{theirs}", f"to_style{theirs}"), **noise}
        rows += product({f"synthesis.b{{r}}.{ours}": G + ".blocks.{level}"}, leaves, ".")
    kept = Kept(rf"{G}\.blocks\.\d+\.to_rgb\.upsample\.1\.f", lambda name: _BLUR.clone(), _check_blur)
    return Table(rows, [kept], _indices, f"{_W_AVG}|{_NOISE}")


def _styled(conv: str, style: str) -> dict[str, tuple[str, Transform]]:
    """Return the leaves of a modulated convolution."""
    return {
        "weight": (f"{conv}.weight", SAME),
        "affine.weight": (f"{style}.weight", SAME),
        "affine.bias": (f"{style}.bias", SAME),
    }


def _indices(r: int, i: int) -> dict[str, int]:
    return {"even": 2 * i, "level": log2_resolution(r) - 2}


def _check_blur(name: str, value: Tensor) -> None:
    if not torch.equal(value, _BLUR):
        raise ConvertError(f"variable {name} is not the filter [1, 2, 1]")

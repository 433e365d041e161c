"""lernapparat's StyleGAN: the official values in PyTorch's layout, of the finished network (docs/spec/COMMUNITY.md 8).

Blocks of other programs that go back to it are alike, and their tables are made of the same rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from converter.foreign import ForeignNetwork
from converter.forms.completion import with_average_w, with_noise
from converter.forms.state_dict import Tensors, count, shape_of, stored_filters, taps_of
from converter.table import FLIP, NOISE, SAME, UNBATCH, Row, Table, product
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import log2_resolution, resolutions

INSTANCE_NORM_EPS = 1e-5
MEAN_SAMPLES = 10_000
"""How many w are averaged; the program, which never truncates, says no number."""
_FUSED_FROM = 128
"""Side from which kernels of enlargements are those of a transposed convolution."""
_BLOCK = "g_synthesis.blocks.{0}x{0}"
_NOISES = ("top_epi.noise.weight", "noise.weight")
"""What the strength of noise is called, at last by PULSE."""


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    if all(role == "D" for role in networks):
        return []
    return [
        "files of this kind have no noise maps, which are always random, and no average w, as nothing is truncated; "
        f"noise is made, and the average of {MEAN_SAMPLES} w"
    ]


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `Generator`."""
    tensors = network.tensors
    stored = {name.rpartition(".conv1.")[0] for name in tensors}
    blocks = [_BLOCK.format(4), *itertools.takewhile(stored.__contains__, (_BLOCK.format(8 << n) for n in range(256)))]
    return stylegan1.GeneratorConfig(
        mapping=mapping_config(tensors, "g_mapping.dense{}"),
        img_resolution=2 << len(blocks),
        img_channels=shape_of(tensors, "g_synthesis.torgb.weight", 4)[0],
        channels=channels_of(tensors, blocks),
        blur_filter=blur_of(tensors, blocks),
        instance_norm_eps=INSTANCE_NORM_EPS,
        growing=False,
        truncation_psi=1.0,
        truncation_cutoff=None,
        official_noise="stored",
    )


def mapping_config(tensors: Tensors, dense: str) -> stylegan1.MappingConfig:
    """Return the config of a mapping network without labels; `dense` is a pattern of its layers' names."""
    layer_dim, z_dim = shape_of(tensors, f"{dense.format(0)}.weight", 2)
    depth = max(count(tensors, f"{dense}.{part}") for part in ("weight", "bias"))
    w_dim = shape_of(tensors, f"{dense.format(depth - 1)}.weight", 2)[0]
    return stylegan1.MappingConfig(z_dim, 0, w_dim, num_layers=depth, layer_dim=layer_dim)


def channels_of(tensors: Tensors, blocks: Iterable[str]) -> tuple[int, ...]:
    """Return the feature maps of each block."""
    return tuple(shape_of(tensors, f"{block}.epi2.style_mod.lin.weight", 2)[0] // 2 for block in blocks)


def blur_of(tensors: Tensors, blocks: Iterable[str]) -> tuple[float, ...] | None:
    """Return the taps of the filter that all blocks but the first one have."""
    names = [f"{block}.conv0_up.intermediate.kernel" for block in list(blocks)[1:]]
    for name in names:
        shape_of(tensors, name, 4)
    return taps_of(tensors, names[0]) if names else None


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what no file of this kind has: noise maps, which are always random there, and the average w."""
    config = generator_config(network)
    return completed(network, config, generator_table(network, config))


def completed(network: ForeignNetwork, config: stylegan1.GeneratorConfig, table: Table) -> ForeignNetwork:
    """Return a generator with noise maps and an average w, where it lacks them."""
    mapping = stylegan1.MappingNetwork(config.mapping, num_ws=1)
    return with_average_w(with_noise(network, config, table), table, mapping, samples=MEAN_SAMPLES)


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    names = network.header["variables"]
    noise = next((noise for noise in _NOISES if f"{_BLOCK.format(4)}.epi1.{noise}" in names), _NOISES[0])
    rows = [
        Row("mapping.w_avg", "dlatent_avg"),
        Row("mapping.fc{i}.{name}", "g_mapping.dense{i}.{name}"),
        Row("synthesis.b{r}.torgb.{name}", "g_synthesis.torgb.{name}"),
    ]
    for r in resolutions(config.img_resolution):
        rows += block_rows(r, _BLOCK.format(r), noise)
    kernels = stored_filters(
        r"g_synthesis\.blocks\.\d+x\d+\.conv0_up\.intermediate\.kernel", config.blur_filter, ndim=4
    )
    return Table(rows, [kernels], optional=r"dlatent_avg|noise\d+")


def block_rows(r: int, theirs: str, noise: str = _NOISES[0]) -> list[Row]:
    """Return the rows of a block.

    Args:
        r: side of its level.
        theirs: what stands before the names of its tensors.
        noise: what its epilogues call the strength of noise.
    """
    ours, first, second = f"synthesis.b{r}", f"{theirs}.conv0_up", f"{theirs}.conv1"
    if r == 4:
        first, second = theirs, f"{theirs}.conv"
    styled = {
        "noise_strength": (noise, SAME),
        "affine.weight": ("style_mod.lin.weight", SAME),
        "affine.bias": ("style_mod.lin.bias", SAME),
    }
    return [
        Row(f"{ours}.conv0.const", f"{theirs}.const", UNBATCH),
        Row(f"{ours}.conv0.weight", f"{first}.weight", FLIP if r >= _FUSED_FROM else SAME),
        Row(f"{ours}.conv0.bias", f"{first}.bias"),
        Row(f"{ours}.conv1.weight", f"{second}.weight"),
        Row(f"{ours}.conv1.bias", f"{second}.bias"),
        *product({f"{ours}.conv{i}": f"{theirs}.epi{i + 1}" for i in (0, 1)}, styled, "."),
        *(Row(f"{ours}.conv{i}.noise_const", f"noise{2 * log2_resolution(r) - 4 + i}", NOISE) for i in (0, 1)),
    ]

"""Surgery: a trained network made into one of other channels, classes, size or shape, to be trained on.

What can be kept is kept: `operate` says of each operation what pictures and scores are afterwards. Tensors that are new
are drawn as a new network's are, from a seed, and the same for G and its average.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork
from stylegan_torch.files.tensors import nonfinite
from stylegan_torch.networks import lucidrains, progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.registry import build, kind_of, tensors_of
from stylegan_torch.types import JsonObject

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGBA."""
LARGEST = 1 << 14
"""Side of the largest pictures, far beyond any published network's."""
_LUMA = (0.299, 0.587, 0.114)
State = dict[str, Tensor]


class SurgeryError(StyleGANError):
    """A network cannot be operated on in this way."""


@dataclass(frozen=True)
class Patient:
    """A network under operation. config: of any family."""

    config: Any
    state: State

    @property
    def draws(self) -> bool:
        """Return whether it is a generator."""
        return kind_of(self.config)[1] == "Generator"

    def made(self, seed: int | None = None) -> nn.Module:
        """Return a new network of this config, without values if no seed is given."""
        if seed is None:
            with torch.device("meta"):
                return build(self.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(self.config)

    def into(self, config: Any, seed: int) -> Patient:
        """Return a network of another config: tensors that have a name and shape of now keep their values."""
        new = Patient(config, {})
        names = dict(zip(_names(new), _names(self), strict=True)) if _renamed(self.config) else {}
        state = tensors_of(new.made(seed))
        for name, value in state.items():
            kept = self.state.get(names.get(name, name))
            if kept is not None and kept.shape == value.shape:
                state[name] = kept
        return replace(new, state=state)


@dataclass(frozen=True)
class Outcome:
    """What became of a checkpoint. changes: by role, how many tensors are "kept", "changed", "new" and "gone"."""

    checkpoint: Checkpoint
    changes: dict[str, dict[str, int]]


def operate(
    checkpoint: Checkpoint,
    *,
    resolution: int | None = None,
    base_size: tuple[int, int] | None = None,
    channels: int | None = None,
    labels: int | None = None,
    seed: int = 0,
) -> Outcome:
    """Return a checkpoint all of whose networks are operated on, in the order of the arguments.

    resolution: larger side of pictures.
        Less: finer levels are cut off. Pictures are those that the network draws of itself at that level, bit for bit.
        More: finer levels are new. Where levels add to the picture (`skip`), it is the former one, enlarged by the
        network's own filter, and a `skip` discriminator scores what it did of pictures half the size; where networks
        grow, they do so from the former size (their `lod`). Other discriminators have a new first level, so new scores.
    base_size: height and width of the first level, of which every further level is twice the size.
        The constant is stretched, stored noise is drawn anew, the discriminator's first dense layer is stretched too.
        A generator of StyleGAN3 keeps the height, and gets the width by which both are as the sides given.
    channels: 1, 3 or 4. A new alpha is opaque, and ignored by the discriminator; RGB stays what it was, and the scores
        too. Grey is the luma of RGB (ITU-R BT.601); RGB of grey is grey; alpha is dropped as opaque.
    labels: classes, for networks without. Pictures and scores of each class are those of before.

    Args:
        checkpoint: networks of any family but lucidrains'.
        resolution, base_size, channels, labels: as above; None = as it is.
        seed: of tensors that are new.

    Raises:
        SurgeryError: if a network cannot be so, or has NaN or infinity in it.
    """
    wishes: list[tuple[Callable[[Patient, Any, int], Patient], Any]] = [
        (_resized, resolution),
        (_reshaped, base_size),
        (_recolored, channels),
        (_labelled, labels),
    ]
    networks, changes = {}, {}
    for role, network in checkpoint.networks.items():
        if what := nonfinite(network.state_dict):
            raise SurgeryError(f"{role}: {what}")
        before = patient = Patient(network.config, network.state_dict)
        if isinstance(patient.config, lucidrains.GeneratorConfig):
            raise SurgeryError(f"{role}: networks of the family lucidrains are drawn with, but not operated on")
        try:
            for i, (operation, wish) in enumerate(wishes):
                patient = patient if wish is None else operation(patient, wish, seed + i)
        except SurgeryError as error:
            raise SurgeryError(f"{role}: {error}") from error
        networks[role] = StoredNetwork(patient.config, patient.state)
        changes[role] = _changes(before, patient)
    done: JsonObject = {"resolution": resolution, "base_size": base_size and list(base_size)}
    done |= {"channels": channels, "labels": labels, "seed": seed}
    origin = checkpoint.provenance.get("origin", {})
    record = {"of": {"name": origin.get("name"), "sha256": origin.get("sha256")}, **done}
    return Outcome(Checkpoint(networks, {"surgery": record}), changes)


def _changes(before: Patient, after: Patient) -> dict[str, int]:
    names = dict(zip(_names(after), _names(before), strict=True)) if _renamed(before.config) else {}
    found = [before.state.get(names.get(name, name)) for name in after.state]
    kept = sum(old is not None and torch.equal(old, new) for old, new in zip(found, after.state.values(), strict=True))
    new = sum(old is None for old in found)
    changed = len(found) - kept - new
    return {"kept": kept, "changed": changed, "new": new, "gone": len(before.state) - kept - changed}


def _renamed(config: Any) -> bool:
    """Return whether names of layers have sizes in them, so that the same layers may get other names."""
    return isinstance(config, stylegan3.GeneratorConfig)


def _names(patient: Patient) -> list[str]:
    """Return the names of a network's tensors, in an order in which those of other sizes stand for each other."""
    return [name for name in tensors_of(patient.made()) if not name.startswith("mapping.")]


def _modules(patient: Patient, ending: str) -> dict[str, nn.Module]:
    return {name: module for name, module in patient.made().named_modules() if name.rpartition(".")[2] == ending}


def _gain(module: Any) -> float:
    return module.weight_gain


# Resolution.


def _base(config: Any) -> tuple[int, int]:
    return getattr(config, "base_size", (4, 4))


def _resized(patient: Patient, side: int, seed: int) -> Patient:
    config = patient.config
    if isinstance(config, stylegan3.GeneratorConfig):
        raise SurgeryError("all layers of StyleGAN3 follow from its resolution, so it is neither cut nor grown")
    count = math.log2(side / max(_base(config))) if side > 0 else -1.0
    if count < 0 or not count.is_integer() or side > LARGEST:
        sides = [max(_base(config)) << level for level in range(len(config.channels) + 1)]
        raise SurgeryError(f"pictures of this network can be {', '.join(map(str, sides))} … a side, not {side}")
    levels, before = int(count) + 1, len(config.channels)
    if levels == before:
        return patient
    architecture = getattr(config, "architecture", "revised")
    stepwise = architecture == "skip" or (architecture == "revised" and config.growing)
    if patient.draws and not stepwise:
        raise SurgeryError("only its last level draws a picture, so it is neither cut nor grown")
    resolution = config.img_resolution << levels >> before
    channels = config.channels[:levels] if levels < before else _wider(config.channels, levels)
    lod = max(config.lod + levels - before, 0.0) if stepwise and architecture == "revised" else 0.0
    result = patient.into(replace(config, img_resolution=resolution, channels=channels, lod=lod), seed)
    if levels > before and architecture == "skip":
        for level in range(before, levels):
            block = f"{'synthesis.' * patient.draws}b{4 << level}"
            for end in ("torgb.weight",) if patient.draws else ("conv1.weight", "conv1.bias"):
                result.state[f"{block}.{end}"] = torch.zeros_like(result.state[f"{block}.{end}"])
    return result


def _wider(channels: tuple[int, ...], levels: int) -> tuple[int, ...]:
    """Return the feature maps of more levels: as `channel_base` of the papers has it, or else halved each time."""
    base = stylegan2.channel_base(channels, 4 << (len(channels) - 1))
    result = list(channels)
    while len(result) < levels:
        side = 4 << len(result)
        result.append(max(min(base // side, max(channels)) if base else result[-1] // 2, 1))
    return tuple(result)


# Shape.


def _reshaped(patient: Patient, size: tuple[int, int], seed: int) -> Patient:
    config = patient.config
    if not all(1 <= side <= 64 for side in size):
        raise SurgeryError(f"the first level can be 1×1 to 64×64, not {size[0]}×{size[1]}")
    if isinstance(config, progan.GeneratorConfig | progan.DiscriminatorConfig):
        raise SurgeryError("ProGAN has no other shape than square")
    if isinstance(config, stylegan3.GeneratorConfig):
        height, width = config.img_size[0], config.img_size[0] * size[1] / size[0]
        if not width.is_integer() or size[0] != 4:
            raise SurgeryError(f"StyleGAN3 keeps its height of {height}: give a shape such as 4x2, 4 high")
        return patient.into(replace(config, aspect=size[1] / size[0]), seed)
    if size == config.base_size:
        return patient
    result = patient.into(replace(config, base_size=size), seed)
    old = patient.config.base_size
    for name, value in patient.state.items():
        if name.endswith(".const"):
            result.state[name] = _stretched(value[None], size)[0]
        elif name.endswith("b4.conv0.weight") and value.ndim == 2:  # the dense input of StyleGAN
            maps = value.reshape(-1, *old, value.shape[1]).permute(3, 0, 1, 2)
            result.state[name] = _stretched(maps, size).permute(1, 2, 3, 0).flatten(0, 2)
        elif name == "b4.fc.weight" and not getattr(patient.config, "average_pooling", False):
            new, before = (_gain(each.made().get_submodule("b4.fc")) for each in (result, patient))
            maps = _stretched(value.reshape(len(value), -1, *old), size)
            share = math.prod(old) / math.prod(size) * before / new
            result.state[name] = maps.flatten(1) * share
    return result


def _stretched(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps [N, C, H, W] at another size, bilinearly."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True).contiguous()


# Channels.


def _recolored(patient: Patient, channels: int, seed: int) -> Patient:
    config = patient.config
    before = config.img_channels
    for count in (before, channels):
        if count not in CHANNELS:
            raise SurgeryError(f"pictures have 1, 3 or 4 channels here, not {count}")
    if channels == before:
        return patient
    result = patient.into(replace(config, img_channels=channels), seed)
    if patient.draws:
        _recolor_output(patient, result)
    else:
        _recolor_input(patient, result)
    return result


def _mixture(before: int, after: int) -> tuple[Tensor, Tensor]:
    """Return the matrix [after, before] and the offset [after] that make pictures in [-1, 1] of other channels."""
    rows, columns = min(after, 3), min(before, 3)
    matrix = {(1, 3): torch.tensor([_LUMA]), (3, 1): torch.ones(3, 1)}.get((rows, columns), torch.eye(rows))
    if before == 4:
        matrix = torch.cat([matrix, torch.zeros(rows, 1)], dim=1)
    if after < 4:
        return matrix.double(), torch.zeros(rows).double()
    return torch.cat([matrix, torch.zeros(1, before)]).double(), torch.tensor([0.0] * rows + [1.0]).double()


def _recolor_output(before: Patient, after: Patient) -> None:
    matrix, offset = _mixture(before.config.img_channels, after.config.img_channels)
    layers = _rgb_layers(before)
    skip = getattr(after.config, "architecture", "") == "skip"
    for old, new in zip(layers, _rgb_layers(after), strict=True):
        weight, bias = before.state[f"{old}.weight"], before.state[f"{old}.bias"]
        added = offset if old == layers[-1] or not skip else torch.zeros_like(offset)
        after.state[f"{new}.weight"] = torch.einsum("nc,cihw->nihw", matrix, weight.double()).float()
        scale = _bias_gain(after, new) * getattr(after.config, "output_scale", 1.0)
        after.state[f"{new}.bias"] = (matrix @ bias.double() + added / scale).float()


def _rgb_layers(patient: Patient) -> list[str]:
    if isinstance(patient.config, stylegan3.GeneratorConfig):
        return [f"synthesis.{stylegan3.layer_specs(patient.config)[-1].name}"]
    return list(_modules(patient, "torgb"))


def _bias_gain(patient: Patient, layer: str) -> float:
    """Return what a bias of an RGB layer is multiplied by."""
    if not getattr(patient.config, "scaled_bias", False):
        return 1.0
    scale = patient.state.get(f"{layer}.weight_scale")
    return _gain(patient.made().get_submodule(layer)) if scale is None else float(scale)


def _recolor_input(before: Patient, after: Patient) -> None:
    # What the old pictures are of the new ones; the gain of the layer changes with its inputs.
    matrix, offset = _mixture(after.config.img_channels, before.config.img_channels)
    fresh, known = after.made(), before.made()
    for layer in _modules(before, "fromrgb"):
        weight, bias = before.state[f"{layer}.weight"].double(), before.state[f"{layer}.bias"].double()
        old, new = (_gain(each.get_submodule(layer)) for each in (known, fresh))
        scale = before.state.get(f"{layer}.weight_scale")
        effective = old if scale is None else float(scale)
        mixed = torch.einsum("oihw,in->onhw", weight, matrix)
        after.state[f"{layer}.weight"] = (mixed * (old / new)).float()
        folded = torch.einsum("oihw,i->o", weight, offset) * effective / _bias_gain(before, layer)
        after.state[f"{layer}.bias"] = (bias + folded).float()


# Classes.


def _labelled(patient: Patient, labels: int, seed: int) -> Patient:
    config = patient.config
    if config.c_dim:
        raise SurgeryError(f"it has {config.c_dim} classes already; classes are added where there are none")
    if labels < 1:
        raise SurgeryError(f"there can be no {labels} classes")
    if isinstance(config, progan.GeneratorConfig):
        return _labelled_progan(patient, labels, seed)
    if patient.draws:
        return _labelled_mapping(patient, labels, seed)
    return _labelled_discriminator(patient, labels, seed)


def _labelled_progan(patient: Patient, labels: int, seed: int) -> Patient:
    # z is normalised alone from now on, so that a label does not make it smaller.
    first = patient.config.normalize_z or patient.config.normalize_z_first
    changed = replace(patient.config, c_dim=labels, normalize_z=False, normalize_z_first=first)
    result = patient.into(changed, seed)
    name = "b4.fc"
    old, new = (_gain(each.made().get_submodule(name)) for each in (patient, result))
    columns = torch.zeros(len(patient.state[f"{name}.weight"]), labels)
    result.state[f"{name}.weight"] = torch.cat([patient.state[f"{name}.weight"] * (old / new), columns], dim=1)
    return result


def _labelled_mapping(patient: Patient, labels: int, seed: int) -> Patient:
    mapping = replace(patient.config.mapping, c_dim=labels)
    if isinstance(mapping, stylegan2.MappingConfig):
        mapping = replace(mapping, embed_dim=mapping.w_dim)  # as the releases have it
    result = patient.into(replace(patient.config, mapping=mapping), seed)
    name = "mapping.fc0"
    old, new = (_gain(each.made().get_submodule(name)) for each in (patient, result))
    before, after = patient.state[f"{name}.weight"], result.state[f"{name}.weight"]
    share = old / new
    if getattr(mapping, "labels", "concat") == "embed":
        # The new inputs count nothing at first.
        columns = torch.zeros_like(after[:, before.shape[1] :])
    else:
        # The embedding is zero at first; normalised with so many zeros, z becomes larger.
        columns = after[:, before.shape[1] :]
        result.state["mapping.embed.weight"] = torch.zeros_like(result.state["mapping.embed.weight"])
        share /= math.sqrt(after.shape[1] / before.shape[1]) if mapping.normalize_z else 1
    share = 1.0 if math.isclose(share, 1) else share
    result.state[f"{name}.weight"] = torch.cat([before * share, columns], dim=1)
    return result


def _labelled_discriminator(patient: Patient, labels: int, seed: int) -> Patient:
    config = patient.config
    weight, bias = patient.state["b4.out.weight"], patient.state["b4.out.bias"]
    if isinstance(config, progan.DiscriminatorConfig):  # logits of classes are given besides the score
        result = patient.into(replace(config, c_dim=labels, num_label_logits=labels), seed)
        result.state["b4.out.weight"] = torch.cat([weight[:1], result.state["b4.out.weight"][1:]])
        result.state["b4.out.bias"] = torch.cat([bias[:1], result.state["b4.out.bias"][1:]])
        return result
    if isinstance(config, stylegan1.DiscriminatorConfig):  # each class has a score
        result = patient.into(replace(config, c_dim=labels), seed)
        result.state["b4.out.weight"] = weight.expand(labels, -1).clone()
        result.state["b4.out.bias"] = bias.expand(labels).clone()
        return result
    if config.num_outputs > 1:
        raise SurgeryError("its discriminator has outputs besides the score, so it gets no classes")
    return _labelled_projection(patient, labels, seed)


def _labelled_projection(patient: Patient, labels: int, seed: int) -> Patient:
    """Return a discriminator whose score is the product of its outputs with a mapping of the label, as ADA's.

    That mapping gives ones at first, whatever the label. The outputs differ, but their sum is the former score.
    """
    width = patient.config.channels[0]
    mapping = stylegan2.MappingConfig(0, labels, width, layer_dim=width, embed_dim=width)
    changed = replace(patient.config, c_dim=labels, conditioning="project", mapping=mapping, num_outputs=width)
    result = patient.into(changed, seed)
    outputs = result.state["b4.out.weight"]
    outputs = outputs - outputs.mean(dim=0) if width > 1 else torch.zeros_like(outputs)
    result.state["b4.out.weight"] = outputs + patient.state["b4.out.weight"] / math.sqrt(width)
    result.state["b4.out.bias"] = patient.state["b4.out.bias"].expand(width) / math.sqrt(width)
    last = f"mapping.fc{mapping.num_layers - 1}"
    result.state[f"{last}.weight"] = torch.zeros_like(result.state[f"{last}.weight"])
    one = 1 / (mapping.lr_multiplier * math.sqrt(2.0))  # undoes the gains of bias and activation
    result.state[f"{last}.bias"] = torch.full_like(result.state[f"{last}.bias"], one)
    return result

"""What the writers of other programs' forms share: a network as a form has it, if it would be read as the same one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

from converter import foreign
from converter.errors import ConvertError
from converter.foreign import mapping
from converter.form import Form
from converter.table import Table
from converter.translate import export_network, known_kind
from stylegan_torch.files.checkpoint import ROLES, Checkpoint, StoredNetwork
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.registry import Config

_FREE = {
    "truncation_psi",
    "truncation_cutoff",
    "official_noise",
    "num_fp16_res",
    "equalized_modulation",
    "magnitude_ema_beta",
    "clamp_last_fromrgb",
    "conv_clamp",
}
"""Fields that change no picture beyond rounding, or that writers tell of (conv_clamp)."""


def record_of(checkpoint: Checkpoint, role: str) -> dict[str, Any]:
    """Return what a file says of where a network came from; nothing if it doesn't.

    Raises:
        ConvertError: if it is no dict.
    """
    records = mapping(checkpoint.provenance.get("networks", {}), "its record of networks")
    return mapping(records.get(role, {}), f"network {role}: its record")


def networks_in(
    form: Form,
    checkpoint: Checkpoint,
    anew: Callable[[str, StoredNetwork, list[str]], foreign.ForeignNetwork],
    *,
    notes: list[str],
    roles: Iterable[str] = ROLES,
) -> Iterator[foreign.ForeignNetwork]:
    """Yield networks as a form has them: those that came from it bit for bit as they were, the others made anew.

    Args:
        form: has a writer.
        checkpoint: has the networks.
        anew: given a role, its network and the notes, returns that network in the form; `made_anew` helps.
        notes: get what is not as it was.
        roles: their order; those that are not there are left out.

    Raises:
        ConvertError: naming the network that the form can't hold, and why.
    """
    assert form.writer
    for role in roles:
        network, record = checkpoint.networks.get(role), record_of(checkpoint, role)
        if network is not None and record.get("form") == form.id:
            yield export_network(role, network, record)
        elif network is not None:
            with placing(role, form.writer.format):
                made = anew(role, network, notes)
            yield made


def made_anew(
    template: foreign.ForeignNetwork,
    ours: StoredNetwork,
    notes: list[str],
    *,
    stored: Mapping[str, Tensor] | None = None,
    order: Iterable[str] | None = None,
) -> foreign.ForeignNetwork:
    """Return a network of ours in a form.

    Args:
        template: has the role, the form and a header, which needs no variables.
        ours: the network.
        notes: get what is not as it was.
        stored: more tensors that the form has.
        order: names of all that the form has; None = those of our tensors, then of `stored`.

    Raises:
        ConvertError: saying why the form can't hold it.
    """
    kind, stored = known_kind(template), stored or {}
    table = kind.table(template, ours.config)
    names = list(order or [*(table.source_name(name)[0] for name in ours.state_dict), *stored])
    tensors = table.export_tensors(ours.state_dict, {**originals(ours, table), **stored}, names)
    made = replace(template, header={**template.header, "variables": names}, tensors=tensors)
    refuse_others(ours.config, kind.config(made))
    note_rounded(made, table, ours, notes=notes)
    note_clamp(made.role, ours.config, notes)
    return made


def refuse_others(wanted: Config, read: Config) -> None:
    """Raise ConvertError unless a form is read as the network it was written from.

    Args:
        wanted: the config of the network.
        read: the config that its reader makes of what was written.
    """
    if type(wanted) is not type(read):
        raise ConvertError("that form holds another family")
    after = _essential(read)
    for name, value in _essential(wanted).items():
        if value != after.get(name):
            raise ConvertError(f"its {name} is {_short(value)}, and there only {_short(after.get(name))}")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, list | tuple) else json.dumps(value)


def _essential(config: Config) -> dict[str, object]:
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}
    if "epilogue_activation" in fields and fields["epilogue_activation"] is None:
        fields["epilogue_activation"] = fields["activation"]
    mapping = fields.pop("mapping", None)
    if mapping and "w_avg_beta" in mapping:
        mapping["w_avg"] = mapping.pop("w_avg_beta") is not None
    if mapping and not mapping["c_dim"]:
        mapping = {name: value for name, value in mapping.items() if name not in ("labels", "embed_dim")}
    if mapping and not mapping["num_layers"]:
        mapping = {name: value for name, value in mapping.items() if name not in ("lr_multiplier", "layer_dim")}
    return fields | {f"mapping.{name}": value for name, value in (mapping or {}).items()}


def channel_base(channels: tuple[int, ...], img_resolution: int, step: int = 1) -> int:
    """Return the number, a multiple of `step`, from which programs work out feature maps: min(base // side, highest).

    Raises:
        ConvertError: if there is none.
    """
    base = stylegan2.channel_base(channels, img_resolution, step)
    if base is None:
        raise ConvertError(f"its levels have {list(channels)} feature maps, and there min(base // side, highest)")
    return base


def originals(network: StoredNetwork, table: Table) -> dict[str, Tensor]:
    """Return what a network keeps of tensors that are stored otherwise by the form of a table, by our names."""
    kept = {name: value for name, value in network.source.items() if name in network.state_dict}
    return {name: value for name, value in kept.items() if table.source_name(name)[1].rounds}


def note_rounded(written: foreign.ForeignNetwork, table: Table, ours: StoredNetwork, *, notes: list[str]) -> None:
    """Tell of style biases that a form stores less 1, where that takes their last digit."""
    rows = {name: (value, *table.source_name(name)) for name, value in ours.state_dict.items()}
    lost = sum(
        int((transform.to_ours(written.tensors[theirs]) != value).sum())
        for value, theirs, transform in rows.values()
        if transform.rounds
    )
    if lost:
        notes.append(
            f"the last digit of {lost} style biases of {written.role} is rounded: that form stores them less 1"
        )


@contextmanager
def placing(role: str, format: str, needed: bool = False) -> Iterator[None]:
    """Say of errors that a network has no place in a format, and, unless it is needed, how to leave it out."""
    hint = "; --networks g_ema leaves it out" if role == "D" and not needed else ""
    try:
        yield
    except ConvertError as error:
        raise ConvertError(f"network {role} has no place in format {format}: {error}{hint}") from error


def note_clamp(role: str, config: Config, notes: list[str]) -> None:
    """Tell of a limit on activations that a form has no place for."""
    clamp = getattr(config, "conv_clamp", None)
    if clamp is not None:
        limit = f"±{clamp:g}"
        notes.append(f"that form lacks the limit of {limit} on activations of {role}: images that reach it change")

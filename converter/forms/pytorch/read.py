"""Reader of the official PyTorch pickles, of StyleGAN2-ADA and StyleGAN3 (docs/spec/TORCH.md 1 to 4).

The source text that such files carry is hashed, never run.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from converter.errors import ConvertError, within
from converter.foreign import Header, Network, Source, mapping
from converter.forms.official_pickles import add, number, source_hash
from converter.forms.pytorch import STYLEGAN2, STYLEGAN3
from converter.safe.stand_ins import to_tensor
from converter.safe.unpickler import Names
from stylegan_torch.files.plain_json import plain, text

ARGS, KWARGS = "constructor arguments init_args", "constructor arguments init_kwargs"


class TorchModule:
    """Stands for a persistent module object of the PyTorch release."""

    def __init__(self, meta: Any) -> None:
        self.class_name = text(meta["class_name"], "class name")
        self.source = meta["module_src"]
        self.state = mapping(meta["state"], "state")
        self.read = False


_OTHER_CLASSES = {
    "TriPlaneGenerator": "EG3D",
    "SuperresGenerator": "StyleGAN-XL",
    "ProjectedDiscriminator": "StyleGAN-XL or StyleGAN-T",
}
"""Classes of programs that build on the official releases, but are other networks."""


def names() -> Names:
    """Return the class of the modules in such pickles."""
    return {("torch_utils.persistence", "_reconstruct_persistent_obj"): TorchModule}


def read(top: Any) -> Source | None:
    """Return the networks of a pickle, and what of it is passed over; None if it is not of this kind."""
    roles = ("G", "D", "G_ema")
    if not isinstance(top, dict) or not any(isinstance(top.get(role), TorchModule) for role in roles):
        return None
    networks = {}
    for role in roles:
        if top.get(role) is not None:
            if not isinstance(top[role], TorchModule):
                raise ConvertError(f"network {role} is no network of a known release")
            expected = "Discriminator" if role == "D" else "Generator"
            if top[role].class_name in _OTHER_CLASSES:
                raise ConvertError(
                    f"network {role} is of {_OTHER_CLASSES[top[role].class_name]}, which is not read here"
                )
            if top[role].class_name != expected:
                raise ConvertError(f"network {role} is of the unknown class {top[role].class_name}, not {expected}")
            if _has_clip(top[role]):
                raise ConvertError(f"network {role} is of StyleGAN-T, which is not read here")
            with within(f"network {role}"):
                networks[role] = _network(role, top[role])
    notes = (
        ("an augment pipe is passed over: drawing and scoring do not need it",)
        if top.get("augment_pipe") is not None
        else ()
    )
    return Source(networks, notes=notes)


def _has_clip(module: TorchModule) -> bool:
    """Tell whether a generator's mapping network reads text, as StyleGAN-T's does."""
    parts = module.state.get("_modules")
    mapping_network = parts.get("mapping") if isinstance(parts, dict) else None
    inner = mapping_network.state.get("_modules") if isinstance(mapping_network, TorchModule) else None
    return isinstance(inner, dict) and "clip" in inner


def _network(role: str, module: TorchModule) -> Network:
    tensors: dict[str, Tensor] = {}
    buffers: list[str] = []
    flat_arguments = _collect(module, "", tensors, buffers)
    header: Header = {
        "class_name": module.class_name,
        "build_func_name": module.class_name,
        "init_args": _arguments(module.state.get("_init_args", ())),
        "init_kwargs": plain(mapping(module.state.get("_init_kwargs", {}), KWARGS), KWARGS, number),
        "repository": "stylegan3" if flat_arguments else "stylegan2-ada-pytorch",
        "variables": list(tensors),
        "buffers": buffers,
        "source_sha256": source_hash(module.source),
    }
    # The classes of the two releases have the same names.
    form = STYLEGAN3 if "synthesis.input.freqs" in tensors else STYLEGAN2
    return Network(role, form.id, header, tensors)


def _arguments(value: Any) -> list[Any]:
    if not isinstance(value, tuple | list):
        raise ConvertError(f"{ARGS} is a {type(value).__name__}, not a tuple")
    return list(plain(value, ARGS, number))


def _collect(module: Any, prefix: str, tensors: dict[str, Tensor], buffers: list[str], depth: int = 0) -> bool:
    """Gather the tensors below a module; tell whether its dense layers are those of the StyleGAN3 repository."""
    if not isinstance(module, TorchModule) or depth > 8:
        raise ConvertError(f"holds {prefix.rstrip('.') or 'a network'}, which is no module of a known release")
    if module.read:
        raise ConvertError(f"holds module {prefix.rstrip('.') or 'of a network'} in two places")
    module.read = True
    found = module.class_name == "FullyConnectedLayer" and "in_features" in module.state
    for kind in ("_parameters", "_buffers"):
        for name, value in mapping(module.state.get(kind), f"{prefix}{kind}").items():
            if value is not None:
                full = prefix + text(name, f"name in {prefix}{kind}")
                add(tensors, full, to_tensor(value, full))
                if kind == "_buffers":
                    buffers.append(full)
    for name, child in mapping(module.state.get("_modules"), f"{prefix}_modules").items():
        if child is not None:
            found |= _collect(child, f"{prefix}{name}.", tensors, buffers, depth + 1)
    return found

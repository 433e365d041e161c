"""Reader of the official PyTorch pickles, of StyleGAN2-ADA and StyleGAN3 (docs/spec/TORCH.md 1 to 4).

The source text that such files carry is hashed, never run.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from converter.contents import Contents, roles
from converter.errors import ConvertError, within
from converter.foreign import ForeignFile, ForeignNetwork, mapping
from converter.forms.official_pickles import add, number, source_hash
from converter.forms.pytorch import STYLEGAN2, STYLEGAN3
from converter.forms.pytorch.header import ClassName, Header
from converter.safe.stand_ins import to_tensor
from converter.safe.unpickler import Names
from stylegan_torch.files.checkpoint import ROLES
from stylegan_torch.files.plain_json import plain, text

ARGS, KWARGS = "constructor arguments init_args", "constructor arguments init_kwargs"


class TorchModule:
    """Stands for a persistent module object of the PyTorch release."""

    def __init__(self, meta: Mapping[str, object]) -> None:
        self.class_name = text(meta["class_name"], "class name")
        self.source = meta["module_src"]
        self.state = mapping(meta["state"], "state")


_CLASSES = ("Generator", "Discriminator")
_OTHER_CLASSES = {
    "TriPlaneGenerator": "EG3D",
    "SuperresGenerator": "StyleGAN-XL",
    "ProjectedDiscriminator": "StyleGAN-XL or StyleGAN-T",
}
"""Classes of programs that build on the official releases, but are other networks."""


def names() -> Names:
    """Return the class of the modules in such pickles."""
    return {("torch_utils.persistence", "_reconstruct_persistent_obj"): TorchModule}


def read(contents: Contents) -> ForeignFile | None:
    """Return the networks of a file, and what of it is passed over; None if it is not of this kind."""
    modules = contents.of(TorchModule)
    if not modules:
        return None
    for path, module in modules:
        if module.class_name in _OTHER_CLASSES or _has_clip(module):
            raise ConvertError(f"is of {_OTHER_CLASSES.get(module.class_name, 'StyleGAN-T')}, which is not read here")
        key = path.rpartition(".")[2]
        if key in ROLES and module.class_name != _CLASSES[key == "D"]:
            raise ConvertError(f"network {key} is of the unknown class {module.class_name}, not {_CLASSES[key == 'D']}")
    known = [(path, module) for path, module in modules if module.class_name in _CLASSES]
    if not known:
        found = ", ".join(f"{path or 'its object'} is of the unknown class {m.class_name}" for path, m in modules)
        raise ConvertError(f"holds no network known here: {found}")
    networks, notes = {}, []
    for (path, module), role in zip(known, roles([(p, m.class_name == _CLASSES[1]) for p, m in known]), strict=True):
        if not role:
            notes.append(f"another network at {path} passed over")
            continue
        with within(f"network {role}"):
            networks[role] = _network(role, module)
    if any("augment_pipe" in path for path, _ in modules):
        notes.append("an augment pipe is passed over: drawing and scoring do not need it")
    others = [path for path, module in modules if module.class_name not in _CLASSES and "augment_pipe" not in path]
    if others:
        notes.append(f"{', '.join(others)} passed over")
    return ForeignFile(networks, notes=tuple(notes))


def _has_clip(module: TorchModule) -> bool:
    """Tell whether a generator's mapping network reads text, as StyleGAN-T's does."""
    parts = module.state.get("_modules")
    mapping_network = parts.get("mapping") if isinstance(parts, dict) else None
    inner = mapping_network.state.get("_modules") if isinstance(mapping_network, TorchModule) else None
    return isinstance(inner, dict) and "clip" in inner


def _network(role: str, module: TorchModule) -> ForeignNetwork:
    tensors: dict[str, Tensor] = {}
    buffers: list[str] = []
    flat_arguments = _collect(module, "", tensors, buffers, [])
    kind: ClassName = "Discriminator" if role == "D" else "Generator"
    header: Header = {
        "class_name": kind,
        "build_func_name": kind,
        "init_args": _arguments(module.state.get("_init_args", ())),
        "init_kwargs": plain(mapping(module.state.get("_init_kwargs", {}), KWARGS), KWARGS, number),
        "repository": "stylegan3" if flat_arguments else "stylegan2-ada-pytorch",
        "variables": list(tensors),
        "buffers": buffers,
        "source_sha256": source_hash(module.source),
    }
    # The classes of the two releases have the same names.
    form = STYLEGAN3 if "synthesis.input.freqs" in tensors else STYLEGAN2
    return ForeignNetwork(role, form.id, header, tensors)


def _arguments(value: object) -> list[object]:
    if not isinstance(value, tuple | list):
        raise ConvertError(f"{ARGS} is a {type(value).__name__}, not a tuple")
    return list(plain(value, ARGS, number))


def _collect(
    module: object, prefix: str, tensors: dict[str, Tensor], buffers: list[str], seen: list[TorchModule], depth: int = 0
) -> bool:
    """Gather the tensors below a module; tell whether its dense layers are those of the StyleGAN3 repository."""
    if not isinstance(module, TorchModule) or depth > 8:
        raise ConvertError(f"holds {prefix.rstrip('.') or 'a network'}, which is no module of a known release")
    if any(module is other for other in seen):
        raise ConvertError(f"holds module {prefix.rstrip('.') or 'of a network'} in two places")
    seen.append(module)
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
            found |= _collect(child, f"{prefix}{name}.", tensors, buffers, seen, depth + 1)
    return found

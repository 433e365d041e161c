"""Our file: networks as configs and tensors, with a record of where they came from. Holds data only.

`.pt` is what `torch.load(path, weights_only=True)` opens:

    {"format": "stylegan-torch", "version": 2, "provenance": {...},
     "networks": {"G_ema": {"config": {...}, "state_dict": {...}, "source": {...}}, ...}}

`.safetensors` has the same tensors as `G_ema.state_dict.<name>` and `G_ema.source.<name>`, the rest as JSON in its
metadata under the key `stylegan_torch`. `source` has tensors of the original file that no picture depends on, and, by
our names, the original bits of tensors that are stored otherwise here; they make its export complete.

Version 1 stored StyleGAN2's style biases as the original program does, with what to add to them in the config.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, overload

import safetensors
import torch
from torch import Tensor, nn

from stylegan_torch.errors import CheckpointError
from stylegan_torch.files import safetensors_file
from stylegan_torch.files.atomic import new_file, opened_by_name
from stylegan_torch.files.plain_json import MAX_VALUES, parse, plain
from stylegan_torch.files.plain_pickle import check_pickle_of
from stylegan_torch.files.tensors import load_plain, nonfinite, overlaps
from stylegan_torch.neighbours import in_the_way
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.registry import (
    Config,
    assemble,
    check_state,
    config_from_json,
    config_to_json,
    shapes,
    tensors_of,
)
from stylegan_torch.types import Json, JsonObject

__all__ = ["ROLES", "Checkpoint", "StoredNetwork", "is_ours", "load", "of_modules", "read", "save", "write"]

FORMAT = "stylegan-torch"
VERSION = 2
ROLES = ("G_ema", "G", "D")
"""The networks a file may have: the generator's moving average, the generator, the discriminator."""
_ZIP = b"PK\x03\x04"
_HALVES = (torch.float16, torch.bfloat16)
_NUMBERS = (torch.float32, *_HALVES)
_KEPT = (*_NUMBERS, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
"""Types that tensors of a network, and those kept for its export, may have."""
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class StoredNetwork:
    """One network of a file: its config, its tensors, and `source` tensors kept for export only."""

    config: Config
    state_dict: dict[str, Tensor]
    source: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What one of our files holds; `networks` by role: "G_ema", "G", "D"."""

    networks: dict[str, StoredNetwork]
    provenance: JsonObject = field(default_factory=dict)

    @overload
    def network(self, role: Literal["G_ema", "G"] = "G_ema", *, allow_nonfinite: bool = False) -> Generator: ...
    @overload
    def network(self, role: Literal["D"], *, allow_nonfinite: bool = False) -> Discriminator: ...
    @overload
    def network(self, role: str, *, allow_nonfinite: bool = False) -> Any: ...
    def network(self, role: str = "G_ema", *, allow_nonfinite: bool = False) -> Any:
        """Return a network in eval mode, on the CPU, sharing this checkpoint's tensors.

        Args:
            role: "G_ema", "G" or "D".
            allow_nonfinite: take tensors with NaN or infinity in them too.

        Raises:
            CheckpointError: if it is not there, its tensors don't fit its config, or have NaN or infinity in them.
        """
        if role not in self.networks:
            raise CheckpointError(f"there is no network {role}, only {', '.join(self.networks)}")
        network = self.networks[role]
        if not allow_nonfinite and (what := nonfinite(network.state_dict)):
            raise CheckpointError(
                f"network {role}: {what}, so what it draws means nothing; "
                "--allow-nonfinite (in Python, allow_nonfinite=True) uses it all the same"
            )
        return assemble(network.config, network.state_dict)


Writer: TypeAlias = Callable[[IO[bytes], Checkpoint], None]


def write(path: str | Path, checkpoint: Checkpoint, force: bool = False) -> None:
    """Write a `.pt` or `.safetensors` file; either the whole file comes into being or nothing does.

    It is read back and compared before it takes its name.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
        CheckpointError: for another suffix, no networks, networks of other roles, or a file that reads back otherwise.
    """
    path = Path(path)
    write_to = writer_of(path, checkpoint.networks)
    with new_file(path, force) as file:
        write_to(file, checkpoint)
        check_written(path, file, checkpoint)


def writer_of(path: Path, networks: Mapping[str, object]) -> Writer:
    """Return what writes networks to a file of a name.

    Raises:
        CheckpointError: for another suffix, no networks, or networks of other roles.
    """
    try:
        _check_roles(networks)
    except CheckpointError as error:
        raise CheckpointError(error.reason, path) from error
    if path.suffix not in _WRITERS:
        raise CheckpointError("the name must end in .pt or .safetensors", path)
    return _WRITERS[path.suffix]


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are the same bit for bit, which NaN is too and zeros of two signs are not."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))


def check_written(
    path: Path, file: IO[bytes], checkpoint: Checkpoint, same: Callable[[Tensor, Tensor], bool] = same_bits
) -> None:
    """Read a file back that was written.

    Args:
        path: the name that it is to get.
        file: the file.
        checkpoint: what it should hold.
        same: tells whether two tensors are the same bit for bit, the second one being read from the file.

    Raises:
        CheckpointError: if it holds something else, or is damaged.
    """
    file.flush()
    if what := _difference(checkpoint, Path(file.name), same):
        raise CheckpointError(f"{path}: what was written reads back otherwise ({what}); is the disk sound?")


def _difference(checkpoint: Checkpoint, written: Path, same: Callable[[Tensor, Tensor], bool]) -> str | None:
    """Tell what in a file is not as it should be, bit for bit, by its name; None if all is."""
    try:
        again = read(written)
    except CheckpointError as error:
        return str(error).removeprefix(f"{written}: ").replace(str(written), "it")
    if again.networks.keys() != checkpoint.networks.keys():
        return "its networks"
    if json.dumps(again.provenance) != json.dumps(checkpoint.provenance):
        return "its provenance"
    for role, network in checkpoint.networks.items():
        read_again = again.networks[role]
        if read_again.config != network.config:
            return f"network {role}: its config"
        parts = (
            (network.state_dict, read_again.state_dict, _as_read),
            (network.source, read_again.source, Tensor.detach),
        )
        for ours, theirs, as_read in parts:
            for name in ours.keys() | theirs.keys():
                if name not in ours or name not in theirs or not same(as_read(ours[name]), theirs[name]):
                    return f"network {role}: tensor {name}"
    return None


def _bits(x: Tensor) -> Tensor:
    return x.detach().cpu().reshape(-1).contiguous().view(_INTEGERS[x.element_size()])


def read(path: str | Path) -> Checkpoint:
    """Read a file of ours, whatever its name; tensors are mapped from it, not copied.

    Raises:
        CheckpointError: if it is none or is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        checkpoint = _read_pt(path) if magic == _ZIP else _read_safetensors(path)
        for role, network in checkpoint.networks.items():
            check_state(network.config, network.state_dict, role)
    except CheckpointError as error:
        error.path = path
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"is damaged ({type(error).__name__}: {error})", path) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return checkpoint


def is_ours(path: str | Path) -> bool:
    """Tell whether a file is one that `write` wrote, by its beginning."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as start:
            head = start.read(1 << 13)
        if head[:4] == _ZIP:
            first = head[30 : 30 + int.from_bytes(head[26:28], "little")]  # name of a member
            return first.endswith(b"/data.pkl") and FORMAT.encode() in head
        with opened_by_name(path) as name, safetensors.safe_open(name, framework="pt") as file:
            return "stylegan_torch" in (file.metadata() or {})
    except Exception:  # what zipfile and safetensors raise for other files is anything
        return False


def read_any(path: str | Path, network: str, assumed: Mapping[str, Json] | None = None) -> Checkpoint:
    """Read a file of ours, or one network of anything that stylegan-convert reads; arguments as of `load`.

    Raises:
        StyleGANError: if it cannot be read.
    """
    if is_ours(path) and not assumed:
        return read(path)
    if line := in_the_way():
        raise CheckpointError(line)
    # The one place in this package that reaches up to the converter: only for files that are not ours.
    import converter

    return converter.load(path, [network], assumed)


@overload
def load(
    path: str | Path,
    network: Literal["G_ema", "G"] = "G_ema",
    *,
    device: str | torch.device = "cpu",
    fast: bool = False,
    assumed: Mapping[str, Json] | None = None,
    allow_nonfinite: bool = False,
) -> Generator: ...
@overload
def load(
    path: str | Path, network: Literal["D"], *, device: str | torch.device = "cpu", allow_nonfinite: bool = False
) -> Discriminator: ...
@overload
def load(
    path: str | Path,
    network: str,
    *,
    device: str | torch.device = "cpu",
    fast: bool = False,
    assumed: Mapping[str, Json] | None = None,
    allow_nonfinite: bool = False,
) -> Any: ...
def load(
    path: str | Path,
    network: str = "G_ema",
    *,
    device: str | torch.device = "cpu",
    fast: bool = False,
    assumed: Mapping[str, Json] | None = None,
    allow_nonfinite: bool = False,
) -> Any:
    """Load a network, an `nn.Module`: eval mode, no gradients (`requires_grad_(True)` turns them on).

    Args:
        path: a file that `save` or stylegan-convert wrote, or anything that stylegan-convert reads.
        network: "G_ema" (the moving average of the generator, the one to draw with), "G" or "D".
        device: where to put it.
        fast: give the form that is made for drawing (`stylegan_torch.optimize`).
        assumed: what a file of another program leaves open, as of `converter.convert`.
        allow_nonfinite: take a network with NaN or infinity among its numbers too.

    Raises:
        StyleGANError: if the file is damaged, of no known kind, or lacks the network.
        RuntimeError: if there is no such device (AssertionError where PyTorch was built without it).
    """
    checkpoint = read_any(path, network, assumed)
    try:
        module = checkpoint.network(network, allow_nonfinite=allow_nonfinite)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    module = module.to(device)
    if fast:
        from stylegan_torch.fast import optimize

        return optimize(module)
    return module


def save(
    path: str | Path,
    networks: Mapping[str, nn.Module],
    *,
    provenance: JsonObject | None = None,
    force: bool = False,
) -> None:
    """Save networks by role, e.g. `{"G_ema": G, "D": D}`, as `.pt` or `.safetensors`.

    Args:
        path: the file to write.
        networks: modules of this package.
        provenance: JSON data to keep with them.
        force: replace an existing file.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
        CheckpointError: for another suffix, other roles, or modules that are not of this package.

    What stylegan-convert records of the original file is not saved with it, so the result can't become `.npz` again.
    """
    write(path, of_modules(networks, provenance), force)


def of_modules(networks: Mapping[str, nn.Module], provenance: JsonObject | None = None) -> Checkpoint:
    """Return what a file of these modules would hold; their tensors are shared.

    Raises:
        CheckpointError: for other roles, or modules that are not of this package.
    """
    _check_roles(networks)
    from stylegan_torch.fast.folding import DrawsOnly

    parts = {}
    for role, given in networks.items():
        module = getattr(given, "_orig_mod", given)  # what torch.compile made of it
        config = getattr(module, "config", None)
        if not isinstance(config, Config):
            raise CheckpointError(f"{role} is a {type(module).__name__}, not a network of this package")
        if isinstance(module, DrawsOnly):
            raise CheckpointError(f"{role} is in its fast form, which is for drawing only: save the plain one")
        state = {name: _as_float32(value, f"{role}: tensor {name}") for name, value in tensors_of(module).items()}
        try:
            check_state(config, state, role)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; a network is saved as it was made, with no layer more or less") from error
        parts[role] = StoredNetwork(config, state)
    return Checkpoint(parts, plain(provenance or {}, "provenance"))


def _as_float32(value: Tensor, what: str) -> Tensor:
    """Return a tensor as files have it.

    Raises:
        CheckpointError: if that would round it.
    """
    if not value.is_floating_point():
        return value
    result = value.float()
    if not torch.allclose(result.to(value.dtype), value, rtol=0, atol=0, equal_nan=True):
        raise CheckpointError(f"{what} has digits that float32 has no place for: call .float() on the network first")
    return result


def _check_roles(networks: Mapping[str, object]) -> None:
    strange = [role for role in networks if role not in ROLES]
    if strange or not networks:
        raise CheckpointError(f"networks are named {', '.join(ROLES)}, not {strange or 'none at all'}")


def _record(checkpoint: Checkpoint) -> str:
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "provenance": checkpoint.provenance,
            "networks": {role: config_to_json(net.config) for role, net in checkpoint.networks.items()},
        }
    )


def _write_pt(file: IO[bytes], checkpoint: Checkpoint) -> None:
    # Pickle notes which strings are one object, so these are made anew: the same content gives the same bytes.
    content = json.loads(_record(checkpoint))
    for role, net in checkpoint.networks.items():
        content["networks"][role] = {
            "config": content["networks"][role],
            "state_dict": {sys.intern(name): value for name, value in net.state_dict.items()},
            "source": {sys.intern(name): value for name, value in sorted(net.source.items())},
        }
    try:
        torch.save(content, file)
    except RuntimeError as error:  # what torch makes of a full disk
        raise OSError(errno.ENOSPC, "no space left, it seems") from error


def _write_safetensors(file: IO[bytes], checkpoint: Checkpoint) -> None:
    tensors = {
        f"{role}.{part}.{name}": value
        for role, net in checkpoint.networks.items()
        for part, values in (("state_dict", net.state_dict), ("source", net.source))
        for name, value in values.items()
    }
    safetensors_file.write(file, tensors, {"stylegan_torch": _record(checkpoint)})


_WRITERS: dict[str, Writer] = {".pt": _write_pt, ".safetensors": _write_safetensors}


def _read_pt(path: Path) -> Checkpoint:
    try:
        with opened_by_name(path) as name:
            check_pickle_of(Path(name))
            content = load_plain(name, mmap=True)
    except (OSError, CheckpointError):
        raise
    except Exception as error:  # what torch raises for a damaged file is anything
        raise CheckpointError("is damaged, or not a file of ours; stylegan-convert may be able to read it") from error
    _check_format(content)
    networks = {
        role: _network(content["version"], net["config"], net["state_dict"], net["source"])
        for role, net in content["networks"].items()
    }
    return Checkpoint(networks, _provenance(content["provenance"]))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with opened_by_name(path) as place, safetensors.safe_open(place, framework="pt") as file:
            record = parse((file.metadata() or {}).get("stylegan_torch", "null"), "its record")
            _check_format(record)
            names = file.keys()
            if len(names) > MAX_VALUES:
                raise CheckpointError(f"holds over {MAX_VALUES:,} tensors, which no network has")
            tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError("is damaged, or not a file of ours; stylegan-convert may be able to read it") from error
    networks = {}
    for role, data in record["networks"].items():
        parts = {
            part: {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
            for part in ("state_dict", "source")
            for start in [f"{role}.{part}."]
        }
        network = _network(record["version"], data, parts["state_dict"], parts["source"])
        order = {name: position for position, name in enumerate(shapes(network.config))}
        state = dict(sorted(network.state_dict.items(), key=lambda item: order.get(item[0], len(order))))
        networks[role] = replace(network, state_dict=state)
    return Checkpoint(networks, _provenance(record["provenance"]))


def _provenance(value: object) -> JsonObject:
    found = plain(value, "provenance")
    if not isinstance(found, dict):
        raise CheckpointError(f"provenance is a {type(found).__name__}, not a dict")
    return found


def _as_read(value: Tensor) -> Tensor:
    """Return a tensor of a network as reading gives it: halves as float32."""
    return value.float() if value.dtype in _HALVES else value


def _network(version: int, data: JsonObject, state: dict[str, Tensor], source: dict[str, Tensor]) -> StoredNetwork:
    for values, dtypes in ((state, _NUMBERS), (source, _KEPT)):
        for name, value in values.items():
            _check_plain(value, name, dtypes)
    if version == 1:
        data = dict(data)
        added = data.pop("style_bias", 0.0) if data.get("family") == "stylegan2" else 0.0
        biases = {name: value for name, value in state.items() if added and name.endswith(".affine.bias")}
        state = state | {name: value + added for name, value in biases.items()}
        source = source | biases
    state = {name: _as_read(value.detach()) for name, value in state.items()}
    source = {name: value.detach() for name, value in source.items()}
    return StoredNetwork(config_from_json(data), state, source)


def _check_plain(value: object, name: str, dtypes: tuple[torch.dtype, ...]) -> None:
    """Raise CheckpointError unless a tensor is of plain numbers of some types, all of which the file has."""
    if not isinstance(value, Tensor) or value.is_nested:
        raise CheckpointError(f"tensor {name} is a {type(value).__name__}, not a plain tensor")
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.is_neg() or value.dtype not in dtypes:
        raise CheckpointError(f"tensor {name} is not of plain numbers ({value.dtype}, {value.layout}, {value.device})")
    if value.numel() * value.itemsize > value.untyped_storage().nbytes():
        raise CheckpointError(f"tensor {name} claims more numbers than the file has")
    if overlaps(value.shape, value.stride()):
        raise CheckpointError(f"tensor {name} has numbers that lie over one another")


def _check_format(content: Json) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError("is not a file of ours; stylegan-convert may be able to read it")
    if not content.get("networks"):
        raise CheckpointError("holds no networks")
    if content.get("version") not in (1, VERSION):
        raise CheckpointError(f"has version {content.get('version')}; this program reads {VERSION}, so update it")

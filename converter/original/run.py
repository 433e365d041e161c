"""Running the original TensorFlow program that a file carries, and taking what it computes back as data."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from converter.conversion import opened
from converter.errors import ConvertError, sound
from converter.foreign import ForeignFile, ForeignNetwork, Keywords, walk
from converter.forms.dump import all_variables, prefix_of, write_npz
from converter.forms.registry import FORMS
from converter.forms.tensorflow.header import TFHeader, header_of
from converter.forms.tensorflow.stylegan2 import lacks_noise
from converter.original.modules import gather
from converter.original.sandbox import job_folder, memory_of_machine, run_child
from converter.translate import known_kind
from stylegan_torch import __version__
from stylegan_torch.files.plain_json import plain
from stylegan_torch.networks.registry import assemble, shapes
from stylegan_torch.proof.reference import read_reference, write_reference
from stylegan_torch.proof.verify import Verdict, in_float32, verify
from stylegan_torch.text import one_line

Array = np.ndarray[Any, Any]
GB = 1 << 30
RECORD_LIMIT = 1 << 26
"""Bytes of JSON that running a source may give."""
RESULTS = ("result.json", "variables.npz", "reference.npz")


@dataclass(frozen=True)
class Recording:
    """What to record of the original's computation.

    seeds: latents are `RandomState(seed).randn(1, z_dim)`.
    truncation_psi: None = the network's own.
    class_index: of a conditional network; None = an all-zero label.
    noise: "seeded" (drawn anew after each z, as the StyleGAN2 script does), "stored" or "none".
    layers: also the result of every layer, for the first picture.
    """

    seeds: Sequence[int]
    truncation_psi: float | None = None
    class_index: int | None = None
    noise: str = "seeded"
    layers: bool = False


PROOF = Recording(seeds=(0, 1, 2, 3), layers=True)
"""What a conversion is held against."""


@dataclass(frozen=True)
class Original:
    """What running the original gave.

    source: its networks, read back from TensorFlow.
    record, arrays: of a reference file; empty if nothing was recorded.
    isolation: what kept the program in, in words.
    """

    source: ForeignFile
    record: dict[str, Any]
    arrays: dict[str, Array]
    isolation: list[str]

    def write_dump(self, file: IO[bytes]) -> None:
        """Write the networks as `.npz`, the same as `stylegan-convert` writes."""
        write_npz(file, self.source)

    def write_reference(self, file: IO[bytes]) -> None:
        """Write what was recorded."""
        write_reference(file, self.record, self.arrays)


def embedded_code(source: ForeignFile) -> dict[str, str]:
    """Return the source texts by sha256 that the networks of a file would run.

    Raises:
        ConvertError: if the file has none, or they are not for TensorFlow.
    """
    for network in walk(source.networks):
        form = FORMS.get(network.form)
        if form is None or not form.runnable:
            raise ConvertError(f"network {network.role} is of no TensorFlow release; only their programs can be run")
        for name, sha256 in _hashes(header_of(network)).items():
            if sha256 not in network.code:
                raise ConvertError(f"network {name} carries no source; stylegan-convert reads its variables without")
    return {sha256: text for network in walk(source.networks) for sha256, text in network.code.items()}


def _hashes(header: TFHeader) -> dict[str, str | None]:
    found = {header["name"]: header.get("source_sha256")}
    for part in header["components"].values():
        found |= _hashes(part)
    return found


def ask_consent(src: str | Path) -> str:
    """Return two lines that tell what running the code in a file means.

    Raises:
        ConvertError: if it has none to run.
    """
    with opened(src) as file:
        code = embedded_code(file.program())
    lines = sum(text.count("\n") + 1 for text in code.values())
    return (
        f"{one_line(str(src))} carries {lines} lines of Python, which this command would run: "
        "a program by whoever made the file.\n"
        f"sha256 {', '.join(sorted(code))}: look at it with stylegan-export-tf --show-source; "
        "--trust-embedded-code runs it, shut in."
    )


def memory_limit(gigabytes: float | None) -> int:
    """Return a limit in bytes; None = nine tenths of the machine's memory."""
    return int(gigabytes * GB) if gigabytes else memory_of_machine() * 9 // 10


def require_tensorflow() -> None:
    """Raise ConvertError, saying how to get it, unless TensorFlow is installed."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ConvertError("TensorFlow is not installed; get it with: pip install 'tensorflow>=2.16'")


def run_original(
    source: ForeignFile,
    memory: int,
    recording: Recording | None = None,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    modules: Path | None = None,
) -> Original:
    """Run the program that a file carries, in a child process, and take back its variables and what it computes.

    The caller has the user's consent to run it.

    Args:
        source: the open file.
        memory: bytes the child may hold.
        recording: what to record; None = only the variables.
        on_progress: is told what goes on.
        modules: folder with modules that the program imports; those that it names are given to it.

    Raises:
        ConvertError: saying what went wrong.
    """
    code = embedded_code(source)
    require_tensorflow()
    supplied = gather(modules, code.values()) if modules else {}
    if recording:
        _check(source, recording)
        if lacks_noise(source.networks["G_ema"]):
            recording = replace(recording, noise="none")
    with job_folder() as name:
        folder = Path(name)
        try:
            _write_job(folder, source, code, recording, supplied)
            isolation = run_child(folder, memory, on_progress)
        except OSError as error:
            raise ConvertError(f"cannot run its source: {error.strerror or error}") from error
        for result in RESULTS:
            path = folder / result
            largest = RECORD_LIMIT if path.suffix == ".json" else memory  # all of it was in the process
            if path.is_symlink() or not path.is_file() or path.stat().st_size > largest:
                raise ConvertError("the process that ran its source left no sound result")
        with sound("the result of its source"):
            return _take(folder, source, recording, isolation, supplied)


def verify_original(
    src: str | Path,
    memory: int,
    recording: Recording,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    modules: Path | None = None,
) -> Verdict:
    """Hold what a conversion of `src` gives against what the program in it computes; arguments as of `run_original`.

    Calling this is consent to run code from the file, in a child process that is shut in as far as the system can.

    Raises:
        StyleGANError: saying what went wrong.
    """
    with opened(src) as file:
        source = file.program()
        original = run_original(source, memory, recording, on_progress=on_progress, modules=modules)
        with job_folder() as folder:
            path = Path(folder, "reference.npz")
            with path.open("wb") as target:
                original.write_reference(target)
            reference = read_reference(path)
        ours = {role: net.stored for role, net in file.networks.items() if role != "G"}
    return verify({role: assemble(net.config, net.state_dict) for role, net in ours.items()}, reference)


def _check(source: ForeignFile, recording: Recording) -> None:
    network = source.networks.get("G_ema")
    if network is None:
        raise ConvertError("holds no generator to record")
    header = header_of(network)
    keywords = Keywords(header["build_func_name"], {"label_size": 0}, header["static_kwargs"])
    labels = keywords.integer("label_size")
    if recording.class_index is not None and not 0 <= recording.class_index < labels:
        known = f"classes 0 to {labels - 1}" if labels else "no classes"
        raise ConvertError(f"there is no class {recording.class_index}: this network has {known}")
    if recording.truncation_psi is not None and not network.header["components"]:
        raise ConvertError("ProGAN has no truncation")


def _write_job(
    folder: Path,
    source: ForeignFile,
    code: Mapping[str, str],
    recording: Recording | None,
    supplied: Mapping[str, str],
) -> None:
    for sha256, text in code.items():
        (folder / f"{sha256}.py").write_text(text, encoding="utf-8")
    for name, text in supplied.items():
        path = folder / "modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with (folder / "values.npz").open("wb") as file:
        write_npz(file, source)
    options = None
    if recording:
        options = {**asdict(recording), "seeds": list(recording.seeds), "class": recording.class_index}
    headers = {network.role: {**network.header, "prefix": prefix_of(network)} for network in walk(source.networks)}
    (folder / "job.json").write_text(json.dumps({"networks": headers, "reference": options}))


def _take(
    folder: Path,
    source: ForeignFile,
    recording: Recording | None,
    isolation: list[str],
    supplied: Mapping[str, str],
) -> Original:
    result = _plain_json(folder / "result.json")
    networks, notes = {}, list[str]()
    with _arrays(folder / "variables.npz") as file:
        for network in walk(source.networks):
            header = _read_back(header_of(network), result["networks"][network.role], notes)
            _check_shapes(folder / "variables.npz", network)
            tensors = {name: torch.from_numpy(file[f"{prefix_of(network)}/{name}"]) for name in all_variables(header)}
            networks[network.role] = replace(network, header=header, tensors=tensors)
    half = [role for role in networks if role in result.get("half_precision", [])]
    if half:
        notes.append(f"{in_float32(half)}, as ours are")
    if not recording:
        return Original(ForeignFile(networks, source.origin, (*source.notes, *notes)), {}, {}, isolation)
    layers = []
    for role, part in (("G_ema", "generator"), ("D", "discriminator")):
        found = _layers(networks[role], result[part]["layers"]) if role in networks else []
        if recording.layers and role in networks and not found:
            notes.append(f"no layers of network {role}: they could not be told apart in its graph")
        layers += found
    dump = ForeignFile(networks, source.origin, (*source.notes, *notes))
    record = {
        "created_by": f"stylegan-torch {__version__}",
        "origin": source.origin,
        "source_sha256": sorted(embedded_code(source)),
        "tensorflow": one_line(result["tensorflow"]),
        "numpy": one_line(result["numpy"]),
        "seeds": list(recording.seeds),
        "truncation_psi": recording.truncation_psi,
        "class": recording.class_index,
        "noise": recording.noise,
        "noise_maps": result["generator"]["noise"],
        "precision": "float32",
        "half_precision": half,
        "put_back": True,
        "modules": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in supplied.items()},
        "d_batch": result.get("discriminator", {}).get("batch"),
        "layers": layers,
    }
    with _arrays(folder / "reference.npz") as file:
        wanted = {layer["array"] for layer in layers}
        arrays = {name: file[name] for name in file if not name.startswith("layers/") or name in wanted}
    return Original(dump, record, arrays, isolation)


def _plain_json(path: Path) -> dict[str, Any]:
    try:
        return plain(json.loads(path.read_text("utf-8")), "the result of its source")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, Array]]:
    """Open an `.npz` of the process that ran the source; it may have been made to fill all memory."""
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed arrays")
    with np.load(path, allow_pickle=False) as file:
        yield file


def _check_shapes(path: Path, network: ForeignNetwork) -> None:
    """Refuse variables of other shapes than the file's before they are read."""
    with zipfile.ZipFile(path) as archive:
        for name, value in network.tensors.items():
            with archive.open(f"{prefix_of(network)}/{name}.npy") as member:
                read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = read[np.lib.format.read_magic(member)](member)
            if shape != tuple(value.shape) or dtype != np.float32:
                raise ValueError(f"variable {name} is {dtype} {list(shape)}, in the file float32 {list(value.shape)}")


def _read_back(header: TFHeader, result: dict[str, Any], notes: list[str]) -> TFHeader:
    notes += [f"variable {name}, which its source makes and the file lacks" for name in result["without_value"]]
    parts = {key: _read_back(part, result["components"][key], notes) for key, part in header["components"].items()}
    return {**header, "variables": result["variables"], "components": parts}


def _layers(network: ForeignNetwork, recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the modules of ours that recorded layers correspond to; layers without one are dropped."""
    config = known_kind(network).config(network)
    table = known_kind(network).table(network, config)
    modules: dict[str, str] = {}
    for ours in shapes(config):
        module, _, leaf = ours.rpartition(".")
        theirs, _ = table.source_name(ours)
        # Labels and styles are embedded by layers of a single product, which sources cut in different ways.
        if leaf in ("weight", "bias") and not module.endswith((".embed", ".affine")):
            modules.setdefault(theirs.rpartition("/")[0], module)
    return [
        {"network": network.role, "module": modules[entry["scope"]], **entry}
        for entry in recorded
        if entry["scope"] in modules
    ]

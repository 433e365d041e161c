"""Running the original TensorFlow program that a file carries, and taking what it computes back as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.machinery import PathFinder
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
from converter.original.results import Results
from converter.original.sandbox import job_folder, memory_of_machine, python_folders, run_child
from converter.translate import known_kind
from stylegan_torch import __version__
from stylegan_torch.networks.registry import assemble, build, shapes
from stylegan_torch.proof.reference import read_reference, write_reference
from stylegan_torch.proof.verify import Verdict, in_float32, verify
from stylegan_torch.text import one_line

Array = np.ndarray[Any, Any]
GB = 1 << 30
_OF_LAYERS = ("array", "scope", "shape", "step")
"""What the program says of a layer that it recorded."""
_LONGEST = 80
"""Characters of a version."""


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
    """Raise ConvertError, saying how to get it, unless TensorFlow is installed where the child looks for it."""
    if PathFinder.find_spec("tensorflow", python_folders()) is None:
        raise ConvertError("TensorFlow is not installed; get it with: pip install 'tensorflow>=2.16'")


def run_original(
    source: ForeignFile,
    memory: int,
    recording: Recording | None = None,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    modules: Path | None = None,
    weak_isolation: bool = False,
) -> Original:
    """Run the program that a file carries, in a child process, and take back its variables and what it computes.

    The caller has the user's consent to run it.

    Args:
        source: the open file.
        memory: bytes of memory and files that the child may hold.
        recording: what to record; None = only the variables.
        on_progress: is told what goes on.
        modules: folder with modules that the program imports; those that it names are given to it.
        weak_isolation: run it even if this system lacks some of the protections; if not, that is an error.

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
            with Results(folder) as results:
                isolation = run_child(folder, memory, on_progress, weak_isolation)
                with sound("the result of its source"):
                    return _take(results, source, recording, isolation, supplied)
        except OSError as error:
            raise ConvertError(f"cannot run its source: {error.strerror or error}") from error


def verify_original(
    src: str | Path,
    memory: int,
    recording: Recording,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    modules: Path | None = None,
    weak_isolation: bool = False,
) -> Verdict:
    """Hold what a conversion of `src` gives against what the program in it computes; arguments as of `run_original`.

    Calling this is consent to run code from the file, in a child process that is shut in.

    Raises:
        StyleGANError: saying what went wrong.
    """
    with opened(src) as file:
        source = file.program()
        original = run_original(
            source, memory, recording, on_progress=on_progress, modules=modules, weak_isolation=weak_isolation
        )
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
    results: Results,
    source: ForeignFile,
    recording: Recording | None,
    isolation: list[str],
    supplied: Mapping[str, str],
) -> Original:
    result = results.record()
    declared = {
        f"{prefix_of(network)}/{name}": tuple(value.shape)
        for network in walk(source.networks)
        for name, value in network.tensors.items()
    }
    variables = results.arrays("variables.npz", declared)
    networks, notes = {}, list[str]()
    for network in walk(source.networks):
        header = _read_back(header_of(network), result["networks"][network.role], notes)
        names = all_variables(header)
        tensors = {name: torch.from_numpy(variables[f"{prefix_of(network)}/{name}"]) for name in names}
        networks[network.role] = replace(network, header=header, tensors=tensors)
    half = [role for role in networks if role in result.get("half_precision", [])]
    if half:
        notes.append(f"{in_float32(half)}, as ours are")
    if not recording:
        return Original(ForeignFile(networks, source.origin, (*source.notes, *notes)), {}, {}, isolation)
    layers = []
    for role, part in (("G_ema", "generator"), ("D", "discriminator")):
        found = _layers(source.networks[role], result[part]["layers"]) if role in networks else []
        if recording.layers and role in networks and not found:
            notes.append(f"no layers of network {role}: they could not be told apart in its graph")
        layers += found
    recorded = results.arrays("reference.npz", _recorded_shapes(source.networks["G_ema"], recording))
    wanted = {layer["array"] for layer in layers}
    arrays = {name: value for name, value in recorded.items() if not name.startswith("layers/") or name in wanted}
    dump = ForeignFile(networks, source.origin, (*source.notes, *notes))
    record = {
        "created_by": f"stylegan-torch {__version__}",
        "origin": source.origin,
        "source_sha256": sorted(embedded_code(source)),
        "tensorflow": one_line(result["tensorflow"][:_LONGEST]),
        "numpy": one_line(result["numpy"][:_LONGEST]),
        "seeds": list(recording.seeds),
        "truncation_psi": recording.truncation_psi,
        "class": recording.class_index,
        "noise": recording.noise,
        "noise_maps": [name for name in result["generator"]["noise"] if name in arrays],
        "precision": "float32",
        "half_precision": half,
        "put_back": True,
        "modules": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in supplied.items()},
        "d_batch": result["discriminator"]["batch"] if "d_scores" in arrays else None,
        "layers": layers,
    }
    return Original(dump, record, arrays, isolation)


def _recorded_shapes(network: ForeignNetwork, recording: Recording) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what is recorded of a generator, by its config and its tensors."""
    with torch.device("meta"):
        generator: Any = build(known_kind(network).config(network))
    count, (height, width) = len(recording.seeds), generator.img_size
    shapes = {
        "z": (count, generator.z_dim),
        "labels": (count, generator.c_dim),
        "images": (count, generator.img_channels, height, width),
        "images_uint8": (count, height, width, generator.img_channels),
        "d_scores": (count, 1),
    }
    if generator.has_w:
        shapes["w"] = (count, generator.num_ws, generator.w_dim)
    maps = 1 if recording.noise == "stored" else count
    for name, value in network.tensors.items():
        leaf = name.rpartition("/")[2]
        if leaf.startswith("noise") and value.ndim == 4:
            shapes[leaf] = (maps, *value.shape[1:])
    return shapes


def _read_back(header: TFHeader, result: dict[str, Any], notes: list[str]) -> TFHeader:
    extra = [name for name in result["without_value"] if name not in header["variables"]]
    notes += [f"variable {name}, which its source makes and the file lacks" for name in extra]
    parts = {key: _read_back(part, result["components"][key], notes) for key, part in header["components"].items()}
    return {**header, "variables": [*header["variables"], *extra], "components": parts}


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
        {"network": network.role, "module": modules[entry["scope"]]} | {key: entry[key] for key in _OF_LAYERS}
        for entry in recorded
        if entry["scope"] in modules
    ]

"""What the child process does: build the networks of a job, dump their variables, record what they compute."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import embedded, packages, tflib
from .easydict import EasyDict
from .layers import outputs_and_layers
from .network import Network
from .tensorflow1 import Array, Value, tf

Arrays = dict[str, Any]
"""Numpy arrays by name."""
Entry = dict[str, Any]
"""An object in `job.json` or `result.json`."""
Progress = Callable[[str], None]

PRECISION = {"num_fp16_res": 0, "dtype": "float32"}
"""Keywords that are overridden, whether a file gives them or a source assumes others: references are float32."""
LAYER_SAMPLE = 1 << 16
"""Values recorded of a layer, at most; evenly spread."""
USUAL_BATCH = 4


def work(folder: Path, progress: Progress) -> None:
    """Do the job in a folder: `job.json`, `values.npz`, sources and `modules` in, `result.json` and arrays out."""
    packages.install()
    embedded.take_modules(folder / "modules")
    job = json.loads((folder / "job.json").read_text())
    result: Entry = {"tensorflow": tf.version.VERSION, "numpy": np.__version__, "networks": {}}
    result["half_precision"] = []
    dumped: Arrays = {}
    recorded: Arrays = {}
    for role, header in job["networks"].items():
        progress(f"building {header['name']}")
        with _built(folder, header) as network:
            result["networks"][role] = _dump(network, header, dumped)
            if _is_half(network, header):
                result["half_precision"].append(role)
            if job["reference"] and role == "G_ema":
                result["generator"] = _record_generator(network, job["reference"], recorded, progress)
            elif job["reference"] and role == "D" and "images" in recorded:
                result["discriminator"] = _record_discriminator(network, job["reference"], recorded, progress)
    np.savez(folder / "variables.npz", **dumped)
    np.savez(folder / "reference.npz", **recorded)
    (folder / "result.json").write_text(json.dumps(result))


@contextmanager
def _built(folder: Path, header: Entry) -> Iterator[Network]:
    with np.load(folder / "values.npz") as values, tf.Graph().as_default(), tflib.new_session():
        yield _network(folder, header, header["prefix"], values)


def _network(folder: Path, header: Entry, prefix: str, values: Mapping[str, Array]) -> Network:
    parts = {
        key: _network(folder, part, f"{prefix}/{part['name']}", values) for key, part in header["components"].items()
    }
    network = Network.__new__(Network)
    keywords = {key: _attributes(value) for key, value in header["static_kwargs"].items()}
    network.__setstate__(
        {
            **header,
            "static_kwargs": {key: PRECISION.get(key, value) for key, value in keywords.items()},
            "components": parts,
            "build_module_src": (folder / f"{header['source_sha256']}.py").read_text("utf-8"),
            "variables": [(name, values[f"{prefix}/{name}"]) for name in header["variables"]],
        }
    )
    return network


def _attributes(value: Value) -> Value:
    if isinstance(value, dict):
        return EasyDict({key: _attributes(item) for key, item in value.items()})
    return value


def _dump(network: Network, header: Entry, dumped: Arrays) -> Entry:
    """Read all variables back; return their names, and which the file had no value for."""
    names = [*header["variables"], *network.without_value]
    prefix = header["prefix"]
    values = tflib.run({name: network.own_vars[name] for name in names})
    dumped |= {f"{prefix}/{name}": np.asarray(value) for name, value in values.items()}
    parts = {
        key: _dump(network.components[key], {**part, "prefix": f"{prefix}/{part['name']}"}, dumped)
        for key, part in header["components"].items()
    }
    return {"variables": names, "without_value": network.without_value, "components": parts}


def _record_generator(network: Network, options: Entry, recorded: Arrays, progress: Progress) -> Entry:
    seeds, noise = options["seeds"], _noise_variables(network)
    z_dim, c_dim = ([shape[1] or 0 for shape in network.input_shapes] + [0])[:2]
    z, labels = tf.placeholder(tf.float32, [None, z_dim]), tf.placeholder(tf.float32, [None, c_dim])
    inputs = [z, labels][: network.num_inputs]
    without_noise = options["noise"] == "none"
    keywords: dict[str, object] = {"randomize_noise": without_noise} if network.components else {}
    keywords |= _precision(network)
    if without_noise:
        noise = {}
        tflib.set_vars({variable: np.zeros(variable.shape.as_list()) for variable in _noise_strengths(network)})
    if options["truncation_psi"] is not None:
        keywords["truncation_psi"] = options["truncation_psi"]
    images = network.get_output_for(*inputs, return_as_list=True, **keywords)[0]
    mapping = network.components.get("mapping")
    w = mapping.get_output_for(*inputs, return_as_list=True)[0] if mapping is not None else None
    rows: list[Arrays] = []
    kept = _overwritten(network)
    for seed in seeds:
        progress(f"drawing seed {seed}")
        generator = np.random.RandomState(seed)
        row = {"z": generator.randn(1, z_dim).astype(np.float32), "labels": np.zeros([1, c_dim], np.float32)}
        if options["class"] is not None:
            row["labels"][:, options["class"]] = 1
        if options["noise"] == "seeded":
            drawn = {name: generator.randn(*variable.shape.as_list()) for name, variable in noise.items()}
            tflib.set_vars({noise[name]: value for name, value in drawn.items()})
            row |= {name: value.astype(np.float32) for name, value in drawn.items()}
        feeds = {z: row["z"], labels: row["labels"]}
        row["images"] = _run_afresh(kept, images, feeds)
        if w is not None:
            row["w"] = _run_afresh(kept, w, feeds)
        rows.append(row)
    recorded |= {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    if options["noise"] == "stored":
        recorded |= {name: tflib.run(variable) for name, variable in noise.items()}
    recorded["images_uint8"] = _to_uint8(recorded["images"], rounding=mapping is None)
    by_number = sorted(noise, key=lambda name: (len(name), name))
    record: Entry = {"noise": by_number, "layers": []}
    if options["layers"]:
        tflib.set_vars({**kept, **{noise[name]: recorded[name][:1] for name in noise}})
        feeds = {z: recorded["z"][:1], labels: recorded["labels"][:1]}
        record["layers"] = _record_layers(network, inputs, keywords, feeds, "G_ema", recorded, progress)
    return record


def _precision(network: Network) -> dict[str, object]:
    """Return the keywords that make a source compute in float32 that would not by its own defaults."""
    return {key: value for key, value in PRECISION.items() if network.takes(key)}


def _is_half(network: Network, header: Entry) -> bool:
    """Tell whether a network computes in half precision by itself, by the file's keywords or its source's defaults."""
    asked = {**network.defaults(), **header["static_kwargs"]}
    parts = [_is_half(network.components[key], part) for key, part in header["components"].items()]
    return any(asked.get(key, value) not in (value, None) for key, value in PRECISION.items()) or any(parts)


def _overwritten(network: Network) -> dict[Value, Value]:
    """Return the values of variables that evaluations overwrite, such as the vectors of a spectral norm.

    Call it when all that will be evaluated is built.
    """
    owners = {variable.op: variable for variable in network.vars.values()}
    initial = {variable.initializer for variable in network.vars.values()}
    targets = {
        operation.inputs[0].op
        for operation in tf.get_default_graph().get_operations()
        if any(word in operation.type for word in ("Assign", "Scatter", "Apply")) and operation not in initial
    }
    return {owners[op]: tflib.run(owners[op]) for op in targets & set(owners)}


def _run_afresh(kept: dict[Value, Value], *args: Value) -> Value:
    """Evaluate with the values that evaluations overwrite as they were at first."""
    tflib.set_vars(kept)
    return tflib.run(*args)


def _noise_variables(network: Network) -> dict[str, Value]:
    """Return the noise maps of the synthesis by name, in stored order, which is the order of drawing."""
    synthesis = network.components.get("synthesis")
    if synthesis is None:
        return {}
    return {name: variable for name, variable in synthesis.own_vars.items() if name.startswith("noise")}


def _noise_strengths(network: Network) -> list[Value]:
    return [v for name, v in network.vars.items() if name.endswith(("/noise_strength", "/Noise/weight"))]


def _to_uint8(images: Array, rounding: bool) -> Array:
    """Make NHWC pictures as the scripts of the releases do: ProGAN's rounds, the others cut off (docs/spec/TF.md 5)."""
    x = images.astype(np.float32) * np.float32(127.5) + np.float32(127.5 if rounding else 128)
    x = np.rint(x) if rounding else x
    return np.clip(x, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _record_discriminator(network: Network, options: Entry, recorded: Arrays, progress: Progress) -> Entry:
    images = tf.placeholder(tf.float32, [None, *recorded["images"].shape[1:]])
    labels = tf.placeholder(tf.float32, [None, recorded["labels"].shape[1]])
    inputs = [images, labels][: network.num_inputs]
    keywords = _precision(network)
    outputs = network.get_output_for(*inputs, return_as_list=True, **keywords)
    group = network.static_kwargs.get("mbstd_group_size", USUAL_BATCH)
    batch = group if isinstance(group, int) and 1 < group <= 2 * USUAL_BATCH else USUAL_BATCH
    kept = _overwritten(network)
    parts = []
    for first in range(0, len(recorded["images"]), batch):
        progress(f"scoring picture {first}")
        rows = slice(first, first + batch)
        feeds = {images: recorded["images"][rows], labels: recorded["labels"][rows]}
        parts.append(_run_afresh(kept, outputs, feeds))
    for name, column in zip(("d_scores", "d_labels"), zip(*parts, strict=True), strict=False):
        if column[0].size:
            recorded[name] = np.concatenate(column)
    record: Entry = {"batch": batch, "layers": []}
    if options["layers"]:
        tflib.set_vars(kept)
        feeds = {images: recorded["images"][:batch], labels: recorded["labels"][:batch]}
        record["layers"] = _record_layers(network, inputs, keywords, feeds, "D", recorded, progress)
    return record


def _record_layers(
    network: Network,
    inputs: Sequence[Value],
    keywords: Mapping[str, object],
    feeds: dict[Value, Value],
    role: str,
    recorded: Arrays,
    progress: Progress,
) -> list[Entry]:
    """Record a sample of every layer's result; return where each comes from."""
    progress(f"recording the layers of {network.name}")
    try:
        _, layers = outputs_and_layers(network, inputs, keywords)
        values = tflib.run(layers, feeds)
    except Exception:  # an odd source can still be held against ours without its layers
        traceback.print_exc()
        return []
    records = []
    for scope, value in values.items():
        name = f"layers/{role}/{scope}"
        step = -(-value.size // LAYER_SAMPLE) | 1  # odd, so as not to run down one column
        recorded[name] = np.ascontiguousarray(value.reshape(-1)[::step])
        records.append({"array": name, "scope": scope, "shape": list(value.shape), "step": step})
    return records

"""Files that are damaged, of another kind, or contradict themselves: refused in one line that says so."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import converter
import stylegan_torch.commands.convert
import stylegan_torch.commands.generate
from stylegan_torch.errors import StyleGANError
from tests.tools.hostile import (
    check_refused,
    refused,
    run,
    tf_network,
    torch_discriminator,
    torch_generator,
    write_tf,
    write_torch,
)
from tests.tools.long import cases
from tests.tools.official import State, theano_networks, write_pickle, write_theano_pickle
from tests.tools.official_torch import Module, write_persistence_pickle

# Damage.

KINDS = [
    *(f"{form}.{suffix}" for form in ("tf", "torch") for suffix in ("pkl", "npz", "pt", "safetensors")),
    *(f"tf.pkl.{suffix}" for suffix in ("gz", "xz", "bz2")),
    "theano.pkl",
]
_PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def write_sound(folder: Path, kind: str) -> Path:
    path = folder / kind
    if path.suffix in _PACKERS:
        path.write_bytes(_PACKERS[path.suffix](write_sound(folder, "tf.pkl").read_bytes()))
    elif kind == "theano.pkl":
        write_theano_pickle(path, theano_networks(0, resolution=8, fmap_base=16, fmap_max=4)[0])
    elif path.suffix == ".pkl":
        (write_tf if path.stem == "tf" else write_torch)(path)
    else:
        converter.convert(write_sound(folder, f"{path.stem}.pkl"), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off(kind: str, tmp_path: Path) -> None:
    content = write_sound(tmp_path, kind).read_bytes()
    for part in [*range(16), 15.999]:
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(content[: int(len(content) * part / 16)])
        refused(path)


@pytest.mark.parametrize("kind", cases(KINDS, long=KINDS[1::2]))
def test_flipped_bytes(kind: str, tmp_path: Path) -> None:
    """Where a file has no checksum a flip may go unseen, but then every network in it is whole."""
    content = write_sound(tmp_path, kind).read_bytes()
    rng = random.Random(kind)
    flips = [(at, 0xFF) for at in range(min(120, len(content)))]
    flips += [(rng.randrange(len(content)), 1 << rng.randrange(8)) for _ in range(80)]
    path, failed = tmp_path / f"flipped.{kind}", []
    for at, bits in flips:
        changed = bytearray(content)
        changed[at] ^= bits
        path.write_bytes(changed)
        try:
            loaded = converter.load(path)
            for role in loaded.networks:
                loaded.network(role, allow_nonfinite=True)
        except StyleGANError as error:
            if str(path) not in str(error) or "\n" in str(error):
                failed.append(f"byte {at} ^ {bits:#x}: {error!r}")
        except Exception as error:
            failed.append(f"byte {at} ^ {bits:#x}: {error!r}")
    assert not failed, f"{len(failed)} of {len(flips)}:\n" + "\n".join(failed[:30])


# Other things than networks.


def _picture(path: Path) -> Path:
    Image.new("RGB", (8, 8)).save(path.with_suffix(".png"))
    return path.with_suffix(".png").rename(path)


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.pkl": (lambda path: path.touch(), "is empty"),
    "picture.pkl": (_picture, "PNG"),
    "directory.pkl": (lambda path: path.mkdir(), "is a directory"),
    "page.pkl": (lambda path: path.write_text("<!DOCTYPE html><html>404</html>"), "web page"),
    "text.pkl": (lambda path: path.write_text("hello\n" * 100), "only the text"),
    "random.pkl": (
        lambda path: path.write_bytes(random.Random(1).randbytes(5000)),
        "no kind of file known here",
    ),
    "one.pkl": (lambda path: path.write_bytes(b"\x80"), "no kind of file known here"),
    "pipe.pkl": (os.mkfifo, "not a regular file"),
    "missing.pkl": (lambda path: None, "no such file"),
    "dangling.pkl": (lambda path: path.symlink_to("nothing"), "no such file"),
    "list.pkl": (lambda path: path.write_bytes(b"\x80\x02]."), "not of networks"),
    "number.pkl": (lambda path: path.write_bytes(b"\x80\x02K\x01."), "not of networks"),
    "empty tuple.pkl": (lambda path: path.write_bytes(b"\x80\x02)."), "not of networks"),
    "dict.pkl": (lambda path: path.write_bytes(b"\x80\x02}X\x01\x00\x00\x00aK\x01s."), "with keys a"),
    "array.npz": (lambda path: np.savez(path, a=np.zeros(3)), "archive of numpy arrays"),
}


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind != "pipe.pkl"])
def test_other_files(kind: str, tmp_path: Path) -> None:
    make, words = OTHERS[kind]
    make(tmp_path / kind)
    refused(tmp_path / kind, words)


def test_unreadable_files(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "tf.pkl")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    refused(path, "Permission denied")


def test_names_too_long(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "tf.pkl")
    long = "x" * 300
    refused(tmp_path / long)
    status, stderr = run(stylegan_torch.commands.convert.main, path, tmp_path / "target" / f"{long}.pt")
    check_refused(status, stderr, long, tmp_path / "target")


# Networks that contradict themselves.

VARIABLE = "G_synthesis/8x8/Conv1/weight"


def _inner(state: State) -> list[tuple[str, Any]]:
    variables: list[tuple[str, Any]] = state["components"]["synthesis"]["variables"]
    return variables


def _set(key: str, value: Any, component: str | None = None) -> Callable[[State], object]:
    return lambda state: (state["components"][component] if component else state).update({key: value})


def _replace(value: Any) -> Callable[[State], object]:
    def change(state: State) -> None:
        variables = _inner(state)
        at = [name for name, _ in variables].index("8x8/Conv1/weight")
        variables[at] = ("8x8/Conv1/weight", value)

    return change


def _components(value: Any) -> Callable[[State], object]:
    """Other components than networks, under a name that the builder passes on."""

    def change(state: State) -> None:
        del state["components"]
        state["componentz"] = value

    return change


def _drop(state: State) -> None:
    variables = _inner(state)
    variables[:] = [item for item in variables if item[0] != "8x8/Conv1/weight"]


TF_CASES: dict[str, tuple[Callable[[State], object], str]] = {
    "unknown function": (_set("build_func_name", "G_foo"), "G_foo"),
    "unknown discriminator": (_set("build_func_name", "D_foo"), "D_foo"),
    "function that is no text": (_set("build_func_name", ["G_main"]), "no generator"),
    "unknown mapping": (_set("build_func_name", "G_mapping_foo", "mapping"), "G_mapping_foo"),
    "unknown synthesis": (_set("build_func_name", "G_synthesis_foo", "synthesis"), "G_synthesis_foo"),
    "missing variable": (_drop, VARIABLE),
    "misshapen variable": (_replace(np.zeros((3, 3, 4, 5), np.float32)), VARIABLE),
    "too few axes": (_replace(np.zeros(144, np.float32)), VARIABLE),
    "duplicate variable": (lambda s: _inner(s).append(("8x8/Conv1/weight", np.float32(1))), VARIABLE),
    "extra variable": (lambda s: _inner(s).append(("8x8/Conv7/weight", np.float32(1))), "8x8/Conv7/weight"),
    "extra variable at the top": (lambda s: s["variables"].append(("what", np.float32(1))), "what"),
    "variable of float64": (_replace(np.full((3, 3, 4, 4), 0.1)), VARIABLE),
    "variable of int64": (_replace(np.full((3, 3, 4, 4), (1 << 53) + 1)), VARIABLE),
    "variable beyond float32": (_replace(np.full((3, 3, 4, 4), 1e300)), VARIABLE),
    "variable that is text": (_replace("weights"), VARIABLE),
    "variable beyond floats": (_replace(10**400), VARIABLE),
    "variable without value": (_set("variables", [["a"]], "synthesis"), "variables"),
    "variable whose name is no text": (_set("variables", [(3, np.float32(1))], "synthesis"), "variable"),
    "variables that are a number": (_set("variables", 3, "synthesis"), "variables"),
    "variables that are a dict": (_set("variables", {"abc": 1}), "variables"),
    "no variables": (lambda s: s.pop("variables"), "variables"),
    "no components": (_set("components", {}), "synthesis"),
    "components that are a list": (_components([1, 2]), "components"),
    "a component that is no network": (_components({"mapping": 3}), "components"),
    "a component without name": (_set("name", None, "mapping"), "name"),
    "keywords that are a list": (_set("static_kwargs", [1, 2]), "static_kwargs"),
    "keywords that are None": (_set("static_kwargs", None), "static_kwargs"),
    "keywords that are text": (_set("static_kwargs", "ab"), "static_kwargs"),
    "keywords of numbers": (_set("static_kwargs", {3: 4}), "static_kwargs"),
    "a keyword of the wrong type": (lambda s: s["static_kwargs"].update(resolution="8"), "resolution"),
    "a keyword that is no number": (lambda s: s["static_kwargs"].update(fmap_base=float("inf")), "fmap_base"),
    "source text that is a number": (_set("build_module_src", 3), "build_module_src"),
    "a name with half a character": (lambda s: s["variables"].append(("\ud800", np.float32(1))), "variable"),
}


@pytest.mark.parametrize("case", TF_CASES)
@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_tensorflow_networks_that_contradict_themselves(suffix: str, case: str, tmp_path: Path) -> None:
    change, words = TF_CASES[case]
    path = tmp_path / "in.pkl"
    write_tf(path, change)
    path.write_bytes(path.read_bytes().replace(b"componentz", b"components"))
    refused(path, words, suffix=suffix)


def test_tensorflow_files_without_a_generator(tmp_path: Path) -> None:
    path = tmp_path / "in.pkl"
    write_pickle(path, [tf_network("D_stylegan2"), tf_network("D_stylegan2", 1)])
    status, stderr = run(
        stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1", "--outdir", tmp_path / "target"
    )
    check_refused(status, stderr, path, tmp_path / "target", ["G_ema"])


TENSOR = "synthesis.b8.conv1.weight"


def _conv(module: Module) -> Module:
    return module.modules["synthesis"].modules["b8"].modules["conv1"]


TORCH_CASES: dict[str, tuple[Callable[[Module], object], str]] = {
    "unknown class": (lambda m: setattr(m, "class_name", "Generator2"), "Generator2"),
    "class of EG3D": (lambda m: setattr(m, "class_name", "TriPlaneGenerator"), "is of EG3D, which is not read here"),
    "class of StyleGAN-XL": (lambda m: setattr(m, "class_name", "SuperresGenerator"), "is of StyleGAN-XL"),
    "class that is no text": (lambda m: setattr(m, "class_name", ["Generator"]), "class"),
    "missing tensor": (lambda m: _conv(m).parameters.pop("weight"), TENSOR),
    "misshapen tensor": (
        lambda m: _conv(m).parameters.update(weight=np.zeros((4, 4, 3, 4), np.float32)),
        TENSOR,
    ),
    "extra tensor": (lambda m: _conv(m).parameters.update(more=np.zeros(3, np.float32)), "b8.conv1.more"),
    "extra tensor called like a filter": (
        lambda m: m.modules["mapping"].buffers.update(resample_filter=np.zeros(3, np.float32)),
        "mapping.resample_filter",
    ),
    "another filter": (
        lambda m: _conv(m).parameters.update(resample_filter=np.zeros(3, np.float32)),
        "resample_filter",
    ),
    "duplicate tensor": (
        lambda m: _conv(m).buffers.update(weight=np.zeros((4, 4, 3, 3), np.float32)),
        TENSOR,
    ),
    "missing module": (lambda m: m.modules["synthesis"].modules.pop("b8"), "synthesis.b8"),
    "extra module": (
        lambda m: m.modules.update(more=torch_generator().modules["mapping"]),
        "more.",
    ),
    "tensors that are a list": (lambda m: _conv(m).attributes.update(_parameters=[1]), ""),
    "a tensor that is text": (lambda m: _conv(m).attributes.update(_buffers={"w": "text"}), "conv1.w"),
    "a tensor whose name is a number": (lambda m: _conv(m).attributes.update(_buffers={3: 1.0}), ""),
    "modules that are None": (lambda m: m.attributes.update(_modules=None), ""),
    "a module that is a number": (lambda m: m.attributes.update(_modules={"a": 3}), "holds a"),
    "arguments that are a number": (lambda m: setattr(m, "init_args", 3), "arg"),
    "keywords that are text": (lambda m: setattr(m, "init_kwargs", "text"), "arg"),
    "keywords of numbers": (lambda m: m.init_kwargs.update({"synthesis_kwargs": {3: 4}}), "arg"),
    "nested keywords that are a number": (lambda m: m.init_kwargs.update(mapping_kwargs=3), "mapping_kwargs"),
    "a keyword of the wrong type": (lambda m: m.init_kwargs.update(z_dim="4"), "z_dim"),
    "too many arguments": (lambda m: setattr(m, "init_args", (1,) * 8), "positional"),
}


@pytest.mark.parametrize("case", TORCH_CASES)
@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_torch_networks_that_contradict_themselves(suffix: str, case: str, tmp_path: Path) -> None:
    change, words = TORCH_CASES[case]
    refused(write_torch(tmp_path / "in.pkl", change), words, suffix=suffix)


def test_torch_files_without_networks(tmp_path: Path) -> None:
    path = tmp_path / "in.pkl"
    nothing: Any = Module("AugmentPipe")
    for G in (torch_discriminator(), nothing):
        write_persistence_pickle(path, G=torch_generator(), D=torch_discriminator(), G_ema=G)
        refused(path)


# Our own files, changed so that checksums still hold.


@pytest.mark.parametrize("what", ["missing", "extra", "misshapen"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_our_files_are_checked(suffix: str, what: str, tmp_path: Path) -> None:
    from stylegan_torch.files.checkpoint import _WRITERS, Checkpoint, StoredNetwork

    loaded = converter.load(write_sound(tmp_path, "tf.pkl"))
    net, name = loaded.networks["G_ema"], "synthesis.b8.conv1.weight"
    state = dict(net.state_dict)
    if what == "missing":
        del state[name]
    elif what == "extra":
        name = "synthesis.b8.conv7.weight"
        state[name] = state["synthesis.b8.conv1.weight"].clone()
    else:
        state[name] = state[name][:1].clone()
    path = tmp_path / f"in{suffix}"
    with path.open("wb") as file:
        _WRITERS[suffix](file, Checkpoint({"G_ema": StoredNetwork(net.config, state, net.source)}, loaded.provenance))
    refused(path, name, suffix=".safetensors" if suffix == ".pt" else ".pt")
    status, stderr = run(
        stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1", "--outdir", tmp_path / "target"
    )
    check_refused(status, stderr, path, tmp_path / "target", [name])


def test_zip_entries_of_another_program(tmp_path: Path) -> None:
    """A flag in the directory that says encrypted, or a compression from the future."""
    content = write_sound(tmp_path, "tf.npz").read_bytes()
    first = content.index(b"PK\x01\x02")
    for offset, value in (
        (6, 999),
        (8, 1),
        (10, 99),
        (10, 8),
        (10, 12),
        (10, 14),
    ):  # version, flags, compression
        changed = bytearray(content)
        changed[first + offset : first + offset + 2] = struct.pack("<H", value)
        if offset == 10:
            changed[8:10] = struct.pack("<H", value)
        path = tmp_path / f"{offset}-{value}.npz"
        path.write_bytes(changed)
        refused(path)

"""Files as people have them: read with the picture of the program that made them, or refused by a word that helps."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
import stylegan_torch
from converter.errors import ConvertError
from tests import DATA
from tests.tools.hostile import torch_discriminator, torch_generator
from tests.tools.official_torch import write_persistence_pickle
from tests.tools.there_and_back import comes_back

WILD = DATA / "wild"
PICTURES = {"pti_model.pt": "ref.npz", "idinvert_E_G_D_Gs.pkl": "sg2.npz", "protocol0.pkl": "sg2.npz"}


def _picture(path: Path | str, arrays: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ours and the program's."""
    with np.load(WILD / arrays) as file:
        z, image = torch.from_numpy(file["z"]).float(), file["image"]
        psi = float(file["psi"]) if "psi" in file else 1.0
    G = stylegan_torch.load(path)
    with torch.inference_mode():
        return G(z, truncation_psi=psi, noise_mode="const").numpy(), image


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_that_of_the_program(name: str, tmp_path: Path) -> None:
    ours, theirs = _picture(WILD / name, PICTURES[name])
    assert float(np.abs(ours - theirs).max()) <= 1e-4 * max(1.0, float(np.abs(theirs).max()))
    comes_back(Path(shutil.copy(WILD / name, tmp_path)))


def test_a_pickle_in_a_zip_file_is_the_same(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "wrapped.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(WILD / "protocol0.pkl", "model/network.pkl")
    ours, theirs = _picture(tmp_path / "wrapped.zip", "sg2.npz")
    assert float(np.abs(ours - theirs).max()) <= 1e-4


def test_what_stands_beside_tensorflow_networks_is_passed_over_and_said() -> None:
    notes = converter.inspect(WILD / "idinvert_E_G_D_Gs.pkl").notes
    assert any("E_basic" in note or "passed over" in note for note in notes)


def test_one_module_under_two_keys_is_read_as_both(tmp_path: Path) -> None:
    G = torch_generator()
    write_persistence_pickle(tmp_path / "mixed.pkl", G=G, D=torch_discriminator(), G_ema=G)
    networks = converter.load(tmp_path / "mixed.pkl").networks
    assert set(networks) == {"G", "D", "G_ema"}
    for name, value in networks["G_ema"].state_dict.items():
        assert torch.equal(networks["G"].state_dict[name], value)


# Refusals.


def _without_labels(path: Path) -> None:
    content = torch.load(DATA / "community" / "rosinality_sg2_convert.pt", weights_only=True)
    weight = content["g_ema"]["style.1.weight"]
    content["g_ema"]["style.1.weight"] = torch.cat([weight, weight], dim=1)
    torch.save({"g_ema": content["g_ema"]}, path)


def _state(*names: str, key: str = "g_ema") -> Callable[[Path], None]:
    rosinality = ("to_rgb1.conv.weight", "input.input", "conv1.conv.modulation.weight")
    return lambda path: torch.save({key: {name: torch.zeros(1) for name in (*rosinality, *names)}}, path)


def _tensors(*names: str) -> Callable[[Path], None]:
    return lambda path: torch.save({name: torch.zeros(1) for name in names}, path)


def _written(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def _zipped(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner", content)

    return write


def _text_mode(path: Path) -> None:
    path.write_bytes((WILD / "idinvert_E_G_D_Gs.pkl").read_bytes().replace(b"\n", b"\r\n"))


def _as_utf8(path: Path) -> None:
    path.write_bytes((WILD / "idinvert_E_G_D_Gs.pkl").read_bytes().decode("utf-8", "replace").encode())


def _script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("G/data.pkl", "G/code/__torch__.py", "G/constants.pkl"):
            archive.writestr(name, b"\x80\x02}.")


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "labels lost": (_without_labels, "this network had labels"),
    "SWAGAN": (_state("to_rgbs.0.iwt.ll"), "is of SWAGAN"),
    "DualStyleGAN": (_state("generator.to_rgb1.conv.weight", "res.0.conv.0.weight"), "is of DualStyleGAN"),
    "GFPGAN": (_state("stylegan_decoder.style_mlp.1.weight", key="params_ema"), "is of GFPGAN"),
    "StyleSwin": (
        lambda path: torch.save(
            {n: torch.zeros(1) for n in ("layers.0.blocks.0.attn.w", "to_rgbs.0.conv.weight")}, path
        ),
        "is of StyleSwin",
    ),
    "a TorchScript program": (_script, "is a TorchScript program"),
    "a web page": (_written(b"\xef\xbb\xbf<!DOCTYPE html><html>"), "is a web page"),
    "a host's answer": (_written(b"Entry not found"), 'only the text "Entry not found"'),
    "another": (_written(b"Invalid username or password."), 'only the text "Invalid username or password."'),
    "JSON": (_written(json.dumps({"error": "Not found"}).encode()), "is JSON text: .*Not found"),
    "a Git LFS pointer": (_written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer"),
    "line ends changed": (_text_mode, "changed its line ends"),
    "bytes replaced": (_as_utf8, "replaced bytes that are none"),
    "an array": (_npy, "numpy array"),
    "HDF5": (_written(b"\x89HDF\r\n\x1a\n" + bytes(100)), "HDF5"),
    "a TensorFlow index": (
        _written(bytes(100) + bytes.fromhex("57fb808b247547db")),
        "index of a TensorFlow checkpoint",
    ),
    "an ONNX model": (_written(b"\x08\x08\x12\x07pytorch\x1a\x032.0" + bytes(range(256))), "ONNX model"),
    "a module": (
        lambda path: torch.save(torch.nn.Linear(2, 2), path),
        r"an object of torch\.nn\.modules\.linear\.Linear",
    ),
    "nothing, compressed": (_written(gzip.compress(b"")), "is empty once it is unpacked"),
    "nothing in a zip file": (_zipped(b""), "is empty once it is unpacked"),
    "ours in a zip file": (_zipped((DATA / "version1.safetensors").read_bytes()), "holds a file of ours"),
    "a pickle of something": (_written(pickle.dumps({"a": [1, 2]})), "in which is no network known here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_called_what_they_are(case: str, tmp_path: Path) -> None:
    write, words = REFUSED[case]
    write(tmp_path / "file")
    with pytest.raises(ConvertError, match=words) as error:
        converter.inspect(tmp_path / "file")
    assert "\n" not in str(error.value)

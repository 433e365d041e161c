"""Running the original: networks built from our sources in the official way; exported, converted, verified.

One way round: files are made with their source embedded (`tf_builder`), run in the child process, and our network is
held against what came out. Other way round: files of the original programs are given our sources, and what those
compute is held against what the original programs computed.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from filelock import FileLock

import converter
from converter.foreign import ForeignFile
from converter.forms.tensorflow.pickler import carrying, write_pickle
from converter.original.run import Recording
from converter.reading import open_source
from stylegan_torch.commands.convert import main as convert_command
from stylegan_torch.commands.export_tf import main as export_command
from stylegan_torch.commands.verify import main as verify_command
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork, write
from stylegan_torch.proof.reference import read_reference
from stylegan_torch.proof.verify import verify
from tests import DATA, TOOLS
from tests.tools.compare import assert_same_picture
from tests.tools.jail import export, weak_option
from tests.tools.long import cases
from tests.tools.tf_builder import MADE, SOURCES

pytestmark = pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs the extra: pip install '.[tf]'")

OFFICIAL = {
    "pg": "progan",
    "pg-unfused": "progan",
    "sg1": "stylegan1",
    "sg1-cond": "stylegan1",
    "sg1-fused": "stylegan1",
    "sg2-cond": "stylegan2",
    "sg2-orig": "stylegan2",
    "sg2-resnet": "stylegan2",
    "sg2-revised": "stylegan2",
    "sg2-skip": "stylegan2",
    "ada": "ada",
    "ada-cond": "ada",
}
OTHERS = ["pg-unfused", "sg1-cond", "sg2-cond", "sg2-orig", "sg2-revised"]
"""Of a source that another case runs too."""


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that `tf_builder` makes, made once for all workers."""
    folder = tmp_path_factory.getbasetemp().parent / "made"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            script, unfinished = TOOLS / "tf_builder.py", folder.with_suffix(".unfinished")
            unfinished.mkdir(exist_ok=True)
            subprocess.run([sys.executable, script, unfinished], check=True)
            unfinished.rename(folder)
    return folder


@pytest.mark.parametrize("name", cases(MADE, long=["ada", "config-d", "stylegan1", "stylegan2"]))
def test_made_exported_converted_verified(name: str, made: Path, tmp_path: Path) -> None:
    source, dump, reference = made / f"{name}.pkl", tmp_path / "run.npz", tmp_path / "reference.npz"
    options = ["--seeds", "3-7", "--class", 1, "--layers", *([] if name == "progan" else ["--truncation", 0.7])]
    result = run(
        export_command, source, dump, "--trust-embedded-code", *weak_option(), "--reference", reference, *options
    )
    assert result.exit_code == 0, result.output

    converter.convert(source, tmp_path / "read.npz")
    assert dump.read_bytes() == (tmp_path / "read.npz").read_bytes()

    converter.convert(dump, tmp_path / "network.pt")
    result = run(verify_command, tmp_path / "network.pt", reference, "--report", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    verdict = verify(_modules(converter.load(source)), read_reference(reference))
    assert verdict.passed
    assert verdict.first_departure is None
    recorded = {(layer.network, layer.module) for layer, _ in verdict.layers}
    assert recorded >= {("G_ema", f"{_synthesis(name)}b{r}.conv1") for r in (4, 8, 16)}
    assert recorded >= {("D", layer) for layer in ("b16.conv0", "b8.conv1", "b4.conv", "b4.fc")}


def _modules(checkpoint: Checkpoint) -> dict[str, torch.nn.Module]:
    return {role: checkpoint.network(role) for role in ("G_ema", "D")}


def _synthesis(name: str) -> str:
    return "" if name == "progan" else "synthesis."


def _with_source(case: str, path: Path) -> Path:
    """Give a file of the original programs, which carries no source, one of ours."""
    source = open_source(DATA / f"{case}.pkl")
    assert isinstance(source, ForeignFile)
    code = (SOURCES / f"{OFFICIAL[case]}.py").read_text()
    write_pickle(path, [carrying(source.networks[role], code) for role in ("G", "D", "G_ema")])
    return path


@pytest.mark.parametrize(
    "case",
    cases(
        OFFICIAL,
        long=[
            "pg-unfused",
            "sg1-cond",
            "sg1-fused",
            "sg2-cond",
            "sg2-orig",
            "sg2-resnet",
            "sg2-revised",
            "sg2-skip",
            "ada-cond",
            "ada",
            "sg1",
        ],
    ),
)
def test_what_is_recorded_is_what_the_original_program_computed(case: str, tmp_path: Path) -> None:
    source, path = _with_source(case, tmp_path / "in.pkl"), tmp_path / "reference.npz"
    with np.load(DATA / f"{case}.npz") as expected:
        seeds = sorted({int(name[4:].partition("_")[0]) for name in expected if name.startswith("seed")}) or [0]
        labels = expected["labels"].shape[1]
        style_based = OFFICIAL[case] != "progan"
        psi, label = (0.7, 1) if style_based else (None, 0)
        export(source, tmp_path / "out.npz", path, Recording(seeds, psi, label if labels else None))
        reference = read_reference(path)
        for seed, image, picture in zip(
            seeds, reference.arrays["images"], reference.arrays["images_uint8"], strict=True
        ):
            if style_based:
                assert np.abs(image.numpy() - expected[f"seed{seed}_psi0.7_float"][0]).max() <= 1e-4
                floats = expected[f"seed{seed}_psi0.7_float"]
                assert_same_picture(picture.numpy(), expected[f"seed{seed}_psi0.7_uint8"], floats)
    assert verify(_modules(converter.load(source)), reference).passed


def test_stored_noise_is_recorded_once_for_all_pictures(tmp_path: Path) -> None:
    source, path = _with_source("sg2-skip", tmp_path / "in.pkl"), tmp_path / "reference.npz"
    export(source, tmp_path / "out.npz", path, Recording([5, 1], noise="stored"))
    reference = read_reference(path)
    assert reference.noise is not None
    stored = open_source(source).networks["G_ema"]
    for i, noise in enumerate(reference.noise):
        assert torch.equal(noise, stored.tensors[f"G_synthesis/noise{i}"])  # type: ignore[union-attr]
    assert verify(_modules(converter.load(source)), reference).passed


def test_a_kernel_that_is_not_flipped_is_found_and_its_layer_named(made: Path, tmp_path: Path) -> None:
    source, reference = made / "stylegan2.pkl", tmp_path / "reference.npz"
    export(source, tmp_path / "out.npz", reference, Recording([0], class_index=1, layers=True))
    right = converter.load(source)
    for role, tensor, theirs in (
        ("G_ema", "synthesis.b16.conv0.weight", "G_synthesis/16x16/Conv0_up"),
        ("D", "b8.conv0.weight", "8x8/Conv0"),
    ):
        networks = dict(right.networks)
        state = dict(networks[role].state_dict)
        state[tensor] = state[tensor].flip(2, 3)
        networks[role] = StoredNetwork(networks[role].config, state, networks[role].source)
        write(tmp_path / "wrong.pt", Checkpoint(networks, right.provenance), force=True)
        result = run(verify_command, tmp_path / "wrong.pt", reference)
        assert result.exit_code == 1
        module = tensor.removesuffix(".weight")
        assert f"first layer that departs: {module} of {role}, in the original {theirs}\n" in result.output
        assert "NOT the same as the original" in result.output


def test_convert_verify_does_the_two_in_one_go(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.pt"
    result = run(convert_command, made / "config-d.pkl", path, "--verify")
    assert result.exit_code == 1
    assert "--trust-embedded-code" in result.output
    assert not path.exists()
    result = run(convert_command, made / "config-d.pkl", path, "--verify", "--trust-embedded-code", *weak_option())
    assert result.exit_code == 0, result.output
    assert "the same as the original" in result.output
    assert path.exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("case", "edits"),
    [
        # The layers end elsewhere; noise maps are made backwards; half precision is the source's own default; sizes are
        # no integers, as in the official release.
        ("sg2-resnet", [("x *= 1 / np.sqrt(2)", "x = x / tf.sqrt(2.0)")]),
        (
            "sg2-skip",
            [("in range(2 * top - 3)", "in reversed(range(2 * top - 3))"), ("noise.append(", "noise.insert(0, ")],
        ),
        ("ada", [("num_fp16_res=0", "num_fp16_res=2")]),
        (
            "sg1-cond",
            [
                (
                    "shape = [1, 1] + [2 ** (index // 2 + 2)] * 2",
                    "shape = [1, use_noise] + [2.0 ** (index // 2 + 2)] * 2",
                )
            ],
        ),
    ],
)
def test_sources_in_other_styles(case: str, edits: list[tuple[str, str]], tmp_path: Path) -> None:
    path = _with_edited_source(DATA / f"{case}.pkl", (SOURCES / f"{OFFICIAL[case]}.py").read_text(), edits, tmp_path)
    export(path, tmp_path / "out.npz", tmp_path / "ref.npz", Recording([1], layers=True))
    verdict = verify(_modules(converter.load(path)), read_reference(tmp_path / "ref.npz"))
    assert verdict.passed
    assert sum(comparison.passed for _, comparison in verdict.layers) > 10
    half = ": networks G_ema and D, which compute in half precision by themselves, were run in float32"
    said = "the same as the original" + (f" in float32{half}" if case == "ada" else "")
    assert verdict.summary()[-1] == said


def _with_edited_source(original: Path, code: str, edits: list[tuple[str, str]], folder: Path) -> Path:
    """Give the networks of a file a source, some of whose text is exchanged."""
    for old, new in edits:
        assert old in code, old
        code = code.replace(old, new)
    source = open_source(original)
    assert isinstance(source, ForeignFile)
    write_pickle(folder / "in.pkl", [carrying(source.networks[role], code) for role in ("G", "D", "G_ema")])
    return folder / "in.pkl"


ATTENTIVE = [
    (
        "            return self.layer(x, 2 * res - 4, fmaps)",
        "            x = self.layer(x, 2 * res - 4, fmaps)\n        return attend(x, 'attention_g') if res == 6 else x",
    ),
    (
        "        return bias_act(conv(x, how.nf(res - 2), 3, how.taps, scale=0.5), how.act)",
        "        x = bias_act(conv(x, how.nf(res - 2), 3, how.taps, scale=0.5), how.act)\n"
        "    return attend(x, 'attention_d') if res == 6 else x",
    ),
]


@pytest.mark.long
def test_spectral_norms_are_as_in_the_file_at_every_evaluation(tmp_path: Path) -> None:
    code = (SOURCES / "attention.py").read_text() + (SOURCES / "stylegan2.py").read_text()
    path = _with_edited_source(DATA / "nonsquare" / "fork-skyflynil-att.pkl", code, ATTENTIVE, tmp_path)
    export(path, tmp_path / "out.npz", tmp_path / "ref.npz", Recording([0, 7, 1, 2, 3], 0.7, layers=True))
    reference = read_reference(tmp_path / "ref.npz")
    verdict = verify(_modules(converter.load(path)), reference)
    assert verdict.passed, verdict.table()
    assert all(comparison.passed for _, comparison in verdict.layers)
    names = {layer.module for layer, _ in verdict.layers}
    assert {"synthesis.b64.attention.key", "b64.attention.out"} <= names
    converter.convert(path, tmp_path / "read.npz")
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "read.npz").read_bytes()


def test_layers_that_cannot_be_told_apart_are_noted(tmp_path: Path) -> None:
    source = open_source(DATA / "pg-unfused.pkl")
    assert isinstance(source, ForeignFile)
    old = '    if structure in ("fixed", "linear"):'
    code = (SOURCES / "progan.py").read_text().replace(old, "    assert structure != 'linear'\n" + old)
    assert "assert structure" in code
    write_pickle(tmp_path / "in.pkl", [carrying(source.networks["G_ema"], code)])
    original = export(tmp_path / "in.pkl", tmp_path / "out.npz", tmp_path / "ref.npz", Recording([1], layers=True))
    assert original.source.notes == ("no layers of network G_ema: they could not be told apart in its graph",)
    assert verify({"G_ema": converter.load(tmp_path / "in.pkl").network()}, read_reference(tmp_path / "ref.npz")).passed

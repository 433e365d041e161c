"""State dicts of the official PyTorch modules: read under any key, written for them, and pickled where they are."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.fit import refuse_others
from converter.reading import open_source
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import stylegan2, stylegan3
from tests import DATA, HOME
from tests.tools import official_modules
from tests.tools.official_torch import persistence_network
from tests.tools.there_and_back import comes_back
from tests.tools.torch_cases import CASES, SMALL_D, SMALL_G, Case, case_id, write

PICKLES = ["ada1_skip64.pkl", "ada2_cond5.pkl", "ada3_resnetG_skipD.pkl", "ada4_orig_cifar.pkl", "sg3repo_sg2.pkl"]
STYLEGAN3 = ["sg3t_64.pkl", "sg3r_64.pkl"]
WILD = DATA / "wild" / "official" / "sg3_state_dict_for_stylegan3-editing.pt"


def states_of(pickled: Path) -> dict[str, dict[str, Tensor]]:
    """The state dict of each network of an official pickle."""
    source = open_source(pickled)
    assert isinstance(source, ForeignFile)
    return {role: dict(network.tensors) for role, network in source.networks.items()}


def said_of(config: Any) -> dict[str, Any]:
    """What a state dict doesn't tell of a network, as --assume takes it."""
    names = ["conv_clamp", "num_fp16_res"]
    if isinstance(config, stylegan3.GeneratorConfig):
        names += ["first_cutoff", "first_stopband", "num_critical", "margin_size", "output_scale"]
        return {name: getattr(config, name) for name in names}
    said = {name: getattr(config, name) for name in [*names, "activation"]}
    if hasattr(config, "mbstd_group_size"):
        said |= {"mbstd_group_size": config.mbstd_group_size, "epilogue_activation": config.epilogue_activation}
    mapping = config.mapping
    return said | (
        {"mapping_activation": mapping.activation, "lr_multiplier": mapping.lr_multiplier} if mapping else {}
    )


def assert_same(read: Checkpoint, wanted: Checkpoint, *roles: str) -> None:
    for role in roles:
        ours, theirs = read.networks[role], wanted.networks[role]
        config: Any = ours.config
        if hasattr(config, "resample_filter"):
            taps, usual = (np.array(c.resample_filter) / sum(c.resample_filter) for c in (config, theirs.config))  # type: ignore[union-attr]
            assert np.allclose(taps, usual, atol=1e-7)
            config = replace(config, resample_filter=theirs.config.resample_filter)  # type: ignore[union-attr]
        refuse_others(theirs.config, config)
        assert set(ours.state_dict) == set(theirs.state_dict)
        assert all(torch.equal(ours.state_dict[name], value) for name, value in theirs.state_dict.items())


@pytest.mark.parametrize("name", [*PICKLES, *STYLEGAN3])
def test_a_state_dict_is_the_network_of_the_pickle(name: str, tmp_path: Path) -> None:
    wanted, states = converter.load(DATA / name), states_of(DATA / name)
    for role, state in states.items():
        torch.save(state, tmp_path / "flat.pt")
        read = converter.load(tmp_path / "flat.pt", assumed=said_of(wanted.networks[role].config))
        assert_same(Checkpoint({role: next(iter(read.networks.values()))}, {}), wanted, role)
    torch.save({**states, "step": 3}, tmp_path / "all.pt")
    assert set(converter.load(tmp_path / "all.pt").networks) == set(states)
    comes_back(tmp_path / "all.pt")


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_argument_of_the_classes(case: Case, tmp_path: Path) -> None:
    """Read off the tensors, or said; written, the official class takes it with strict=True."""
    kind, options = case
    role = "D" if kind == "D" else "G_ema"
    pickled = write(tmp_path / "net.pkl", persistence_network(kind, 1, **options))
    wanted = converter.load(pickled, [role])
    ours: Any = wanted.network(role)
    torch.save(states_of(pickled)[role], tmp_path / "state.pt")
    if ours.img_resolution == 4 and kind == "G":
        options = {**options, "synthesis_kwargs": {}}  # no filter is used
    said = said_of(wanted.networks[role].config)
    assert_same(converter.load(tmp_path / "state.pt", assumed=said), wanted, role)
    converter.convert(pickled, tmp_path / "ada.pt", [role], format="ada")
    state = torch.load(tmp_path / "ada.pt", weights_only=True)[role]
    official = official_modules.Discriminator if kind == "D" else official_modules.Generator
    theirs = official(*ours.init_args, **ours.init_kwargs).eval().requires_grad_(False)
    theirs.load_state_dict(state, strict=True)
    assert set(state) == set(theirs.state_dict())
    assert_same(converter.load(tmp_path / "ada.pt", assumed=said), wanted, role)


def test_the_official_class_draws_the_same_of_other_programs_networks(tmp_path: Path) -> None:
    for name in ("sg2-skip.pkl", "community/rosinality_sg2_convert.pt"):
        ours: Any = converter.load(DATA / name)
        converter.convert(DATA / name, tmp_path / "ada.pt", ["g_ema", "d"], format="ada", force=True)
        states = torch.load(tmp_path / "ada.pt", weights_only=True)
        G, D = ours.network("G_ema"), ours.network("D")
        theirs_g = official_modules.Generator(**G.init_kwargs).requires_grad_(False)
        theirs_d = official_modules.Discriminator(**D.init_kwargs).requires_grad_(False)
        theirs_g.load_state_dict(states["G_ema"], strict=True)
        theirs_d.load_state_dict(states["D"], strict=True)
        z = torch.randn(4, G.z_dim)
        images = G(z)
        torch.testing.assert_close(theirs_g(z, None, noise_mode="const"), images, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(theirs_d(images, None), D(images), atol=1e-4, rtol=1e-4)


def wrapped(state: dict[str, Tensor], how: str, folder: Path) -> Path:
    path = folder / f"{how}.pt"
    if how == "safetensors":
        safetensors.torch.save_file(state, path)
    elif how == "pickled":
        path.write_bytes(pickle.dumps({"G_ema": OrderedDict((k, v.numpy()) for k, v in state.items())}))
    elif how == "lightning":
        torch.save({"state_dict": {f"G_ema.{name}": value for name, value in state.items()}, "epoch": 2}, path)
    elif how == "half":
        torch.save({name: value.half().float() for name, value in state.items()}, folder / "rounded.pt")
        torch.save({name: value.half() for name, value in state.items()}, path)
    else:
        torch.save({f"{how}{name}": value for name, value in state.items()}, path)
    return path


@pytest.mark.parametrize("how", ["safetensors", "pickled", "lightning", "half", "decoder.", "module."])
@pytest.mark.parametrize("name", ["ada1_skip64.pkl", "sg3r_64.pkl"])
def test_wrapped(name: str, how: str, tmp_path: Path) -> None:
    state = states_of(DATA / name)["G_ema"]
    torch.save(state, tmp_path / "flat.pt")
    read = converter.load(wrapped(state, how, tmp_path))
    assert_same(read, converter.load(tmp_path / ("rounded.pt" if how == "half" else "flat.pt")), "G_ema")


def test_of_stylegan3_editing(tmp_path: Path) -> None:
    checkpoint, arrays = converter.load(WILD), np.load(WILD.with_suffix(".npz"))
    G = checkpoint.network()
    images = G(torch.from_numpy(arrays["z"]))
    assert float((images - torch.from_numpy(arrays["image"])).abs().max()) <= 1e-4
    converter.convert(WILD, tmp_path / "again.pt", format="stylegan3")
    again, original = (torch.load(path, weights_only=True) for path in (tmp_path / "again.pt", WILD))
    assert set(again) == set(original)
    assert all(torch.equal(again[name], value) for name, value in original.items())
    path = tmp_path / "wild.pt"
    path.write_bytes(WILD.read_bytes())
    comes_back(path)


SIZES: dict[str, dict[str, Any]] = {
    "usual": {},
    "cutoffs": {"first_cutoff": 3.0, "first_stopband": 7.0},
    "wide": {"channel_base": 700, "channel_max": 24},
    "no-up": {"lrelu_upsampling": 1},
    "filters": {"filter_size": 4, "lrelu_upsampling": 4},
    "critical": {"num_critical": 0, "margin_size": 4},
    "kernel": {"conv_kernel": 1, "use_radial_filters": True, "output_scale": 0.5, "conv_clamp": None},
}


def small_stylegan3(**options: Any) -> Any:
    mapping = stylegan2.MappingConfig(z_dim=8, c_dim=0, w_dim=10, num_layers=2, layer_dim=10, w_avg_beta=0.998)
    sizes: dict[str, Any] = {"img_resolution": 32, "channel_base": 256, "channel_max": 16, "num_layers": 5, **options}
    return stylegan3.Generator(stylegan3.GeneratorConfig(mapping, img_channels=3, **sizes))


@pytest.mark.parametrize("options", SIZES.values(), ids=SIZES)
def test_sizes_of_stylegan3(options: dict[str, Any], tmp_path: Path) -> None:
    G = small_stylegan3(**options).requires_grad_(False)
    torch.save(G.state_dict(), tmp_path / "a.pt")
    names = ("channel_base", "channel_max", "filter_size", "conv_kernel", "use_radial_filters")
    said = {name: value for name, value in options.items() if name not in names}
    read: Any = converter.load(tmp_path / "a.pt", assumed=said)
    assert [s.after for s in stylegan3.layer_specs(read.networks["G_ema"].config)] == [
        s.after for s in stylegan3.layer_specs(G.config)
    ]
    z = torch.randn(2, 8)
    assert torch.equal(read.network()(z), G(z))
    if set(said) & {"first_cutoff", "lrelu_upsampling", "num_critical"}:
        with pytest.raises(
            ConvertError, match=r"that num_critical=2, first_cutoff=2, .* give; if they are others, say"
        ):
            converter.load(tmp_path / "a.pt")


def test_networks_that_are_not_square(tmp_path: Path) -> None:
    for name in ("eps-ada-3x5", "human-sg2", "human-sg3r"):
        pickled = DATA / "nonsquare" / f"{name}.pkl"
        wanted, states = converter.load(pickled), states_of(pickled)
        torch.save(states, tmp_path / "states.pt")
        assert_same(converter.load(tmp_path / "states.pt", ["G_ema"]), wanted, "G_ema")
        D: Any = converter.load(tmp_path / "states.pt", ["D"]).networks["D"].config
        assert D.base_size == wanted.networks["D"].config.base_size  # type: ignore[union-attr]
    torch.save(states_of(DATA / "nonsquare" / "eps-ada-3x5.pkl")["D"], tmp_path / "d.pt")
    sizes = [
        converter.load(tmp_path / "d.pt", assumed=said).networks["D"].config for said in (None, {"base_size": [3, 5]})
    ]
    assert [config.base_size for config in sizes] == [(5, 3), (3, 5)]  # type: ignore[union-attr]


BROKEN: dict[str, tuple[str, Any, str]] = {
    "missing": ("synthesis.b8.conv1.bias", None, r"network G_ema: variable synthesis\.b8\.conv1\.bias is missing"),
    "misshapen": ("mapping.fc1.bias", torch.zeros(3), r"variable mapping\.fc1\.bias has shape \[3\]"),
    "flat": ("synthesis.b4.const", torch.zeros(3), r"variable synthesis\.b4\.const has shape \[3\]"),
    "filter": ("synthesis.b8.resample_filter", torch.ones(4, 4, 4), "resample_filter"),
    "other filter": (
        "synthesis.b16.conv0.resample_filter",
        torch.ones(4, 4) / 16,
        r"b16\.conv0\.resample_filter is not",
    ),
    "unknown": ("synthesis.b8.more", torch.zeros(1), r"variable synthesis\.b8\.more is unknown"),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_broken(change: tuple[str, Any, str], tmp_path: Path) -> None:
    name, value, words = change
    state = states_of(DATA / "ada1_skip64.pkl")["G_ema"]
    state.pop(name, None)
    torch.save(state if value is None else {**state, name: value}, tmp_path / "a.pt")
    with pytest.raises(ConvertError, match=words):
        converter.load(tmp_path / "a.pt")


def test_broken_of_stylegan3(tmp_path: Path) -> None:
    state = dict(small_stylegan3().state_dict())
    layer = next(name for name in state if ".L2_" in name and name.endswith(".weight"))
    scope = layer.removesuffix(".weight")
    for changed, words in (
        ({name: value for name, value in state.items() if scope not in name}, r"layers L0, L1, L3, .* are missing"),
        ({**state, f"{scope}.up_filter": state[f"{scope}.up_filter"] * 1.1}, rf"{scope}.up_filter is not the filter"),
        ({name.replace("L2_52", "L2_60"): v for name, v in state.items()}, "is not the L"),
        ({name: value for name, value in state.items() if name != layer.replace("weight", "bias")}, r"bias is missing"),
    ):
        torch.save(changed, tmp_path / "a.pt")
        with pytest.raises(ConvertError, match=words):
            converter.load(tmp_path / "a.pt")


def test_eg3d_is_named(tmp_path: Path) -> None:
    state = states_of(DATA / "ada1_skip64.pkl")["G_ema"]
    torch.save({f"backbone.{name}": value for name, value in state.items()}, tmp_path / "a.pt")
    with pytest.raises(ConvertError, match=r"is of EG3D, which is another kind of network"):
        converter.load(tmp_path / "a.pt")


REFUSED = {
    "pg.pkl": "it is of the family progan",
    "sg3t_64.pkl": "it is of the family stylegan3",
    "sg2-cond.pkl": "its mapping.labels is",
    "nonsquare/human-sg2.pkl": "its first level is 4x2, not 4x4",
}


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_what_the_official_class_cannot_hold_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=f"has no place in format ada: {words}"):
        converter.convert(DATA / name, tmp_path / "a.pt", format="ada")
    assert not list(tmp_path.iterdir())


def test_what_is_not_as_usual_is_told(tmp_path: Path) -> None:
    summary = converter.convert(DATA / "sg2-skip.pkl", tmp_path / "a.pt", ["g_ema"], format="ada")
    assert "a state dict doesn't say that conv_clamp=null, num_fp16_res=0 of G_ema" in " ".join(summary.notes)
    torch.save(small_stylegan3(output_scale=0.5).state_dict(), tmp_path / "b.pt")
    summary = converter.convert(tmp_path / "b.pt", tmp_path / "c.pt", format="stylegan3", assumed={"output_scale": 0.5})
    assert "a state dict doesn't say that output_scale=0.5 of G_ema" in " ".join(summary.notes)


FLAT = """
from tests.tools.official_modules import Discriminator, Generator as Nested
class Generator(Nested):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, **synthesis_kwargs):
        super().__init__(z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs)
"""
NESTED = "from tests.tools.official_modules import Discriminator, Generator\n"
STYLEGAN3_STAND_IN = """
from stylegan_torch.networks import stylegan2, stylegan3
class Generator(stylegan3.Generator):
    def __init__(self, z_dim, c_dim, w_dim, mapping_kwargs, **kwargs):
        mapping = stylegan2.MappingConfig(z_dim, c_dim, w_dim, layer_dim=w_dim, **mapping_kwargs)
        super().__init__(stylegan3.GeneratorConfig(mapping, **kwargs))
"""
PROGRAMS = {
    "stylegan2-ada-pytorch": {"networks": NESTED},
    "stylegan3": {"networks_stylegan2": FLAT, "networks_stylegan3": STYLEGAN3_STAND_IN},
}


def make_pickle(folder: Path, program: str, *files: Path) -> tuple[int, str]:
    """Run the script in the stand-in of a program's folder; return its status and what it says."""
    for name, text in PROGRAMS[program].items():
        module = folder / program / "training" / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.with_name("__init__.py").touch()
        module.write_text(text)
    command = [sys.executable, *map(str, files)]
    environment = {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder / program, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def unpickled(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "training"]:
        monkeypatch.delitem(sys.modules, name)
    content: dict[str, Any] = pickle.loads(path.read_bytes())
    assert set(content) == {"G", "D", "G_ema", "training_set_kwargs", "augment_pipe"}
    return content


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_pickle_is_made_where_the_official_classes_are(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = persistence_network("G", 1, **SMALL_G), persistence_network("D", 2, **SMALL_D)
    pickled = write(tmp_path / "net.pkl", *module)
    state, script, made = tmp_path / "state.pt", tmp_path / "make_pickle.py", tmp_path / "made.pkl"
    converter.convert(pickled, state, ["g_ema", "d"], format="ada")
    summary = converter.convert(pickled, script, ["g_ema", "d"])
    assert "the script takes what --format ada writes of the same network" in summary.notes
    assert make_pickle(tmp_path, program, script, state, made) == (0, f"Wrote {made}\n")
    content = unpickled(made, tmp_path / program, monkeypatch)
    ours, z = converter.load(pickled), torch.randn(2, 10)
    torch.testing.assert_close(content["G_ema"](z, None, noise_mode="const"), ours.network()(z), atol=1e-4, rtol=1e-4)
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(content["D"](images, None), ours.network("D")(images), atol=1e-4, rtol=1e-4)
    assert content["G"] is content["G_ema"]
    assert make_pickle(tmp_path, program, script, state, made) == (1, f"{made} exists\n")


def test_a_pickle_of_stylegan3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, script, made = tmp_path / "state.pt", tmp_path / "make_pickle.py", tmp_path / "made.pkl"
    converter.convert(WILD, state, format="stylegan3")
    converter.convert(WILD, script)
    status, text = make_pickle(tmp_path, "stylegan3", script, state, made)
    assert status == 0, text
    assert "an untrained one is put in" in text
    G, z = unpickled(made, tmp_path / "stylegan3", monkeypatch)["G_ema"], torch.randn(2, 64)
    assert torch.equal(G(z), converter.load(WILD).network()(z))
    made.unlink()
    status, text = make_pickle(tmp_path, "stylegan2-ada-pytorch", script, state, made)
    assert (status, "belongs into the folder of stylegan3" in text) == (1, True)
    assert not made.exists()


def test_no_script_is_made_for_other_networks(tmp_path: Path) -> None:
    for name in ("pg.pkl", "nonsquare/human-sg3r.pkl", "ada.pkl"):
        roles = ["d"] if name == "ada.pkl" else None
        with pytest.raises(ConvertError, match=r"has no place in format|format make-pickle needs network G_ema"):
            converter.convert(DATA / name, tmp_path / "make_pickle.py", roles)

"""File formats: whatever wrote a file and whatever its name, its content decides; what comes out opens anywhere."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import lzma
import re
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import converter
import stylegan_torch
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import progan, stylegan1, stylegan2
from stylegan_torch.networks import registry as networks
from tests import DATA, HOME
from tests.tools.official import EasyDict, NumpyStyle, State, build, write_pickle
from tests.tools.official_torch import persistence_network, write_persistence_pickle

SMALL: dict[str, Any] = {"num_channels": 3, "resolution": 8, "fmap_base": 32, "fmap_max": 6}
LATENT: dict[str, Any] = {"latent_size": 5, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 2}


def generator(seed: int = 1, function: str = "G_main", **options: Any) -> State:
    return build(function, seed, **{**SMALL, **LATENT, **options})


def discriminator(function: str = "D_stylegan2", **options: Any) -> State:
    return build(function, 2, **{**SMALL, **options})


def three(**options: Any) -> tuple[State, State, State]:
    """G, D, Gs."""
    return generator(3, name="G", **options), discriminator(), generator(1, name="Gs", **options)


def write(directory: Path, *states: State) -> Path:
    path = directory / "net.pkl"
    write_pickle(path, states[0] if len(states) == 1 else states)
    return path


def assert_same(actual: Checkpoint, expected: Checkpoint) -> None:
    """The same networks, bit for bit."""
    assert list(actual.networks) == list(expected.networks)
    for role, network in expected.networks.items():
        assert actual.networks[role].config == network.config
        for part in ("state_dict", "source"):
            ours, theirs = getattr(actual.networks[role], part), getattr(network, part)
            assert set(ours) == set(theirs)
            for name, value in theirs.items():
                assert torch.equal(ours[name], value), name


# Ways in which the same network may have been written.

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "xz": lzma.compress,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
}
NAMES = ["download", "x.bin", "model.png", "network.pkl.gz", "weights.pt", "uc?export=download&id=0"]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("style", ["old", "new"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocol_numpy_version_compression_and_name(
    protocol: int, style: NumpyStyle, packer: str, tmp_path: Path
) -> None:
    states = three()
    expected = converter.load(write(tmp_path, *states))
    name = NAMES[(protocol + len(packer) + len(style)) % len(NAMES)]
    write_pickle(tmp_path / name, states, protocol=protocol, numpy_style=style)
    (tmp_path / name).write_bytes(PACKERS[packer]((tmp_path / name).read_bytes()))
    assert_same(converter.load(tmp_path / name), expected)


@pytest.mark.parametrize("packer", PACKERS)
def test_compressed_pickle_of_the_pytorch_release(packer: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"channel_base": 32, "channel_max": 4}
    G = persistence_network("G", 1, z_dim=4, w_dim=4, img_resolution=8, synthesis_kwargs=sizes)
    D = persistence_network("D", 1, img_resolution=8, **sizes)
    write_persistence_pickle(tmp_path / "net.pkl", G=G, D=D, G_ema=G)
    packed = tmp_path / "download"
    packed.write_bytes(PACKERS[packer]((tmp_path / "net.pkl").read_bytes()))
    assert_same(converter.load(packed), converter.load(tmp_path / "net.pkl"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_files_of_ours_are_known_by_their_content(suffix: str, name: str, tmp_path: Path) -> None:
    path = write(tmp_path, *three())
    converter.convert(path, tmp_path / f"net{suffix}")
    (tmp_path / f"net{suffix}").rename(tmp_path / name)
    assert_same(converter.load(tmp_path / name), converter.load(path))


def change_arrays(state: State, change: Callable[[Any], Any]) -> State:
    """The network with every array of at least one dimension stored in another form."""
    variables = [(name, change(value) if np.ndim(value) else value) for name, value in state["variables"]]
    components = {key: change_arrays(part, change) for key, part in state["components"].items()}
    return {**state, "variables": variables, "components": components}


FORMS: dict[str, Callable[[Any], Any]] = {
    "big-endian": lambda x: x.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "not contiguous": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "double precision": lambda x: x.astype(np.float64),
    "big-endian double precision": lambda x: x.astype(">f8"),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_arrays_in_other_forms_hold_the_same_numbers(form: str, protocol: int, tmp_path: Path) -> None:
    state = generator()
    expected = converter.load(write(tmp_path, state))
    write_pickle(tmp_path / "other.pkl", change_arrays(state, FORMS[form]), protocol=protocol)
    actual = converter.load(tmp_path / "other.pkl")
    assert_same(actual, expected)
    assert all(value.is_contiguous() for value in actual.networks["G_ema"].state_dict.values())


@pytest.mark.parametrize("form", FORMS)
def test_dump_does_not_depend_on_the_form_of_arrays(form: str, tmp_path: Path) -> None:
    write_pickle(tmp_path / "net.pkl", change_arrays(generator(), FORMS[form]))
    converter.convert(tmp_path / "net.pkl", tmp_path / "direct.npz")
    converter.convert(tmp_path / "net.pkl", tmp_path / "net.pt")
    converter.convert(tmp_path / "net.pt", tmp_path / "via-pt.npz")
    assert (tmp_path / "direct.npz").read_bytes() == (tmp_path / "via-pt.npz").read_bytes()


def test_byte_order_is_read_from_the_state_of_the_dtype(tmp_path: Path) -> None:
    # numpy.dtype is called as ('f4', False, True) and gets its byte order afterwards; numbers below swap visibly.
    state = generator()
    value = np.array([1.0, 2.0, 3.0, 4.0], ">f4")
    state["variables"][-1] = ("dlatent_avg", value)
    network = converter.load(write(tmp_path, state)).networks["G_ema"]
    assert network.state_dict["mapping.w_avg"].tolist() == [1, 2, 3, 4]
    # A little-endian array after it, and float32 itself, are as before.
    assert torch.isfinite(network.state_dict["synthesis.b4.const"]).all()
    assert network.state_dict["synthesis.b4.const"].abs().max() < 10
    assert np.dtype(np.float32).isnative


def test_numbers_of_other_precisions_are_read_if_exact(tmp_path: Path) -> None:
    state = generator()
    value = np.array([0.5, -2.0, 65504.0, 2**-24])
    for dtype in (np.float16, np.float64, ">f2"):
        changed = [
            (name, value.astype(dtype) if name == "dlatent_avg" else other) for name, other in state["variables"]
        ]
        network = converter.load(write(tmp_path, {**state, "variables": changed})).networks["G_ema"]
        assert network.state_dict["mapping.w_avg"].tolist() == value.tolist()


@pytest.mark.parametrize("number", [0.1, 1e300, 2**24 + 1])
def test_numbers_that_would_be_rounded_are_refused(number: float, tmp_path: Path) -> None:
    state = generator()
    value = np.array([number, 0, 0, 0], np.float64)
    state["variables"][-1] = ("dlatent_avg", value)
    with pytest.raises(converter.ConvertError, match="variable dlatent_avg is float64 and loses precision in float32"):
        converter.load(write(tmp_path, state))


@pytest.mark.parametrize("lod", [1, 1.0, np.float64(1), np.float32(1), np.array(1, np.float32), np.array(1, ">f4")])
def test_numbers_without_dimensions_come_in_many_forms(lod: Any, tmp_path: Path) -> None:
    state = generator(function="G_style")
    state["variables"] = [(name, lod if name == "lod" else value) for name, value in state["variables"]]
    config = converter.load(write(tmp_path, state)).networks["G_ema"].config
    assert isinstance(config, stylegan1.GeneratorConfig)
    assert config.lod == 1


# Structures.


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_keywords_in_an_attribute_dictionary(protocol: int, tmp_path: Path) -> None:
    state = generator(extra=EasyDict(depth=2, more=EasyDict(name="x")))
    plain = converter.load(write(tmp_path, state))
    state["static_kwargs"] = EasyDict(state["static_kwargs"])
    write_pickle(tmp_path / "easy.pkl", state, protocol=protocol)
    assert_same(converter.load(tmp_path / "easy.pkl"), plain)
    kwargs = converter.inspect(tmp_path / "easy.pkl").records["G_ema"]["static_kwargs"]
    assert kwargs["extra"] == {"depth": 2, "more": {"name": "x"}}


@pytest.mark.parametrize(
    ("states", "roles"),
    [
        (three(), ["G_ema", "G", "D"]),
        ((generator(),), ["G_ema"]),
        ((discriminator(),), ["D"]),
        ((generator(), discriminator()), ["G_ema", "D"]),
        ((discriminator(), generator()), ["G_ema", "D"]),
        ((generator(3), generator(1)), ["G_ema", "G"]),
    ],
    ids=["G, D, Gs", "G alone", "D alone", "G, D", "D, G", "G, Gs"],
)
def test_networks_are_told_by_what_they_are(states: tuple[State, ...], roles: list[str], tmp_path: Path) -> None:
    loaded = converter.load(write(tmp_path, *states))
    assert list(loaded.networks) == roles
    if "G_ema" in roles:
        # The average is the last generator of a file.
        last = [state for state in states if state["build_func_name"] == "G_main"][-1]
        average = dict(last["variables"])["dlatent_avg"]
        assert loaded.networks["G_ema"].state_dict["mapping.w_avg"].tolist() == average.tolist()


def test_components_of_any_name(tmp_path: Path) -> None:
    # Variables are found by the name that each component has, whatever it is.
    usual, renamed = generator(), generator()
    for key, part in renamed["components"].items():
        part["name"] = f"My_{key}"
    expected = converter.load(write(tmp_path, usual))
    write_pickle(tmp_path / "renamed.pkl", renamed)
    actual = converter.load(tmp_path / "renamed.pkl")
    assert actual.networks["G_ema"].config == expected.networks["G_ema"].config
    for name, value in expected.networks["G_ema"].state_dict.items():
        assert torch.equal(actual.networks["G_ema"].state_dict[name], value)


@pytest.mark.parametrize("release", ["SG1", "SG2"])
def test_config_a_is_stylegan_in_a_newer_file(release: str, tmp_path: Path) -> None:
    states = generator(function="G_style", release=release), discriminator("D_basic", release=release)
    assert {state["version"] for state in states} == {3 if release == "SG1" else 4}
    loaded = converter.load(write(tmp_path, *states))
    assert isinstance(loaded.networks["G_ema"].config, stylegan1.GeneratorConfig)
    assert isinstance(loaded.networks["D"].config, stylegan1.DiscriminatorConfig)
    assert loaded.networks["G_ema"].config.truncation_cutoff == 8


PAPER_G, PAPER_D = (build(function, 1, release="PG-in-SG1", **SMALL) for function in ("G_paper", "D_paper"))


@pytest.mark.parametrize(
    ("states", "family"),
    [
        ((build("G_paper", 1, **SMALL), build("D_paper", 2, **SMALL)), "progan"),
        ((PAPER_G, PAPER_D), "progan"),
        ((generator(function="G_style"), discriminator("D_basic")), "stylegan1"),
        ((generator(synthesis_func="G_synthesis_stylegan_revised"), discriminator("D_stylegan")), "stylegan2"),
        ((generator(), discriminator()), "stylegan2"),
        ((generator(release="ADA"), discriminator("D_main")), "stylegan2"),
    ],
    ids=["ProGAN", "ProGAN with StyleGAN", "StyleGAN", "StyleGAN2 B-D", "StyleGAN2 E-F", "ADA"],
)
def test_family_is_told_by_build_functions(states: tuple[State, ...], family: str, tmp_path: Path) -> None:
    loaded = converter.load(write(tmp_path, *states)).networks
    assert networks.kind_of(loaded["G_ema"].config) == (family, "Generator")
    assert networks.kind_of(loaded["D"].config) == (family, "Discriminator")


# Looking without converting.


def test_inspect_tells_what_is_in_a_file(tmp_path: Path) -> None:
    states = three(novelty=[1, 2], style_mixing_prob=0.9)
    path = write(tmp_path, *states)
    summary = converter.inspect(path)
    assert list(summary.configs) == ["G_ema", "G", "D"]
    assert [networks.kind_of(config) for config in summary.configs.values()] == [
        ("stylegan2", "Generator"),
        ("stylegan2", "Generator"),
        ("stylegan2", "Discriminator"),
    ]
    assert summary.configs["G_ema"].img_resolution == 8
    assert summary.records["G_ema"]["name"] == "Gs"
    assert summary.records["G_ema"]["version"] == 4
    assert summary.records["G_ema"]["static_kwargs"] == states[2]["static_kwargs"]
    assert summary.records["G_ema"]["static_kwargs"]["novelty"] == [1, 2]
    assert summary.origin["name"] == "net.pkl"
    assert summary.origin["size"] == path.stat().st_size
    assert len(summary.origin["sha256"]) == 64


@pytest.mark.parametrize(
    "state",
    [
        generator(),
        generator(function="G_style", label_size=2),
        generator(release="ADA", label_size=2),
        build("G_paper", 1, **SMALL),
        discriminator(),
        discriminator("D_basic"),
        discriminator("D_main", label_size=2),
        build("D_paper", 1, **SMALL),
    ],
    ids=lambda state: state["build_func_name"],
)
def test_parameters_are_the_trainable_variables(state: State, tmp_path: Path) -> None:
    def trainable(state: State) -> int:
        fixed = re.compile(r"lod|dlatent_avg|noise\d+")
        own = sum(np.size(value) for name, value in state["variables"] if not fixed.fullmatch(name))
        return own + sum(trainable(part) for part in state.get("components", {}).values())

    summary = converter.inspect(write(tmp_path, state))
    assert list(summary.parameters.values()) == [trainable(state)]


def test_inspect_of_a_converted_file_remembers_the_original(tmp_path: Path) -> None:
    path = write(tmp_path, *three())
    original = converter.inspect(path)
    for suffix in (".pt", ".safetensors", ".npz"):
        written = converter.convert(path, tmp_path / f"out{suffix}")
        assert written == original
        assert converter.inspect(tmp_path / f"out{suffix}") == original


# Choosing networks.


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("roles", [["G_ema"], ["D"], ["D", "G_ema"], ["G", "D", "G_ema"], None])
def test_only_the_networks_asked_for(roles: list[str] | None, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, *three())
    everything = converter.load(path)
    summary = converter.convert(path, tmp_path / f"out{suffix}", roles)
    expected = [role for role in ("G_ema", "G", "D") if roles is None or role in roles]
    assert list(summary.configs) == list(summary.parameters) == list(summary.records) == expected
    loaded = converter.load(tmp_path / f"out{suffix}")
    assert_same(loaded, Checkpoint({role: everything.networks[role] for role in expected}))
    assert list(loaded.provenance["networks"]) == expected
    # … and out of a file that has them all.
    assert_same(converter.load(path, roles), loaded)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz", ".pkl"])
def test_network_that_is_not_there_is_named(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, generator())
    if suffix != ".pkl":
        converter.convert(path, tmp_path / f"net{suffix}")
    with pytest.raises(converter.ConvertError, match=f"net{suffix}: there is no network D, only G_ema"):
        converter.convert(tmp_path / f"net{suffix}", tmp_path / "out.pt", ["D"])
    assert not (tmp_path / "out.pt").exists()


# What we write.


def test_pt_opens_with_torch_alone(tmp_path: Path) -> None:
    path = write(tmp_path, *three())
    converter.convert(path, tmp_path / "net.pt")
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(content) == ["format", "version", "provenance", "networks"]
    assert (content["format"], content["version"]) == ("stylegan-torch", 2)
    assert content["provenance"]["origin"]["name"] == "net.pkl"
    assert list(content["networks"]) == ["G_ema", "G", "D"]
    for role, network in converter.load(path).networks.items():
        part = content["networks"][role]
        assert part["config"] == json.loads(json.dumps(networks.config_to_json(network.config)))
        assert list(part["state_dict"]) == list(network.state_dict)
        assert all(torch.equal(part["state_dict"][name], value) for name, value in network.state_dict.items())
        assert list(part["source"]) == sorted(network.source)


def test_pt_is_no_larger_than_its_tensors(tmp_path: Path) -> None:
    # Tensors that are views of something larger would take it along.
    path = write(tmp_path, *three())
    one = tmp_path / "one.pt"
    converter.convert(path, one, ["D"])
    numbers = sum(value.numel() for value in converter.load(one).networks["D"].state_dict.values())
    count = len(converter.load(one).networks["D"].state_dict)
    assert one.stat().st_size < 4 * numbers + 400 * count + 8000


def test_safetensors_opens_with_any_reader(tmp_path: Path) -> None:
    path = write(tmp_path, *three())
    converter.convert(path, tmp_path / "net.safetensors")
    expected = {
        f"{role}.{part}.{name}": value
        for role, network in converter.load(path).networks.items()
        for part in ("state_dict", "source")
        for name, value in getattr(network, part).items()
    }
    with safetensors.safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(expected)
        record = json.loads(file.metadata()["stylegan_torch"])
        for name, value in expected.items():
            assert torch.equal(file.get_tensor(name), value), name
    assert (record["format"], record["version"]) == ("stylegan-torch", 2)
    assert record["networks"]["D"]["kind"] == "Discriminator"
    assert record["provenance"]["origin"]["name"] == "net.pkl"


def test_npz_opens_with_numpy_alone(tmp_path: Path) -> None:
    G, D, Gs = three()
    converter.convert(write(tmp_path, G, D, Gs), tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        record = json.loads(str(arrays["stylegan_torch"]))
        for prefix, state in {"G": G, "D": D, "Gs": Gs}.items():
            for name, value in state["variables"]:
                assert np.array_equal(arrays[f"{prefix}/{name}"], value)
        for name, value in Gs["components"]["mapping"]["variables"]:
            assert np.array_equal(arrays[f"Gs/G_mapping/{name}"], value)
        assert arrays["Gs/lod"].shape == ()
    assert record["networks"]["G_ema"]["prefix"] == "Gs"
    assert record["networks"]["G_ema"]["static_kwargs"] == Gs["static_kwargs"]


# The library's own files.


def random_networks() -> dict[str, torch.nn.Module]:
    sizes: dict[str, Any] = {"img_resolution": 8, "img_channels": 3, "channels": (4, 2)}
    mapping = stylegan2.MappingConfig(z_dim=4, c_dim=0, w_dim=4, num_layers=1, layer_dim=4)
    return {
        "G_ema": networks.build(stylegan2.GeneratorConfig(mapping=mapping, const_channels=4, **sizes)),
        "D": networks.build(stylegan2.DiscriminatorConfig(fc_dim=3, **sizes)),
    }


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_save_and_load(suffix: str, tmp_path: Path) -> None:
    made = random_networks()
    path = tmp_path / f"net{suffix}"
    stylegan_torch.save(path, made, provenance={"note": ["anything", 1]})
    for role, module in made.items():
        loaded = stylegan_torch.load(path, network=role)
        assert loaded.config == module.config
        assert not loaded.training
        assert not any(value.requires_grad for value in loaded.parameters())
        assert list(loaded.state_dict()) == list(module.state_dict())
        assert all(torch.equal(loaded.state_dict()[name], value) for name, value in module.state_dict().items())
    assert stylegan_torch.load(path).config == made["G_ema"].config
    assert checkpoint.read(path).provenance == {"note": ["anything", 1]}
    # Nothing of an original to go back to: its names are not known.
    with pytest.raises(stylegan_torch.StyleGANError, match="no record of the original form of network G_ema"):
        converter.convert(path, tmp_path / "net.npz")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_loading_a_network_that_is_not_there(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    stylegan_torch.save(path, {"D": random_networks()["D"]})
    with pytest.raises(stylegan_torch.CheckpointError, match=rf"net{suffix}: there is no network G_ema, only D"):
        stylegan_torch.load(path)


def change_pt(path: Path, change: Callable[[Any], object]) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def change_safetensors(path: Path, change: Callable[[Any], object]) -> None:
    with safetensors.safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["stylegan_torch"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(record)
    path.write_bytes(safetensors.torch.save(tensors, metadata={"stylegan_torch": json.dumps(record)}))


CHANGERS = {".pt": change_pt, ".safetensors": change_safetensors}


@pytest.mark.parametrize("suffix", CHANGERS)
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("version", 3, "has version 3; this program reads 2, so update it"),
        ("format", "somebody's", "is not a file of ours|no network known here"),
    ],
)
def test_files_of_other_versions_and_programs(suffix: str, key: str, value: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    stylegan_torch.save(path, random_networks())
    CHANGERS[suffix](path, lambda content: content.update({key: value}))
    for read in (stylegan_torch.load, converter.load, converter.inspect):
        with pytest.raises(stylegan_torch.StyleGANError, match=rf"net{suffix}: {words}"):
            read(path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("version", 2, "is a dump of version 2; this program reads 1"),
        ("format", "somebody's", "is not a dump of ours"),
    ],
)
def test_dumps_of_other_versions_and_programs(key: str, value: Any, words: str, tmp_path: Path) -> None:
    converter.convert(write(tmp_path, generator()), tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        arrays = dict(file)
    record = {**json.loads(str(arrays["stylegan_torch"])), key: value}
    np.savez(tmp_path / "net.npz", **{**arrays, "stylegan_torch": np.array(json.dumps(record))})
    with pytest.raises(converter.ConvertError, match=rf"net.npz: {words}"):
        converter.load(tmp_path / "net.npz")


def test_the_library_loads_what_the_converter_reads(tmp_path: Path) -> None:
    expected = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    z = torch.randn(1, expected.z_dim)
    for name in ("a.pkl", "b.pt", "c.safetensors", "d.npz"):
        path = tmp_path / name
        if path.suffix == ".pkl":
            path.write_bytes((DATA / "sg2-skip.pkl").read_bytes())
        else:
            converter.convert(DATA / "sg2-skip.pkl", path)
        path = path.rename(tmp_path / path.stem)  # its name doesn't tell
        assert torch.equal(stylegan_torch.load(path)(z), expected(z))
    with pytest.raises(stylegan_torch.StyleGANError, match="leaves nothing open, not mbstd_group_size"):
        stylegan_torch.load(path, assumed={"mbstd_group_size": 8})
    with pytest.raises(stylegan_torch.StyleGANError, match=r"README.md: is a text file"):
        stylegan_torch.load(HOME / "README.md")
    with pytest.raises(stylegan_torch.StyleGANError, match=r"no.pt: no such file"):
        stylegan_torch.load(tmp_path / "no.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_version_1_mean_the_same(suffix: str, tmp_path: Path) -> None:
    old, new = converter.load(DATA / f"version1{suffix}"), converter.load(DATA / "sg2-cond.pkl", ["G_ema"])
    assert old.networks["G_ema"].config == new.networks["G_ema"].config
    for name, value in new.networks["G_ema"].state_dict.items():
        assert torch.equal(old.networks["G_ema"].state_dict[name], value), name
    converter.convert(DATA / f"version1{suffix}", tmp_path / "old.npz")
    converter.convert(DATA / "sg2-cond.pkl", tmp_path / "new.npz", networks=["G_ema"])
    assert (tmp_path / "old.npz").read_bytes() == (tmp_path / "new.npz").read_bytes()


# Configs.

CONFIGS = [
    progan.GeneratorConfig,
    progan.DiscriminatorConfig,
    stylegan1.GeneratorConfig,
    stylegan1.DiscriminatorConfig,
    stylegan2.GeneratorConfig,
    stylegan2.DiscriminatorConfig,
]


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field of a config may have: any number of a sensible size, any text, any of its choices."""
    if isinstance(hint, types.UnionType):
        return st.one_of([values_of(option) for option in typing.get_args(hint)])
    if typing.get_origin(hint) is tuple:
        return st.lists(values_of(typing.get_args(hint)[0]), min_size=1, max_size=6).map(tuple)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return st.builds(hint, **{name: values_of(part) for name, part in typing.get_type_hints(hint).items()})
    numbers: dict[Any, st.SearchStrategy[Any]] = {int: st.integers(0, 1000), float: st.floats(-1e6, 1e6)}
    return numbers[hint] if hint in numbers else st.from_type(hint)


@pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: f"{cls.__module__.rpartition('.')[2]} {cls.__name__}")
def test_configs_survive_json(cls: type) -> None:
    @given(values_of(cls))
    @settings(max_examples=40)
    def survives(config: Any) -> None:
        data = json.loads(json.dumps(networks.config_to_json(config)))
        again = networks.config_from_json(data)
        assert type(again) is cls
        assert again == config
        assert hash(again) == hash(config)

    survives()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"family": "stylegan9"}, "unknown family 'stylegan9'"),
        ({"kind": "Judge"}, "kind 'Judge'"),
        ({"sparkle": 1}, "config key sparkle is unknown to GeneratorConfig"),
        ({"mapping": 3}, "mapping"),
        ({"img_resolution": None}, "img_resolution"),
    ],
)
def test_configs_of_newer_versions_are_refused_by_name(change: dict[str, Any], words: str) -> None:
    data = networks.config_to_json(random_networks()["G_ema"].config)  # type: ignore[arg-type]
    with pytest.raises(stylegan_torch.CheckpointError, match=words):
        networks.config_from_json({**data, **change})


def test_missing_config_key_is_named() -> None:
    data = networks.config_to_json(random_networks()["G_ema"].config)  # type: ignore[arg-type]
    del data["channels"]
    with pytest.raises(stylegan_torch.CheckpointError, match="config key channels is missing"):
        networks.config_from_json(data)


@pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: f"{cls.__module__.rpartition('.')[2]} {cls.__name__}")
def test_fields_left_out_of_json_get_their_defaults(cls: type) -> None:
    # A field added later must not make files of today unreadable.
    required = {
        field.name: {"img_resolution": 8, "channels": (2, 2)}.get(field.name, 1)
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING
    }
    if "mapping" in required:
        mapping = stylegan1.MappingConfig if cls.__module__.endswith("stylegan1") else stylegan2.MappingConfig
        required["mapping"] = mapping(z_dim=1, c_dim=0, w_dim=1)
    config = cls(**required)
    data = json.loads(json.dumps(networks.config_to_json(config)))
    given_only = {key: value for key, value in data.items() if key in {*required, "family", "kind"}}
    assert networks.config_from_json(given_only) == config

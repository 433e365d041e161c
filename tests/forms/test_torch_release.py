"""Persistence pickles of StyleGAN2-ADA's PyTorch release: every constructor argument, against the float64 oracle.

Each case is written twice: as in the days of the release, and as an installation of today writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import converter
import stylegan_torch
from stylegan_torch.commands import generate as cli
from stylegan_torch.editing.inspect import average_ws
from stylegan_torch.editing.latents import from_seeds
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import stylegan2
from tests.tools import official_modules, oracle_torch
from tests.tools.official_torch import Era, Module, filter_buffer, persistence_network, write_persistence_pickle
from tests.tools.torch_cases import (
    CASES,
    CHANNELS,
    DISCRIMINATORS,
    GENERATORS,
    LATENT,
    LONG,
    SMALL_D,
    SMALL_G,
    Case,
    Kind,
    case_id,
    write,
)


def both_eras(directory: Path, network: Module) -> Checkpoint:
    """What is read of a network; the same whenever it was written."""
    today = converter.load(write(directory / "today.pkl", network))
    released = converter.load(write(directory / "released.pkl", network, era="released", augment_pipe=True))
    for role, ours in today.networks.items():
        assert released.networks[role].config == ours.config
        assert_identical(released.networks[role].state_dict, ours.state_dict)
    return today


def assert_identical(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


def assert_close(actual: torch.Tensor, expected: np.ndarray[Any, Any]) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual.numpy() - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))


def labels_of(rng: np.random.RandomState, n: int, size: int) -> np.ndarray[Any, Any]:
    return np.eye(size)[rng.randint(size, size=n)] if size else np.zeros((n, 0))


def check_generator(checkpoint: Checkpoint, module: Module, kwargs: dict[str, Any]) -> None:
    """w, truncated or not, and pictures with and without noise, are what the formulas say."""
    G, tensors = checkpoint.network("G_ema"), module.tensors()
    rng = np.random.RandomState(2)
    z, c = rng.randn(2, G.z_dim), labels_of(rng, 2, G.c_dim)
    inputs = torch.from_numpy(z).float(), torch.from_numpy(c).float()
    cut: dict[str, Any] = {"truncation_psi": 0.6, "truncation_cutoff": 3}
    whole: dict[str, Any] = {"truncation_psi": 0.4}
    w, image = oracle_torch.generator(tensors, kwargs, z, c)
    assert_close(G.mapping(*inputs), w)
    assert_close(G.synthesis(torch.from_numpy(w).float()), image)
    assert_close(G(*inputs), image)
    w, image = oracle_torch.generator(tensors, kwargs, z, c, psi=0.6, cutoff=3)
    assert_close(G.mapping(*inputs, **cut), w)
    assert_close(G(*inputs, **cut), image)
    w, image = oracle_torch.generator(tensors, kwargs, z, c, psi=0.4, noise_mode="none")
    assert_close(G.mapping(*inputs, **whole), w)
    assert_close(G(*inputs, **whole, noise_mode="none"), image)


@pytest.mark.parametrize("case", GENERATORS, ids=case_id)
def test_generator_draws_what_the_formulas_say(case: Case, tmp_path: Path) -> None:
    kind, options = case
    module = persistence_network(kind, 1, **options)
    check_generator(both_eras(tmp_path, module), module, module.init_kwargs)


@pytest.mark.parametrize("case", DISCRIMINATORS, ids=case_id)
def test_discriminator_scores_what_the_formulas_say(case: Case, tmp_path: Path) -> None:
    kind, options = case
    module = persistence_network(kind, 1, **options)
    D = both_eras(tmp_path, module).network("D")
    rng = np.random.RandomState(3)
    group = options.get("epilogue_kwargs", {}).get("mbstd_group_size", 4)
    for n in (1, 3, 4):
        images, c = rng.randn(n, D.img_channels, D.img_resolution, D.img_resolution), labels_of(rng, n, D.c_dim)
        inputs = torch.from_numpy(images).float(), torch.from_numpy(c).float()
        if n % min(group or n, n):
            with pytest.raises(ValueError, match=f"batch of {n} cannot be split"):
                D(*inputs)
        else:
            assert_close(D(*inputs), oracle_torch.discriminator(module.tensors(), module.init_kwargs, images, c))


def test_labels_left_out_count_as_zeros(tmp_path: Path) -> None:
    G, D = persistence_network("G", 1, **SMALL_G, c_dim=3), persistence_network("D", 2, **SMALL_D, c_dim=3)
    checkpoint = converter.load(write(tmp_path / "net.pkl", G, D))
    rng = np.random.RandomState(0)
    z, images = rng.randn(2, 10), rng.randn(2, 3, 8, 8)
    drawn, scored = checkpoint.network("G_ema")(torch.from_numpy(z).float()), checkpoint.network("D")
    assert_close(drawn, oracle_torch.generator(G.tensors(), G.init_kwargs, z)[1])
    assert_close(
        scored(torch.from_numpy(images).float()), oracle_torch.discriminator(D.tensors(), D.init_kwargs, images)
    )


def test_generator_and_its_average_are_told_apart(tmp_path: Path) -> None:
    average, G = (persistence_network("G", seed, **SMALL_G) for seed in (1, 2))
    D = persistence_network("D", 3, **SMALL_D)
    write_persistence_pickle(tmp_path / "net.pkl", G=G, D=D, G_ema=average)
    networks = converter.load(tmp_path / "net.pkl").networks
    for role, module in {"G_ema": average, "G": G, "D": D}.items():
        expected = module.tensors()
        assert networks[role].state_dict
        for name, value in networks[role].state_dict.items():
            assert np.array_equal(value.numpy(), expected[name])


@pytest.mark.parametrize("era", ["released", "today"])
def test_augment_pipe_is_passed_over_with_a_note(era: Era, tmp_path: Path) -> None:
    network = persistence_network("G", 1, **SMALL_G)
    without = write(tmp_path / "without.pkl", network, era=era)
    with_pipe = write(tmp_path / "with.pkl", network, era=era, augment_pipe=True)
    assert converter.inspect(without).notes == ()
    [note] = converter.convert(with_pipe, tmp_path / "out.pt").notes
    assert "augment pipe" in note
    assert converter.inspect(with_pipe).notes == (note,)
    expected, actual = converter.load(without), converter.load(with_pipe)
    assert list(actual.networks) == ["G_ema", "G", "D"]
    for role, ours in expected.networks.items():
        assert_identical(actual.networks[role].state_dict, ours.state_dict)


def modules(module: Module) -> Iterator[Module]:
    yield module
    for child in module.modules.values():
        yield from modules(child)


def test_channels_last_tensors_are_read_by_their_strides(tmp_path: Path) -> None:
    synthesis = {**CHANNELS, "num_fp16_res": 1, "fp16_channels_last": True}
    module = persistence_network("G", 1, **{**SMALL_G, "synthesis_kwargs": synthesis})
    state = converter.load(write(tmp_path / "net.pkl", module)).networks["G_ema"].state_dict
    for name, in_order in {"synthesis.b8.conv1.weight": True, "synthesis.b16.conv1.weight": False}.items():
        stored = module.tensors()[name]
        assert stored.flags.c_contiguous == in_order
        assert state[name].is_contiguous()
        assert np.array_equal(state[name].numpy(), stored)


# Constructor arguments.


@pytest.mark.parametrize("count", range(1, 8))
def test_positional_generator_arguments(count: int, tmp_path: Path) -> None:
    names = ["z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs"]
    module = persistence_network("G", 1, **SMALL_G)
    kwargs = dict(module.init_kwargs)
    module.init_args = tuple(kwargs[name] for name in names[:count])
    module.init_kwargs = {name: kwargs[name] for name in kwargs if name not in names[:count]}
    check_generator(converter.load(write(tmp_path / "net.pkl", module)), module, kwargs)


@pytest.mark.parametrize("count", range(1, 4))
def test_positional_discriminator_arguments(count: int, tmp_path: Path) -> None:
    names = ["c_dim", "img_resolution", "img_channels"]
    module = persistence_network("D", 1, c_dim=2, img_resolution=8, img_channels=1, **CHANNELS)
    kwargs = dict(module.init_kwargs)
    module.init_args = tuple(kwargs[name] for name in names[:count])
    module.init_kwargs = {name: kwargs[name] for name in kwargs if name not in names[:count]}
    D = converter.load(write(tmp_path / "net.pkl", module)).network("D")
    images, c = np.random.RandomState(0).randn(4, 1, 8, 8), np.eye(2)[[0, 1, 1, 0]]
    inputs = torch.from_numpy(images).float(), torch.from_numpy(c).float()
    assert_close(D(*inputs), oracle_torch.discriminator(module.tensors(), kwargs, images, c))


def test_unknown_arguments_are_ignored_but_kept(tmp_path: Path) -> None:
    module = persistence_network("D", 1, **SMALL_D, block_kwargs={"novelty": [1, 2.5, None]})
    path = write(tmp_path / "net.pkl", module)
    assert converter.inspect(path).records["D"]["init_kwargs"]["block_kwargs"] == {"novelty": [1, 2.5, None]}


def test_numpy_numbers_are_arguments_too(tmp_path: Path) -> None:
    mapping = {"num_layers": 2, "lr_multiplier": np.float64(0.1)}
    synthesis = {**CHANNELS, "resample_filter": [np.float64(tap) for tap in (1, 2, 4)]}
    module = persistence_network("G", 1, **{**SMALL_G, "mapping_kwargs": mapping, "synthesis_kwargs": synthesis})
    kwargs = dict(module.init_kwargs)
    module.init_args = (np.int64(module.init_kwargs.pop("z_dim")),)
    check_generator(converter.load(write(tmp_path / "net.pkl", module)), module, kwargs)


def test_defaults_of_the_stylegan3_repository(tmp_path: Path) -> None:
    # Its StyleGAN2 networks have the same tensors; arguments of the synthesis are the generator's own there.
    synthesis = {**CHANNELS, "architecture": "resnet", "conv_clamp": 256, "num_fp16_res": 4}
    module = persistence_network("G", 1, **LATENT, mapping_kwargs={"num_layers": 1}, synthesis_kwargs=synthesis)
    kwargs = dict(module.init_kwargs)
    module.init_kwargs = {key: value for key, value in kwargs.items() if key != "synthesis_kwargs"}
    module.init_kwargs |= {**CHANNELS, "architecture": "resnet"}
    for part in modules(module):
        if part.class_name == "FullyConnectedLayer":
            part.attributes |= {"in_features": part.init_args[0], "out_features": part.init_args[1]}
    checkpoint = converter.load(write(tmp_path / "net.pkl", module))
    config = checkpoint.networks["G_ema"].config
    assert isinstance(config, stylegan2.GeneratorConfig)
    assert (config.conv_clamp, config.num_fp16_res) == (256, 4)
    check_generator(checkpoint, module, kwargs)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("G", {"img_resolution": 24}, "img_resolution is 24"),
        ("G", {"synthesis_kwargs": {**CHANNELS, "architecture": "pyramid"}}, "architecture is 'pyramid'"),
        ("G", {"synthesis_kwargs": {**CHANNELS, "activation": "mish"}}, "activation is 'mish'"),
        ("G", {"mapping_kwargs": {"num_layers": 2.5}}, "num_layers is 2.5"),
        ("D", {"architecture": "revised"}, "architecture is 'revised'"),
        ("D", {"epilogue_kwargs": {"mbstd_group_size": 0}}, "mbstd_group_size is 0"),
        ("D", {"block_kwargs": {"resample_filter": [1, -1]}}, "resample_filter"),
    ],
)
def test_impossible_arguments_are_named(kind: Kind, change: dict[str, Any], words: str, tmp_path: Path) -> None:
    module = persistence_network(kind, 1, **(SMALL_G if kind == "G" else SMALL_D))
    module.init_kwargs = {**module.init_kwargs, **change}
    with pytest.raises(converter.ConvertError, match=f"network (G_ema|D): .*{words}"):
        converter.load(write(tmp_path / "net.pkl", module), ["G_ema" if kind == "G" else "D"])


# Stored filters.


def find(module: Module, path: str) -> Module:
    for name in path.split("."):
        module = module.modules[name] if name else module
    return module


@pytest.mark.parametrize("taps", [[1, 2, 5], LONG, [1, 3, 3, 1.01]])
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("G", "synthesis.b8"),
        ("G", "synthesis.b16.conv0"),
        ("G", "synthesis.b16.skip"),
        ("D", "b8"),
        ("D", "b8.conv1"),
        ("D", "b8.skip"),
    ],
)
def test_filter_that_contradicts_the_arguments_is_named(
    kind: Kind, path: str, taps: list[float], tmp_path: Path
) -> None:
    resnet = {**SMALL_G, "synthesis_kwargs": {**CHANNELS, "architecture": "resnet"}}
    module = persistence_network(kind, 1, **(resnet if kind == "G" else SMALL_D))
    find(module, path).buffers["resample_filter"] = filter_buffer(taps)
    with pytest.raises(converter.ConvertError, match=rf"variable {path}\.resample_filter is not the filter"):
        converter.load(write(tmp_path / "net.pkl", module), ["G_ema" if kind == "G" else "D"])


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("G", "synthesis.b4"),
        ("G", "synthesis.b8.conv1"),
        ("D", "b8.fromrgb"),
        ("D", "b8.conv0"),
        ("D", "b4.conv"),
    ],
)
def test_filter_that_is_not_used_may_be_any_and_is_kept(kind: Kind, path: str, tmp_path: Path) -> None:
    module = persistence_network(kind, 1, **(SMALL_G if kind == "G" else SMALL_D))
    odd = filter_buffer([1, 2, 5, 9])
    find(module, path).buffers["resample_filter"] = odd
    role = "G_ema" if kind == "G" else "D"
    converter.convert(write(tmp_path / "net.pkl", module), tmp_path / "net.pt", [role])
    converter.convert(tmp_path / "net.pt", tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays[f"{role}/{path}.resample_filter"], odd)


def test_filter_with_other_rounding_is_kept_as_it_is(tmp_path: Path) -> None:
    module = persistence_network("D", 1, **SMALL_D)
    stored = module.modules["b8"].buffers["resample_filter"]
    rounded = np.nextafter(stored, np.float32(1))
    module.modules["b8"].buffers["resample_filter"] = rounded
    converter.convert(write(tmp_path / "net.pkl", module), tmp_path / "net.pt", ["D"])
    converter.convert(tmp_path / "net.pt", tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["D/b8.resample_filter"], rounded)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_official_class_takes_our_tensors_and_arguments(case: Case, tmp_path: Path) -> None:
    kind, options = case
    module = persistence_network(kind, 1, **options)
    ours: Any = converter.load(write(tmp_path / "net.pkl", module)).network("D" if kind == "D" else "G_ema")
    official = official_modules.Discriminator if kind == "D" else official_modules.Generator
    theirs = official(*ours.init_args, **ours.init_kwargs).eval().requires_grad_(False)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    rng = np.random.RandomState(4)
    c = torch.from_numpy(labels_of(rng, 4, ours.c_dim)).float()
    if ours.img_resolution == 4 and kind == "D":
        return  # the official class can't score what has no level above 4×4
    if kind == "D":
        images = torch.from_numpy(rng.randn(4, ours.img_channels, *ours.img_size)).float()
        assert_close(ours(images, c), theirs(images, c).numpy())
    else:
        z = torch.from_numpy(rng.randn(4, ours.z_dim)).float()
        assert_close(ours(z, c, 0.7), theirs(z, c, 0.7, noise_mode="const").numpy())


def test_a_network_without_an_average_draws_untruncated_only(tmp_path: Path) -> None:
    options = {**SMALL_G, "mapping_kwargs": {"num_layers": 2, "w_avg_beta": None}}
    module = persistence_network("G", 1, **options)
    path = write(tmp_path / "net.pkl", module)
    G = stylegan_torch.load(path)
    z = torch.randn(2, G.z_dim)
    assert_close(G(z), oracle_torch.generator(module.tensors(), module.init_kwargs, z.numpy())[1])
    for truncated in (lambda: G(z, truncation_psi=0.7), lambda: average_ws(G), lambda: from_seeds(G, [0], 0.5)):
        with pytest.raises(stylegan_torch.StyleGANError, match=r"no average w .* truncation_psi must be 1"):
            truncated()
    converter.convert(path, tmp_path / "net.pt", networks=["G_ema"])
    converter.convert(tmp_path / "net.pt", tmp_path / "net.npz")
    assert torch.equal(stylegan_torch.load(tmp_path / "net.npz")(z), G(z))
    with pytest.raises(converter.ConvertError, match=r"mapping\.w_avg is false"):
        converter.convert(path, tmp_path / "theirs.pkl", format="nvidia")
    run(["--network", str(tmp_path / "net.pt"), "--seeds", "0", "--outdir", str(tmp_path / "out")], 0)
    assert "no average w" in run(["--network", str(tmp_path / "net.pt"), "--seeds", "1", "--truncation", "0.7"], 2)


def run(arguments: list[str], status: int) -> str:
    """What stylegan-generate says when it ends with a status."""
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == status, result.output
    return result.stderr

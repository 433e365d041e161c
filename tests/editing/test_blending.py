"""Blending: what is equal stays so bit for bit, layers come from where they should, strangers are refused."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing.blending import (
    MAPPING,
    Blend,
    BlendingError,
    Rule,
    blend,
    distance,
    level_of,
    levels,
    swap,
)
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork, same_bits
from stylegan_torch.networks.registry import build, tensors_of
from stylegan_torch.training.recipes import networks_of
from stylegan_torch.training.trainer import Trainer
from tests import DATA
from tests.tools.long import cases
from tests.tools.small_trainer import trainer_of

EVERY_FAMILY = ["pg", "sg1", "sg2-skip", "sg2-revised", "ada-cond", "sg3t_64", "nonsquare/human-sg2"]
LONG = ["sg1", "sg2-revised", "nonsquare/human-sg2"]
SKIP = DATA / "sg2-skip.pkl"


def content(name: str = "sg2-skip") -> Checkpoint:
    return converter.load(DATA / f"{name}.pkl")


def changed(before: Checkpoint, seed: int = 1, size: float = 0.1) -> Checkpoint:
    """Return a descendant: the same networks with weights a little other, noise and all."""
    generator = torch.Generator().manual_seed(seed)
    networks = {
        role: replace(
            network,
            state_dict={
                name: value + size * torch.randn(value.shape, generator=generator)
                for name, value in network.state_dict.items()
            },
        )
        for role, network in before.networks.items()
    }
    return Checkpoint(networks)


def stranger(before: Checkpoint) -> Checkpoint:
    """Return independent networks of the same shapes."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = {role: StoredNetwork(net.config, tensors_of(build(net.config))) for role, net in before.networks.items()}
    return Checkpoint(made)


def tensors(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {
        f"{role}.{name}": value for role, net in checkpoint.networks.items() for name, value in net.state_dict.items()
    }


@pytest.mark.parametrize("name", cases(EVERY_FAMILY, LONG))
def test_a_network_with_itself_is_itself(name: str) -> None:
    one = content(name)
    result = blend({"a": one, "b": content(name), "c": one}, weights=(0.3, 0.8, -0.1))
    assert all(same_bits(value, tensors(one)[key]) for key, value in tensors(result.checkpoint).items())
    assert list(result.checkpoint.networks) == list(one.networks)
    assert all(apart == 0 or math.isnan(apart) for each in result.distances.values() for apart in each.values())


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_layers_below_are_of_the_first_and_others_of_the_second(name: str) -> None:
    one, other = content(name), changed(content(name))
    side = int(levels(one.networks["G_ema"].config)[-2])
    rules = swap([net.config for net in one.networks.values()], side)
    found = blend({"a": one, "b": other}, rules).checkpoint
    for role, network in found.networks.items():
        level = level_of(network.config)
        for tensor, value in network.state_dict.items():
            second = level(tensor) != MAPPING and int(level(tensor)) >= side
            assert same_bits(value, (other if second else one).networks[role].state_dict[tensor]), tensor
    mapping = blend({"a": one, "b": other}, swap([one.networks["G_ema"].config], side, mapping=1)).checkpoint
    values = {key: value for key, value in tensors(mapping).items() if key.startswith("G_ema.mapping")}
    assert all(same_bits(value, tensors(other)[key]) for key, value in values.items())


def test_a_soft_swap_is_a_ramp() -> None:
    one = content("ada1_skip64")
    rules = {rule.where: rule.weights for rule in swap([one.networks["G_ema"].config], 16, soft=True)}
    shares = {"mapping": 0.0, "4": 0.125, "8": 0.375, "16": 0.625, "32": 0.875, "64": 1.0}
    assert rules == {where: (1 - share, share) for where, share in shares.items()}
    with pytest.raises(BlendingError, match="there is no level of 48: these networks have 4, 8, 16, 32, 64"):
        swap([one.networks["G_ema"].config], 48)


def test_weights_by_hand() -> None:
    files = {"a": content(), "b": changed(content()), "c": changed(content(), 2)}
    a, b, c = (each.networks["G_ema"].state_dict for each in files.values())
    rules = [
        Rule("4-8", (0.5, 0.5, 0.0)),
        Rule("synthesis.b8.conv0", (0.0, 0.0, 1.0)),
        Rule("synthesis.b16.torgb.weight", (1.0, 0.0, 0.0)),
    ]
    result = blend(files, rules, weights=(0.2, 0.3, 0.5))
    found = result.checkpoint.networks["G_ema"].state_dict
    for name, expected in {
        "mapping.fc0.weight": 0.2 * a["mapping.fc0.weight"] + 0.3 * b["mapping.fc0.weight"],
        "mapping.w_avg": 0.2 * a["mapping.w_avg"] + 0.3 * b["mapping.w_avg"],
        "synthesis.b8.conv1.weight": 0.5 * a["synthesis.b8.conv1.weight"] + 0.5 * b["synthesis.b8.conv1.weight"],
        "synthesis.b16.conv0.bias": 0.2 * a["synthesis.b16.conv0.bias"] + 0.3 * b["synthesis.b16.conv0.bias"],
    }.items():
        third = 0.5 * c[name] if "b8" not in name else 0
        torch.testing.assert_close(found[name], expected + third)
    assert torch.equal(found["synthesis.b8.conv0.weight"], c["synthesis.b8.conv0.weight"])
    assert torch.equal(found["synthesis.b16.torgb.weight"], a["synthesis.b16.torgb.weight"])
    # A mean of noise would be smaller than noise.
    assert torch.equal(found["synthesis.b16.conv0.noise_const"], c["synthesis.b16.conv0.noise_const"])
    assert result.weights["G_ema"]["16"] is None
    assert result.weights["G_ema"]["32"] == (0.2, 0.3, 0.5)
    mean = blend(files).checkpoint.networks["G_ema"].state_dict["mapping.fc1.bias"]
    torch.testing.assert_close(mean, (a["mapping.fc1.bias"] + b["mapping.fc1.bias"] + c["mapping.fc1.bias"]) / 3)


@pytest.mark.parametrize("name", cases(EVERY_FAMILY, [*LONG, "sg3t_64"]))
def test_strangers_are_refused(name: str) -> None:
    one = content(name)
    with pytest.raises(BlendingError, match=r"a and b have no ancestor in common: weights of \w+ are (0.9|1.0)"):
        blend({"a": one, "b": stranger(one)})
    forced = blend({"a": one, "b": stranger(one)}, allow_unrelated=True)
    assert max(apart for apart in forced.distances["G_ema"].values() if not math.isnan(apart)) > 0.9
    near = blend({"a": one, "b": changed(one)}).distances["G_ema"]
    assert all(apart < 0.5 for apart in near.values() if not math.isnan(apart))


def test_the_distance_of_independent_weights_is_1() -> None:
    a, b = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    assert distance([(a, b)]) == pytest.approx(1, abs=0.05)
    assert distance([(a, a)]) == 0
    assert distance([(a, -a)]) == pytest.approx(2**0.5)
    assert math.isnan(distance([]))


def test_what_differs_is_named() -> None:
    one = content()
    config: Any = one.networks["G_ema"].config
    clamped = {**one.networks, "G_ema": replace(one.networks["G_ema"], config=replace(config, conv_clamp=256.0))}
    other = Checkpoint(clamped)
    with pytest.raises(BlendingError, match=r"G_ema: conv_clamp is None in a, 256.0 in b; --force-settings"):
        blend({"a": one, "b": other})
    forced = blend({"a": one, "b": other}, allow_settings=True)
    assert forced.settings == ("G_ema: conv_clamp is None in a, 256.0 in b",)
    assert forced.checkpoint.networks["G_ema"].config == config
    habit = {**one.networks, "G_ema": replace(one.networks["G_ema"], config=replace(config, truncation_psi=0.1))}
    assert blend({"a": one, "b": Checkpoint(habit)}).settings == ()
    with pytest.raises(BlendingError, match=r"other layers: G_ema: family is stylegan2 in a, progan in b"):
        blend({"a": one, "b": content("pg")}, allow_settings=True)
    with pytest.raises(BlendingError, match=r"other layers: G_ema: mapping.z_dim is 16 in a, 32 in b"):
        blend({"a": one, "b": content("ada1_skip64")})


def test_bad_weights_and_layers_are_refused() -> None:
    files = {"a": content(), "b": content()}
    wrong: dict[str, dict[str, Any]] = {
        "there are 3 weights for 2 networks": {"weights": (1, 1, -1)},
        "the weights add up to 1.5; they must add up to 1": {"weights": (1, 0.5)},
        "there is no layer b9; there are mapping, 4, 8, 16, 32": {"rules": [Rule("b9", (1, 0))]},
        "there is no layer 64;": {"rules": [Rule("64", (1, 0))]},
        "the weights of 8 add up to 0": {"rules": [Rule("8", (0, 0))]},
    }
    for words, arguments in wrong.items():
        with pytest.raises(BlendingError, match=words):
            blend(files, **arguments)
    with pytest.raises(BlendingError, match="two networks at least"):
        blend({"a": content()})
    with pytest.raises(BlendingError, match="a and b have no network in common"):
        blend({"a": content(), "b": Checkpoint({})})
    broken = changed(content())
    broken.networks["D"].state_dict["b4.fc.bias"][0] = float("nan")
    with pytest.raises(BlendingError, match=r"b: network D: tensor b4.fc.bias has a number that is NaN"):
        blend({"a": content(), "b": broken})


def test_networks_that_not_all_have_are_left_out() -> None:
    one = content()
    result: Blend = blend({"a": one, "b": Checkpoint({"G_ema": one.networks["G_ema"]})})
    assert list(result.checkpoint.networks) == ["G_ema"]
    assert result.missing == ("D", "G")


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["blend", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return files of a network and of a descendant."""
    for name, each in (("a.pt", content()), ("b.pt", changed(content()))):
        checkpoint.write(tmp_path / name, each)
    return tmp_path / "a.pt", tmp_path / "b.pt"


@pytest.mark.long
def test_a_blend_is_trained() -> None:
    trainer = trainer_of("sg2-skip.pkl")
    before = checkpoint.of_modules({"G_ema": copy.deepcopy(trainer.G_ema), "D": copy.deepcopy(trainer.D)})
    for _ in range(3):
        trainer.step()
    after = checkpoint.of_modules({"G_ema": trainer.G_ema, "D": trainer.D})
    networks = networks_of(blend({"a": before, "b": after}, swap([trainer.D.config], 16)).checkpoint)  # type: ignore[list-item]
    again = Trainer(
        networks["G"], networks["D"], networks["G_ema"], trainer.data, trainer.settings, accelerator=trainer.accelerator
    )
    losses = [again.step()["loss_D"] for _ in range(20)]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_the_command_blends_and_tells(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    said = run(a, b, "--at", 16, "--mapping", "b", "--layer", "32=0.5,0.5", "--out", tmp_path / "c.pt")
    assert f"Blended G_ema, G, D of 2 files: {tmp_path / 'c.pt'}" in said
    assert [line.split()[2:] for line in said.splitlines() if line.startswith("16 ")] == [["0", "1"]] * 3
    found = checkpoint.read(tmp_path / "c.pt")
    one, other = (checkpoint.read(path).networks["D"].state_dict for path in pair)
    state = found.networks["D"].state_dict
    assert torch.equal(state["b8.conv0.weight"], one["b8.conv0.weight"])
    assert torch.equal(state["b16.conv0.weight"], other["b16.conv0.weight"])
    torch.testing.assert_close(state["b32.conv0.weight"], (one["b32.conv0.weight"] + other["b32.conv0.weight"]) / 2)
    record = found.provenance["blend"]
    assert [file["name"] for file in record["files"]] == ["a.pt", "b.pt"]
    assert record["rules"][-1] == {"where": "32", "weights": [0.5, 0.5]}
    run(a, b, a, "--out", tmp_path / "mean.safetensors")
    assert "exists; use --force" in run(a, b, "--out", tmp_path / "c.pt", status=1)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("{a}", "--out", "c.pt"), 2, "two networks at least"),
        (("{a}", "{a}", "--out", "c.txt"), 2, "does not end in .pt or .safetensors"),
        (("{a}", "{a}", "--soft", "--out", "c.pt"), 2, "--soft goes with --at"),
        (("{a}", "{a}", "{a}", "--at", "8", "--out", "c.pt"), 2, "--at takes two networks, not 3"),
        (("{a}", "{a}", "--at", "8", "--weights", "1,0", "--out", "c.pt"), 2, "--at or --weights, not both"),
        (("{a}", "{a}", "--at", "9", "--out", "c.pt"), 1, "there is no level of 9: these networks have 4, 8, 16, 32"),
        (("{a}", "{a}", "--weights", "1,x", "--out", "c.pt"), 2, "'x' is not a finite number"),
        (("{a}", "{a}", "--weights", "1", "--out", "c.pt"), 1, "there are 1 weights for 2 networks"),
        (("{a}", "{a}", "--mapping", "c", "--out", "c.pt"), 2, "'c' is none of a, b"),
        (("{a}", "{a}", "--layer", "8", "--out", "c.pt"), 2, "'8' is not layers and weights"),
        (("{a}", "{pg}", "--out", "c.pt"), 1, "other layers: G_ema: family is stylegan2 in sg2-skip.pkl, progan in pg"),
        (("{a}", "{a}", "--out", "{a}.pt"), 1, "exists"),
        (("{a}", "missing.pt", "--out", "c.pt"), 1, "missing.pt"),
    ],
)
def test_bad_requests_get_one_line(
    arguments: tuple[str, ...], status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sg2-skip.pkl").write_bytes(SKIP.read_bytes())
    (tmp_path / "sg2-skip.pkl.pt").touch()
    said = run(*(each.format(a="sg2-skip.pkl", pg=DATA / "pg.pkl") for each in arguments), status=status)
    assert words in " ".join(said.split())
    assert status == 2 or said.count("\n") == 1
    assert not (tmp_path / "c.pt").exists()


def test_an_input_is_not_replaced(pair: tuple[Path, Path]) -> None:
    assert "itself would be replaced" in run(*pair, "--out", pair[0], "--force", status=2)

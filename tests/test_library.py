"""The library's contract: names, shapes, gradients, moving, saving."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import converter
import stylegan_torch
from tests import DATA

GENERATORS = ["sg1-cond", "sg2-cond", "sg2-resnet", "sg2-revised", "ada-cond", "ada2_cond5"]


@pytest.fixture(params=GENERATORS)
def networks(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    checkpoint = converter.load(DATA / f"{request.param}.pkl")
    return checkpoint.network("G_ema"), checkpoint.network("D")


def one_hot(c_dim: int, n: int) -> torch.Tensor:
    return torch.eye(max(c_dim, 1))[[0] * n][:, :c_dim]


def test_names_and_shapes(networks: tuple[Any, Any]) -> None:
    G, D = networks
    z, c = torch.randn(2, G.z_dim), one_hot(G.c_dim, 2)
    ws = G.mapping(z, c, truncation_psi=0.7, truncation_cutoff=2)
    image = G.synthesis(ws, noise_mode="const", force_fp32=True)
    assert ws.shape == (2, G.num_ws, G.w_dim)
    assert image.shape == (2, G.img_channels, G.img_resolution, G.img_resolution)
    assert image.dtype == torch.float32
    assert D(image, c).shape == (2, 1)
    assert G.mapping.w_avg.shape == (G.w_dim,)
    assert not G.training
    assert not any(p.requires_grad for p in G.parameters())


def test_none_labels_are_zeros(networks: tuple[Any, Any]) -> None:
    G, D = networks
    z = torch.randn(2, G.z_dim)
    assert torch.equal(G(z, None), G(z, torch.zeros(2, G.c_dim)))
    image = G(z)
    assert torch.equal(D(image, None), D(image, torch.zeros(2, D.c_dim)))


def test_truncation(networks: tuple[Any, Any]) -> None:
    G, _ = networks
    z = torch.randn(2, G.z_dim)
    ws = G.mapping(z)
    half = G.mapping(z, truncation_psi=0.5, truncation_cutoff=3)
    torch.testing.assert_close(half[:, :3], (ws[:, :3] + G.mapping.w_avg) / 2)
    assert torch.equal(half[:, 3:], ws[:, 3:])
    torch.testing.assert_close(G.mapping(z, truncation_psi=0), G.mapping.w_avg.expand_as(ws))


def test_noise(networks: tuple[Any, Any]) -> None:
    G, _ = networks
    ws = G.mapping(torch.randn(2, G.z_dim))
    stored = [buffer[None, None] for buffer in G.synthesis.noise_buffers()]
    const = G.synthesis(ws)
    torch.testing.assert_close(G.synthesis(ws, noise=stored), const)
    zeros = [torch.zeros_like(noise_map) for noise_map in stored]
    torch.testing.assert_close(G.synthesis(ws, noise=zeros), G.synthesis(ws, noise_mode="none"))
    assert not torch.equal(G.synthesis(ws, noise_mode="random"), G.synthesis(ws, noise_mode="random"))
    each = [torch.cat([noise_map, torch.zeros_like(noise_map)]) for noise_map in stored]
    both = G.synthesis(ws, noise=each)
    torch.testing.assert_close(both[0], const[0])
    with pytest.raises(ValueError, match="noisy layers"):
        G.synthesis(ws, noise=stored[1:])
    with pytest.raises(ValueError, match="noise 1 must be"):
        G.synthesis(ws, noise=[stored[0], stored[0][..., :2], *stored[2:]])
    with pytest.raises(ValueError, match="noise_mode"):
        G.synthesis(ws, noise_mode="loud")


def test_wrong_shapes_are_said(networks: tuple[Any, Any]) -> None:
    G, D = networks
    with pytest.raises(ValueError, match="z must be"):
        G(torch.randn(2, G.z_dim + 1))
    with pytest.raises(ValueError, match="ws must be"):
        G.synthesis(torch.randn(2, G.num_ws + 1, G.w_dim))
    with pytest.raises(ValueError, match="images must be"):
        D(torch.randn(2, D.img_channels, D.img_resolution, D.img_resolution * 2))
    if G.c_dim:
        with pytest.raises(ValueError, match="labels must be"):
            G(torch.randn(2, G.z_dim), torch.zeros(2, G.c_dim + 1))


def test_one_training_step(networks: tuple[Any, Any]) -> None:
    G, D = networks
    G.train().requires_grad_(True)
    D.train().requires_grad_(True)
    z = torch.randn(4, G.z_dim, requires_grad=True)
    c = one_hot(G.c_dim, 4)
    torch.autograd.backward(torch.nn.functional.softplus(-D(G(z, c), c)).mean())
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    for module in (G, D):
        for name, parameter in module.named_parameters():
            # Progressively grown networks have layers for coarser pictures, which a finished one does not use.
            unused = "rgb" in name and parameter.grad is None
            assert unused or torch.isfinite(parameter.grad).all(), name
        torch.optim.SGD(module.parameters(), lr=0.01).step()


def test_path_length_and_r1_penalties_have_gradients(networks: tuple[Any, Any]) -> None:
    G, D = networks
    G.requires_grad_(True)
    D.requires_grad_(True)
    c = one_hot(G.c_dim, 2)
    ws = G.mapping(torch.randn(2, G.z_dim), c).detach().requires_grad_(True)
    image = G.synthesis(ws)
    (slope,) = torch.autograd.grad((image * torch.randn_like(image)).sum(), ws, create_graph=True)
    slope.square().sum().backward()
    real = image.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(D(real, c).sum(), real, create_graph=True)
    slope.square().sum().backward()
    assert G.synthesis.b8.conv1.weight.grad.abs().sum() > 0
    assert D.b8.conv0.weight.grad.abs().sum() > 0


def test_moves_and_copies(networks: tuple[Any, Any]) -> None:
    G, _ = networks
    z = torch.randn(1, G.z_dim)
    expected = G(z)
    double = copy.deepcopy(G).to(torch.float64)
    torch.testing.assert_close(double(z.double()).float(), expected, rtol=1e-4, atol=1e-4)
    other = type(G)(G.config)
    other.load_state_dict(G.state_dict())
    assert torch.equal(other.eval()(z), expected)
    with torch.inference_mode():
        assert torch.equal(G(z), expected)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_save_and_load(networks: tuple[Any, Any], suffix: str, tmp_path: Path) -> None:
    G, D = networks
    path = tmp_path / f"net{suffix}"
    stylegan_torch.save(path, {"G_ema": G, "D": D})
    z = torch.randn(2, G.z_dim)
    image = G(z)
    assert torch.equal(stylegan_torch.load(path)(z), image)
    assert torch.equal(stylegan_torch.load(path, network="D")(image), D(image))
    with pytest.raises(stylegan_torch.CheckpointError, match="no network G, only G_ema, D"):
        stylegan_torch.load(path, network="G")
    with pytest.raises(stylegan_torch.StyleGANError, match="exists"):
        stylegan_torch.save(path, {"G_ema": G})
    stylegan_torch.save(path, {"G_ema": G}, force=True)


def test_only_known_networks_are_saved(tmp_path: Path) -> None:
    G = converter.load(DATA / "pg.pkl").network("G_ema")
    wrong: list[dict[str, Any]] = [{}, {"generator": G}, {"G": torch.nn.Linear(1, 1)}]
    for networks in wrong:
        with pytest.raises(stylegan_torch.CheckpointError):
            stylegan_torch.save(tmp_path / "net.pt", networks)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(converter.ConvertError, match="no network was asked for"):
        converter.convert(DATA / "pg.pkl", tmp_path / "net.pt", networks=[])
    assert list(converter.convert(DATA / "pg.pkl", tmp_path / "net.pt", networks="g_ema").configs) == ["G_ema"]


def test_training_does_not_touch_the_file(tmp_path: Path) -> None:
    converter.convert(DATA / "sg2-skip.pkl", tmp_path / "net.pt")
    before = (tmp_path / "net.pt").read_bytes()
    G = stylegan_torch.load(tmp_path / "net.pt").requires_grad_(True)
    torch.autograd.backward(G(torch.randn(1, G.z_dim)).sum())
    torch.optim.SGD(G.parameters(), lr=1.0).step()
    assert (tmp_path / "net.pt").read_bytes() == before
    again = stylegan_torch.load(tmp_path / "net.pt")
    assert not torch.equal(G.state_dict()["mapping.fc0.weight"], again.state_dict()["mapping.fc0.weight"])


def test_networks_that_share_tensors_are_saved(tmp_path: Path) -> None:
    G = converter.load(DATA / "ada.pkl").network("G_ema")
    stylegan_torch.save(tmp_path / "shared.safetensors", {"G_ema": G, "G": G})
    z = torch.randn(1, G.z_dim)
    assert torch.equal(stylegan_torch.load(tmp_path / "shared.safetensors", network="G")(z), G(z))


@pytest.mark.parametrize("name", ["pg-unfused", "sg1-cond", "sg2-resnet", "ada-cond", "sg3t_64"])
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
def test_torch_compile_finds_one_graph(name: str) -> None:
    G = converter.load(DATA / f"{name}.pkl").network("G_ema")
    z, c = torch.randn(2, G.z_dim), one_hot(G.c_dim, 2)
    compiled: Any = torch.compile(G, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(z, c), G(z, c))


def test_errors_that_quote_a_file_stay_a_line_that_can_be_read() -> None:
    error = converter.ConvertError(f"keyword size is {[1.5] * 10_000!r}, which is not a number", "in.pkl", "network D")
    assert len(str(error)) < 1100
    assert str(error).startswith("in.pkl: network D: keyword size is [1.5, 1.5")
    assert str(error).endswith("which is not a number")

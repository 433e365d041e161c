"""What users do with a network besides drawing: none at once, tracing, vmap, autocast."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import converter
from stylegan_torch.fast import optimize
from stylegan_torch.networks.layers import adain, instance_norm, minibatch_stddev, pixel_norm
from tests import DATA

NAMES = ["pg", "sg1", "sg2-skip", "sg3t_64"]


def _generator(name: str) -> Any:
    return converter.load(DATA / f"{name}.pkl").network("G_ema").requires_grad_(False)


@pytest.mark.parametrize("name", NAMES)
def test_no_pictures(name: str) -> None:
    G = _generator(name)
    for form in (G, optimize(G)):
        assert form(torch.zeros(0, G.z_dim)).shape == (0, G.img_channels, *G.img_size)


@pytest.mark.skipif(torch.__version__ < "2.6", reason="PyTorch 2.5 cannot trace a convolution's padding")
@pytest.mark.filterwarnings("ignore:.*:torch.jit.TracerWarning", "ignore:`torch.jit")
@pytest.mark.parametrize("name", NAMES[2:])
def test_a_traced_network_takes_any_batch(name: str) -> None:
    G, z = _generator(name), torch.randn(3, 2, _generator(name).z_dim)
    traced = torch.jit.trace(G, (z[0, :1],), check_trace=False)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(z[1]), G(z[1]), atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", NAMES[1:])
def test_mapped_over_latents(name: str) -> None:
    G = _generator(name)
    ws = torch.randn(2, G.num_ws, G.w_dim)

    def draw(w: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = G.synthesis(w[None])
        return picture[0]

    wanted = torch.stack([draw(w) for w in ws])
    torch.testing.assert_close(torch.func.vmap(draw)(ws), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_under_autocast_are_float32(name: str) -> None:
    G = _generator(name)
    with torch.autocast("cpu", torch.bfloat16):
        assert G(torch.zeros(1, G.z_dim)).dtype == torch.float32


@pytest.mark.parametrize("scale", [0.0, 1e-5, 300.0])
def test_norms_of_half_precision(scale: float) -> None:
    x = (torch.randn(4, 6, 5, 5) * scale).half().requires_grad_()
    one, none = torch.ones(4, 6, 1, 1).half(), torch.zeros(4, 6, 1, 1).half()
    for norm in (pixel_norm, instance_norm, lambda x: adain(x, one, none), lambda x: minibatch_stddev(x, 1)):
        y, wide = norm(x), norm(x.float())
        torch.testing.assert_close(y.float(), wide.to(y.dtype).float(), atol=2e-2, rtol=2e-2)
        [gradient] = torch.autograd.grad(y.float().sum(), x)
        assert gradient.isfinite().all()

"""Truncation by layers and towards centres: the formula by hand, whole pictures, and what stays bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import converter
from stylegan_torch import StyleGANError
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import DrawSettings, draw, draw_latents
from stylegan_torch.drawing.truncation import Truncation
from stylegan_torch.editing.composer import Composer
from stylegan_torch.editing.composition import Composition, LayerPsi, parse_psi
from stylegan_torch.editing.latents import from_seeds, sample_w
from stylegan_torch.editing.perceptual import PyramidDistance
from stylegan_torch.editing.truncation import CentresError, CentreSet, NearestCentre, find, load, save, truncation
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"
TWO = torch.tensor([[5.0, 0], [-5.0, 1]])


def network(name: str = "sg2-skip") -> Generator:
    return converter.load(DATA / f"{name}.pkl").network("G_ema")


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result.output


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path))


def centre_set(G: Generator, count: int = 5) -> CentreSet:
    w = sample_w(G, count, seed=9)
    return CentreSet(w, torch.full((count,), 1 / count), "w", network_hash(G))


# The formula.


class _Known:
    name = "known"

    def nearest(self, w: Tensor) -> Tensor:
        return TWO[(w[:, 0] < 0).long()]


def test_each_layer_has_its_psi() -> None:
    ws = torch.tensor([[3.0, -1.0]]).expand(1, 3, -1)
    found = Truncation((0.5, 0, 1)).apply(ws, torch.tensor([1.0, 1.0]))
    assert torch.equal(found, torch.tensor([[[2.0, 0.0], [1.0, 1.0], [3.0, -1.0]]]))


def test_each_w_has_its_centre() -> None:
    ws = torch.tensor([[1.0, 2.0], [-1.0, 1.0]])[:, None].expand(-1, 2, -1)
    found = Truncation((0.25, 1), _Known()).apply(ws, None)
    assert torch.equal(found, torch.tensor([[[4.0, 0.5], [1.0, 2.0]], [[-4.0, 1.0], [-1.0, 1.0]]]))


@pytest.mark.parametrize("name", ["sg1", "sg2-skip", "ada", "sg3t_64"])
@pytest.mark.parametrize("psi", [0.7, -0.3])
def test_one_psi_for_all_layers_is_what_the_network_does(name: str, psi: float) -> None:
    G = network(name)
    known = from_seeds(G, [1, 2], psi).ws
    found = from_seeds(G, [1, 2], truncation=truncation(G, psi, [LayerPsi(psi, "0")], all_layers=True)).ws
    torch.testing.assert_close(found, known, rtol=0, atol=1e-6)


def test_layers_that_nothing_is_said_of_are_the_networks_own() -> None:
    G = network("sg1")  # whose release truncates the first 8 layers by 0.7
    config = G.config
    assert config.truncation_cutoff is not None
    own = [config.truncation_psi if i < config.truncation_cutoff else 1.0 for i in range(G.num_ws)]
    found = truncation(G, None, [LayerPsi(0.2, "1")])
    assert found
    assert list(found.psis) == [own[0], 0.2, *own[2:]]
    found = truncation(G, 0.5, [LayerPsi(0.2, "0-1"), LayerPsi(0.1, "1")], cutoff=3)
    assert found
    assert list(found.psis) == [0.2, 0.1, 0.5, *[1.0] * (G.num_ws - 3)]
    assert truncation(G, 0.5) is None


def test_a_network_without_a_mean_takes_centres_only() -> None:
    G = network()
    G.mapping.w_avg = None
    with pytest.raises(StyleGANError, match="no average w"):
        next(draw(G, [1], DrawSettings(truncation=truncation(G, 0.5, [LayerPsi(1, "0")]))))
    centres = NearestCentre(G, centre_set(G))
    next(draw(G, [1], DrawSettings(truncation=Truncation((0.5,) * G.num_ws, centres))))


# Centres.


def test_centres_of_known_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    spread = torch.Generator().manual_seed(0)
    means = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    w = means.repeat_interleave(torch.tensor([50, 30, 20]), 0) + 0.1 * torch.randn(100, 3, generator=spread)
    monkeypatch.setattr("stylegan_torch.editing.truncation.sample_w", lambda *_, **__: w)
    found = find(network(), 3, samples=100)
    parts = torch.split(w, [50, 30, 20])
    torch.testing.assert_close(found.points, torch.stack([part.mean(dim=0) for part in parts]), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.shares, torch.tensor([0.5, 0.3, 0.2]))


def test_the_nearest_centre() -> None:
    G = network()
    centres = centre_set(G)
    found = NearestCentre(G, centres).nearest(centres.points.flip(0) + 0.01)
    assert torch.equal(found, centres.points.flip(0))


def test_the_nearest_by_pictures_has_the_least_distance() -> None:
    G = network()
    centres = replace(centre_set(G, 3), near="pyramid")
    w = sample_w(G, 4, seed=3)
    images, others = (G.synthesis(each[:, None].expand(-1, G.num_ws, -1)) for each in (w, centres.points))
    distance = PyramidDistance()
    expected = [int(torch.cat([distance(image[None], other[None]) for other in others]).argmin()) for image in images]
    assert torch.equal(NearestCentre(G, centres).nearest(w), centres.points[expected])


def test_a_picture_drawn_to_its_centre_is_that_of_the_centre() -> None:
    G = network()
    centres = centre_set(G)
    towards = Truncation((0.0,) * G.num_ws, NearestCentre(G, centres, "c.npz"))
    (_, drawn) = next(draw(G, [4], DrawSettings(truncation=towards, noise_mode="const")))
    nearest = NearestCentre(G, centres).nearest(from_seeds(G, [4]).ws[:, 0])
    (known,) = draw_latents(G, nearest[:, None].expand(-1, G.num_ws, -1))
    assert np.array_equal(drawn, known)


def test_centres_travel(tmp_path: Path) -> None:
    G = network()
    centres = centre_set(G)
    save(tmp_path / "a.npz", centres)
    again = load(tmp_path / "a.npz", G)
    assert torch.equal(again.points, centres.points)
    assert torch.equal(again.shares, centres.shares)
    with pytest.raises(CentresError, match=r"a\.npz: these centres are of another network, with w of"):
        load(tmp_path / "a.npz", network("sg3t_64"))
    (tmp_path / "b.npz").write_bytes(b"nothing")
    np.savez(tmp_path / "c.npz", ws=np.zeros(3))
    for name in ("b.npz", "c.npz"):
        with pytest.raises(CentresError, match="is damaged, or not a file of centres"):
            load(tmp_path / name, G)
    with pytest.raises(StyleGANError, match="ProGAN has no W"):
        load(tmp_path / "a.npz", network("pg"))


# Commands.


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.7", 0.7), ("-1", -1.0), ("0.5@coarse", LayerPsi(0.5, "coarse")), ("1@0-3,5", LayerPsi(1, "0-3,5"))],
)
def test_texts_of_psi(text: str, value: float | LayerPsi) -> None:
    assert parse_psi(text) == value
    assert parse_psi(str(value)) == value


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "0.5@", "0.5@x", "@coarse", "0.5@1@2"])
def test_texts_of_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_psi(text)


@pytest.fixture
def centres(tmp_path: Path) -> Path:
    save(tmp_path / "centres.npz", centre_set(network()))
    return tmp_path / "centres.npz"


def test_every_command_truncates_alike(tmp_path: Path, centres: Path) -> None:
    given: list[object] = [
        "--network",
        NETWORK,
        "--truncation",
        "0.4",
        "--truncation",
        "0.9@1-2",
        "--truncation-centres",
        centres,
    ]
    G = network()
    (known,) = from_seeds(G, [3], truncation=truncation(G, 0.4, [LayerPsi(0.9, "1-2")], centres=centres)).ws
    w = from_seeds(G, [3]).ws[0, 0]
    centre = NearestCentre(G, load(centres, G)).nearest(w[None])[0]
    psis = torch.tensor([0.4, 0.9, 0.9, *[0.4] * (G.num_ws - 3)])[:, None]
    torch.testing.assert_close(known, centre + psis * (w - centre), rtol=0, atol=1e-5)

    run("generate", *given, "--seeds", 3, "--outdir", tmp_path / "out")
    expected = pixels(tmp_path / "out" / "seed0003.png")
    run("draw", *given, "--seeds", 3, "--out", tmp_path / "a.png", "--save-latents", tmp_path / "a.npz")
    assert np.array_equal(pixels(tmp_path / "a.png"), expected)
    assert "Note" not in run("draw", *given, "--seeds", 3, "--out", tmp_path / "a.png", "--force")
    save(tmp_path / "other.npz", replace(load(centres, G), network="another"))
    given[-1] = tmp_path / "other.npz"
    for command in ("draw", "look"):
        what = ["noise"] if command == "look" else []
        output = run(command, *what, *given, "--seeds", 3, "--out", tmp_path / "a.png", "--force")
        assert "other.npz was found with another network" in output
    np.testing.assert_allclose(np.load(tmp_path / "a.npz")["ws"][0], known, atol=1e-5)
    run(
        "edit",
        *given,
        "--seeds",
        3,
        "--directions",
        _pca(tmp_path),
        "--strengths",
        0,
        "--out",
        tmp_path / "e.png",
        "--save-latents",
        tmp_path / "e.npz",
    )
    np.testing.assert_allclose(np.load(tmp_path / "e.npz")["ws"][0], known, atol=1e-5)
    run(
        "mix",
        *given,
        "--rows",
        3,
        "--cols",
        3,
        "--styles",
        0,
        "--out",
        tmp_path / "m.png",
        "--save-latents",
        tmp_path / "m.npz",
    )
    np.testing.assert_allclose(np.load(tmp_path / "m.npz")["ws"][0], known, atol=1e-5)
    run(
        "film",
        *given,
        "--seeds",
        "3,5",
        "--seconds",
        1,
        "--fps",
        2,
        "--out",
        tmp_path / "f.gif",
        "--save-latents",
        tmp_path / "f.npz",
    )
    np.testing.assert_allclose(np.load(tmp_path / "f.npz")["ws"][0], known, atol=1e-5)


def _pca(folder: Path) -> Path:
    run("directions", "--network", NETWORK, "--method", "pca", "--count", 1, "--out", folder / "pca.npz")
    return folder / "pca.npz"


def test_pictures_say_how_they_were_truncated(tmp_path: Path, centres: Path) -> None:
    run(
        "generate",
        "--network",
        NETWORK,
        "--seeds",
        3,
        "--outdir",
        tmp_path,
        "--truncation",
        "0.4@0",
        "--truncation-centres",
        centres,
    )
    with Image.open(tmp_path / "seed0003.png") as image:
        about = image.info["stylegan-torch"]
    assert '"truncation_psis": [0.4, ' in about
    assert '"truncation_centres": "centres.npz"' in about
    assert 'truncation_psi"' not in about


def test_compositions_say_the_options_that_make_them() -> None:
    picture = Composition(3, 0.5, layer_psis=(LayerPsi(1, "fine"),), centres=Path("c.npz"))
    words = ["--seeds", "3", "--truncation", "0.5", "--truncation", "1@fine", "--truncation-centres", "c.npz"]
    assert picture.arguments() == words
    assert "truncation-centres" not in " ".join(Composition(3, 0.5).arguments())


def test_a_composition_without_them_is_as_it_was() -> None:
    G = network()
    assert torch.equal(Composer(G).compose(Composition(3, 0.5)).ws, from_seeds(G, [3], 0.5).ws)


def test_the_command_finds_centres(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    options = ["--network", NETWORK, "--count", 4, "--samples", 300, "--out", tmp_path / "c.npz"]
    output = run("centres", *options, "--sheet", tmp_path / "c.png")
    assert "4 centres of " in output
    assert pixels(tmp_path / "c.png").shape == (64, 64, 3)
    first = (tmp_path / "c.npz").read_bytes()
    run("centres", *options, status=1)
    run("centres", *options, "--force")
    assert (tmp_path / "c.npz").read_bytes() == first
    assert load(tmp_path / "c.npz", network()).points.shape == (4, 16)
    assert "3 w cannot have 4 centres" in run(
        "centres", *options[:-2], "--samples", 3, "--out", tmp_path / "d.npz", status=1
    )


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--truncation", "0.5", "--truncation", "0.7"], 2, "one number is for all layers"),
        (["--truncation", "0.5@99"], 2, "is not within the layers"),
        (["--truncation-centres", "missing.npz"], 1, "cannot read missing.npz"),
        (["--network", DATA / "pg.pkl", "--truncation", "0.5@0"], 1, "ProGAN has no W"),
    ],
)
def test_what_cannot_be_truncated(tmp_path: Path, options: list[object], status: int, words: str) -> None:
    given = ["--network", NETWORK, *options, "--seeds", 1]
    assert words in run("generate", *given, "--outdir", tmp_path, status=status)
    assert not any(tmp_path.iterdir())

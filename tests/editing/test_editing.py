"""Editing: each function against its definition, and the commands on small networks."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import converter
import stylegan_torch
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import draw_latents
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.editing import directions, latents, mixing
from stylegan_torch.editing import inspect as inspection
from stylegan_torch.errors import NoClassError, StyleGANError
from stylegan_torch.fast import optimize
from stylegan_torch.networks.registry import network_hash
from tests import DATA

WITH_W = ["sg1.pkl", "sg2-skip.pkl", "sg2-revised.pkl", "ada-cond.pkl", "sg3t_64.pkl"]


def _network(name: str = "sg2-skip.pkl") -> Any:
    return converter.load(DATA / name).network("G_ema")


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def G() -> Any:  # noqa: N802
    return _network()


@given(st.integers(1, 4), st.lists(st.integers(0, 7), max_size=8))
def test_mixing_takes_rows(count: int, layers: list[int]) -> None:
    ws, others = torch.zeros(count, 8, 3), torch.ones(count, 8, 3)
    mixed = mixing.mix(ws, others, layers)
    assert mixed[:, :, 0].sum().item() == count * len(set(layers))
    assert (ws == 0).all()  # what is given is not changed


def test_mixing_identities(G: Any) -> None:
    a, b = torch.split(latents.from_seeds(G, [1, 2]).ws, 1)
    everything = list(range(G.num_ws))
    assert torch.equal(mixing.mix(a, b, []), a)
    assert torch.equal(mixing.mix(a, b, everything), b)
    assert torch.equal(mixing.mix(a, a, [0, 3]), a)
    coarse, rest = everything[:3], everything[3:]
    assert torch.equal(mixing.mix(a, b, coarse), mixing.mix(b, a, rest))


def test_a_grid_is_of_rows_and_columns(G: Any) -> None:
    ws = latents.from_seeds(G, range(5)).ws
    grid = mixing.mixing_grid(ws[:2], ws[2:], [0, 1])
    assert grid.shape == (2, 3, G.num_ws, G.w_dim)
    assert torch.equal(grid[1, 2], mixing.mix(ws[1:2], ws[4:5], [0, 1])[0])


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("0-2", [0, 1, 2]),
        ("5,1-2", [1, 2, 5]),
        ("coarse", [0, 1, 2, 3]),
        ("middle", [4, 5, 6, 7]),
        ("coarse, 7", [0, 1, 2, 3, 7]),
        ("fine", []),  # there is no level of 64² in this network
        ("all", list(range(8))),
    ],
)
def test_choices_of_layers(G: Any, text: str, layers: list[int]) -> None:
    assert mixing.layers_of(G, text) == layers


@pytest.mark.parametrize("text", ["8", "3-1", "rough", "", "-1"])
def test_wrong_choices_of_layers(G: Any, text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        mixing.layers_of(G, text)


def test_named_ranges_are_not_of_stylegan3() -> None:
    with pytest.raises(ValueError, match="by number"):
        mixing.layers_of(_network("sg3t_64.pkl"), "coarse")


@pytest.mark.parametrize("name", WITH_W)
def test_latents_of_seeds_draw_the_pictures_of_seeds(name: str) -> None:
    G = _network(name)
    made = latents.from_seeds(G, [3, 4], 0.7, class_index=1 if G.c_dim else None)
    expected = G(made.z, made.c, truncation_psi=0.7)
    assert torch.equal(G.synthesis(made.ws), expected)


def test_latents_travel(G: Any, tmp_path: Path) -> None:
    made = latents.from_seeds(G, [3, 4], 0.5)
    noise = tuple(torch.randn(1, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    written = replace(made, noise=noise)
    latents.save(tmp_path / "a.npz", written)
    again = latents.load(tmp_path / "a.npz", G)
    assert torch.equal(again.ws, made.ws)
    assert again.z is not None
    assert torch.equal(again.z, latents_from_seeds([3, 4], G.z_dim))
    assert all(torch.equal(a, b) for a, b in zip(again.noise, noise, strict=True))
    assert (again.seeds, again.truncation_psi, again.network) == ((3, 4), 0.5, network_hash(G))
    with pytest.raises(StyleGANError, match="exists"):
        latents.save(tmp_path / "a.npz", made)


def test_official_latents_are_read(G: Any, tmp_path: Path) -> None:
    ws = np.random.default_rng(0).normal(size=(2, G.num_ws, G.w_dim)).astype(np.float32)
    for name, arrays in (
        ("projected_w.npz", {"w": ws[:1]}),
        ("dlatents.npz", {"dlatents": ws}),
        ("rows.npz", {"w": ws[:, 0]}),
        ("one_row.npz", {"w": ws[:, :1]}),
    ):
        np.savez(tmp_path / name, **arrays)  # type: ignore[arg-type]
        read = latents.load(tmp_path / name, G).ws.numpy()
        wanted = arrays.get("w", arrays.get("dlatents"))
        assert wanted is not None
        assert np.array_equal(read[:, 0], wanted.reshape(len(read), -1, G.w_dim)[:, 0])
        assert read.shape[1:] == (G.num_ws, G.w_dim)
    np.save(tmp_path / "dlatents.npy", ws)
    assert np.array_equal(latents.load(tmp_path / "dlatents.npy", G).ws, ws)


def test_wrong_latents_are_refused(G: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for arrays, message in (
        ({"x": np.zeros(3)}, "holds no ws, only x"),
        ({"ws": np.zeros((1, 3, 5), np.float32)}, r"ws are \[1, 3, 5\], this network takes"),
        ({"ws": np.full((1, G.num_ws, G.w_dim), np.nan)}, "ws is missing, or not an array of finite numbers"),
        ({"ws": np.zeros((1, G.num_ws, G.w_dim)), "noise0": np.zeros((1, 1, 4, 4))}, "noise is for another network"),
        ({"ws": np.array([{}])}, "damaged"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(latents.LatentsError, match=message):
            latents.load(path, G)
    path.write_bytes(b"PK half a file")
    with pytest.raises(latents.LatentsError, match="damaged"):
        latents.load(path, G)
    np.savez(path, ws=np.zeros((0, G.num_ws, G.w_dim)))
    with pytest.raises(latents.LatentsError, match="holds no latents"):
        latents.load(path, G)
    maps = {f"noise{i}": np.zeros((3, 1, *stored.shape)) for i, stored in enumerate(G.synthesis.noise_buffers())}
    np.savez(path, ws=np.zeros((2, G.num_ws, G.w_dim)), **maps)  # type: ignore[arg-type]
    with pytest.raises(latents.LatentsError, match="noise is for 3 pictures, its ws for 2"):
        latents.load(path, G)
    with pytest.raises(latents.LatentsError, match="cannot read"):
        latents.load(tmp_path / "nowhere.npz", G)
    with pytest.raises(latents.LatentsError, match="ProGAN has no W"):
        latents.from_seeds(_network("pg.pkl"), [0])
    with pytest.raises(NoClassError, match="no class 10: this network has classes 0 to 9"):
        latents.from_seeds(_network("ada-cond.pkl"), [0], class_index=10)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seeds", np.array(["one"]), "seeds is missing, or not an array of finite numbers"),
        ("seeds", np.array([1, 2]), r"its seeds are \[2\], which is not one a latent"),
        ("seeds", np.array([[1]]), r"its seeds are \[1, 1\], which is not one a latent"),
        ("z", np.zeros((2, 16)), r"its z are \[2, 16\], which is not one a latent"),
        ("truncation_psi", np.array([1.0, 2.0]), r"its truncation_psi is \[2\], not one number"),
        ("truncation_psi", np.array("half"), "truncation_psi is missing, or not an array of finite numbers"),
        ("ws", np.full((1, 8, 16), 1e300), "ws is missing, or not an array of finite numbers"),
    ],
)
def test_what_latents_say_of_themselves_must_fit(G: Any, tmp_path: Path, name: str, value: Any, said: str) -> None:
    np.savez(tmp_path / "w.npz", **{"ws": np.zeros((1, 8, 16)), name: value})
    with pytest.raises(StyleGANError, match=said):
        latents.load(tmp_path / "w.npz", G)


def test_joined_latents(G: Any) -> None:
    one, two = latents.from_seeds(G, [1]), latents.from_seeds(G, [5, 6])
    both = latents.joined([one, two])
    assert both.seeds == (1, 5, 6)
    assert torch.equal(both.ws, torch.cat([one.ws, two.ws]))
    noise = tuple(torch.randn(1, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    shared = latents.joined([replace(one, noise=noise), replace(two, noise=noise)])
    assert [len(layer) for layer in shared.noise] == [1] * len(noise)  # one for all is not stored again and again
    own = latents.joined([replace(one, noise=noise), replace(two, noise=tuple(-layer for layer in noise))])
    assert [len(layer) for layer in own.noise] == [3] * len(noise)


def test_chosen_latents_keep_their_noise(G: Any) -> None:
    sizes = [stored.shape for stored in G.synthesis.noise_buffers()]
    noise = (torch.randn(1, 1, *sizes[0]), *(torch.randn(3, 1, *size) for size in sizes[1:]))
    three = replace(latents.from_seeds(G, [1, 2, 3]), noise=noise)
    some = latents.chosen(three, [2, 0, 2])
    assert torch.equal(some.ws, three.ws[[2, 0, 2]])
    assert torch.equal(some.noise[0], noise[0])  # one for all stays one
    assert all(torch.equal(mine, given[[2, 0, 2]]) for mine, given in zip(some.noise[1:], noise[1:], strict=True))
    together = latents.joined(latents.singles(three))
    assert torch.equal(together.ws, three.ws)
    assert all(torch.equal(a, b.expand(3, -1, -1, -1)) for a, b in zip(together.noise, noise, strict=True))


@pytest.mark.parametrize("name", WITH_W)
def test_sefa_is_the_svd_of_the_stacked_style_weights(name: str) -> None:
    G = _network(name)
    A = directions.style_weights(G).double()
    found = directions.sefa(G, count=4)
    values = torch.linalg.eigvalsh(A.t() @ A)  # SeFa equation 6
    torch.testing.assert_close(found.importances.double(), values.flip(0)[:4], rtol=1e-4, atol=1e-4)
    for vector, value in zip(found.vectors.double(), values.flip(0), strict=False):
        torch.testing.assert_close(A.t() @ (A @ vector), value * vector, rtol=1e-3, atol=1e-3 * float(values[-1]))
        assert vector.norm().item() == pytest.approx(1, abs=1e-5)


def test_sefa_of_some_layers(G: Any) -> None:
    every = [layer.affine.weight.shape[0] for block in G.synthesis.blocks() for layer in block.layers()]
    assert directions.style_weights(G).shape == (sum(every), G.w_dim)
    assert directions.style_weights(G, [2, 3]).shape == (sum(every[2:4]), G.w_dim)
    assert directions.sefa(G, layers=[2, 3]).layers == (2, 3)
    with pytest.raises(directions.DirectionsError, match="no styles"):
        directions.sefa(G, layers=[G.num_ws - 1])


def test_pca_has_the_variances_of_w(G: Any) -> None:
    found = directions.pca(G, count=G.w_dim)
    w = latents.sample_w(G)
    along = (w - w.mean(dim=0)) @ found.vectors.t()
    shares = along.var(dim=0) / along.var(dim=0).sum()
    torch.testing.assert_close(found.importances, shares, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.scales, along.std(dim=0))
    torch.testing.assert_close(found.vectors @ found.vectors.t(), torch.eye(G.w_dim), rtol=0, atol=1e-4)
    assert (found.importances.diff() <= 1e-6).all()


def test_a_boundary_finds_what_the_labels_say(G: Any) -> None:
    w = latents.sample_w(G, 400, seed=1)
    true = torch.nn.functional.normalize(torch.randn(G.w_dim, generator=torch.Generator().manual_seed(0)), dim=0)
    score = (w - w.mean(dim=0)) @ true
    for labels in ((score > 0).float(), score):  # two kinds, or scores
        found = directions.boundary(G, w, labels)
        order = (w @ found.vectors[0]).argsort().argsort().double()
        rank = score.argsort().argsort().double()
        assert torch.corrcoef(torch.stack([order, rank]))[0, 1] > 0.97
        assert found.importances[0] > 0.9
    with pytest.raises(directions.DirectionsError, match="all labels are the same"):
        directions.boundary(G, w, torch.ones(400))


@given(st.integers(0, 100))
def test_a_direction_without_others_is_at_right_angles_to_them(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    vector, others = torch.randn(8, generator=generator), torch.randn(3, 8, generator=generator)
    rest = directions.without(vector, others)
    assert (others @ rest).abs().max() < 1e-5
    assert rest.norm().item() == pytest.approx(1, abs=1e-5)
    with pytest.raises(directions.DirectionsError, match="nothing"):
        directions.without(others[0] * 2, others)


def test_moving_along_a_direction(G: Any) -> None:
    found = directions.pca(G, count=3, layers=[1, 2])
    ws = latents.from_seeds(G, [0]).ws
    moved = found.apply(ws, 1, 2.0)
    assert torch.equal(moved[:, [0, *range(3, G.num_ws)]], ws[:, [0, *range(3, G.num_ws)]])
    torch.testing.assert_close((moved - ws)[0, 1], 2 * found.scales[1] * found.vectors[1])
    everywhere = found.apply(ws, 1, -1.0, layers=range(G.num_ws))
    torch.testing.assert_close(found.apply(everywhere, 1, 1.0, layers=range(G.num_ws)), ws)
    assert torch.equal(found.apply(ws, 0, 0.0), ws)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_directions_travel(G: Any, suffix: str, tmp_path: Path) -> None:
    found = directions.sefa(G, count=3, layers=[1, 4])
    directions.save(tmp_path / f"d{suffix}", found)
    again = directions.load(tmp_path / f"d{suffix}", G)
    assert torch.equal(again.vectors, found.vectors)
    assert (again.layers, again.method, again.network) == ((1, 4), "sefa", network_hash(G))
    with pytest.raises(directions.DirectionsError, match="another network"):
        directions.load(tmp_path / f"d{suffix}", _network("sg3t_64.pkl"))
    (tmp_path / f"d{suffix}").write_bytes(b"half")
    with pytest.raises(directions.DirectionsError, match="damaged"):
        directions.load(tmp_path / f"d{suffix}", G)
    with pytest.raises(directions.DirectionsError, match="must end in"):
        directions.save(tmp_path / "d.txt", found)


@pytest.mark.parametrize("name", WITH_W)
def test_features_are_what_layers_make(name: str) -> None:
    G = _network(name)
    ws = latents.from_seeds(G, [0, 1]).ws
    images, features = G.synthesis(ws, return_features=True)
    assert torch.equal(images, G.synthesis(ws))
    assert all(len(value) == 2 and value.ndim == 4 for value in features.values())
    assert not any(module._forward_hooks for module in G.modules())
    if name == "sg2-skip.pkl":  # the picture is the sum of what the RGB layers add
        blocks = G.synthesis.blocks()
        total = features["b4.torgb"]
        for block in blocks[1:]:
            total = block.enlarged(total) + features[f"b{block.resolution}.torgb"]
        torch.testing.assert_close(total, images)


def test_the_fast_form_has_no_features(G: Any) -> None:
    with pytest.raises(ValueError, match="plain form"):
        optimize(G).synthesis(latents.from_seeds(G, [0]).ws, return_features=True)


def test_truncation_sweep(G: Any) -> None:
    ws = latents.from_seeds(G, [0, 1]).ws
    swept = inspection.truncation_sweep(G, ws, [1, 0.5, 0, -1])
    assert torch.equal(swept[:, 0], ws)
    torch.testing.assert_close(swept[:, 1], latents.from_seeds(G, [0, 1], 0.5).ws)
    torch.testing.assert_close(swept[:, 2], inspection.average_ws(G).expand(2, -1, -1))
    torch.testing.assert_close(swept[:, 0] + swept[:, 3], 2 * swept[:, 2])


def test_noise_moves_pixels_as_much_as_it_is_strong(G: Any) -> None:
    strengths = inspection.noise_strengths(G)
    assert strengths["b32.conv1"] == G.synthesis.b32.conv1.noise_strength.abs().item()
    spread = inspection.noise_variance(G, latents.from_seeds(G, [0]).ws, draws=8)
    assert spread.shape == (1, 32, 32)
    quiet = _network()
    with torch.no_grad():
        for name, value in quiet.named_parameters():
            if name.endswith("noise_strength"):
                value.zero_()
    assert inspection.noise_variance(quiet, latents.from_seeds(G, [0]).ws, draws=3).max() < 1e-6
    assert inspection.noise_strengths(_network("sg3t_64.pkl")) == {}


def test_nearest_latents() -> None:
    others = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    index, distance = inspection.nearest(torch.tensor([[0.0, 0.9], [2.5, 0.0]]), others, count=2)
    assert index.tolist() == [[2, 0], [1, 0]]
    torch.testing.assert_close(distance[:, 0], torch.tensor([0.1, 0.5]))
    many = torch.randn(40, 500, generator=torch.Generator().manual_seed(0)) + 5
    assert inspection.nearest(many, many)[1].abs().max() == 0  # what is in the set is found at no distance


def test_pictures_are_drawn_in_batches_with_their_noise(G: Any) -> None:
    ws = latents.from_seeds(G, range(3)).ws
    noise = [torch.randn(3, 1, *stored.shape) for stored in G.synthesis.noise_buffers()]
    one, three = (list(draw_latents(G, ws, noise=noise, batch=batch)) for batch in (1, 3))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, three, strict=True))
    plain = list(draw_latents(G, ws))
    assert not np.array_equal(plain[0], one[0])


def _sheet_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_mix_command(tmp_path: Path) -> None:
    out, single = tmp_path / "grid.png", tmp_path / "single"
    common = ("mix", "--network", DATA / "sg2-skip.pkl", "--rows", "1,2", "--cols", "3-5", "--out", out)
    assert _run(*common, "--styles", "0-3", "--outdir", single) == f"2 × 3 pictures in {out} and {single}\n"
    assert _sheet_size(out) == (4 * 32, 3 * 32)
    assert sorted(path.name for path in single.iterdir()) == [f"{r}-{c}.png" for r in (1, 2) for c in (3, 4, 5)]
    assert "exists; use --force" in _run(*common, status=1)
    assert "'0-9' is not within the layers 0 to 7" in _run(*common, "--force", "--styles", "0-9", status=2)
    with Image.open(out) as grid, Image.open(single / "2-4.png") as one:
        assert np.array_equal(np.asarray(grid)[64:96, 64:96], np.asarray(one))
        assert (np.asarray(grid)[:32, :32] == 0).all()


def _with_noise(G: Any, seeds: list[int]) -> latents.Latents:
    sizes = [stored.shape for stored in G.synthesis.noise_buffers()]
    random = torch.Generator().manual_seed(seeds[0])
    noise = tuple(torch.randn(len(seeds), 1, *size, generator=random) for size in sizes)
    return replace(latents.from_seeds(G, seeds, 0.5), noise=noise)


def _about(path: Path) -> Any:
    with Image.open(path) as image:
        return json.loads(image.info["stylegan-torch"])


def _cells(path: Path, top: int = 0) -> np.ndarray[Any, Any]:
    """Return the pictures of a sheet, [rows, columns, 32, 32, 3]."""
    with Image.open(path) as image:
        pixels = np.asarray(image)[top:]
    return pixels.reshape(len(pixels) // 32, 32, -1, 32, 3).swapaxes(1, 2)


def test_mixing_latents_of_files(tmp_path: Path, G: Any) -> None:
    mine = _with_noise(G, [1, 2])
    latents.save(tmp_path / "me.npz", mine)
    np.save(tmp_path / "you.npy", latents.from_seeds(G, [7]).ws.numpy())
    common = ("mix", "--network", DATA / "sg2-skip.pkl", "--styles", "0-3", "--exact")
    grid, single, mixed = tmp_path / "grid.png", tmp_path / "single", tmp_path / "mixed.npz"
    more = ("--rows", tmp_path / "me.npz", "--cols", "3-5", "--out", grid, "--outdir", single, "--save-latents", mixed)
    _run(*common, *more)
    names = sorted(path.name for path in single.iterdir())
    assert names == [f"me_{i}-{seed}.png" for i in (0, 1) for seed in (3, 4, 5)]
    expected = mixing.mixing_grid(mine.ws, latents.from_seeds(G, [3, 4, 5], 0.5).ws, range(4))
    found = latents.load(mixed, G)
    assert torch.equal(found.ws, expected.flatten(0, 1))
    assert all(torch.equal(a, b.repeat_interleave(3, dim=0)) for a, b in zip(found.noise, mine.noise, strict=True))
    cells = _cells(grid)
    assert np.array_equal(cells[1:, 1:].reshape(6, 32, 32, 3), list(latents.drawn(G, found)))
    assert np.array_equal(cells[1:, 0], list(latents.drawn(G, mine)))
    assert np.array_equal(cells[0, 1:], list(latents.drawn(G, latents.from_seeds(G, [3, 4, 5], 0.5))))
    about = _about(single / "me_1-4.png")
    assert (about["row"], about["col"], about["rows"], about["cols"]) == ("me_1", 4, "me.npz", [3, 4, 5])
    assert "me_0-3.png exists" in _run(*common, *more[:4], "--outdir", single, "--out", tmp_path / "b.png", status=1)
    assert not (tmp_path / "b.png").exists()
    _run(*common, "--rows", "1", "--cols", tmp_path / "you.npy", "--save-latents", mixed, "--force", "--out", grid)
    assert latents.load(mixed, G).noise == ()
    both = ("--rows", mixed, "--cols", tmp_path / "you.npy", "--outdir", single, "--out", grid, "--force")
    _run(*common, *both)
    assert (single / "mixed_0-you_0.png").exists()
    assert _about(grid)["truncation_psi"] is None


def test_directions_and_edit_commands(tmp_path: Path) -> None:
    network = ("--network", DATA / "sg2-skip.pkl")
    for method, suffix in (("sefa", ".npz"), ("pca", ".safetensors")):
        path = tmp_path / f"{method}{suffix}"
        output = _run("directions", *network, "--method", method, "--count", 3, "--layers", "coarse", "--out", path)
        assert len(output.splitlines()) == 4
        out, edited = tmp_path / f"{method}.png", tmp_path / f"{method}-edited.npz"
        more = ("--index", "0,2", "--seeds", "1-2", "--strengths=-1,0,1", "--out", out, "--save-latents", edited)
        assert _run("edit", *network, "--directions", path, *more) == f"4 × 3 pictures in {out}\n"
        assert _sheet_size(out) == (3 * 32, 4 * 32 + 28)
        again = tmp_path / f"{method}-again.png"
        output = _run("edit", *network, "--directions", path, "--latents", edited, "--strengths", 0, "--out", again)
        assert output.startswith("12 × 1 pictures")
    assert "has the directions 0 to 2, not 3" in _run(
        "edit", *network, "--directions", path, "--index", 3, "--seeds", 1, "--out", tmp_path / "x.png", status=1
    )
    assert "give one of --seeds and --latents" in _run("edit", *network, "--directions", path, status=2)


_BOUNDARY = ("--method", "boundary", "--labels", "labels.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("edit", "--directions", "d.npz", "--seeds", "1", "--out", "a.jpg"), "a.jpg does not end in .png"),
        (("edit", "--directions", "d.npz", "--seeds", "1", "--save-latents", "a.png"), "a.png does not end in .npz"),
        (("edit", "--directions", "d.npz", "--seeds", "1", "--latents", "a.npz"), "give one of --seeds and --latents"),
        (("mix", "--rows", "me.pt", "--cols", "1"), "'--rows': 'me.pt' is not a seed"),
        (("look", "rgb", "--seeds", "1", "--latents", "a.npz"), "give one of --seeds and --latents"),
        (("look", "rgb", "--save-latents", "a.npz"), "--save-latents goes with truncation or average"),
        (("look", "rgb", "--among", "1-5"), "--among and nearest belong together"),
        (("look", "nearest", "--seeds", "1"), "--among and nearest belong together"),
        (("look", "average", "--seeds", "1"), "average is one picture: it takes no --seeds or --latents"),
        (("mix", "--rows", "1", "--cols", "2", "--save-latents", "a"), "'--save-latents': a does not end in .npz"),
        (("draw", "--seeds", "1", "--feather", "0.3"), "--feather goes with --layout"),
        (("draw", "--seeds", "1", "--fill", "tile"), "--fill goes with --size"),
        (("drag", "--seed", "1", "--points", "1,1:2,2", "--mask-weight", "3"), "--mask-weight goes with --mask"),
        (("look", "rgb", "--psis", "1,0"), "--psis goes with truncation"),
        (("look", "rgb", "--count", "2"), "--count goes with nearest"),
        (("look", "truncation", "--truncation", "0.5"), "--truncation goes with noise or features or rgb or nearest"),
        (("directions", "--latents", "a.npz"), "--latents goes with --labels"),
        (("directions", *_BOUNDARY, "--count", "2"), "--count goes with --method sefa and pca"),
        (("edit", "--directions", "d.npz", "--latents", "a.npz", "--truncation", "0.5"), "--class are for --seeds"),
        (("look", "rgb", "--latents", "a.npz", "--truncation", "0.5@fine"), "--truncation and --class are for --seeds"),
        (("look", "nearest", "--latents", "a.npz", "--among", "b.npz", "--class", "1"), "--class are for --seeds"),
        (("drag", "--latents", "a.npz", "--points", "1,1:2,2", "--truncation", "0.5"), "--class are for --seeds"),
    ],
)
def test_unusable_arguments_end_with_2(arguments: tuple[str, ...], words: str) -> None:
    assert words in _run(*arguments, status=2)


def test_boundary_command(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows([("seed", "smile"), *((seed, seed % 2) for seed in range(30))])
    common = ("directions", "--network", DATA / "sg2-skip.pkl", "--out", tmp_path / "b.npz", "--force")
    output = _run(*common, "--method", "boundary", "--labels", labels)
    assert output.splitlines()[0].split() == ["direction", "accuracy"]
    assert "--labels and --method boundary belong together" in _run(*common, "--method", "boundary", status=2)
    labels.write_bytes(b"\xef\xbb\xbf0,high\n")  # spreadsheets write a mark first
    assert "line 1: '0,high' is not a seed" in _run(*common, "--method", "boundary", "--labels", labels, status=1)
    labels.write_text("1,0\n2,happy\n")
    assert "labels.csv, line 2: '2,happy' is not a seed and a label" in _run(
        *common, "--method", "boundary", "--labels", labels, status=1
    )


@pytest.mark.parametrize("what", ["truncation", "noise", "features", "rgb"])
@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-skip.pkl", "sg3t_64.pkl", "ada5_fp16_nhwc_gray.pkl"])
def test_look_command(what: str, name: str, tmp_path: Path) -> None:
    output = _run("look", what, "--network", DATA / name, "--seeds", "0-1", "--out", tmp_path / "a.png")
    assert "2 × " in output
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).std() > 5


@pytest.mark.parametrize("what", ["truncation", "noise", "features", "rgb"])
def test_looking_into_latents_of_a_file(what: str, tmp_path: Path, G: Any) -> None:
    mine = _with_noise(G, [1, 2])
    latents.save(tmp_path / "me.npz", mine)
    out = tmp_path / "a.png"
    more = ("--latents", tmp_path / "me.npz", "--out", out, *(("--psis", "1,0") if what == "truncation" else ()))
    _run("look", what, "--network", DATA / "sg2-skip.pkl", *more)
    assert np.array_equal(_cells(out, 28)[:, 0], list(latents.drawn(G, mine)))
    assert (_about(out)["seeds"], _about(out)["latents"]) == (None, "me.npz")


def test_features_are_those_of_the_latents_own_noise(tmp_path: Path, G: Any) -> None:
    mine = _with_noise(G, [1])
    for name, noise in (("own", mine.noise), ("stored", ())):
        latents.save(tmp_path / "me.npz", replace(mine, noise=noise), force=True)
        out = tmp_path / f"{name}.png"
        _run("look", "features", "--network", DATA / "sg2-skip.pkl", "--latents", tmp_path / "me.npz", "--out", out)
    own, stored = (_cells(tmp_path / f"{name}.png", 28) for name in ("own", "stored"))
    assert not np.array_equal(own[:, 2:], stored[:, 2:])


def test_a_sweep_and_the_average_are_saved(tmp_path: Path, G: Any) -> None:
    mine = _with_noise(G, [1, 2])
    latents.save(tmp_path / "me.npz", mine)
    common = ("--network", DATA / "sg2-skip.pkl", "--out", tmp_path / "a.png", "--save-latents", tmp_path / "b.npz")
    _run("look", "truncation", *common, "--latents", tmp_path / "me.npz", "--psis", "1,0.5,0")
    swept = latents.load(tmp_path / "b.npz", G)
    assert torch.equal(swept.ws, inspection.truncation_sweep(G, mine.ws, [1, 0.5, 0]).flatten(0, 1))
    assert all(torch.equal(a, b.repeat_interleave(3, dim=0)) for a, b in zip(swept.noise, mine.noise, strict=True))
    assert "1 × 1 pictures" in _run("look", "average", *common, "--force")
    average = latents.load(tmp_path / "b.npz", G)
    assert torch.equal(average.ws, inspection.average_ws(G))
    assert np.array_equal(_cells(tmp_path / "a.png")[0], list(draw_latents(G, average.ws)))


def test_look_nearest(tmp_path: Path, G: Any) -> None:
    mine = _with_noise(G, [4, 30])
    latents.save(tmp_path / "me.npz", mine)
    out = tmp_path / "a.png"
    common = ("look", "nearest", "--network", DATA / "sg2-skip.pkl", "--out", out, "--force", "--truncation", 0.5)
    lines = _run(*common, "--latents", tmp_path / "me.npz", "--among", "0-49", "--count", 3).splitlines()
    set_ws = latents.from_seeds(G, range(50), 0.5).ws
    index, distance = inspection.nearest(mine.ws, set_ws, 3)
    assert index[:, 0].tolist() == [4, 30]
    assert lines[0].split() == ["picture", "nearest", "1", "nearest", "2", "nearest", "3"]
    for i, line in enumerate(lines[1:3]):
        each = [f"{name} ({far:.3f})" for name, far in zip(index[i].tolist(), distance[i].tolist(), strict=True)]
        assert line.split() == f"me_{i} {' '.join(each)}".split()
    assert _about(out)["among"] == list(range(50))
    assert lines[3] == f"2 × 4 pictures in {out}"
    cells = _cells(out, 28)
    assert np.array_equal(cells[:, 0], list(latents.drawn(G, mine)))
    assert np.array_equal(cells[1, 1:], list(draw_latents(G, set_ws[index[1]])))
    lines = _run(*common, "--seeds", 30, "--among", tmp_path / "me.npz").splitlines()  # all there are
    assert [lines[1].split()[i] for i in (0, 1, 3)] == ["30", "me_1", "me_0"]
    assert np.array_equal(_cells(out, 28)[0, 1], list(latents.drawn(G, mine))[1])


def test_progan_has_nothing_to_look_into(tmp_path: Path) -> None:
    assert "ProGAN has no W" in _run("look", "truncation", "--network", DATA / "pg.pkl", status=1)


def test_edited_latents_keep_their_own_noise(tmp_path: Path, G: Any) -> None:
    sizes = [stored.shape for stored in G.synthesis.noise_buffers()]
    noise = tuple(torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(i)) for i, size in enumerate(sizes))
    given = replace(latents.from_seeds(G, [1, 2]), noise=noise)
    latents.save(tmp_path / "two.npz", given)
    network = ("--network", DATA / "sg2-skip.pkl")
    _run("directions", *network, "--out", tmp_path / "d.npz")
    more = ("--strengths=0,1", "--out", tmp_path / "a.png", "--save-latents", tmp_path / "edited.npz", "--exact")
    _run("edit", *network, "--directions", tmp_path / "d.npz", "--latents", tmp_path / "two.npz", *more)
    with Image.open(tmp_path / "a.png") as sheet:
        cells = np.asarray(sheet)[28:, :32].reshape(2, 32, 32, 3)
    for cell, picture in zip(cells, latents.drawn(G, given), strict=True):
        assert np.array_equal(cell, picture)
    edited = latents.load(tmp_path / "edited.npz", G)
    assert all(torch.equal(a, b.repeat_interleave(2, dim=0)) for a, b in zip(edited.noise, noise, strict=True))


def test_stylegan3_is_upright_whatever_transform_its_file_has(tmp_path: Path) -> None:
    turned = _network("sg3t_64.pkl")
    turned.synthesis.input.transform.copy_(torch.tensor([[0.0, 1, 0], [-1, 0, 0.1], [0, 0, 1]]))
    stylegan_torch.save(tmp_path / "turned.pt", {"G_ema": turned})
    for name, network in (("turned", tmp_path / "turned.pt"), ("upright", DATA / "sg3t_64.pkl")):
        _run("mix", "--network", network, "--rows", 1, "--cols", 2, "--out", tmp_path / f"{name}.png")
    with Image.open(tmp_path / "turned.png") as a, Image.open(tmp_path / "upright.png") as b:
        assert np.array_equal(np.asarray(a), np.asarray(b))

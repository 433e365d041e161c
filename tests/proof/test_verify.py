"""Verifying against a reference file: what passes, what fails, what is said, and what is no reference at all.

The references here are of our own making; `test_original` has those of running programs.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import checkpoints
import converter
from stylegan_torch import to_uint8
from stylegan_torch.commands.verify import main
from stylegan_torch.errors import StyleGANError
from stylegan_torch.proof.reference import Layer, read_reference, write_reference
from stylegan_torch.proof.report import amplification, write_report
from stylegan_torch.proof.verify import Comparison, Verdict, compare
from tests.tools.browser import browsing
from tests.tools.compare import assert_same_picture

Arrays = dict[str, Any]
SEEDS = [3, 1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def computed() -> Arrays:
    """What the bundled network computes, as a reference has it."""
    checkpoint = converter.load(checkpoints.DEMO)
    G: Any = checkpoint.network("G_ema")
    D: Any = checkpoint.network("D")
    z = torch.from_numpy(np.concatenate([np.random.RandomState(seed).randn(1, 64) for seed in SEEDS])).float()
    arrays: Arrays = {"z": z, "labels": torch.zeros(2, 0), "w": G.mapping(z)}
    layers: Arrays = {}
    G.synthesis.b8.conv0.register_forward_hook(lambda module, inputs, output: layers.update(conv0=output[:1]))
    noise = [torch.randn(1, 1, *buffer.shape) for buffer in G.synthesis.noise_buffers()]
    arrays["images"] = G(z, truncation_psi=0.8, noise=noise)
    arrays["images_uint8"] = to_uint8(arrays["images"])
    arrays["d_scores"] = D(arrays["images"])
    arrays |= {f"noise{i}": maps for i, maps in enumerate(noise)}
    arrays["layers/G_ema/8x8/Conv0_up"] = layers["conv0"].reshape(-1)[::7]
    return {name: value.numpy() for name, value in arrays.items()}


def record(**changes: Any) -> dict[str, Any]:
    layer: dict[str, Any] = {"network": "G_ema", "module": "synthesis.b8.conv0", "scope": "G_synthesis/8x8/Conv0_up"}
    layer |= {"array": "layers/G_ema/8x8/Conv0_up", "shape": [1, 64, 8, 8], "step": 7}
    return {
        "created_by": "stylegan-torch test",
        "origin": {"name": "<b>demo.pkl", "sha256": "12ab", "size": 1234},
        "source_sha256": ["cd34"],
        "tensorflow": "2",
        "numpy": "2",
        "seeds": SEEDS,
        "truncation_psi": 0.8,
        "class": None,
        "noise": "stored",
        "noise_maps": [f"noise{i}" for i in range(9)],
        "d_batch": 4,
        "layers": [layer],
        **changes,
    }


def reference(path: Path, arrays: Arrays, **changes: Any) -> Path:
    with path.open("wb") as file:
        write_reference(file, record(**changes), arrays)
    return path


def test_the_same_network_passes(computed: Arrays, tmp_path: Path) -> None:
    result = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", computed))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert re.fullmatch(r"array +shape +max \|Δ\| +mean \|Δ\| +allowed +identical +PSNR", lines[0])
    assert re.fullmatch(r"images +2x3x64x64 +\S+e-\d\d +\S+e-\d\d +1\.0e-04 +(\S+ dB|identical) +pass", lines[1])
    assert re.fullmatch(r"images_uint8 +2x64x64x3 .* +(99|100)\.\d+% +(\S+ dB|identical) +pass", lines[2])
    assert "layers 1 of 1 agree" in lines
    assert "the same as the original" in lines
    assert "Note: the reference was made from another file, <b>demo.pkl, sha256 12ab" in result.output


def test_what_a_reference_says_does_not_steer_the_terminal(computed: Arrays, tmp_path: Path) -> None:
    origin = {"name": "demo\x1b[31m.pkl", "sha256": "12ab", "size": 1}
    output = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", computed, origin=origin)).output
    assert "another file, demo\\x1b[31m.pkl" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("name", ["images", "images_uint8", "w", "d_scores"])
def test_any_array_that_differs_fails(name: str, computed: Arrays, tmp_path: Path) -> None:
    changed = computed[name].copy()
    changed[1, 0] += 2 if name == "images_uint8" else 2e-3
    result = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", {**computed, name: changed}))
    assert result.exit_code == 1
    failed = [line.split()[0] for line in result.output.splitlines() if line.endswith("FAIL")]
    assert failed == (["images", "d_scores"] if name == "images" else [name])
    assert "NOT the same as the original" in result.output


def test_the_layer_that_departs_is_named(computed: Arrays, tmp_path: Path) -> None:
    name = "layers/G_ema/8x8/Conv0_up"
    changed = {**computed, name: computed[name] + 1, "images": computed["images"] + 1}
    result = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", changed))
    assert result.exit_code == 1
    expected = "first layer that departs: synthesis.b8.conv0 of G_ema, in the original G_synthesis/8x8/Conv0_up"
    assert expected in result.output.splitlines()


def test_layers_of_another_shape_or_name_are_passed_over(computed: Arrays, tmp_path: Path) -> None:
    name, [layer] = "layers/G_ema/8x8/Conv0_up", record()["layers"]
    others = [
        {**layer, "module": "synthesis.b8.no_such"},
        {**layer, "shape": [7], "step": 1, "array": "short"},
    ]
    arrays = {**computed, "short": np.zeros(7, np.float32), name: computed[name]}
    result = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", arrays, layers=[*others[:1], layer]))
    assert "layers 1 of 1 agree" in result.output
    result = run(checkpoints.DEMO, reference(tmp_path / "ref.npz", arrays, layers=others))
    assert result.exit_code == 0
    assert "layers" not in result.output


def _verdict(*passed: tuple[str, str, bool], arrays: bool = False) -> Verdict:
    layers = [
        (Layer(network, module, "", (1,), 1, torch.zeros(1)), Comparison(module, (1,), 0.0 if same else 1.0, 0.0, 0.1))
        for network, module, same in passed
    ]
    return Verdict([Comparison("images", (1,), 0.0 if arrays else 1.0, 0.0, 0.1)], layers, torch.zeros(1))


@pytest.mark.parametrize(
    ("layers", "first"),
    [
        ([("G_ema", "a.conv0", True), ("G_ema", "b.conv0", False), ("G_ema", "b.conv1", False)], "b.conv0"),
        ([("G_ema", "a.skip", False), ("G_ema", "b.conv0", True), ("G_ema", "b.conv1", False)], "b.conv1"),
        ([("G_ema", "a.torgb", False), ("G_ema", "b.conv0", True), ("G_ema", "b.torgb", True)], "a.torgb"),
        ([("G_ema", "a.torgb", False), ("G_ema", "b.conv0", False)], "b.conv0"),
        ([("G_ema", "a.conv0", False), ("D", "b.conv0", True)], "a.conv0"),
        ([("G_ema", "a.conv0", True), ("D", "b.conv0", False)], "b.conv0"),
        ([("G_ema", "a.conv0", False), ("G_ema", "a.conv1", False), ("G_ema", "a.skip", True)], "a.conv0"),
        ([("D", "a.conv0", False), ("D", "a.conv1", False), ("D", "b.fromrgb", True)], "a.conv0"),
        ([("G_ema", "a.conv0", True)], None),
    ],
)
def test_the_first_departure_is_no_layer_that_only_ends_elsewhere(
    layers: list[tuple[str, str, bool]], first: str | None
) -> None:
    found = _verdict(*layers).first_departure
    assert (found and found.module) == first
    assert _verdict(*layers, arrays=True).first_departure is None


# The tolerances.


@given(st.integers(1, 4000), st.integers(0, 10), st.integers(0, 3))
def test_eight_bit_pictures_may_have_one_value_in_a_thousand_off_by_one(count: int, wrong: int, by: int) -> None:
    ours = torch.full((count,), 100, dtype=torch.uint8)
    theirs = ours.clone()
    theirs[:wrong] += by
    differing = min(wrong, count) if by else 0
    result = compare("images_uint8", ours, theirs)
    assert result.passed == (differing == 0 or (by <= 1 and differing <= count / 1000 + 1e-9))
    assert result.identical == pytest.approx(1 - differing / count)


@given(st.floats(0, 3e-4), st.floats(0.1, 100))
def test_other_arrays_may_differ_by_a_ten_thousandth(difference: float, scale: float) -> None:
    theirs = torch.full((3,), scale, dtype=torch.float64)
    ours = theirs + torch.tensor([0.0, difference, -difference])
    largest = float((ours - theirs).abs().max())
    assert compare("images", ours, theirs).passed == (largest <= 1e-4)
    assert compare("w", ours, theirs).passed == (largest <= 1e-4 * max(1.0, scale))


def test_rounding_may_decide_any_number_of_values() -> None:
    images = torch.full((1, 3, 2, 2), 20 / 127.5)  # 148 - 1e-5 and 148 + 1e-5 are 147 and 148
    theirs = to_uint8(images + 1e-6)
    ours = theirs - torch.tensor([1, 0, 1], dtype=torch.uint8)
    assert compare("images_uint8", ours, theirs, images=images).passed
    assert not compare("images_uint8", ours, theirs, images=images + 1e-4).passed
    assert not compare("images_uint8", ours - 1, theirs, images=images).passed
    assert not compare("images_uint8", ours, theirs).passed


def test_psnr_is_that_of_the_mean_square() -> None:
    zeros = torch.zeros(100)
    assert compare("images", zeros + 0.2, zeros).psnr == pytest.approx(20.0)
    assert compare("images_uint8", zeros.byte() + 255, zeros.byte()).psnr == pytest.approx(0.0)
    assert compare("images", zeros, zeros).psnr == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_fails(value: float) -> None:
    bad, good = torch.tensor([0.0, value]), torch.zeros(2)
    assert not compare("images", bad, good).passed
    assert not compare("w", good, bad).passed


# The report.


class Page(HTMLParser):
    """What of a page matters here: its pictures, its addresses, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_page_with_the_pictures(computed: Arrays, tmp_path: Path) -> None:
    changed = computed["images"].copy()
    changed[0, 0, :32] += 0.004
    path = reference(tmp_path / "ref.npz", {**computed, "images": changed})
    result = run(checkpoints.DEMO, path, "--report", tmp_path / "report.html")
    assert result.exit_code == 1
    page = Page((tmp_path / "report.html").read_text())
    assert page.tags.count("img") == 3 * len(SEEDS)
    assert not {"script", "link", "b>demo.pkl"} & set(page.tags)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "<b>demo.pkl, 1,234 bytes, sha256 12ab" in page.text
    assert "NOT the same as the original." in page.text
    assert "The reference was made from another file" in page.text
    assert "difference × 200, at most 4.0e-03" in page.text
    pictures = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in page.addresses]
    assert_same_picture(pictures[1], computed["images_uint8"][0], computed["images"][0])
    difference = np.asarray(pictures[2])
    assert difference[:32, :, 0].min() >= 100  # 0.004 · 200 of a range that is 2
    assert difference[32:].max() <= 1


@pytest.mark.parametrize(
    ("difference", "gain"),
    [(0.0, 1), (2.0, 1), (0.3, 2), (0.09, 5), (3e-6, 200_000), (1e-12, 500_000_000_000), (math.nan, 1), (math.inf, 1)],
)
def test_the_difference_is_amplified_until_it_is_seen(difference: float, gain: int) -> None:
    assert amplification(torch.zeros(2), torch.tensor([0.0, difference])) == gain


def test_a_faint_difference_is_seen_beside_an_outlier() -> None:
    ours = torch.full((1000,), 1e-5)
    ours[0] = 1e-4
    gain = amplification(torch.zeros(1000), ours)
    assert ours[1] * gain / 2 > 0.05  # of the whole range


def test_what_does_not_differ_is_called_identical(computed: Arrays, tmp_path: Path) -> None:
    images = torch.from_numpy(computed["images"])
    known = read_reference(reference(tmp_path / "ref.npz", computed))
    verdict = Verdict([compare("images", images, images)], [], images)
    assert "identical" in verdict.table()[1]
    write_report(tmp_path / "report.html", verdict, known, network={"name": "demo", "sha256": "12ab"})
    page = Page((tmp_path / "report.html").read_text())
    assert page.text.count("identical") == len(SEEDS) + 2  # and in the table: a heading, a PSNR
    assert "inf" not in page.text
    assert "another file" not in page.text


def test_half_precision_networks_are_said_to_have_run_in_float32(computed: Arrays, tmp_path: Path) -> None:
    path = reference(tmp_path / "ref.npz", computed, half_precision=["G_ema"], noise="none", put_back=True)
    result = run(checkpoints.DEMO, path, "--report", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    said = "in float32: network G_ema, which computes in half precision by itself, was run in float32"
    assert f"the same as the original {said}" in result.output.splitlines()
    assert f"The same as the original {said}." in Page((tmp_path / "report.html").read_text()).text


def test_the_report_is_read_on_a_narrow_screen(computed: Arrays, tmp_path: Path) -> None:
    run(checkpoints.DEMO, reference(tmp_path / "ref.npz", computed), "--report", tmp_path / "report.html")
    with browsing((tmp_path / "report.html").as_uri()) as page:
        page.set_viewport_size({"width": 420, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        sizes = page.locator("td, dd, figcaption").evaluate_all(
            "all => all.filter(x => x.offsetWidth)"
            ".map(x => [parseFloat(getComputedStyle(x).fontSize), x.scrollWidth, x.clientWidth])"
        )
        assert all(size >= 12 and needed <= given for size, needed, given in sizes)


def test_a_report_is_not_replaced_unasked(computed: Arrays, tmp_path: Path) -> None:
    path, report = reference(tmp_path / "ref.npz", computed), tmp_path / "report.html"
    report.write_text("mine")
    result = run(checkpoints.DEMO, path, "--report", report)
    assert (result.exit_code, report.read_text()) == (1, "mine")
    assert "use --force" in result.output
    assert run(checkpoints.DEMO, path, "--report", report, "--force").exit_code == 0
    assert run(checkpoints.DEMO, path, "--report", tmp_path / "report.pdf").exit_code == 2


# Other files.


def _without(arrays: Arrays, name: str) -> Arrays:
    return {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("change", "changes", "message"),
    [
        (lambda a: {**a, "z": a["z"][:, :5]}, {}, "of another network: its z_dim is 5, here it is 64"),
        (lambda a: {**a, "labels": np.zeros([2, 3], "f4")}, {}, "of another network: its c_dim is 3, here it is 0"),
        (lambda a: {**a, "images": a["images"][:, :1]}, {}, "of another network: its channels is 1, here it is 3"),
        (lambda a: _without(a, "w"), {}, "of another network: only one of the two has a w"),
        (lambda a: {**a, "z": a["z"].astype(float)}, {}, "array z is float64 [2, 64], not float32 of 2 axes"),
        (lambda a: {**a, "w": a["w"][:1]}, {}, "array w has 1 rows for 2 seeds"),
        (lambda a: _without(a, "z"), {}, "is no sound reference file"),
        (lambda a: a, {"format": "stylegan-torch dump"}, "is no reference file but a stylegan-torch dump"),
        (lambda a: a, {"version": 9}, "is a reference of version 9; this program reads 1"),
        (lambda a: a, {"seeds": None}, "its record has no sound seeds"),
        (lambda a: a, {"truncation_psi": "1"}, "its record has no sound truncation_psi"),
        (lambda a: a, {"d_batch": 0}, "its record has no sound d_batch"),
        (lambda a: a, {"origin": None}, "its record has no sound origin"),
        (lambda a: a, {"half_precision": 1}, "its record has no sound half_precision"),
        (lambda a: a, {"layers": [{**record()["layers"][0], "step": 0}]}, "which do not fit its shape"),
        (lambda a: a, {"layers": [{**record()["layers"][0], "odd": 0}]}, "is no sound reference file"),
        (lambda a: a, {"noise_maps": ["noise0"]}, "of another network: its 1 noise maps do not fit"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused_in_a_line(
    change: Any, changes: dict[str, Any], message: str, computed: Arrays, tmp_path: Path
) -> None:
    path = reference(tmp_path / "ref.npz", change(computed), **changes)
    result = run(checkpoints.DEMO, path)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_objects_are_no_numbers(computed: Arrays, tmp_path: Path) -> None:
    with np.load(reference(tmp_path / "ref.npz", computed)) as good:
        np.savez(tmp_path / "bad.npz", **{**good, "z": np.array([None])})
    result = run(checkpoints.DEMO, tmp_path / "bad.npz")
    assert result.exit_code == 1 and "is no sound reference file" in result.output


def test_other_files_are_no_references(computed: Arrays, tmp_path: Path) -> None:
    good = reference(tmp_path / "ref.npz", computed).read_bytes()
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("a.txt", json.dumps(1))
    for content in (b"", b"hello", good[:-200], good[: len(good) // 2], other.getvalue()):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(StyleGANError, match=r"bad\.npz: (is no sound reference file|cannot be read)"):
            read_reference(tmp_path / "bad.npz")
    with pytest.raises(StyleGANError, match=r"none\.npz: cannot be read: No such file"):
        read_reference(tmp_path / "none.npz")

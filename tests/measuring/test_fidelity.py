"""Formulas: by hand on tiny sets, and as torch-fidelity has them for the same pictures."""

from __future__ import annotations

import importlib
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stylegan_torch.commands import options
from stylegan_torch.measuring import (
    MEASURES,
    Collection,
    MeasureError,
    extractors,
    fidelity,
    frechet_distance,
    inception_score,
    kernel_distance,
    measure,
    open_extractor,
    precision_recall,
    register,
)
from tests.measuring.pictures import folder_of, random_pictures


def _column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_frechet_distance_by_hand() -> None:
    # Means 1 and 3, variances 2 and 8: (1 - 3)² + 2 + 8 - 2 √16 = 6.
    first, second = (torch.cat([each, torch.zeros(2, 1)], dim=1) for each in (_column(0, 2), _column(1, 5)))
    assert frechet_distance(first, second) == pytest.approx(6)


@given(st.floats(-3, 3), st.floats(0.1, 4))
def test_frechet_distance_of_independent_features(shift: float, scale: float) -> None:
    a = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = (a - a.mean(dim=0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(a.t()))).t()  # exactly white
    b = a * scale + shift
    assert frechet_distance(a, b) == pytest.approx(6 * (shift**2 + (scale - 1) ** 2), abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), abs=1e-6)


def test_kernel_distance_by_hand() -> None:
    # (xy + 1)³: among 0 and 1 it is 1; among 1 and 2, 27; across 1, 1, 8 and 27: 1 + 27 - 2 · 37 / 4.
    found = kernel_distance(_column(0, 1), _column(1, 2))
    assert found["mean"] == pytest.approx(1 + 27 - 2 * 37 / 4)
    assert found["spread"] == pytest.approx(0, abs=1e-9)  # every subset is all of them


def test_precision_and_recall_by_hand() -> None:
    reals, generated = _column(0, 1, 2, 3), _column(1, 2, 3, 9)
    # Real balls reach 3, 2, 2 and 3, so to 6: not to 9. Generated ones reach 8, 7, 6 and 8: everywhere.
    assert precision_recall(generated, reals) == {"precision": 0.75, "recall": 1.0}


def test_inception_score_by_hand() -> None:
    sure = torch.eye(2).repeat(10, 1) * 50  # two classes as often, each without doubt
    assert inception_score(torch.ones(20, 2))["mean"] == pytest.approx(1)
    many = inception_score(torch.cat([sure] * 200))  # parts of 400 have both as often, or nearly
    assert many["mean"] == pytest.approx(2, abs=0.02)


def test_too_few_are_told() -> None:
    with pytest.raises(MeasureError, match=r"at least 4 pictures of each set, and there are 3 and 4"):
        precision_recall(_column(1, 2, 3), _column(1, 2, 3, 4))
    with pytest.raises(MeasureError, match="at least 10"):
        inception_score(torch.ones(9, 2))


def test_torch_fidelity_has_the_same_numbers_for_the_same_pictures(tmp_path: Path) -> None:
    fakes, reals = (folder_of(tmp_path / name, random_pictures(24, 16, seed)) for seed, name in enumerate("ab"))
    report = measure(
        ["fid", "kid", "pr"],
        Collection(fakes),
        Collection(reals),
        open_extractor=open_extractor,
        extractor="random-convolutions",
        cache=tmp_path / "cache",
    )
    register()
    register()  # a second time changes nothing
    with warnings.catch_warnings(action="ignore"):
        theirs = fidelity.library().calculate_metrics(
            input1=str(fakes),
            input2=str(reals),
            feature_extractor="random-convolutions",
            fid=True,
            kid=True,
            prc=True,
            kid_subset_size=24,
            cuda=False,
            cache=False,
            save_cpu_ram=True,  # no processes that load pictures
            verbose=False,
        )
    ours = {row["measure"]: row["values"] for row in report["measures"]}
    assert ours["fid"]["distance"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    # A difference of means of about 1, so of their rounding in float32.
    assert ours["kid"]["mean"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4, abs=2e-7)
    assert ours["pr"] == {name: theirs[name] for name in ("precision", "recall")}
    assert report["measures"][0]["title"] == "Fréchet distance of random-convolutions features (not FID)"


def test_names_of_options_are_those_of_measures_and_extractors() -> None:
    assert set(options.SET_MEASURES) == set(MEASURES)
    assert options.EXTRACTORS == extractors.NAMES
    assert {kind.extractor for kind in MEASURES.values()} <= set(extractors.NAMES)
    assert all(name in extractors.THEIRS[kind.extractor].layers for name, kind in MEASURES.items())


class _Weights:
    """Stands in torch-fidelity for InceptionV3, which has 24 million weights: two features, and logits of them."""

    def __new__(cls) -> Any:
        base = fidelity.library().FeatureExtractorBase

        class Small(base):  # type: ignore[misc,valid-type]
            def __init__(self, name: str, layers: list[str], feature_extractor_weights_path: str, **_: object) -> None:
                super().__init__(name, layers)
                self.linear = torch.nn.Linear(3, 2, bias=False)
                self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

            @staticmethod
            def get_provided_features_list() -> tuple[str, str]:
                return "2048", "logits_unbiased"

            def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
                assert x.dtype == torch.uint8
                features = self.linear(x.float().mean(dim=(2, 3)) / 255)
                return features, features * 2

        return Small


def test_weights_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fidelity.library()
    from torch_fidelity import registry

    monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "inception-v3-compat", _Weights())
    weights, folder = tmp_path / "weights.pth", folder_of(tmp_path / "a", random_pictures(12))
    torch.save({"linear.weight": torch.tensor([[1.0, 0, 0], [0, 1, 0]])}, weights)
    found = measure(
        ["is", "fid"],
        Collection(folder),
        Collection(folder),
        open_extractor=lambda name: open_extractor(name, weights=weights),
        cache=tmp_path / "cache",
    )
    assert [row["title"] for row in found["measures"]] == ["inception score", "FID"]
    assert found["measures"][1]["values"]["distance"] == pytest.approx(0, abs=1e-6)
    assert len(found["measures"][0]["extractor"]["weights"]) == 64
    torch.save({"linear.weight": torch.ones(2, 2)}, weights)
    with pytest.raises(MeasureError, match=r"weights.pth does not have the weights of inception-v3-compat"):
        open_extractor("inception-v3-compat", weights=weights)
    weights.write_bytes(b"no pickle")
    with pytest.raises(MeasureError, match=r"weights.pth is damaged, or not a state dict"):
        open_extractor("inception-v3-compat", weights=weights)
    with pytest.raises(MeasureError, match="cannot read"):
        open_extractor("inception-v3-compat", weights=tmp_path / "none.pth")


@pytest.mark.long  # 24 million weights; the test above goes the same way
def test_inception_with_random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, weights = fidelity.library(), tmp_path / "weights.pth"
    with monkeypatch.context() as patched:
        patched.setattr(torch, "load", lambda *_, **__: {})
        patched.setattr(library.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = library.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], "none.pth")
    torch.save(network.state_dict(), weights)
    fakes, reals = (folder_of(tmp_path / each, random_pictures(3, 32, seed)) for seed, each in enumerate("ab"))
    found = measure(
        ["fid"],
        Collection(fakes),
        Collection(reals),
        open_extractor=lambda name: open_extractor(name, weights=weights),
        cache=tmp_path / "cache",
    )
    with warnings.catch_warnings(action="ignore"):
        theirs = library.calculate_metrics(
            input1=str(fakes),
            input2=str(reals),
            feature_extractor_weights_path=str(weights),
            fid=True,
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )
    distance = found["measures"][0]["values"]["distance"]
    assert distance == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3, abs=1e-6)


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("evil"),)  # type: ignore[return-value]


def test_a_file_of_weights_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"linear.weight": _Evil()}, "weights.pth")
    with pytest.raises(MeasureError, match="not a state dict of tensors"):
        open_extractor("inception-v3-compat", weights=Path("weights.pth"))
    assert not Path("evil").exists()


@pytest.mark.parametrize("name", extractors.THEIRS)
def test_nothing_is_downloaded_unasked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MeasureError, match=rf"the weights of {name} are not here .*--download fetches them"):
        open_extractor(name)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MeasureError, match=r"pip install 'stylegan-torch\[measure\]'"):
        frechet_distance(_column(0, 1), _column(0, 1))


def test_psnr() -> None:
    from stylegan_torch.measuring.equivariance import psnr

    assert psnr(4.0) == 0 and psnr(0.04) == pytest.approx(20) and psnr(0.0) == math.inf

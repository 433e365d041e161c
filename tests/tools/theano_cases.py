"""ProGANs of the Theano era: keywords of `official.theano_networks`."""

from __future__ import annotations

from typing import Any

CASES: list[dict[str, Any]] = [
    {},
    {"use_wscale": False},
    {"old_names": True},
    {"lod": 1.3},
    {"lod": 2.0, "use_wscale": False},
    {"resolution": 4},
    {"resolution": 32, "num_channels": 1, "fmap_base": 64, "fmap_max": 5},
    {"latent_size": 7, "normalize_latents": False},
    {"use_pixelnorm": False, "use_leakyrelu": False},
    {"fmap_decay": 0.5},
]


def case_id(case: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in case.items()) or "usual"

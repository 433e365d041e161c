"""The configurations of the official trainers, which are data, and the formulas of those numbers that are not fixed."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

from stylegan_torch.errors import StyleGANError
from stylegan_torch.types import Json, JsonObject

AUTO = "auto"
"""In a table: the value's formula."""


@functools.cache
def configurations() -> dict[str, JsonObject]:
    """Return what `configurations.toml` has, by the name of the configuration."""
    return tomllib.loads(resources.files(__package__).joinpath("configurations.toml").read_text(encoding="utf-8"))


def formulas(resolution: int, batch: int, processes: int) -> dict[str, Json]:
    """Return the numbers that follow from the picture's side, the batch and the number of processes.

    Those of StyleGAN2-ADA's configuration "auto" and, the last two, of StyleGAN3 (its section 3.2 and appendix F.2).
    """
    rate = 0.002 if resolution >= 1024 else 0.0025
    return {
        "mbstd_group_size": max(min(batch // processes, 4), 1),
        "channel_base": 32768 if resolution >= 512 else 16384,
        "g_lr": rate,
        "d_lr": rate,
        "r1_gamma": 0.0002 * resolution**2 / batch,
        "ema_kimg": batch * 10 / 32,
        "magnitude_ema_beta": 0.5 ** (batch / 20_000),
        "blur_kimg": batch * 200 / 32,
    }


def batch_for(resolution: int, processes: int) -> int:
    """Return the batch of "auto": what fits the memory of so many devices, but no more than 64 if fewer would do."""
    return max(min(processes * min(4096 // resolution, 32), 64), processes)


def configured(
    name: str, resolution: int, *, processes: int = 1, batch: int | None = None
) -> tuple[JsonObject, JsonObject]:
    """Return the tables `networks` and `training` of a configuration, with its formulas worked out.

    Args:
        name: as the official trainers' --cfg has it.
        resolution: side of the pictures.
        processes: that train together.
        batch: pictures of a step; None = the configuration's.

    Raises:
        StyleGANError: if there is no such configuration.
    """
    found = configurations().get(name)
    if found is None:
        raise StyleGANError(f"there is no configuration {name!r}, only {', '.join(configurations())}")
    own = found["training"]["batch"]
    batch = batch or (batch_for(resolution, processes) if own == AUTO else own)
    values = {**formulas(resolution, batch, processes), "batch": batch}

    def worked_out(table: JsonObject) -> JsonObject:
        return {key: values[key] if value == AUTO else value for key, value in table.items()}

    networks = {**worked_out(found["networks"]), "resolution": resolution}
    return networks, {**worked_out(found["training"]), "batch": batch}

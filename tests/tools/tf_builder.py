"""Makes TensorFlow networks the way the releases' trainers do, and pickles them with their source embedded.

    python tests/tools/tf_builder.py FOLDER

Runs in a process of its own: the sources in `tf_sources` build their graphs here, and the network class of the
stand-ins is pickled under its official name. Every variable is random, so that nothing hides behind a zero.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCES = Path(__file__).parent / "tf_sources"


@dataclass(frozen=True)
class Made:
    """A file to make: its source, the version of its states, and the keywords of its generator and discriminator."""

    source: str
    version: int
    generator: dict[str, Any]
    discriminator: dict[str, Any]
    common: dict[str, Any] = field(default_factory=dict)


_SMALL = {"num_channels": 3, "resolution": 16, "label_size": 3, "fmap_base": 64, "fmap_max": 8}
_WIDTHS = {"latent_size": 12, "dlatent_size": 10, "mapping_layers": 3, "mapping_fmaps": 11}

MADE = {
    "progan": Made("progan", 2, {"func_name": "G_paper", "latent_size": 12}, {"func_name": "D_paper"}, _SMALL),
    "stylegan1": Made("stylegan1", 3, {"func_name": "G_style", **_WIDTHS}, {"func_name": "D_basic"}, _SMALL),
    "stylegan2": Made(
        "stylegan2",
        4,
        {"func_name": "G_main", "architecture": "resnet", "truncation_psi": 0.6, **_WIDTHS},
        {"func_name": "D_stylegan2", "architecture": "skip", "mbstd_group_size": 2},
        _SMALL,
    ),
    "config-d": Made(
        "stylegan2",
        4,
        {"func_name": "G_main", "synthesis_func": "G_synthesis_stylegan_revised", **_WIDTHS},
        {"func_name": "D_stylegan"},
        _SMALL,
    ),
    "ada": Made(
        "ada",
        5,
        {"func_name": "G_main", "num_fp16_res": 2, "conv_clamp": 2.0, **_WIDTHS},
        {
            "func_name": "D_main",
            "num_fp16_res": 2,
            "conv_clamp": 2.0,
            "mbstd_group_size": None,
            "use_spectral_norm": True,
        },
        _SMALL,
    ),
}


def main(folder: Path) -> None:
    """Write all files."""
    from converter.original.tf_runtime import packages, tflib
    from converter.original.tf_runtime.network import Network
    from converter.original.tf_runtime.tensorflow1 import tf

    packages.install()
    for module in ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network", "tfutil"):
        sys.modules[module] = ModuleType(module)
        sys.modules[module].__dict__["Network"] = Network
    for number, (name, made) in enumerate(MADE.items()):
        with tf.Graph().as_default(), tflib.new_session():
            networks = _networks(made, number)
            Network.__module__ = "tfutil" if made.version == 2 else "dnnlib.tflib.network"
            with (folder / f"{name}.pkl").open("wb") as file:
                pickle.dump(networks, file, protocol=4)


def _networks(made: Made, seed: int) -> tuple[Any, ...]:
    import numpy as np

    from converter.original.tf_runtime import tflib
    from converter.original.tf_runtime.embedded import load_source
    from converter.original.tf_runtime.network import Network

    names = load_source((SOURCES / f"{made.source}.py").read_text(), made.source)
    random = np.random.RandomState(seed)
    networks = []
    for name, own in (("G", made.generator), ("D", made.discriminator), ("Gs", made.generator)):
        keywords = {**made.common, **own}
        network = Network(name, names[keywords.pop("func_name")], **keywords)
        tflib.set_vars(
            {
                variable: np.zeros([]) if label.endswith("lod") else random.randn(*variable.shape.as_list()) * 0.6
                for label, variable in network.vars.items()
            }
        )
        for part in (network, *network.components.values()):
            part.version = made.version
        networks.append(network)
    return tuple(networks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Make an official pickle of networks, with the classes of NVIDIA's program, which go into it.

stylegan-convert NETWORK state.pt --format ada            (of StyleGAN3: --format stylegan3)
python make_pickle.py state.pt network.pkl                (in the folder of stylegan2-ada-pytorch or stylegan3)
"""
# SPDX-License-Identifier: Apache-2.0
# It runs on what those programs run on, Python 3.7 and PyTorch 1.7 too.

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

NETWORKS: dict[str, dict[str, Any]] = {}
"""By role: family, class name, and what the class takes."""


def place(network: dict[str, Any]) -> str:
    """Return the module of a network's class."""
    name = "training.networks_" + network["family"]
    if importlib.util.find_spec("training") is None:
        sys.exit("There are no classes here: this belongs into the folder of stylegan2-ada-pytorch or stylegan3.")
    if importlib.util.find_spec(name):
        return name
    if network["family"] == "stylegan2":
        return "training.networks"  # stylegan2-ada-pytorch's
    sys.exit("There is no " + name + " here: this belongs into the folder of stylegan3.")


def made(network: dict[str, Any], module: str) -> Any:
    """Return a network, untrained."""
    arguments = dict(network["arguments"])
    if module != "training.networks":  # in stylegan3, what the other nests stands by itself
        arguments.update(arguments.pop("synthesis_kwargs", {}))
    return getattr(importlib.import_module(module), network["class"])(**arguments).eval().requires_grad_(False)


def main(state: str, target: str) -> None:
    """Write the pickle `target` of the networks in `state`."""
    sys.path.insert(0, str(Path.cwd()))
    places = {role: place(network) for role, network in NETWORKS.items()}
    if Path(target).exists():
        sys.exit(target + " exists")
    import torch

    try:
        states = torch.load(state, map_location="cpu", weights_only=True)
    except TypeError:  # PyTorch before 1.13
        states = torch.load(state, map_location="cpu")
    if "G_ema" not in states:
        states = {"G_ema": states}
    networks = {role: made(network, places[role]) for role, network in NETWORKS.items()}
    for role, network in networks.items():
        if role in states:
            network.load_state_dict(states[role], strict=True)
        elif role != "D":
            sys.exit(state + " has no " + role)
        else:
            print("There is no D in", state + "; an untrained one is put in, as those programs ask for one.")
    networks.setdefault("G", networks["G_ema"])
    with Path(target).open("wb") as file:
        pickle.dump(dict(networks, training_set_kwargs=None, augment_pipe=None), file)
    print("Wrote", target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""Make an official pickle of networks, with the classes of NVIDIA's program, which go into it.

stylegan-convert NETWORK state.pt --format ada            (of StyleGAN3: --format stylegan3)
python make_pickle.py state.pt network.pkl                (in the folder of stylegan2-ada-pytorch or stylegan3)
"""
# SPDX-License-Identifier: Apache-2.0
# It runs on what those programs run on, Python 3.7 and PyTorch 1.7 too.

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import sys
from typing import Any, Dict

Arguments = Dict[str, Any]  # noqa: UP006

NETWORKS: Dict[str, Arguments] = {}  # noqa: UP006
"""By role: family, class name, and what the class takes."""


def made(network: Arguments) -> Any:
    """Return a network, untrained."""
    arguments = dict(network["arguments"])
    name = "training.networks_" + network["family"]
    if importlib.util.find_spec("training") is None:
        sys.exit("There are no classes here: this belongs into the folder of stylegan2-ada-pytorch or stylegan3.")
    if importlib.util.find_spec(name):  # in stylegan3, where arguments stand by themselves that the other nests
        arguments.update(arguments.pop("synthesis_kwargs", {}))
    elif network["family"] == "stylegan2":
        name = "training.networks"
    else:
        sys.exit("There is no " + name + " here: this belongs into the folder of stylegan3.")
    module = importlib.import_module(name)
    return getattr(module, network["class"])(**arguments).eval().requires_grad_(False)


def main(state: str, target: str) -> None:
    """Write the pickle `target` of the networks in `state`."""
    import torch

    if os.path.exists(target):
        sys.exit(target + " exists")
    sys.path.insert(0, os.getcwd())
    states = torch.load(state, map_location="cpu")
    if "G_ema" not in states:
        states = {"G_ema": states}
    networks = {role: made(network) for role, network in NETWORKS.items()}
    for role, network in networks.items():
        if role in states:
            network.load_state_dict(states[role], strict=True)
        elif role != "D":
            sys.exit(state + " has no " + role)
        else:
            print("There is no D in", state + "; an untrained one is put in, as those programs ask for one.")
    networks.setdefault("G", networks["G_ema"])
    with open(target, "wb") as file:
        pickle.dump(dict(networks, training_set_kwargs=None, augment_pipe=None), file)
    print("Wrote", target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

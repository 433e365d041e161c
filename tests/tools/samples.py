"""A network of every kind that a form reads: from files of programs, or made where there is none."""

from __future__ import annotations

import functools
import re
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import converter
from converter.contents import look
from converter.foreign import ForeignFile, ForeignNetwork
from converter.forms.hammer.write import to_hammer
from converter.forms.networks import read_contents
from converter.forms.registry import FORMS
from converter.reading import open_source
from stylegan_torch.files.checkpoint import Checkpoint
from tests import DATA
from tests.tools.official import theano_networks, write_theano_pickle

State = dict[str, torch.Tensor]
Kind = tuple[str, str]
"""A form and what its headers call a kind of network."""

KINDS: list[Kind] = [(form.id, kind) for form in FORMS.values() for kind in form.kinds]
MARKED: list[Kind] = [(form, kind) for form, kind in KINDS if kind in {m[0] for m in FORMS[form].marks}] + [
    ("stylegan3-state", "StyleGAN3")
]
"""Those that are found by their tensors, wherever in a file they stand."""
GENERATORS = [(form, kind) for form, kind in MARKED if "Discriminator" not in kind]


@dataclass(frozen=True)
class Sample:
    """A network as its program has it.

    network: as it is read.
    beside: what stands beside its tensors in a file.
    """

    network: ForeignNetwork
    beside: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Its tensors as they stand in a file."""
        return {name: value for name, value in self.network.tensors.items() if name not in self.beside}


@functools.cache
def sample(kind: Kind) -> Sample:
    """Return a sample; KeyError for a kind of which there is none yet."""
    if kind in _FILES:
        name, role = _FILES[kind]
        source = open_source(DATA / name)
    else:
        source, role = _MADE[kind]()
    assert isinstance(source, ForeignFile)
    network = source.networks[role]
    assert (network.form, network.header["build_func_name"]) == kind
    beside: dict[str, Any] = {n: network.tensors[n] for n in FORMS[kind[0]].beside if n in network.tensors}
    if "use_eql" in network.header:
        beside["conf"] = {"use_eql": network.header["use_eql"]}
    return Sample(network, beside)


def read(content: Any) -> ForeignFile:
    """Return what is read of an object, as if a file held it."""
    return read_contents(look(content), "a file")


_FILES: dict[Kind, tuple[str, str]] = {
    ("tf", "G_paper"): ("pg-unfused.pkl", "G_ema"),
    ("tf", "D_paper"): ("pg-unfused.pkl", "D"),
    ("tf", "G_style"): ("sg1-cond.pkl", "G_ema"),
    ("tf", "D_basic"): ("sg1-cond.pkl", "D"),
    ("tf", "G_main"): ("ada-cond.pkl", "G_ema"),
    ("tf", "D_stylegan"): ("sg2-revised.pkl", "D"),
    ("tf", "D_stylegan2"): ("sg2-orig.pkl", "D"),
    ("tf", "D_main"): ("ada-cond.pkl", "D"),
    ("torch", "Generator"): ("ada2_cond5.pkl", "G_ema"),
    ("torch", "Discriminator"): ("ada2_cond5.pkl", "D"),
    ("stylegan3", "Generator"): ("sg3t_64.pkl", "G_ema"),
    ("stylegan3-state", "StyleGAN3"): ("wild/official/sg3_state_dict_for_stylegan3-editing.pt", "G_ema"),
    ("rosinality-stylegan2", "Generator"): ("community/rosinality_sg2_convert.pt", "G_ema"),
    ("rosinality-stylegan2", "Discriminator"): ("community/rosinality_sg2_convert.pt", "D"),
    ("rosinality-stylegan", "StyledGenerator"): ("community/rosinality_sg1_running_100000.model", "G_ema"),
    ("hammer", "StyleGAN2Generator"): ("wild/hammer/hammer_stylegan2.pth", "G_ema"),
    ("basicsr", "StyleGAN2Generator"): ("wild/basicsr/basicsr_stylegan2_official_like.pth", "G_ema"),
    ("basicsr", "StyleGAN2Discriminator"): ("wild/basicsr/basicsr_net_d.pth", "D"),
    ("mmgen", "StyleGANv2Generator"): ("wild/mmgen/mmgen_stylegan2_ema_only.pth", "G_ema"),
    ("mmgen", "StyleGANv1Generator"): ("wild/mmgen/mmgen_stylegan1.pth", "G_ema"),
    ("genforce", "PGGANGenerator"): ("community/genforce_pggan32.pth", "G_ema"),
    ("genforce", "PGGANDiscriminator"): ("community/genforce_pggan32.pth", "D"),
    ("genforce", "StyleGANGenerator"): ("community/genforce_stylegan32_label.pth", "G_ema"),
    ("genforce", "StyleGANDiscriminator"): ("community/genforce_stylegan32_label.pth", "D"),
    ("genforce", "StyleGAN2Generator"): ("community/genforce_stylegan2_64.pth", "G_ema"),
    ("genforce", "StyleGAN2Discriminator"): ("community/genforce_stylegan2_64.pth", "D"),
    ("interfacegan", "PGGANGenerator"): ("wild/interfacegan/pggan_fused.pth", "G_ema"),
    ("interfacegan", "StyleGANGenerator"): ("wild/interfacegan/stylegan.pth", "G_ema"),
    ("akanimax", "Generator"): ("community/akanimax_v3_depth_5_epoch_1.bin", "G_ema"),
    ("akanimax", "Discriminator"): ("community/akanimax_v3_depth_5_epoch_1.bin", "D"),
    ("gan-zoo", "Generator"): ("wild/gan-zoo/pytorch_GAN_zoo_pgan.pth", "G_ema"),
    ("gan-zoo", "Discriminator"): ("wild/gan-zoo/pytorch_GAN_zoo_pgan.pth", "D"),
    ("yuuho-arrays", "StyleGAN"): ("community/yuuho_stylegan1_ndarray.pkl", "G_ema"),
    ("yuuho-arrays", "StyleGAN2"): ("community/yuuho_stylegan2_ndarray.pkl", "G_ema"),
    ("yuuho-state", "StyleGAN"): ("community/yuuho_stylegan1_state_dict.pth", "G_ema"),
    ("yuuho-state", "StyleGAN2"): ("community/yuuho_stylegan2_state_dict.pth", "G_ema"),
    ("lernapparat", "Generator"): ("wild/lernapparat/for_g_all.pt", "G_ema"),
    ("huangzh13", "Generator"): ("wild/huangzh13/GAN_GEN_3_9.pth", "G_ema"),
    ("lucidrains", "Generator"): ("wild/lucidrains/model_100.pt", "G_ema"),
}


# What there are no files of.


def _theano() -> ForeignFile:
    with tempfile.TemporaryDirectory() as folder:
        write_theano_pickle(Path(folder) / "theano.pkl", theano_networks(5)[0])
        source = open_source(Path(folder) / "theano.pkl")
    assert isinstance(source, ForeignFile)
    return source


def paddlegan(state: Mapping[str, torch.Tensor]) -> State:
    """Return rosinality's tensors as PaddleGAN has them: dense weights are [in, out]."""
    dense = re.compile(r"style\.\d+\.weight|.*\.modulation\.weight|final_linear\.\d\.weight")
    return {name: v.t().contiguous() if dense.fullmatch(name) else v for name, v in state.items()}


def mmgen_discriminator(state: Mapping[str, torch.Tensor]) -> State:
    """Return the tensors of rosinality's discriminator under mmgeneration's names."""
    ends = {name: ".linear.weight_orig" if "final_linear" in name else ".conv.weight_orig" for name in state}
    return {name.replace(".weight", ends[name]): value for name, value in state.items()}


def mmgen_stylegan3() -> State:
    """Return the tensors of an official StyleGAN3 under mmgeneration's names."""
    state = _state("stylegan3-state", "StyleGAN3")
    return {re.sub("^mapping", "style_mapping", name): value for name, value in state.items()}


def mmgen_progan() -> State:
    """Return random tensors by the names of mmgeneration's ProGAN."""
    torch.manual_seed(0)
    widths = (16, 16, 8, 4)
    state = {
        "noise2feat.linear.weight_orig": torch.randn(16 * widths[0], 12),
        "noise2feat.bias": torch.randn(1, widths[0], 1, 1),
    }

    def layer(scope: str, out: int, *shape: int) -> None:
        state[f"{scope}.conv.weight_orig"], state[f"{scope}.conv.bias"] = torch.randn(*shape), torch.randn(out)

    for k, width in enumerate(widths):
        if k:
            layer(f"conv_blocks.{2 * k - 1}", width, widths[k - 1], width, 3, 3)
        layer(f"conv_blocks.{2 * k}", width, width, width, 3, 3)
        layer(f"torgb_layers.{k}", 3, 3, width, 1, 1)
    return state


def rosinality_discriminator(activated: bool = True) -> State:
    """Return random tensors of rosinality's StyleGAN up to 128², the coarsest level whose kernel is fused."""
    filler, last = Filler(1), len(ROSINALITY_WIDTHS) - 1
    for i, width in enumerate(ROSINALITY_WIDTHS[:-1]):
        scope = f"progression.{i}"
        filler.equal_layer(f"{scope}.conv1.0.conv", width, width, 3, 3)
        kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
        for name in ("weight", "weight_flip"):
            filler.state[f"{scope}.conv2.0.{name}"] = kernel.repeat(width, 1, 1, 1)
        shape = (ROSINALITY_WIDTHS[i + 1], width, 3, 3)
        if 4 << (last - i) >= 128:
            filler.layer(f"{scope}.conv2.1", *shape)
        else:
            filler.equal_layer(f"{scope}.conv2.1.conv", *shape)
    filler.equal_layer(f"progression.{last}.conv1.0.conv", ROSINALITY_WIDTHS[-1], ROSINALITY_WIDTHS[-1] + 1, 3, 3)
    filler.equal_layer(f"progression.{last}.conv2.0.conv", 9, ROSINALITY_WIDTHS[-1], 4, 4)
    for i, width in enumerate(ROSINALITY_WIDTHS):
        filler.equal_layer(f"from_rgb.{i}.0.conv" if activated else f"from_rgb.{i}.conv", width, 3, 1, 1)
    filler.equal_layer("linear.linear", 1, 9)
    return filler.state


ROSINALITY_WIDTHS = (2, 3, 4, 5, 6, 7)
"""Feature maps entering the levels of the discriminator, 128² first."""


class Filler:
    """Makes a state dict of random tensors; none of them is zero."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)
        self.state: State = {}

    def add(self, name: str, *shape: int, std: float = 1.0) -> None:
        self.state[name] = torch.tensor(self.random.randn(*shape) * std, dtype=torch.float32)

    def layer(self, scope: str, *shape: int, std: float = 1.0) -> None:
        self.add(f"{scope}.weight", *shape, std=std)
        self.add(f"{scope}.bias", shape[0], std=0.3 * std)

    def equal_layer(self, scope: str, *shape: int) -> None:
        self.add(f"{scope}.bias", shape[0], std=0.3)
        self.add(f"{scope}.weight_orig", *shape)


def _hammer() -> ForeignFile:
    official = converter.load(DATA / "sg1.pkl")
    return read(to_hammer(Checkpoint({"G_ema": official.networks["G_ema"]}, {}))[0])


def first_stage(name: str) -> list[State]:
    """Return the official networks as lernapparat's program makes them first."""
    official = open_source(DATA / f"{name}.pkl")
    assert isinstance(official, ForeignFile)
    left_out = ("noise", "lod", "dlatent_avg")
    return [
        OrderedDict(
            (key, value.clone())
            for key, value in official.networks[role].tensors.items()
            if not key.rpartition("/")[2].startswith(left_out)
        )
        for role in ("G", "D", "G_ema")
    ]


_ROSINALITY = "rosinality-stylegan2"
_MADE: dict[Kind, Callable[[], tuple[ForeignFile, str]]] = {
    ("theano", "G_paper"): lambda: (_theano(), "G_ema"),
    ("theano", "D_paper"): lambda: (_theano(), "D"),
    ("paddlegan-stylegan2", "Generator"): lambda: (read(paddlegan(_state(_ROSINALITY, "Generator"))), "G_ema"),
    ("paddlegan-stylegan2", "Discriminator"): lambda: (read(paddlegan(_state(_ROSINALITY, "Discriminator"))), "D"),
    ("torch-state", "Generator"): lambda: (read(_state("torch", "Generator")), "G_ema"),
    ("torch-state", "Discriminator"): lambda: (read(_state("torch", "Discriminator")), "D"),
    ("rosinality-stylegan", "Discriminator"): lambda: (read(rosinality_discriminator()), "D"),
    ("hammer", "StyleGANGenerator"): lambda: (_hammer(), "G_ema"),
    ("mmgen", "StyleGAN2Discriminator"): lambda: (read(mmgen_discriminator(_state(_ROSINALITY, "Discriminator"))), "D"),
    ("mmgen", "StyleGANv3Generator"): lambda: (read(mmgen_stylegan3()), "G_ema"),
    ("mmgen", "PGGANGenerator"): lambda: (read(mmgen_progan()), "G_ema"),
    ("lernapparat", "TensorFlowGenerator"): lambda: (read(first_stage("sg1")), "G_ema"),
    ("lernapparat", "TensorFlowDiscriminator"): lambda: (read(first_stage("sg1")), "D"),
}


def _state(form: str, kind: str) -> State:
    return sample((form, kind)).state

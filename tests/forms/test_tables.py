"""Mapping tables: read both ways, for every network of the other tests, they give back every bit.

pickle ─► .pt ─► .npz    is the same file as    pickle ─► .npz
pickle ─► .npz ─► .pt    is the same file as    pickle ─► .pt
pickle ─► .safetensors ─► .pt                   likewise
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import converter
from converter import table
from converter.foreign import ForeignFile, ForeignNetwork, Keywords
from converter.forms.tensorflow.keywords import feature_maps
from converter.reading import open_source
from converter.table import Kept, Row, Table, Transform
from converter.translate import export_network, import_network, known_kind
from stylegan_torch.networks.registry import shapes
from tests.tools import tensorflow_cases, theano_cases, torch_cases
from tests.tools.long import cases
from tests.tools.official import State, build, theano_networks, write_pickle, write_theano_pickle
from tests.tools.official_torch import Module, persistence_network

Arrays = dict[str, np.ndarray[Any, Any]]

# Bits that careless copying changes: quiet and signalling NaN with payloads, -0, denormals, infinity.
DELICATE = np.array(
    [0x7FC12345, 0xFFEDCBA9, 0x7F812345, 0xFF800001, 0x80000000, 0x00000001, 0x807FFFFF, 0xFF800000], np.uint32
).view(np.float32)


def with_delicate_values(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy, in the same memory order, with a few values replaced."""
    changed = array.copy(order="K")
    places = np.unique(np.linspace(0, array.size - 1, len(DELICATE), dtype=int))
    changed.flat[places] = DELICATE[: len(places)]
    return changed


# The networks, as (file name, what was written).


@dataclass(frozen=True)
class Case:
    """A file to convert, and its variables by the names they have in a dump."""

    name: str
    write: Callable[[Path], Arrays]


def tensorflow(function: str, release: str | None, options: dict[str, Any]) -> Case:
    def write(path: Path) -> Arrays:
        state = build(function, seed=1, release=release, **options)
        expected: Arrays = {}
        for part, prefix in parts(state, "D" if function.startswith("D") else "Gs"):
            part["variables"] = [
                (name, with_delicate_values(value) if np.ndim(value) else value) for name, value in part["variables"]
            ]
            expected |= {f"{prefix}/{name}": np.asarray(value) for name, value in part["variables"]}
        write_pickle(path, state)
        return expected

    return Case(tensorflow_cases.case_id((function, release, options)), write)


def parts(state: State, prefix: str) -> Iterator[tuple[State, str]]:
    yield state, prefix
    for component in state.get("components", {}).values():
        yield component, f"{prefix}/{component['name']}"


def pytorch(case: torch_cases.Case) -> Case:
    def write(path: Path) -> Arrays:
        kind, options = case
        module = persistence_network(kind, 1, **options)
        for part in modules(module):
            for tensors in (part.parameters, part.buffers):
                for name, value in tensors.items():
                    if name != "resample_filter" and value.ndim:
                        tensors[name] = with_delicate_values(value)
        torch_cases.write(path, module)
        role = "G_ema" if kind == "G" else "D"
        return {f"{role}/{name}": value for name, value in module.tensors().items()}

    return Case(torch_cases.case_id(case), write)


def modules(module: Module) -> Iterator[Module]:
    yield module
    for child in module.modules.values():
        yield from modules(child)


def theano(options: dict[str, Any]) -> Case:
    def write(path: Path) -> Arrays:
        networks, _ = theano_networks(1, **options)
        for state in networks:
            state["param_values"] = [with_delicate_values(v) if v.ndim else v for v in state["param_values"]]
        write_theano_pickle(path, networks)
        # Its parameters have no names of their own; test_theano.py tests those that they get.
        return {}

    return Case(f"Theano {theano_cases.case_id(options)}", write)


# The growing state is stored twice, and the two may differ.
TWO_LODS = {**tensorflow_cases.SG1, "lod": 1.3, "synthesis_lod": 0.4}
CASES = [
    *(tensorflow(*case) for case in (*tensorflow_cases.GENERATORS, *tensorflow_cases.DISCRIMINATORS)),
    tensorflow("G_style", None, TWO_LODS),
    *(pytorch(case) for case in torch_cases.CASES),
    *(theano(case) for case in theano_cases.CASES),
]
BY_NAME = {case.name: case for case in CASES}


def bits(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def networks_of(path: Path) -> dict[str, ForeignNetwork]:
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    return source.networks


# How our forms follow from each other, a third of the cases show.
@pytest.mark.parametrize("name", cases(BY_NAME, long=set(BY_NAME) - set(list(BY_NAME)[::3])))
def test_files_are_the_same_whichever_way_they_came(name: str, tmp_path: Path) -> None:
    expected = BY_NAME[name].write(tmp_path / "net.pkl")
    role = "D" if any(tensor.startswith("D/") for tensor in expected) else "G_ema"
    roles = [role] if expected else None

    def convert(src: str, dst: str) -> bytes:
        converter.convert(tmp_path / src, tmp_path / dst, roles)
        return (tmp_path / dst).read_bytes()

    dump, ours = convert("net.pkl", "net.npz"), convert("net.pkl", "net.pt")
    assert convert("net.pt", "from-pt.npz") == dump
    assert convert("net.npz", "from-npz.pt") == ours
    convert("net.pkl", "net.safetensors")
    assert convert("net.safetensors", "from-safetensors.pt") == ours
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        for tensor, value in expected.items():
            assert arrays[tensor].dtype == np.float32
            assert arrays[tensor].shape == value.shape, tensor
            assert bits(arrays[tensor]) == bits(value), tensor
        assert not expected or set(arrays.files) == {*expected, "stylegan_torch"}


# Tensors straight from a pickle, and damaged networks: the tensor at fault is named.

FORMS: dict[str, Callable[[Path], object]] = {
    "ProGAN": tensorflow("G_paper", None, tensorflow_cases.PG).write,
    "StyleGAN": tensorflow("G_style", None, tensorflow_cases.SG1).write,
    "StyleGAN2": tensorflow("G_main", None, tensorflow_cases.SG2).write,
    "ADA": tensorflow("G_main", "ADA", {**tensorflow_cases.ADA, "label_size": 3}).write,
    "ProGAN D": tensorflow("D_paper", None, tensorflow_cases.SMALL).write,
    "StyleGAN D": tensorflow("D_basic", None, tensorflow_cases.SMALL).write,
    "StyleGAN2 D": tensorflow("D_stylegan2", None, tensorflow_cases.SMALL).write,
    "ADA D": tensorflow("D_main", None, {**tensorflow_cases.SMALL, "use_spectral_norm": True}).write,
    "PyTorch": pytorch(torch_cases.GENERATORS[1]).write,
    "PyTorch D": pytorch(torch_cases.DISCRIMINATORS[1]).write,
    "Theano": theano({}).write,
}
every_form = pytest.mark.parametrize("form", FORMS)


@every_form
def test_tensors_are_fit_for_training(form: str, tmp_path: Path) -> None:
    # Read straight from a pickle they may be views of its bytes, which start anywhere and must not be written to.
    path = tmp_path / "net.pkl"
    FORMS[form](path)
    content = path.read_bytes()
    for network in converter.load(path).networks.values():
        for name, value in {**network.state_dict, **network.source}.items():
            assert value.dtype == torch.float32, name
            assert value.is_contiguous(), name
            assert value.data_ptr() % 4 == 0, name
            value.fill_(0.5)
    assert path.read_bytes() == content
    for network in converter.load(path).networks.values():
        assert not any((value == 0.5).all() for value in network.state_dict.values())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_training_step_on_a_network_of_a_pickle(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    write_pickle(path, build("G_main", seed=1, **tensorflow_cases.SG2))
    path.write_bytes(pack(path.read_bytes()))
    content = path.read_bytes()
    G = converter.load(path).network().requires_grad_(True)
    z = torch.randn(2, G.z_dim, generator=torch.Generator().manual_seed(0))
    loss = G(z).square().mean()
    torch.autograd.backward(loss)
    with torch.no_grad():
        for name, value in G.named_parameters():
            assert value.grad is not None and value.grad.any(), name
            value.sub_(value.grad, alpha=1e-3)
    assert G(z).square().mean() < loss
    assert path.read_bytes() == content


def foreign(form: str, path: Path) -> ForeignNetwork:
    FORMS[form](path)
    return networks_of(path)["D" if form.endswith("D") else "G_ema"]


def carried_along(network: ForeignNetwork) -> set[str]:
    """Names of tensors that may be absent: no picture depends on them."""
    return set(import_network(network).source) & set(network.tensors)


@every_form
def test_every_missing_tensor_is_named(form: str, tmp_path: Path) -> None:
    network = foreign(form, tmp_path / "net.pkl")
    carried = carried_along(network)
    for name in [name for name in network.tensors if name not in carried]:
        rest = {other: value for other, value in network.tensors.items() if other != name}
        with pytest.raises(converter.ConvertError) as caught:
            import_network(ForeignNetwork(network.role, network.form, network.header, rest))
        assert str(caught.value) == f"network {network.role}: variable {name} is missing"


@every_form
def test_every_misshapen_tensor_is_named(form: str, tmp_path: Path) -> None:
    network = foreign(form, tmp_path / "net.pkl")
    carried = carried_along(network)
    for name, value in network.tensors.items():
        if name in carried:
            continue
        for wrong in (value[None], value.flatten()[1:]):
            changed = {**network.tensors, name: wrong}
            with pytest.raises(converter.ConvertError) as caught:
                import_network(ForeignNetwork(network.role, network.form, network.header, changed))
            found = f"variable {name} has shape {list(wrong.shape)}; by the keywords it should be {list(value.shape)}"
            assert str(caught.value) == f"network {network.role}: {found}"


@every_form
@pytest.mark.parametrize("name", ["mystery", "4x4/Dense/weight2", "synthesis.b4.conv9.weight", "lod2", ""])
def test_unknown_tensor_is_named(form: str, name: str, tmp_path: Path) -> None:
    network = foreign(form, tmp_path / "net.pkl")
    changed = {**network.tensors, name: torch.zeros(1)}
    with pytest.raises(converter.ConvertError) as caught:
        import_network(ForeignNetwork(network.role, network.form, network.header, changed))
    assert str(caught.value) == f"network {network.role}: variable {name} is unknown to this kind of network"


@every_form
def test_rows_name_every_tensor_once(form: str, tmp_path: Path) -> None:
    network = foreign(form, tmp_path / "net.pkl")
    config = known_kind(network).config(network)
    rows, ours = known_kind(network).table(network, config), shapes(config)
    theirs = [rows.source_name(name)[0] for name in ours]
    assert len(set(theirs)) == len(theirs)
    assert {*theirs, *carried_along(network)} == set(network.tensors)


@every_form
def test_export_without_the_carried_tensors_makes_them_anew(form: str, tmp_path: Path) -> None:
    # A network that was trained further and saved by the library has its own tensors only.
    network = foreign(form, tmp_path / "net.pkl")
    ours = import_network(network)
    ours.source.clear()
    again = export_network(network.role, ours, {"form": network.form, **network.header})
    assert list(again.tensors) == list(network.tensors)
    table = known_kind(network).table(network, ours.config)
    rounded = {theirs for theirs, transform in map(table.source_name, ours.state_dict) if transform.rounds}
    for name, value in network.tensors.items():
        if name in rounded:
            torch.testing.assert_close(again.tensors[name], value, rtol=1e-6, atol=1e-6, equal_nan=True)
        else:
            assert bits(again.tensors[name].numpy()) == bits(value.numpy()), name


def test_a_changed_tensor_is_not_what_was_kept(tmp_path: Path) -> None:
    network = foreign("StyleGAN2", tmp_path / "net.pkl")
    ours = import_network(network)
    name, theirs = "synthesis.b8.conv1.affine.bias", "G_synthesis/8x8/Conv1/mod_bias"
    assert name in ours.source
    ours.state_dict[name][3] = 3
    again = export_network(network.role, ours, {"form": network.form, **network.header})
    network.tensors[theirs][3] = 2
    assert bits(again.tensors[theirs].numpy()) == bits(network.tensors[theirs].numpy())  # the others keep theirs


def test_export_names_what_it_cannot_make(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    tensorflow("D_main", None, {**tensorflow_cases.SMALL, "use_pagan": True}).write(path)
    network = networks_of(path)["D"]
    ours = import_network(network)
    ours.source.clear()
    record = {"form": network.form, **network.header}
    with pytest.raises(converter.ConvertError, match="network D: variable 16x16/FromRGB/PAGAN/weight of the original"):
        export_network("D", ours, record)
    variables = [name for name in network.header["variables"] if name != "16x16/Conv0/bias" and "PAGAN" not in name]
    with pytest.raises(converter.ConvertError, match="variable 16x16/Conv0/bias has no place in the original form"):
        export_network("D", ours, {**record, "variables": variables})


# Transforms and rows by themselves.


def reverse_axes(rank: int) -> st.SearchStrategy[Transform]:
    axes = st.sets(st.sampled_from(range(rank)), min_size=1) if rank else st.just(set[int]())
    return axes.map(lambda chosen: table.flip(*chosen))


def reorder_axes(rank: int) -> st.SearchStrategy[Transform]:
    return st.permutations(range(rank)).map(lambda order: table.permute(*order))


@st.composite
def transforms(draw: st.DrawFn) -> tuple[torch.Size, Transform]:
    """A shape of theirs, and a chain of transforms for it."""
    shape = torch.Size(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    steps = draw(st.lists(st.one_of(reverse_axes(len(shape)), reorder_axes(len(shape))), max_size=5))
    batched = draw(st.sampled_from([[], [table.UNBATCH], [table.NOISE]]))
    ones = {table.UNBATCH: 1, table.NOISE: 2}
    shape = torch.Size([1] * sum(ones[step] for step in batched)) + shape
    return shape, table.chain(*batched, *steps)


@given(transforms())
@settings(max_examples=300)
def test_transforms_are_exactly_invertible(case: tuple[torch.Size, Transform]) -> None:
    shape, transform = case
    theirs = torch.arange(shape.numel(), dtype=torch.float32).reshape(shape)
    ours = transform.to_ours(theirs)
    assert transform.source_shape(ours.shape) == shape
    assert torch.equal(transform.to_theirs(ours), theirs)
    # … and the other way round.
    other = torch.rand(ours.shape)
    assert torch.equal(transform.to_ours(transform.to_theirs(other)), other)


def test_layouts_are_what_they_say() -> None:
    x = torch.rand(3, 5, 2, 4)
    assert torch.equal(table.HWIO.to_ours(x), torch.einsum("hwio->oihw", x))
    assert torch.equal(table.HWIO_FLIPPED.to_ours(x), torch.einsum("hwio->oihw", x).rot90(2, (2, 3)))
    assert torch.equal(table.HWOI_FLIPPED.to_ours(x), torch.einsum("hwoi->oihw", x).rot90(2, (2, 3)))
    assert torch.equal(table.FLIP.to_ours(x), x.rot90(2, (2, 3)))
    assert torch.equal(table.TRANSPOSE.to_ours(x[0, 0]), x[0, 0].t())


@given(st.integers(0, 4096), st.integers(0, 99), st.text("ab.0/{}é", min_size=1))
def test_rows_translate_names(r: int, i: int, name: str) -> None:
    rows = Table(
        [
            Row("b{r}.conv{i}.weight", "{r}x{r}/Conv{i}/weight"),
            Row("b{r}.torgb.weight", "ToRGB_lod{lod}/weight"),
            Row("fc{i}.bias", "Dense{next}/bias"),
            Row("rest.{name}", "Rest/{name}"),
        ],
        fields=lambda r, i: {"lod": 10 * r, "next": i + 1},
    )
    assert rows.source_name(f"b{r}.conv{i}.weight")[0] == f"{r}x{r}/Conv{i}/weight"
    assert rows.source_name(f"b{r}.torgb.weight")[0] == f"ToRGB_lod{10 * r}/weight"
    assert rows.source_name(f"fc{i}.bias")[0] == f"Dense{i + 1}/bias"
    assert rows.source_name(f"rest.{name}")[0] == f"Rest/{name}"


@pytest.mark.parametrize(
    "name", ["b8xconv0.weight", "b8.conv0.weight.more", "xb8.conv0.weight", "b.conv0.weight", "b8.conv.weight"]
)
def test_names_match_as_a_whole_and_dots_are_dots(name: str) -> None:
    rows = Table([Row("b{r}.conv{i}.weight", "{r}/{i}")])
    with pytest.raises(converter.ConvertError, match=f"this form has no name for our tensor {name}"):
        rows.source_name(name)


def test_the_first_row_that_matches_counts() -> None:
    rows = Table([Row("b4.weight", "first"), Row("b{r}.weight", "second{r}")])
    assert [rows.source_name(f"b{r}.weight")[0] for r in (4, 8)] == ["first", "second8"]


def test_tensors_no_row_claims_must_be_known_and_may_be_checked() -> None:
    def check(name: str, value: torch.Tensor) -> None:
        raise converter.ConvertError(f"{name} is {value.item()}")

    rows = Table([Row("w", "weight")], [Kept("lod"), Kept("filter", check=check)])
    tensors = {"weight": torch.ones(2), "lod": torch.zeros(())}
    ours, kept = rows.import_tensors({"w": torch.Size([2])}, tensors)
    assert (list(ours), list(kept)) == (["w"], ["lod"])
    with pytest.raises(converter.ConvertError, match="filter is 7"):
        rows.import_tensors({"w": torch.Size([2])}, {**tensors, "filter": torch.tensor(7)})
    assert list(rows.export_tensors(ours, kept, ["lod", "weight"])) == ["lod", "weight"]


@pytest.mark.parametrize(
    ("base", "decay", "low", "high", "maps"),
    [
        (8192, 1.0, 1, 512, [512, 512, 512, 512, 512, 256]),
        (64, 1.0, 0, 12, [12, 12, 12, 8, 4, 2]),
        (20, 0.7, 0, 512, [20, 12, 7, 4, 2, 1]),
        (64, 1.3, 7, 5, [5, 5, 5, 5, 5, 5]),
        (16, 2.0, 3, 99, [16, 4, 3, 3, 3, 3]),
    ],
)
def test_feature_maps_are_truncated_then_limited(
    base: float, decay: float, low: int, high: int, maps: list[int]
) -> None:
    given = {"fmap_base": base, "fmap_decay": decay, "fmap_max": high}
    assert [feature_maps(Keywords("G", given), stage, low) for stage in range(6)] == maps

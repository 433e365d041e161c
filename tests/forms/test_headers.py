"""Headers in records of our own files: a field that is missing or of another type is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.registry import FORMS
from converter.header import Header, check
from converter.reading import open_source
from stylegan_torch.files import checkpoint

DATA = Path(__file__).parents[1] / "data"
GONE = object()
RECORDS = [
    ("sg2-skip.pkl", "form", GONE, "field form of its record is missing"),
    ("sg2-skip.pkl", "form", ["tf"], "field form of its record is a list, not a text"),
    ("sg2-skip.pkl", "build_func_name", GONE, "field build_func_name of its record is missing"),
    ("sg2-skip.pkl", "static_kwargs", [], "field static_kwargs of its record is a list, not a dict"),
    ("sg2-skip.pkl", "source_sha256", 3, "field source_sha256 of its record is a whole number, not a text or null"),
    ("sg2-skip.pkl", "components.synthesis.name", None, "components.synthesis.name of its record is null, not a text"),
    ("sg2-skip.pkl", "components.mapping.variables", GONE, "components.mapping.variables of its record is missing"),
    ("pg.pkl", "variables", ["lod", 1], r"field variables\[1\] of its record is a whole number, not a text"),
    ("ada1_skip64.pkl", "repository", "mine", 'is "mine", not "stylegan2-ada-pytorch" or "stylegan3"'),
    ("sg3t_64.pkl", "init_kwargs", "{}", "field init_kwargs of its record is a text, not a dict"),
    (
        "community/genforce_pggan32.pth",
        "assumed.label_size",
        True,
        "label_size of its record is true or false, not a ",
    ),
    (
        "community/rosinality_sg1_running_100000.model",
        "assumed",
        {},
        "assumed.img_resolution of its record is missing",
    ),
    ("community/rosinality_sg2_convert.pt", "variables", {}, "field variables of its record is a dict, not a list"),
    ("community/akanimax_v3_depth_5_epoch_1.bin", "version", 4, "field version of its record is 4, not 2 or 3"),
    ("community/yuuho_stylegan2_ndarray.pkl", "build_func_name", 2, "build_func_name of its record is a whole number"),
]
every_record = pytest.mark.parametrize(("name", "field", "value", "words"), RECORDS)


def change(record: dict[str, Any], field: str, value: object) -> None:
    *path, last = field.split(".")
    for key in path:
        record = record[key]
    if value is GONE:
        del record[last]
    else:
        record[last] = value


@every_record
def test_in_a_dump(name: str, field: str, value: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    converter.convert(DATA / name, path, ["g_ema"])
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    content = json.loads(str(arrays["stylegan_torch"]))
    change(content["networks"]["G_ema"], field, value)
    np.savez(path, **{**arrays, "stylegan_torch": np.array(json.dumps(content))})
    with pytest.raises(ConvertError, match=f"a.npz: network G_ema: .*{words}"):
        converter.inspect(path)


@every_record
def test_in_a_file_of_ours(name: str, field: str, value: object, words: str, tmp_path: Path) -> None:
    content = converter.load(DATA / name, ["g_ema"])
    record = json.loads(json.dumps(content.provenance["networks"]["G_ema"]))
    change(record, field, value)
    provenance = {**content.provenance, "networks": {"G_ema": record}}
    checkpoint.write(tmp_path / "a.pt", checkpoint.Checkpoint(content.networks, provenance))
    with pytest.raises(ConvertError, match=f"a.pt: network G_ema: .*{words}"):
        converter.convert(tmp_path / "a.pt", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.parametrize(("format", "suffix"), [("nvidia", ".pkl"), ("rosinality", ".pt"), ("genforce", ".pth")])
def test_a_record_that_is_no_dict(format: str, suffix: str, tmp_path: Path) -> None:
    content = converter.load(DATA / "sg2-skip.pkl")
    provenance = {**content.provenance, "networks": {"G_ema": ["tf"]}}
    checkpoint.write(tmp_path / "a.pt", checkpoint.Checkpoint(content.networks, provenance))
    with pytest.raises(ConvertError, match=r"a\.pt: network G_ema: its record is a list, not a dict"):
        converter.convert(tmp_path / "a.pt", tmp_path / f"b{suffix}", format=format)


@pytest.mark.parametrize("path", sorted(p for p in DATA.rglob("*") if p.suffix in (".pkl", ".pth", ".model", ".bin")))
def test_what_readers_make_is_as_their_form_says(path: Path) -> None:
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    for network in source.networks.values():
        kind = FORMS[network.form].header
        check(network.header, kind)
        assert set(network.header) <= set(get_type_hints(kind))


def test_a_form_that_says_nothing_has_the_usual_fields() -> None:
    check({"build_func_name": "G", "variables": ["a"], "more": 1}, Header)
    with pytest.raises(ConvertError, match=r"^its record is a list, not a dict$"):
        check([], Header)

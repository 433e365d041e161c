"""What docs/PUBLIC.md calls public is there, and documented."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from converter.forms import dump
from stylegan_torch.bulk import plans
from stylegan_torch.files import checkpoint
from stylegan_torch.proof import reference

PAGE = (Path(__file__).parent.parent / "docs" / "PUBLIC.md").read_text(encoding="utf-8")
MODULES = re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)


def _public(name: str) -> dict[str, Any]:
    if name == "stylegan_torch.hub":
        pytest.importorskip("huggingface_hub")
    module = importlib.import_module(name)
    assert module.__doc__
    return {each: getattr(module, each) for each in module.__all__}


@pytest.mark.parametrize("name", MODULES)
def test_names_are_there_and_documented(name: str) -> None:
    for each, value in _public(name).items():
        assert not (inspect.isclass(value) or inspect.isfunction(value)) or value.__doc__, each


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("stylegan_torch")])
def test_at_most_three_parameters_go_without_their_names(name: str) -> None:
    for function in filter(inspect.isfunction, _public(name).values()):
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 3, function


def test_versions_of_files() -> None:
    versions = dict(re.findall(r"^\| (.*?) \| `version`, (\d+) \|", PAGE, re.MULTILINE))
    assert list(map(int, versions.values())) == [checkpoint.VERSION, dump.VERSION, reference.VERSION, plans.VERSION]

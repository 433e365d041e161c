"""Which formats are read and written, as the README's table: made from the tables and writers themselves.

python -m converter.forms.table README.md      (puts the table between its marks)
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path

from converter.formats import FORMATS, SUFFIXES, Format
from converter.forms.akanimax import networks as akanimax
from converter.forms.genforce import read as genforce
from converter.forms.rosinality import stylegan1 as rosinality1
from converter.forms.rosinality import stylegan2 as rosinality2
from converter.forms.yuuho import networks as yuuho
from converter.translate import PAGES
from stylegan_torch.files.checkpoint import ROLES
from stylegan_torch.networks.registry import FAMILIES, kind_of_type

BEGIN, END = "<!-- formats: python -m converter.forms.table README.md -->", "<!-- end of formats -->"
_TITLES = {
    "theano": "official Theano pickle (ProGAN)",
    "tf": "official TensorFlow pickle, also of skyflynil, aydao and eps696",
    "torch": "official PyTorch pickle (StyleGAN2-ADA, also StyleGAN3's), also of eps696 and StyleGAN-Human",
    "stylegan3": "official StyleGAN3 pickle, also of StyleGAN-Human",
    rosinality2.FORM: "rosinality/stylegan2-pytorch",
    rosinality1.FORM: "rosinality/style-based-gan-pytorch",
    genforce.FORM: "genforce",
    akanimax.FORM: "akanimax/pro_gan_pytorch",
    yuuho.ARRAYS: "yuuho/stylegans-pytorch, numpy arrays",
    yuuho.STATE: "yuuho/stylegans-pytorch, state dict",
}
_OURS = {
    ".pt": "ours, opens with `torch.load(weights_only=True)`",
    ".safetensors": "ours, for any reader of safetensors",
    ".npz": "the original tensors under their original names",
}


def rows() -> list[tuple[str, ...]]:
    """Return the lines of the table: format, read, write, networks, families."""
    lines: list[tuple[str, ...]] = [
        (title, "yes", f"`{suffix}`", ", ".join(ROLES), "all") for suffix, title in _OURS.items()
    ]
    writers = {format.form: name for name, format in FORMATS.items() if format.form}
    for form in PAGES:
        networks, families = _held(form)
        writer = writers.get(form)
        lines.append((_TITLES[form], "yes", _option(writer, families) if writer else "no", networks, _list(families)))
    for name, format in FORMATS.items():
        if not format.form:
            lines.append((f"for {format.opens}", "no", _option(name, format.families), "G", _list(format.families)))
    return lines


def _held(form: str) -> tuple[str, tuple[str, ...]]:
    configs = [typing.get_type_hints(page.config)["return"] for page in PAGES[form].values()]
    found = [kind_of_type(config) for config in configs]
    kinds = {kind for _, kind in found}
    return ", ".join(sorted({kind[0] for kind in kinds}, reverse=True)), _ordered({family for family, _ in found})


def _ordered(families: set[str]) -> tuple[str, ...]:
    return tuple(family for family in FAMILIES if family in families)


def _list(families: tuple[str, ...]) -> str:
    return "all" if families == tuple(FAMILIES) else ", ".join(families)


def _option(name: str, readable: tuple[str, ...]) -> str:
    format: Format = FORMATS[name]
    by_name = [suffix for suffix in format.suffixes if suffix not in (*SUFFIXES, ".pth")]
    option = f"`{by_name[0]}`" if by_name else f"`--format {name}`"
    return option if format.families == readable else f"{option} ({_list(format.families)})"


def markdown() -> str:
    """Return the table."""
    table = [("format", "read", "write", "networks", "families"), ("---",) * 5, *rows()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def renewed(text: str) -> str:
    """Return a document with the table between its marks made anew.

    Raises:
        ValueError: if the marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("there are no marks for the table of formats")
    return f"{before}{begin}\n\n{markdown()}\n\n{end}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")

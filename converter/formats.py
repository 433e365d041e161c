"""The forms of other programs that we write, by the name that `--format` takes."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

NOISES = ("const", "inputs", "none")
"""Where the noise of a graph comes from: the stored maps, its inputs, or nowhere."""
SUFFIXES = (".pt", ".safetensors", ".npz")
"""What the names of our own files end in."""


@dataclass(frozen=True)
class Options:
    """What the user may choose.

    fresh_d: format nvidia makes an untrained discriminator where there is none.
    noise: where the noise of a graph comes from, one of `NOISES`.
    """

    fresh_d: bool = False
    noise: str = NOISES[0]


class Written(NamedTuple):
    """What was written, a `Checkpoint`, and notes on what is not as it was."""

    checkpoint: Any
    notes: list[str]


@dataclass(frozen=True)
class Format:
    """One form.

    writer: "module:function" of this package. It is imported only when it is used: with it comes PyTorch.
    suffixes: what the name of such a file may end in.
    opens: who opens it.
    families: those it may have a place for.
    form: what `pages.PAGES` calls it where we read it too.
    names: words of which a name should have one, as programs that open such files go by it.
    """

    writer: str
    suffixes: tuple[str, ...]
    opens: str
    families: tuple[str, ...]
    form: str | None = None
    names: tuple[str, ...] = ()

    def name_notes(self, name: str) -> list[str]:
        """Return what to say of a file's name."""
        if not self.names or any(word in name.lower() for word in self.names):
            return []
        return [f"the name {name} holds neither {' nor '.join(self.names)}, by which DragGAN tells networks apart"]

    def write(self, file: IO[bytes], checkpoint: Any, options: Options) -> Written:
        """Write networks to an open file, read them back and compare.

        Raises:
            ConvertError: saying why the form cannot hold a network.
        """
        module, _, function = self.writer.partition(":")
        return getattr(importlib.import_module(f"converter.forms.{module}"), function)(file, checkpoint, options)


_STATE_DICTS = (".pt", ".pth")
_DRAGGAN = ("stylegan2", "stylegan3")
_FAMILIES = ("progan", "stylegan1", "stylegan2", "stylegan3")

FORMATS: dict[str, Format] = {
    "nvidia": Format("tensorflow.write:write", (".pkl",), "NVIDIA's own PyTorch tools", ("stylegan2",), "tf", _DRAGGAN),
    "rosinality": Format(
        "rosinality.write:write",
        _STATE_DICTS,
        "pSp, e4e, ReStyle, StyleCLIP, StyleGAN-NADA …",
        ("stylegan2",),
        "rosinality-stylegan2",
    ),
    "genforce": Format("genforce.write:write", _STATE_DICTS, "genforce", _FAMILIES[:3], "genforce"),
    "stylegan3": Format(
        "pytorch.write_stylegan3:write", _STATE_DICTS, "StyleGAN3's module, stylegan3-editing", ("stylegan3",)
    ),
    "onnx": Format("graph.write:write_onnx", (".onnx",), "onnxruntime, TensorRT …", _FAMILIES),
    "pt2": Format("graph.write:write_pt2", (".pt2",), "torch.export.load", _FAMILIES),
}


def suffixes_of(name: str | None) -> tuple[str, ...]:
    """Return what names of files may end in: those of a format, or of all that need no `--format`."""
    if name is not None:
        return FORMATS[name].suffixes
    return SUFFIXES + tuple(suffix for format in FORMATS.values() for suffix in format.suffixes if by_suffix(suffix))


def by_suffix(suffix: str) -> str | None:
    """Return the format that a name decides by itself, None if it is ours or there are several."""
    names = [name for name, format in FORMATS.items() if suffix in format.suffixes and suffix not in SUFFIXES]
    return names[0] if len(names) == 1 else None

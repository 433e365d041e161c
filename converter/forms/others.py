"""Networks that are not read, and how their files are known: they are called by name, not taken for others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from converter.contents import Contents, inner
from converter.errors import ConvertError


@dataclass(frozen=True)
class Other:
    """A program whose networks are other ones. A file is its, if it has all of one of these.

    name: of the program or the paper.
    tensors: patterns, each of which the path of some tensor has after any prefix.
    classes: a pattern that the full name of a class in the file has.
    keys: what its dict has.
    """

    name: str
    tensors: tuple[str, ...] = ()
    classes: str | None = None
    keys: frozenset[str] = frozenset()

    def made(self, contents: Contents) -> bool:
        """Tell whether a file is of this program."""
        by_class = self.classes and any(re.search(self.classes, name) for name in contents.foreign)
        by_keys = self.keys and self.keys <= {str(key) for key in inner(contents.top) or {}}
        wanted = [re.compile(rf"(?:^|.*\.){pattern}") for pattern in self.tensors]
        by_tensors = wanted and all(any(one.match(path) for path in contents.tensors) for one in wanted)
        return bool(by_class or by_keys or by_tensors)


_AROUND_KNOWN_ONES = (
    Other("Hammer's StyleGAN3", (r"synthesis\.early_layer\.frequency$",)),
    Other("SWAGAN", (r"iwt\.ll",)),
    Other("DualStyleGAN", (r"generator\.to_rgb1\.conv\.weight", r"res\.\d+\.")),
    Other("GFPGAN", (r"stylegan_decoder\.",)),
    Other("EG3D", (r"backbone\.synthesis\.",)),
    Other("EG3D", (r"superresolution\.block",)),
    Other("StyleMapGAN", keys=frozenset({"g_ema", "e_ema"})),
)
"""Their files hold what looks like a network that is read, but is a part of theirs."""
_ALL_THEIR_OWN = (
    Other("EG3D", classes=r"training\.(volumetric_rendering|triplane)"),
    Other("Projected GAN (FastGAN)", classes=r"pg_modules\.networks_fastgan"),
    Other("StyleGAN-T", classes=r"^networks\.generator\.Generator$"),
    Other("StyleGAN-XL", classes=r"SuperresGenerator"),
    Other("MobileStyleGAN", keys=frozenset({"params", "ckpt"})),
    Other("StyleSwin", (r"layers\.\d+\.blocks\.\d+\.(attn|qkv)", r"to_rgbs\.\d+\.")),
    Other("BigGAN", (r"shared\.weight", r"blocks\.0\.0\.conv1\.")),
    Other("BigGAN", (r"generator\.gen_z\.weight",)),
)


def refuse_around(contents: Contents) -> None:
    """Raise ConvertError, with its name, for a program whose files hold a network that is read within another one."""
    _refuse(contents, _AROUND_KNOWN_ONES)


def refuse_known(contents: Contents) -> None:
    """Raise ConvertError, with its name, if a file in which no form has found its networks is of a known program."""
    _refuse(contents, _ALL_THEIR_OWN)


def _refuse(contents: Contents, others: tuple[Other, ...]) -> None:
    for other in others:
        if other.made(contents):
            raise ConvertError(f"is of {other.name}, which is another kind of network; it is not read here")

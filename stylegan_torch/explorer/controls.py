"""What OSC messages say to the page's controls.

A message to /psi, /seed, /pca/0, /psi/4, /mix/0 or /do/dice is for the control psi, seed, pca:0, psi@4, mix:0 or
do:dice, and its first number is the control's. A map says so of other addresses, a line for each control that one sets:

    # a fader from 0 to 1, a pad, a key
    /fader/1   psi     x * 1.2
    /pad       pca:0   6 * x - 3
    /pad       pca:1   6 * y - 3
    /key       do:dice x

`expressions` has the arithmetic.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.expressions import NAMES, Expression, parse

Value = float | str
Controls = Mapping[str, Value]
ACTIONS = ("dice", "undo", "redo", "key", "play", "record")
"""What `do:` can do, when its number is more than 0."""
_CONTROL = re.compile(
    r"seed|row|class|psi|noise|noise_seed|network|blend|blend_at|blend_soft"
    rf"|psi@\d+(-\d+)?|mix:\d+|do:({'|'.join(ACTIONS)})|[^\s:@]+:\d+"
)
_FIRST = parse("x")
_LONGEST = 200
"""Characters of a text in a message."""


@dataclass(frozen=True)
class Setting:
    """What a message at an address sets: a control, to the number that an expression makes of the message's."""

    control: str
    expression: Expression


Map = Mapping[str, Sequence[Setting]]


def read_map(path: Path) -> Map:
    """Read a map: lines of an address, a control, and an expression.

    Raises:
        StyleGANError: if it cannot be read, or a line is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StyleGANError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise StyleGANError(f"{path} is no text in UTF-8: {error}") from error
    found: dict[str, list[Setting]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            address, setting = _setting(line)
        except ValueError as error:
            raise StyleGANError(f"{path}, line {number}: {error}") from error
        found.setdefault(address, []).append(setting)
    return found


def _setting(line: str) -> tuple[str, Setting]:
    address, control, expression = (*line.split(None, 2), "", "")[:3]
    if not address.startswith("/") or not expression:
        raise ValueError(f"{line.strip()!r} is not an address, a control and an expression, such as /fader psi x")
    if not _CONTROL.fullmatch(control):
        raise ValueError(f"{control!r} is no control, such as psi, seed, pca:0 or do:dice")
    return address, Setting(control, parse(expression))


def usual(address: str) -> str | None:
    """Return the control that an address is for without a map, if it is for one."""
    name, _, rest = address.strip("/").partition("/")
    control = name if not rest else f"psi@{rest}" if name == "psi" else f"{name}:{rest}"
    return control if _CONTROL.fullmatch(control) else None


def controls_of(mapping: Map, address: str, given: Sequence[object]) -> dict[str, Value]:
    """Return what a message sets.

    Args:
        mapping: of `read_map`.
        address: the message's.
        given: its arguments; a text sets a control as it is.
    """
    control = usual(address)
    settings = mapping.get(address) or ([Setting(control, _FIRST)] if control else [])
    numbers = [float(each) for each in given if isinstance(each, int | float)]
    values = dict(zip(NAMES, numbers, strict=False))
    words = next((each[:_LONGEST] for each in given if isinstance(each, str)), None)
    made = {each.control: each.expression(values) if words is None else words for each in settings}
    return {name: value for name, value in made.items() if isinstance(value, str) or math.isfinite(value)}


class Channel:
    """Tells pages what is said to their controls from elsewhere."""

    def __init__(self) -> None:
        self.address = ""
        """Where it is heard; "" = nowhere."""
        self._hearing: list[Callable[[Controls], object]] = []
        self._lock = threading.Lock()

    @contextmanager
    def heard(self, hear: Callable[[Controls], object]) -> Iterator[None]:
        """Call `hear` of all that is said meanwhile, on whatever thread."""
        with self._lock:
            self._hearing.append(hear)
        try:
            yield
        finally:
            with self._lock:
                self._hearing.remove(hear)

    def say(self, controls: Controls) -> None:
        """Tell all pages."""
        with self._lock:
            hearing = list(self._hearing)
        for hear in hearing:
            hear(controls)

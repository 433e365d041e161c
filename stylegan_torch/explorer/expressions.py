"""Small arithmetic, read and computed without running anything: what an OSC message's numbers become.

    sum     = product {("+" | "-") product}
    product = sign {("*" | "/" | "%") sign}
    sign    = {"-" | "+"} power
    power   = atom ["^" sign]
    atom    = number | name | function "(" sum {"," sum} ")" | "(" sum ")"

Names are x, y, z and w, a message's first four numbers, and pi; functions those of `FUNCTIONS`, as `math` has them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping

Values = Mapping[str, float]
Expression = Callable[[Values], float]
"""From the values of names to a number; NaN where there is none."""

NAMES = ("x", "y", "z", "w")
FUNCTIONS: Mapping[str, tuple[int, Callable[..., float]]] = {
    "abs": (1, abs),
    "round": (1, round),
    "floor": (1, math.floor),
    "sqrt": (1, math.sqrt),
    "exp": (1, math.exp),
    "log": (1, math.log),
    "sin": (1, math.sin),
    "cos": (1, math.cos),
    "min": (2, min),
    "max": (2, max),
    "clip": (3, lambda value, low, high: min(max(value, low), high)),
}
"""How many numbers each takes, and what it does."""
_LONGEST, _DEEPEST = 200, 20
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[a-z]+)|(?P<sign>[-+*/%^(),]))")
_SUMS = {"+": operator.add, "-": operator.sub}
_PRODUCTS = {"*": operator.mul, "/": operator.truediv, "%": math.fmod}


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ValueError: if it is none, saying where.
    """
    reader = _Reader(text)
    found = reader.sum()
    reader.end()

    def compute(values: Values) -> float:
        try:
            return float(found(values))
        except (ArithmeticError, LookupError, ValueError):  # LookupError: the message has fewer numbers
            return math.nan

    return compute


class _Reader:
    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise ValueError(f"an expression has at most {_LONGEST} characters")
        self._text, self._at, self._depth = text, 0, 0

    def _next(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        return found[0].strip() if found else ""

    def _take(self, *wanted: str) -> str:
        """Return the next token, if it is one of those wanted, and go on; else nothing."""
        token = self._next()
        if not token or token not in wanted:
            return ""
        return self._skip()

    def _skip(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        assert found
        self._at = found.end()
        return found[0].strip()

    def _wrong(self, wanted: str) -> ValueError:
        rest = self._text[self._at :].strip()
        return ValueError(f"{self._text.strip()!r}: {wanted} is wanted {f'before {rest!r}' if rest else 'at the end'}")

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise self._wrong("+, -, *, /, % or ^")

    def sum(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"an expression has at most {_DEEPEST} brackets in one another")
        left = self._product()
        while sign := self._take(*_SUMS):
            left = _of(_SUMS[sign], left, self._product())
        self._depth -= 1
        return left

    def _product(self) -> Expression:
        left = self._sign()
        while sign := self._take(*_PRODUCTS):
            left = _of(_PRODUCTS[sign], left, self._sign())
        return left

    def _sign(self) -> Expression:
        minus = False
        while sign := self._take("-", "+"):
            minus ^= sign == "-"
        power = self._power()
        return _of(operator.neg, power) if minus else power

    def _power(self) -> Expression:
        base = self._atom()
        return _of(math.pow, base, self._sign()) if self._take("^") else base

    def _atom(self) -> Expression:
        if self._take("("):
            return self._closed(self.sum())
        token = self._next()
        if token in FUNCTIONS:
            self._skip()
            return self._call(token)
        if token == "pi":
            self._skip()
            return lambda values: math.pi
        if token in NAMES:
            self._skip()
            return lambda values: values[token]
        if token[:1].isdecimal() or token[:1] == ".":
            self._skip()
            return lambda values: float(token)
        raise self._wrong(f"a number, {', '.join(NAMES)}, pi, a function ({', '.join(FUNCTIONS)}) or (")

    def _call(self, name: str) -> Expression:
        count, function = FUNCTIONS[name]
        if not self._take("("):
            raise self._wrong("(")
        given = [self.sum()]
        while self._take(","):
            given.append(self.sum())
        if len(given) != count:
            raise ValueError(f"{self._text.strip()!r}: {name} takes {count} number{'s' * (count > 1)}")
        return self._closed(_of(function, *given))

    def _closed(self, inner: Expression) -> Expression:
        if not self._take(")"):
            raise self._wrong(")")
        return inner


def _of(function: Callable[..., float], *parts: Expression) -> Expression:
    return lambda values: function(*(part(values) for part in parts))

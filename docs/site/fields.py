"""Shows the fields of a dataclass, which docstrings tell as `name: what it is`, a line each, as a list."""

from __future__ import annotations

import re

import griffe

_FIELD = re.compile(r"^(\w+(?:, \w+)*): (?=\S)", re.MULTILINE)


class Fields(griffe.Extension):
    """A Griffe extension, named in mkdocs.yml."""

    def on_class_instance(self, *, cls: griffe.Class, **_: object) -> None:
        """Change a class's docstring."""
        if cls.docstring:
            cls.docstring.value = "\n\n".join(map(_listed, cls.docstring.value.split("\n\n")))


def _listed(paragraph: str) -> str:
    if not all(line.startswith("    ") or _FIELD.match(line) for line in paragraph.splitlines()):
        return paragraph
    return _FIELD.sub(lambda field: f"- {', '.join(f'`{name}`' for name in field[1].split(', '))}: ", paragraph)

"""What a file holds, as text for one screen and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from converter.conversion import Summary
from stylegan_torch.networks.registry import Config, config_to_json, kind_of
from stylegan_torch.text import columns, one_line, printable

_COUNTED = ("variables", "buffers")
_SHOWN_ELSEWHERE = ("form", "name", "class", "class_name", "build_func_name", "components", *_COUNTED)
_GIVEN = ("static_kwargs", "init_kwargs", "assumed")
"""Parts of a record that are dicts of their own."""

_LONGEST_LIST, _LONGEST_TEXT = 16, 300


def table(summary: Summary) -> list[str]:
    """Return the lines of a table, one a network."""
    rows = [("network", "family", "size", "classes", "parameters")]
    for role, config in summary.configs.items():
        height, width = config.img_size
        size = f"{height}x{width}x{config.img_channels}"
        rows.append((role, kind_of(config)[0], size, str(config.c_dim), f"{summary.parameters[role]:,}"))
    return columns(rows)


def origin(summary: Summary) -> str:
    """Return one line on the file the networks came from."""
    return f"{one_line(summary.origin['name'])}, {summary.origin['size']:,} bytes, sha256 {summary.origin['sha256']}"


def as_text(summary: Summary) -> str:
    """Return what a file holds: options that are not the usual ones, and what the original says itself."""
    lines = [*table(summary), f"file  {origin(summary)}", *(f"note  {one_line(note)}" for note in summary.notes)]
    described: dict[tuple[str, ...], list[str]] = {}
    for role, config in summary.configs.items():
        record = summary.records.get(role)
        block = [
            *_wrapped("config", _pairs(_unusual(config))),
            *(_wrapped("original", _original(record)) if record else []),
        ]
        described.setdefault(tuple(block), []).append(role)
    for text, roles in described.items():
        lines += ["", ", ".join(roles), *text]
    return "\n".join(lines)


def as_json(summary: Summary) -> str:
    """Return all there is to know of a file."""
    content = {
        "origin": summary.origin,
        "notes": summary.notes,
        "networks": {
            role: {
                "config": config_to_json(config),
                "parameters": summary.parameters[role],
                "original": summary.records.get(role),
            }
            for role, config in summary.configs.items()
        },
    }
    return json.dumps(content, indent=2)


def _unusual(config: Config | Any) -> dict[str, Any]:
    fields = {field.name: (getattr(config, field.name), field.default) for field in dataclasses.fields(config)}
    return {
        name: _unusual(value) if dataclasses.is_dataclass(value) else value
        for name, (value, default) in fields.items()
        if value != default
    }


def _pairs(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _pairs(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={_spelled(value)}"


def _original(record: dict[str, Any]) -> Iterator[str]:
    """Yield the facts of a record; components repeat the keywords of the whole."""
    parts = [part["build_func_name"] for part in record.get("components", {}).values()]
    yield f"{record['build_func_name']}{' of ' + ' and '.join(parts) if parts else ''} ({record['form']})"
    yield f"{_tensors(record)} tensors"
    for name, value in record.items():
        if name in _GIVEN:
            yield from _pairs(value, "assumed." if name == "assumed" else "")
        elif name not in _SHOWN_ELSEWHERE and not name.startswith(("input_", "output_")) and value not in (None, []):
            yield f"{name}={_spelled(value)}"


def _spelled(value: Any) -> str:
    """Return a value as it is shown on a screen: of what is long, the start."""
    if isinstance(value, list | tuple) and len(value) > _LONGEST_LIST:
        return f"{_spelled(value[:_LONGEST_LIST])[:-1]}, … {len(value)} in all]"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _tensors(record: dict[str, Any]) -> int:
    return len(record["variables"]) + sum(map(_tensors, record.get("components", {}).values()))


def _wrapped(title: str, facts: Iterator[str]) -> list[str]:
    width = min(max(shutil.get_terminal_size().columns, 80), 120)
    # Facts are not broken at their blanks, which are made hard ones until the lines are.
    text = ", ".join(printable(fact).replace(" ", "\0") for fact in facts)
    indent = f"  {title:9} "
    lines = textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]

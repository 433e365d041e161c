"""Numbers on the command line: NaN, infinity, and what no network and no random stream takes."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from stylegan_torch.commands.edit import parse_numbers
from stylegan_torch.commands.main import HOMES, main
from stylegan_torch.commands.terminal import FiniteRange, finite, one_line_errors, picture_size
from stylegan_torch.editing.composition import parse_move, parse_psi
from stylegan_torch.errors import StyleGANError


def options() -> Iterator[tuple[str, click.Parameter]]:
    for name in HOMES:
        command = main.get_command(click.Context(main), name)
        assert command
        subs = command.commands.values() if isinstance(command, click.Group) else ()
        yield from ((name, param) for each in (command, *subs) for param in each.params)


def test_no_option_takes_nan_or_infinity() -> None:
    floats = [(name, param) for name, param in options() if isinstance(param.type, click.FloatRange)]
    assert {name for name, _ in floats} >= {"draw", "project", "spectrum", "train"}
    assert [(name, param.name) for name, param in floats if not isinstance(param.type, FiniteRange)] == []


def test_seeds_have_an_end() -> None:
    seeds = [(name, param) for name, param in options() if param.name in ("seed", "noise_seed")]
    assert {name for name, _ in seeds} >= {"centres", "draw", "project", "surgery", "train"}
    ends = [param.type.max if isinstance(param.type, click.IntRange) else None for _, param in seeds]
    assert {end is not None and end < 1 << 32 for end in ends} == {True}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e39"])
def test_what_is_no_number_of_a_range(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not a finite number|beyond what float32 holds"):
        FiniteRange()(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (finite, "1e39"),
        (parse_psi, "1e39"),
        (parse_psi, "1e39@fine"),
        (parse_move, "pca:0=-1e39"),
        (parse_numbers, "0,1e39"),
        (picture_size, "0x8"),
        (picture_size, "8,0"),
        (picture_size, "٣"),  # a digit, but not of ours
    ],
)
def test_numbers_in_texts(parse: object, text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|beyond"):
        parse(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes"),
            "not enough memory",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "not enough memory"),
        (RuntimeError("other"), "unexpected RuntimeError: other"),
        (StyleGANError("can't allocate memory"), "Error: can't allocate memory"),
    ],
    ids=["python", "cpu", "gpu", "other", "ours"],
)
def test_too_little_memory_is_one_line(error: Exception, said: str) -> None:
    @click.command
    @one_line_errors
    def fail() -> None:
        raise error

    result = CliRunner().invoke(fail)
    assert result.exit_code == 1
    assert said in result.stderr
    assert ("report it" in result.stderr) == ("unexpected" in result.stderr)

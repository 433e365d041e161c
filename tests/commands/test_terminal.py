"""What reaches the terminal: nothing that a file, or its name, has a terminal do."""

from __future__ import annotations

import ast
import io
import re
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.commands.terminal import Command, one_line_errors, say, tracked, working
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.text import columns, one_line, printable
from tests import DATA

ROOT = Path(__file__).parents[2]
EVIL = "\x1b[2J\x9b1A\x07\x7f\u202e\u2066\u200b\ufe0f\U000e0041"
"""Clears the screen, goes up, beeps, turns what follows, hides."""
SHOWN = r"\x1b[2J\x9b1A\x07\x7f\u202e\u2066\u200b\ufe0f\U000e0041"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert is_calm(result.output), repr(result.output)
    return result


def is_calm(text: str) -> bool:
    return printable(text, kept="\n\t") == text


# Text


def test_what_is_not_seen_as_itself_is_escaped() -> None:
    every = "".join(
        chr(code) for code in (*range(32), *range(127, 160), *range(0x200E, 0x2010), *range(0x202A, 0x202F))
    )
    every += "\u2066\u2069\u2029\u200d\u2060\ufeff\u061c\ud800\udcff\u00ad\u115f\u3164\u2800\U000e007f\U000e0100"
    assert printable(every).isascii()
    assert printable(every).isprintable()
    assert len(re.findall(r"\\(?:x..|u....|U.{8}|[tnr])", printable(every))) == len(every)
    assert printable(EVIL) == SHOWN


@pytest.mark.parametrize("text", ["plain, 100 %", "naïve ²", "字 кот 한국 नमस्ते", r"C:\x1b", SHOWN])
def test_what_is_seen_stays(text: str) -> None:
    assert printable(text) == one_line(text) == text


def test_tables_are_aligned_as_they_are_seen() -> None:
    assert columns([["\x1b", "b"], ["cc", "d\n"]]) == [r"\x1b  b", r"cc    d\n"]


def test_messages_of_errors_are_calm() -> None:
    assert str(StyleGANError(f"no {EVIL}")) == f"no {SHOWN}"
    assert str(CheckpointError("is\nbad", f"{EVIL}.pt")) == rf"{SHOWN}.pt: is\nbad"


# Printing


@click.command(cls=Command)
@click.argument("how")
@one_line_errors
def command(how: str) -> None:
    if how == "say":
        say(EVIL, f"a\tb\r\n{EVIL}")
    elif how == "echo":
        click.echo(EVIL)
    elif how == "print":
        print(EVIL, file=sys.stderr, flush=True)
    elif how == "unforeseen":
        raise KeyError(EVIL)
    elif how == "usage":
        raise click.BadParameter(EVIL)
    elif how == "work":
        with working(EVIL) as tell:
            tell(EVIL)
        list(tracked([1], "Drawing"))


@pytest.mark.parametrize("how", ["say", "echo", "print", "unforeseen", "usage", "work"])
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_all_that_a_command_prints_is_escaped(how: str, debug: list[str]) -> None:
    output = CliRunner().invoke(command, [how, *debug]).output
    assert is_calm(output)
    assert (r"\x9b1A" in output) == (how != "work")
    if how == "say":
        assert output == f"{SHOWN}\na\tb\\r\\n{SHOWN}\n"


def test_bars_are_drawn_on_a_terminal_and_hold_no_raw_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    command.main(["work"], standalone_mode=False)
    text = terminal.getvalue()
    assert "\x1b[" in text
    assert r"\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert not set(EVIL[3:]) & set(text) - set(SHOWN)


def test_nothing_prints_past_the_roof() -> None:
    allowed = {
        "stylegan_torch/commands/terminal.py",  # the roof
        "converter/forms/pytorch/make_pickle.py",  # a program that is written beside files, not run here
    }
    found = []
    for path in [*ROOT.glob("stylegan_torch/**/*.py"), *ROOT.glob("converter/**/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        if name in allowed or name.startswith("converter/original/tf_runtime/"):  # in the jail, over a pipe
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                redirects = any(keyword.arg == "redirect_stderr" for keyword in node.keywords)
                past = called in ("print", "click.echo", "click.secho", "os.write", "Console.print", "console.print")
                if past or (called in ("Progress", "Live", "track") and not redirects) or called.endswith(".status"):
                    found.append(f"{name}:{node.lineno}: {called}")
            if isinstance(node, ast.Attribute) and node.attr in ("__stdout__", "__stderr__"):
                found.append(f"{name}:{node.lineno}: {node.attr}")
    assert found == []


# Files


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A sound file of ours whose record lies about its origin, with names and facts for the terminal to act on."""
    path = tmp_path / "in.pt"
    converter.convert(DATA / "pg.pkl", path)
    content = torch.load(path, weights_only=True)
    content["provenance"]["origin"]["name"] = f"{EVIL}\r\nfile  ffhq.pkl"
    for record in content["provenance"]["networks"].values():
        record["static_kwargs"][f"key{EVIL}"] = f"value{EVIL}\n"
    torch.save(content, path)
    return path


def test_names_and_records(hostile: Path, tmp_path: Path) -> None:
    told = run("convert", "--inspect", hostile)
    assert told.exit_code == 0
    assert f"file  {SHOWN}" in told.stdout
    assert len([line for line in told.stdout.splitlines() if line.startswith("file")]) == 1
    assert r"\x1b[2J" in run("convert", "--inspect", "--json", hostile).stdout.replace(r"\u001b", r"\x1b")
    assert run("convert", hostile, tmp_path / "out.npz").exit_code == 0
    assert run("generate", "--network", hostile, "--seeds", "1", "--outdir", tmp_path / "out").exit_code == 0


def test_names_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / f"{EVIL}.pt").write_bytes(b"\x80\x02X")
    for arguments in (
        ["convert", "--inspect", tmp_path / f"{EVIL}.pt"],
        ["convert", "--inspect", f"none{EVIL}.pt"],
        ["convert", "--list", EVIL],
        ["convert", "--format", EVIL, "a", "b.pt"],
        ["convert", "--inspect", f"https://example.org/{EVIL}"],
        ["generate", "--network", tmp_path / f"{EVIL}.pt", "--seeds", "1", "--debug"],
        ["generate", "--seeds", EVIL],
        [EVIL],
    ):
        result = run(*arguments)
        assert result.exit_code
        assert r"\u202e\u2066" in result.stderr

"""`stylegan-convert`: any checkpoint in, one safe file out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.errors import ConvertError
from converter.form import DTYPES, NOISES, OPSETS, Options
from converter.formats import assumable, by_suffix, heeding, our_suffixes, programs, suffixes_of, writers
from converter.sources import catalogue
from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.given import as_given, has_hashes
from stylegan_torch.commands.inputs import NETWORK_FILE, OUTPUT
from stylegan_torch.commands.terminal import Command, one_line_errors, quick_imports, say, working
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns, one_line

if TYPE_CHECKING:
    from converter.conversion import Summary

EXAMPLES = """\b
Examples:
  stylegan-convert ffhq.pkl ffhq.pt
  stylegan-convert ffhq.pkl ffhq.safetensors --networks g_ema
  stylegan-convert stylegan2-ffhq-config-f ffhq.pt      (downloads it)
  stylegan-convert --inspect snapshot.pkl.xz
  stylegan-convert ffhq.pkl ffhq.npz                    (the original tensors)
  stylegan-convert ffhq.pkl ffhq.pt --verify --trust-embedded-code
  stylegan-convert ffhq.pkl stylegan2-ffhq.pt --format rosinality      (for pSp, e4e, StyleCLIP …)
  stylegan-convert ffhq.pkl ffhq.onnx --noise inputs
  stylegan-convert ffhq.pkl small.onnx --dtype float16
"""
_HOMES = {"fresh_d": "an official .pkl"}
"""What options go with, where it is not what suffixes say."""


def _suffixes(option: str) -> str:
    """Return what names of files end in that heed an option."""
    return " and ".join(writers()[name].suffixes[0] for name in heeding(option))


def _help() -> str:
    *others, last = programs()
    by_name: list[str] = []
    by_option: list[str] = []
    for name, writer in writers().items():
        own = by_suffix(writer.suffixes[0]) == name
        opens = "" if writer.opens == name else f" (for {writer.opens})"
        (by_name if own else by_option).append(f"{writer.suffixes[0] if own else name}{opens}")
    return f"""Convert the checkpoint SRC to DST.

    No code in SRC is run, unless you ask for it with --trust-embedded-code.

    SRC is an official pickle of ProGAN, StyleGAN, StyleGAN2, StyleGAN2-ADA or StyleGAN3, a file of
    {", ".join(others)} or {last}, a .npz dump, a file of ours, a URL, or a name in the catalogue of published networks;
    - is what comes through standard input. It may be compressed, or the only network in a zip or tar archive;
    nets.zip!ffhq.pkl is one of several.

    DST ends in {", ".join(our_suffixes())} (the original tensors under their original names), or is of another
    program's form: {", ".join(by_name)}, or as --format says: {", ".join(by_option)}. A network that a form can't hold
    is refused.
    """


def _roles(ctx: click.Context, param: click.Parameter, value: str) -> list[str] | None:
    if value.strip().lower() == "all":
        return None
    known = {"g_ema": "G_ema", "g": "G", "d": "D"}
    names = [part.strip().lower() for part in value.split(",")]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is none of g_ema, g, d, all")
    return [known[name] for name in names]


def _target(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    suffixes = suffixes_of(ctx.params.get("format"))
    if value and value.suffix not in suffixes:
        more = "; .pth goes with --format" if ".pth" not in suffixes else ""
        raise click.BadParameter(f"{value} must end in {', '.join(suffixes)}{more}")
    return value


def _assumptions(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, object]:
    assumed = {}
    for text in values:
        name, _, value = text.partition("=")
        try:
            assumed[name] = json.loads(value)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not like mbstd_group_size=8 or fused_scale=true") from error
    return assumed


module_path = click.option(
    "--module-path",
    "modules",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with modules that the program in SRC imports; it gets those that it names.",
)
weak_isolation = click.option(
    "--weak-isolation",
    is_flag=True,
    help="Run that program even where this system lacks some of the protections from it.",
)


@click.command(
    cls=Command,
    help=_help(),
    epilog=EXAMPLES,
    short_help="Convert a network to one safe file, or to another program's.",
)
@click.argument("src", type=NETWORK_FILE, required=False)
@click.argument("dst", type=OUTPUT, callback=_target, required=False)
@click.option("--networks", callback=_roles, default="all", show_default=True, help="Some of g_ema,g,d, or all.")
@click.option(
    "--format", is_eager=True, type=click.Choice(list(writers())), help="Write another program's form to DST."
)
@click.option("--fresh-d", is_flag=True, help="Make an untrained D, where SRC has none and --format nvidia needs it.")
@click.option(
    "--noise", type=click.Choice(NOISES), help=f"Where {_suffixes('noise')} have noise from.  [default: {NOISES[0]}]"
)
@click.option("--opset", type=click.IntRange(*OPSETS), help=f"Operators of a .onnx.  [default: {OPSETS[0]}]")
@click.option("--dtype", type=click.Choice(DTYPES), help=f"Numbers of a .onnx.  [default: {DTYPES[0]}]")
@click.option("--resolution", type=int, help="Side that was trained, where SRC holds more levels and doesn't say.")
@click.option(
    "--assume",
    multiple=True,
    callback=_assumptions,
    metavar="NAME=VALUE",
    help=f"What SRC doesn't say and --inspect shows as assumed, such as mbstd_group_size=8 "
    f"(of {', '.join(assumable())}).",
)
@click.option("--inspect", "only_inspect", is_flag=True, help="Tell what is in SRC, and write nothing.")
@click.option("--json", "in_json", is_flag=True, help="Let --inspect tell all, for programs.")
@options.SHA256
@click.option("--list", "only_list", is_flag=True, help="List the catalogue; SRC may be a pattern such as '*ffhq*'.")
@click.option("--verify", "with_proof", is_flag=True, help="Run the original too; write DST only if ours is the same.")
@click.option("--trust-embedded-code", "trust", is_flag=True, help="Let --verify run the program that SRC carries.")
@module_path
@weak_isolation
@options.force("DST if it exists")
@click.version_option(__version__)
@one_line_errors
def main(
    src: str | None,
    dst: Path | None,
    networks: list[str] | None,
    format: str | None,
    fresh_d: bool,
    noise: str | None,
    opset: int | None,
    dtype: str | None,
    resolution: int | None,
    assume: dict[str, object],
    only_inspect: bool,
    in_json: bool,
    only_list: bool,
    with_proof: bool,
    trust: bool,
    modules: Path | None,
    weak_isolation: bool,
    force: bool,
) -> None:
    """Convert a checkpoint."""
    if only_list:
        lines = listing(src or "*")
        if not lines:
            hint = catalogue.suggestion(src or "")
            raise ConvertError(f"no network of the catalogue matches {src}{hint and '; ' + hint}")
        say(*lines)
        return
    if src is None:
        raise click.UsageError("name the file, URL or published network to convert")
    chosen: dict[str, Any] = {"fresh_d": fresh_d, "noise": noise, "opset": opset, "dtype": dtype}
    _refuse_idle_options(format or (by_suffix(dst.suffix) if dst else None), chosen)
    if in_json and not only_inspect:
        raise click.UsageError("--json goes with --inspect")
    if only_inspect and dst:
        raise click.UsageError("--inspect takes no DST: it writes nothing")
    if not only_inspect and not dst:
        raise click.UsageError("name the file to write, or give --inspect")
    of_verify = {"--trust-embedded-code": trust, "--module-path": modules, "--weak-isolation": weak_isolation}
    idle = next((option for option, given in of_verify.items() if given and not with_proof), None)
    if idle:
        raise click.UsageError(f"{idle} goes with --verify; converting runs nothing")
    refuse_existing([dst], force)
    with quick_imports():
        from converter.conversion import convert, inspect
        from converter.describe import as_json, as_text

    assumed = assume if resolution is None else {**assume, "img_resolution": resolution}
    if only_inspect:
        say(*(as_json if in_json else as_text)(inspect(src, assumed)).split("\n"))
        return
    assert dst
    if with_proof:
        _verify(src, trust, modules, weak_isolation)
    with working(f"Converting {src}"):
        options = replace(Options(), **{name: value for name, value in chosen.items() if value})
        summary = convert(src, dst, networks, force=force, format=format, assumed=assumed, options=options)
    _tell(summary, src, dst)


def _tell(summary: Summary, src: str, dst: Path) -> None:
    from converter.describe import origin, table
    from converter.sources.locate import is_here

    for note in summary.notes:
        say(f"Note: {one_line(note)}.", err=True)
    say(*table(summary))
    say(f"from  {origin(summary)}")
    say(f"to    {dst}, {dst.stat().st_size:,} bytes")
    published = None if is_here(src) else catalogue.find(src)
    if published:
        if not published.sha256 and not has_hashes():
            say("not verified: nobody published the hash of this file; --sha256 checks one that you trust")
        say(f"licence of these weights: {published.licence}")


def _refuse_idle_options(form: str | None, chosen: Mapping[str, object]) -> None:
    for name, value in chosen.items():
        if value and form not in heeding(name):
            raise click.UsageError(f"--{name.replace('_', '-')} goes with {_HOMES.get(name) or _suffixes(name)}")


def _verify(src: str, trust: bool, modules: Path | None, weak_isolation: bool) -> None:
    from converter.original.run import PROOF, ask_consent, memory_limit, verify_original

    if not trust:
        say(*as_given(ask_consent(src)).split("\n"), err=True)
        sys.exit(1)
    with working(f"Running the original of {src}") as tell:
        verdict = verify_original(
            src, memory_limit(None), PROOF, on_progress=tell, modules=modules, weak_isolation=weak_isolation
        )
    say(*verdict.table(), *verdict.summary())
    if not verdict.passed:
        raise ConvertError(f"{src}: our network is not the same as the original; nothing was written. Please report it")


def listing(pattern: str) -> list[str]:
    """Return the lines of the catalogue whose name matches a pattern."""
    rows = [
        (
            entry.name,
            f"{entry.resolution}²",
            f"{entry.conditional or 'no'} classes",
            f"sha256 {entry.sha256}" if entry.sha256 else "not verified",
            entry.licence,
        )
        for entry in catalogue.entries(pattern)
    ]
    return columns(rows)

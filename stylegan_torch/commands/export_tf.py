"""`stylegan-export-tf`: run the original program on today's TensorFlow; dump it, and record what it computes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.convert import module_path, weak_isolation
from stylegan_torch.commands.given import as_given
from stylegan_torch.commands.inputs import NETWORK_FILE, OutputFile
from stylegan_torch.commands.terminal import (
    Command,
    FiniteRange,
    one_line_errors,
    parse_seeds,
    quick_imports,
    reading,
    say,
    working,
)
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import one_line

EXAMPLES = """\b
Examples:
  stylegan-export-tf ffhq.pkl --show-source | less
  stylegan-export-tf ffhq.pkl ffhq.npz --trust-embedded-code
  stylegan-export-tf ffhq.pkl ffhq.npz --trust-embedded-code --reference ref.npz --seeds 0-3 --truncation 0.7 --layers
  stylegan-verify ffhq.pt ref.npz --report report.html
"""


_NOISES = {"official": "seeded", "const": "stored", "none": "none"}


@click.command(cls=Command, epilog=EXAMPLES, short_help="Run the program in a TensorFlow pickle, and record it.")
@click.argument("src", type=NETWORK_FILE)
@click.argument("dst", type=OutputFile(), required=False)
@options.SHA256
@click.option("--trust-embedded-code", "trust", is_flag=True, help="Run the program that SRC carries.")
@click.option("--show-source", is_flag=True, help="Print that program instead; run and write nothing.")
@click.option("--reference", type=OutputFile(), help="Also record what it computes to this file (.npz).")
@click.option(
    "--seeds", callback=reading(parse_seeds), metavar="SEEDS", default="0-3", show_default=True, help="What to record."
)
@options.truncation("Truncation to record.  [default: the network's own]")
@click.option(
    "--class",
    "class_index",
    type=click.IntRange(min=0),
    help="Class to record, of a conditional network.  [default: none]",
)
@click.option(
    "--noise",
    type=click.Choice(list(_NOISES)),
    default="official",
    show_default=True,
    help="official = drawn for each seed, as the StyleGAN2 scripts do; const = the maps in the file; none = left out.",
)
@click.option("--layers", is_flag=True, help="Record a sample of every layer's result too.")
@click.option(
    "--memory",
    type=FiniteRange(min=1),
    metavar="GB",
    help="What memory and files it may use.  [default: 90 % of the machine's memory]",
)
@module_path
@weak_isolation
@options.FORCE
@click.version_option(__version__)
@one_line_errors
def main(
    src: str,
    dst: Path | None,
    trust: bool,
    show_source: bool,
    reference: Path | None,
    seeds: list[int],
    truncation: float | None,
    class_index: int | None,
    noise: str,
    layers: bool,
    memory: float | None,
    modules: Path | None,
    weak_isolation: bool,
    force: bool,
) -> None:
    """Run the TensorFlow program in the official pickle SRC and dump its variables to DST (.npz).

    DST is the same as `stylegan-convert SRC DST` writes without running anything; what running it adds is --reference:
    what the original computes, for stylegan-verify. Needs TensorFlow 2 (pip install 'tensorflow>=2.16'); a CPU is
    enough.

    The program runs in a process of its own, without your environment and open files, without network and other
    processes, with bounded memory, and with no files but Python's and its own; where the system lacks what that takes
    (Linux has it), the command says so and runs nothing without --weak-isolation. What it imports must be installed
    here with pip, or be in a folder named with --module-path: DIR/training/misc.py is then training.misc to it, and
    only the modules that it names can be read. Networks with half-precision levels are run in float32.
    """
    if show_source:
        _show(src)
        return
    _check_names(dst, reference)
    if not reference:
        home = "--reference: it says what to record"
        options.refuse_idle(home, "seeds", "truncation", "class_index", "noise", "layers")
    assert dst is not None
    refuse_existing([dst, reference], force)
    with quick_imports():
        from converter.original.export import export
        from converter.original.run import Recording, ask_consent, memory_limit
    if not trust:
        say(*as_given(ask_consent(src)).split("\n"), err=True)
        sys.exit(1)
    recording = Recording(seeds, truncation, class_index, _NOISES[noise], layers)
    with working(f"Running the original of {src}") as tell:
        original = export(
            src,
            dst,
            reference,
            recording,
            memory=memory_limit(memory),
            force=force,
            on_progress=tell,
            modules=modules,
            weak_isolation=weak_isolation,
        )
    for note in original.source.notes:
        say(f"Note: {one_line(note)}.", err=True)
    say(f"ran in a process with {', '.join(original.isolation) or 'no protections, which this system lacks'}")
    say(f"to    {dst}, {dst.stat().st_size:,} bytes")
    if reference:
        say(f"to    {reference}, {reference.stat().st_size:,} bytes: {len(seeds)} seeds")


def _check_names(dst: Path | None, reference: Path | None) -> None:
    if dst is None:
        raise click.UsageError("name the file to write, or give --show-source")
    for path in [dst, *([reference] if reference else [])]:
        if path.suffix != ".npz":
            raise click.UsageError(f"{path} must end in .npz")
    if reference and reference.absolute() == dst.absolute():
        raise click.UsageError("DST and --reference name the same file")


def _show(src: str) -> None:
    with quick_imports():
        from converter.conversion import opened
        from converter.original.run import embedded_code
    with opened(src) as file:
        for sha256, text in embedded_code(file.program()).items():
            say(f"# sha256 {sha256}", *text.split("\n"))


if __name__ == "__main__":
    main()

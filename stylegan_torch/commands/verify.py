"""`stylegan-verify`: is our network the same as the original?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.given import as_given
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE, OutputFile
from stylegan_torch.commands.terminal import Command, one_line_errors, quick_imports, say, working
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import one_line, without_secrets

EXAMPLES = """\b
Examples:
  stylegan-export-tf ffhq.pkl ffhq.npz --trust-embedded-code --reference ref.npz --layers
  stylegan-convert ffhq.pkl ffhq.pt
  stylegan-verify ffhq.pt ref.npz --report report.html
"""


@click.command(cls=Command, epilog=EXAMPLES, short_help="Hold a network against what the original computed.")
@click.argument("network", type=NETWORK_FILE)
@click.argument("reference", type=INPUT)
@options.SHA256
@click.option(
    "--report", type=OutputFile(".html", ".htm"), help="Also write a page with the pictures side by side (.html)."
)
@options.force("the report if it exists")
@click.version_option(__version__)
@one_line_errors
def main(network: str, reference: Path, report: Path | None, force: bool) -> None:
    """Run NETWORK on the inputs recorded in REFERENCE and compare with what the original program computed.

    NETWORK is a file of ours, or anything stylegan-convert reads. REFERENCE is an .npz that stylegan-export-tf wrote.

    Same means: no value of an image in [-1, 1] off by more than 1e-4, nor of another array by more than 1e-4 times its
    largest value (if over 1); of 8-bit pictures 99.9 % of values identical, or all but those that rounding decides, and
    none off by more than 1. The exit status is 0 if all are the same, 1 otherwise.
    """
    refuse_existing([report], force)
    with quick_imports():
        import converter
        from stylegan_torch.proof.reference import read_reference
        from stylegan_torch.proof.verify import verify
    known = read_reference(reference)
    with working("Comparing"):
        loaded = converter.load(network)
        roles = [role for role in ("G_ema", "D") if role in loaded.networks]
        if "G_ema" not in roles:
            raise StyleGANError(f"{network}: holds no network G_ema")
        origin = loaded.provenance.get("origin", {})
        verdict = verify({role: loaded.network(role, allow_nonfinite=True) for role in roles}, known)
    say(*verdict.table(), *verdict.summary())
    theirs = known.record["origin"]
    if origin.get("sha256") != theirs.get("sha256"):
        name = f"{theirs.get('name')}, sha256 {theirs.get('sha256')}"
        say(f"Note: the reference was made from another file, {one_line(name)}", err=True)
    if report:
        from stylegan_torch.proof.report import write_report

        name = _name(without_secrets(as_given(network)), origin)
        write_report(report, verdict, known, network={**origin, "name": name}, force=force)
        say(f"report {report}")
    sys.exit(0 if verdict.passed else 1)


def _name(network: str, origin: Mapping[str, object]) -> str:
    """Return what a report calls a network: its file, and the one that it was made from."""
    made_from = origin.get("name")
    return network if made_from in (None, Path(network).name) else f"{network}, made from {made_from}"

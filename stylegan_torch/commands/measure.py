"""`stylegan measure`: how even a latent space is."""

from __future__ import annotations

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say

EXAMPLES = """\b
Examples:
  stylegan measure ppl --network ffhq.pt --distance vgg16.pt --trust-distance --samples 5000
  stylegan measure norms --network ffhq.pt
"""


@click.command(epilog=EXAMPLES, short_help="Perceptual path length, path-length norm.")
@click.argument("what", type=click.Choice(["ppl", "norms"]))
@options.NETWORK
@click.option("--samples", type=click.IntRange(min=2), default=1000, show_default=True, help="Steps to measure.")
@click.option("--space", type=click.Choice(["z", "w"]), default="w", show_default=True, help="For ppl.")
@click.option("--ends-only", is_flag=True, help="For ppl: at the beginnings of paths, as StyleGAN2 does.")
@options.DISTANCE
@options.batch(4)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of latents and places.")
@options.DEVICE
@one_line_errors
def measure(
    what: str,
    network: str | None,
    samples: int,
    space: str,
    ends_only: bool,
    distance_name: str,
    trust_distance: bool,
    batch: int,
    seed: int,
    device: str | None,
) -> None:
    """Print the mean of a measure over random latents, and how much it varies.

    \b
    ppl    perceptual path length (StyleGAN section 4.1); the papers' numbers
           are with LPIPS, those of other distances compare with each other
    norms  lengths of the Jacobian's random steps (StyleGAN2 section 3.2);
           a small spread means that equal steps in W change pictures equally
    """
    with quick_imports():
        from stylegan_torch.editing.measures import path_length_norms, perceptual_path_length
        from stylegan_torch.editing.perceptual import open_distance
    G = open_generator(network, device, exact=True).G
    note_no_class(G, None)
    if what == "norms":
        values, name = path_length_norms(G, samples=samples, batch=batch, seed=seed), "path-length norm"
    else:
        distance = open_distance(distance_name, G.device, trust_distance)
        values = perceptual_path_length(
            G, distance, samples=samples, space=space, ends_only=ends_only, batch=batch, seed=seed
        )
        name = f"perceptual path length ({distance.name})"
    low, high = values.quantile(0.01), values.quantile(0.99)
    kept = values[(values >= low) & (values <= high)]
    say(f"{name}: mean {values.mean():.5g}, spread {values.std():.3g}, mean without the outer 2 % {kept.mean():.5g}")

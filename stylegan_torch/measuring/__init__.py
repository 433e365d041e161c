"""Measuring: how far what a network draws is from what it was trained on, and whether it is that.

A number such as a FID depends on a protocol: how many pictures, from which seeds, truncated how, of which classes,
rounded to 8 bits or not, against all real pictures or some, mirrored or not, resized how, by which features. Here a
set of pictures says all of it of itself, and a measurement returns it beside the numbers.

    from pathlib import Path
    import stylegan_torch
    from stylegan_torch import measuring

    G = stylegan_torch.load("ffhq.pt")
    reals = measuring.Collection(Path("ffhq.zip"), G.img_size)      # all, cut to the middle, as the trainer reads them
    drawn = measuring.Generated(G, 50_000)                          # seeds 0-49999, psi 1, 8 bits: the papers' way
    report = measuring.measure(["fid", "kid"], drawn, reals, open_extractor=measuring.open_extractor)
    report["measures"][0]["values"]                                 # {"distance": 2.84}

Sets of pictures are `Generated` (a network's), `Collection` (a folder, a .zip, a WebDataset) and `Prepared` (arrays).
Two collections compare as well, without a network. An extractor makes features of pictures: those of the papers are
torch-fidelity's (extra `measure`) and need weights (`open_extractor("inception-v3-compat", weights=Path(…))`, or
`download=True`); "random-convolutions" and "pixels" are ours and need neither. What is called FID is only what the
papers' extractor gives; with another, a measure has another name.

`features_of` computes features in parts that are kept in a folder: killed, it goes on, to the same numbers.
`equivariance` is EQ-T and EQ-R of StyleGAN3. `memorisation` finds what is too near to a training picture.
`register` makes our extractors known to torch-fidelity, whose own `calculate_metrics` then takes them.
Perceptual path lengths are in `stylegan_torch.editing.measures`.
"""

from stylegan_torch.measuring.comparison import MEASURES, Measure, measure
from stylegan_torch.measuring.equivariance import equivariance
from stylegan_torch.measuring.extractors import Extractor, open_extractor, register
from stylegan_torch.measuring.features import Features, features_folder, features_of
from stylegan_torch.measuring.fidelity import (
    MeasureError,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from stylegan_torch.measuring.memorisation import Memorisation, memorisation
from stylegan_torch.measuring.sets import Collection, Generated, PictureSet, Prepared

__all__ = [
    "MEASURES",
    "Collection",
    "Extractor",
    "Features",
    "Generated",
    "Measure",
    "MeasureError",
    "Memorisation",
    "PictureSet",
    "Prepared",
    "equivariance",
    "features_folder",
    "features_of",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "measure",
    "memorisation",
    "open_extractor",
    "precision_recall",
    "register",
]

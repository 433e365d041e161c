"""What to install or supply where a source wants a module that is not there."""

from __future__ import annotations

STAND_INS = ("dnnlib", "tfutil")
"""Packages that this project provides the usual parts of."""
_DISTRIBUTIONS = {
    **{name: name for name in ("scipy", "requests", "matplotlib", "pandas", "h5py", "lmdb", "moviepy", "imageio")},
    **{name: name for name in ("tqdm", "six", "psutil", "torch", "torchvision", "lpips", "networkx", "numba", "wandb")},
    "PIL": "pillow",
    "absl": "absl-py",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""What some modules are installed by."""


class MissingPartError(AttributeError):
    """A source wants a part that a stand-in doesn't have; `name` is its whole name."""


def advice(error: BaseException) -> str | None:
    """Say what is missing, and what to install or supply; None if the error is of another kind."""
    name = getattr(error, "name", None)
    if not isinstance(error, ModuleNotFoundError | MissingPartError) or not isinstance(name, str):
        return None
    top = name.partition(".")[0]
    if top in STAND_INS or name.startswith("tensorflow.contrib."):
        said = f"{name} is not among what this project provides to embedded sources"
        return f"{said}; name the folder that has the program's own {top} with --module-path"
    if isinstance(error, MissingPartError) or top in ("tensorflow", "numpy"):
        return str(error)
    if top in _DISTRIBUTIONS:
        return f"{name} is not installed; get it with: pip install {_DISTRIBUTIONS[top]}"
    return (
        f"there is no module {name}; if it is the program's own, name the folder that has {top} with --module-path; "
        "if not, install it with pip"
    )

"""Landmarks of faces: found by dlib (extra `align`), or given in a file."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from stylegan_torch.errors import StyleGANError
from stylegan_torch.pictures.decode import DataError

Points = npt.NDArray[np.float64]
_PACKAGE, _MODEL = "face_recognition_models", "models/shape_predictor_68_face_landmarks.dat"
_LOOKED_AT = 1200
"""Larger pictures are reduced to this side to find where faces are; their landmarks are found in the whole picture."""
_FARTHEST = 1e9
"""Numbers of landmarks are less: more is no pixel of any picture, and would overflow."""
_SMALL = 400
"""Smaller ones are enlarged twice: the detector's window has 80 pixels."""


class Faces(Protocol):
    """What knows the landmarks of faces."""

    @property
    def key(self) -> str:
        """Return what distinguishes it from others."""

    def of(self, image: Image.Image, name: str) -> list[Points]:
        """Return the landmarks of the faces in an image of some name, [68, 2] or [5, 2] each, the largest first.

        (0, 0) is the middle of the first pixel.

        Raises:
            DataError: saying what is wrong, without the name.
        """


class FaceFinder:
    """dlib's detector of frontal faces, and its regression trees for 68 landmarks (Kazemi and Sullivan 2014)."""

    def __init__(self, model: Path | None = None) -> None:
        """Open a file of trees, by default that of the package `face_recognition_models`.

        Raises:
            StyleGANError: if there is none, it is damaged or of other landmarks, or dlib is missing.
        """
        try:
            import dlib
        except ImportError as error:
            raise StyleGANError("finding faces needs more packages: pip install 'stylegan-torch[align]'") from error
        path = model or packaged_model()
        if path is None:
            raise StyleGANError(
                f"the package {_PACKAGE} is missing: pip install 'stylegan-torch[align]', or give --landmark-model"
            )
        try:
            self._digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            self._predict: Any = dlib.shape_predictor(str(path))
        except OSError as error:
            raise StyleGANError(f"cannot read {path}: {error.strerror or error}") from error
        except RuntimeError as error:
            raise StyleGANError(f"{path} is damaged, or not a shape predictor of dlib") from error
        self._rectangle: Any = dlib.rectangle
        self._detect: Any = dlib.get_frontal_face_detector()
        self._version = dlib.__version__
        self._lock = threading.Lock()  # a detector works on one picture at a time
        whole = self._predict(np.zeros((8, 8), np.uint8), dlib.rectangle(0, 0, 7, 7))
        if whole.num_parts != 68:
            raise StyleGANError(f"{path} finds {whole.num_parts} landmarks, not 68")

    @property
    def key(self) -> str:
        """Return the names of the detector and of the trees."""
        return f"dlib {self._version} {self._digest}"

    def of(self, image: Image.Image, name: str = "") -> list[Points]:
        """Return the landmarks of every face that is found, as `Faces.of` does."""
        image = image.convert("RGB")
        pixels = np.ascontiguousarray(image)
        factor = max(image.size) / _LOOKED_AT
        looked_at = (
            pixels
            if factor <= 1
            else np.ascontiguousarray(image.resize((_scaled(image.width, factor), _scaled(image.height, factor))))
        )
        with self._lock:
            found = self._detect(looked_at, int(min(image.size) < _SMALL))
        boxes = sorted(found, key=lambda box: -box.area())
        return [self._landmarks(pixels, box, max(factor, 1.0)) for box in boxes]

    def _landmarks(self, pixels: npt.NDArray[np.uint8], box: Any, factor: float) -> Points:
        ends = (round(factor * end) for end in (box.left(), box.top(), box.right(), box.bottom()))
        parts = self._predict(pixels, self._rectangle(*ends)).parts()
        return np.array([(part.x, part.y) for part in parts], np.float64)


def _scaled(pixels: int, factor: float) -> int:
    return max(round(pixels / factor), 1)


def packaged_model() -> Path | None:
    """Return the trees that are installed, without running the package that they are in; None if there are none."""
    found = importlib.util.find_spec(_PACKAGE)
    path = Path(found.origin).parent / _MODEL if found and found.origin else None
    return path if path and path.is_file() else None


def can_find() -> bool:
    """Return whether faces can be found here without a file of trees."""
    return importlib.util.find_spec("dlib") is not None and packaged_model() is not None


class GivenLandmarks:
    """Landmarks from a file.

    One face [68, 2] or [5, 2], or several [N, 68, 2], as `.npy`, as lists in `.json`, or as numbers in a text, a point
    a line. A `.json` may have an object of these by the pictures' names, with their folders or without.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            StyleGANError: if it cannot be read, or has something else.
        """
        self.path = path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StyleGANError(f"cannot read {path}: {error.strerror or error}") from error
        self.key = hashlib.sha256(data).hexdigest()[:16]
        try:
            content = _parsed(path, data)
            named = isinstance(content, Mapping)
            self._named = {str(name): _faces(each) for name, each in content.items()} if named else {}
            self._all = None if named else _faces(content)
        except Exception as error:  # what numpy raises for a damaged file is anything
            raise StyleGANError(
                f"{path} is damaged, or has no landmarks: 68 or 5 points (x, y) of each face"
            ) from error

    def of(self, image: Image.Image, name: str) -> list[Points]:
        """Return the landmarks given for a picture of this name, as `Faces.of` does."""
        if self._all is not None:
            return self._all
        found = self._named.get(name, self._named.get(Path(name).name))
        if found is None:
            raise DataError(f"has no landmarks in {self.path}")
        return found


def _parsed(path: Path, data: bytes) -> Any:
    if path.suffix.lower() == ".json":
        return json.loads(data)
    if path.suffix.lower() == ".npy":
        return np.load(io.BytesIO(data), allow_pickle=False)
    lines = data.decode().replace(",", " ").splitlines()
    return [[float(number) for number in line.split()] for line in lines if line.strip()]


def _faces(content: Any) -> list[Points]:
    """Return the faces of an array, the largest first; ValueError if it is none of landmarks."""
    numbers = np.array(content)
    if not numbers.size:
        return []
    if numbers.dtype.kind not in "iuf" or not (np.abs(numbers) < _FARTHEST).all():
        raise ValueError(numbers.dtype)
    array = numbers.astype(np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.shape[1:] not in ((68, 2), (5, 2)):
        raise ValueError(array.shape)
    return sorted(array, key=lambda face: -float(np.prod(np.ptp(face, axis=0))))

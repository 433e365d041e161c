"""Files that are no networks, or were damaged on the way: named by what is in them."""

from __future__ import annotations

import re

from stylegan_torch.text import one_line

_BY_START = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x89HDF": "an HDF5 file, maybe of Keras",
    b"\x93NUMPY": "a numpy array (.npy)",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file itself with 'git lfs pull')",
    b"7z\xbc\xaf": "a 7-Zip archive (unpack it first)",
    b"Rar!": "a RAR archive (unpack it first)",
}
_IN_ZIP = {
    r"(.*/)?code/.*": "a TorchScript program: save the state_dict() of the module in it instead",
    r"(.*/)?models/model\.json|(.*/)?serialized_exported_program\.json": "a program that torch.export made",
    r"(.*/)?saved_model\.pb": "a TensorFlow SavedModel",
    r"(.*/)?model\.weights\.h5": "a Keras model",
}
_LEVELDB = bytes.fromhex("57fb808b247547db")
"""What the index of a TensorFlow checkpoint ends with."""
_BOM = b"\xef\xbb\xbf"
_REPLACED = b"\xef\xbf\xbd"
"""The character that stands for bytes that were no text."""
_LOOK = 1 << 20


def not_a_network(data: memoryview, members: list[str] | None = None) -> str | None:
    """Return in words what a file is, if it is something else than networks, or what happened to it.

    Args:
        data: the file.
        members: the names in it, if it is a zip file.
    """
    if members is not None:
        return _in_zip(members)
    start = bytes(data[:_LOOK])
    text = start.removeprefix(_BOM).lstrip()
    named = next((kind for magic, kind in _BY_START.items() if text.startswith(magic)), None)
    return named or _as_text(text, len(data)) or _of_other_programs(start, bytes(data[-8:])) or _damage(start)


def _in_zip(members: list[str]) -> str | None:
    if members and all(name.endswith(".npy") for name in members):
        return "an archive of numpy arrays (.npz) that is no dump of ours"
    for pattern, kind in _IN_ZIP.items():
        if any(re.fullmatch(pattern, name) for name in members):
            return kind
    return None


def _as_text(text: bytes, size: int) -> str | None:
    try:
        words = text.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any(ord(c) < 32 and c not in "\t\r\n\f" for c in words) or not words:
        return None
    if words.startswith("<"):
        return "a web page (a download that went wrong?)"
    if words.startswith(("{", "[")):
        return f"JSON text: {one_line(words[:120])}"
    if size <= 1 << 12:
        return f'only the text "{one_line(words.strip()[:200])}" (a download that went wrong?)'
    return "a text file"


def _of_other_programs(start: bytes, end: bytes) -> str | None:
    if end == _LEVELDB:
        return "the index of a TensorFlow checkpoint, whose networks are not read; pickles of them are"
    if start[:1] == b"\x08" and any(name in start[:200] for name in (b"pytorch", b"onnx", b"tf2onnx")):
        return "an ONNX model, which onnxruntime runs"
    if (start[:1] in (b"\x08", b"\x0a", b"\x12") and b"tensorflow" in start) or b"saved_model" in start[:200]:
        return "a TensorFlow graph (SavedModel)"
    return None


def _damage(start: bytes) -> str | None:
    """Return what happened to a file that was taken for text on its way; None if nothing like that."""
    ends = start.count(b"\n")
    if ends > 20 and start.count(b"\r\n") == ends:
        return "damaged: something took it for text and changed its line ends; fetch it again as a binary file"
    if start.count(_REPLACED) > 20:
        return "damaged: something took it for text and replaced bytes that are none; fetch it again as a binary file"
    return None

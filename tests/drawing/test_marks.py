"""Pictures say, to machines, that they are synthetic."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylegan_torch.drawing.images import ENCODERS, encode, save_png
from stylegan_torch.drawing.marks import SOURCE_TYPE, Marking, Signer
from stylegan_torch.errors import StyleGANError
from tests.tools.certificate import write_certificate

PICTURE = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
MARKED = [kind for kind in ENCODERS if kind != "npy"]


def xmp_fields(file: bytes) -> dict[str, Any]:
    """Return what Pillow, which knows nothing of us, finds in a picture's XMP."""
    return Image.open(io.BytesIO(file)).getxmp()["xmpmeta"]["RDF"]["Description"]


@pytest.mark.parametrize("kind", MARKED)
def test_pictures_are_marked(kind: str) -> None:
    file = encode(PICTURE, ENCODERS[kind], {"seed": 3})
    assert xmp_fields(file)["DigitalSourceType"] == SOURCE_TYPE
    assert xmp_fields(file)["CreatorTool"].startswith("stylegan-torch ")
    image = Image.open(io.BytesIO(file))
    about = image.info["stylegan-torch"] if kind == "png" else image.getexif()[0x010E]
    assert json.loads(about) == {"seed": 3}


@pytest.mark.parametrize("kind", ENCODERS)
def test_pictures_are_whole_and_the_same_every_time(kind: str) -> None:
    file = encode(PICTURE, ENCODERS[kind], {"seed": 3})
    assert encode(PICTURE, ENCODERS[kind], {"seed": 3}) == file
    read = np.load(io.BytesIO(file)) if kind == "npy" else np.asarray(Image.open(io.BytesIO(file)))
    assert np.abs(read.astype(int) - np.asarray(PICTURE)).max() <= (60 if kind == "jpeg" else 0)


@pytest.mark.parametrize("kind", MARKED)
def test_no_mark(kind: str) -> None:
    file = encode(PICTURE, ENCODERS[kind], {}, marking=Marking(in_xmp=False))
    assert Image.open(io.BytesIO(file)).getxmp() == {} and SOURCE_TYPE.encode() not in file


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not here")
@pytest.mark.parametrize("kind", MARKED)
def test_exiftool_reads_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{ENCODERS[kind].suffix}"
    path.write_bytes(encode(PICTURE, ENCODERS[kind], {}))
    told = subprocess.run(["exiftool", "-n", "-j", "-G", path], capture_output=True, check=True).stdout
    (tags,) = json.loads(told)
    assert tags["XMP:DigitalSourceType"] == SOURCE_TYPE
    assert not {name for name in tags if "Warning" in name or "Error" in name}


def test_files_that_commands_write_are_marked(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", PICTURE, {"seed": 1})
    assert xmp_fields((tmp_path / "a.png").read_bytes())["DigitalSourceType"] == SOURCE_TYPE


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("kind", MARKED)
def test_signed_pictures(kind: str, certificate: tuple[Path, Path]) -> None:
    import c2pa

    encoder = ENCODERS[kind]
    file = encode(PICTURE, encoder, {"seed": 3}, marking=Marking(signer=Signer.of_files(*certificate)))
    with c2pa.Reader(encoder.media_type, io.BytesIO(file)) as reader:
        told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    (actions,) = (each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions"))
    assert actions["data"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE
    faults = {each["code"] for each in told.get("validation_status", [])}
    assert faults <= {"signingCredential.untrusted"}  # the test's own root is on nobody's list
    assert xmp_fields(file)["DigitalSourceType"] == SOURCE_TYPE
    assert Image.open(io.BytesIO(file)).size == (16, 16)


@pytest.mark.parametrize("kind", ["es384", "es512", "ps256", "ed25519"])
def test_keys_of_every_kind_sign(kind: str, tmp_path: Path) -> None:
    import c2pa

    signer = Signer.of_files(*write_certificate(tmp_path, kind))
    file = signer.sign(encode(PICTURE, ENCODERS["png"], {}), "image/png")
    with c2pa.Reader("image/png", io.BytesIO(file)) as reader:
        told = json.loads(reader.json())
    assert told["manifests"][told["active_manifest"]]["signature_info"]["alg"].lower() == kind
    assert {each["code"] for each in told.get("validation_status", [])} <= {"signingCredential.untrusted"}


def test_keys_that_c2pa_does_not_know(tmp_path: Path) -> None:
    signer = Signer.of_files(*write_certificate(tmp_path, "unknown"))
    with pytest.raises(StyleGANError, match="C2PA knows keys of P-256, P-384, P-521, RSA and Ed25519 only"):
        signer.sign(encode(PICTURE, ENCODERS["png"], {}), "image/png")


def test_certificates_that_cannot_sign(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(StyleGANError, match=r"cannot read .*none\.pem"):
        Signer.of_files(tmp_path / "none.pem", certificate[1])
    (tmp_path / "bad.pem").write_text("nothing")
    signer = Signer.of_files(tmp_path / "bad.pem", certificate[1])
    with pytest.raises(StyleGANError, match="cannot sign with this certificate and key"):
        signer.sign(encode(PICTURE, ENCODERS["png"], {}), "image/png")

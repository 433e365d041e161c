"""Marks that say, to machines, that a picture is synthetic.

Readers of XMP find IPTC's digital source type, which the IPTC's guide for generated media names for this, and the
EU's AI Act (article 50.2) and California's SB 942 ask for in kind. A signature (C2PA) is added for those who have a
certificate.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stylegan_torch import __version__
from stylegan_torch.errors import StyleGANError

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What a trained model drew, in IPTC's vocabulary."""
CREATOR = f"stylegan-torch {__version__}"
_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
"""C2PA's names of algorithms, by the elliptic curves of keys."""
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
xmlns:xmp="http://ns.adobe.com/xap/1.0/">\
<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>\
<xmp:CreatorTool>{creator}</xmp:CreatorTool>\
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@cache
def xmp() -> str:
    """Return the XMP packet of a picture that a network drew."""
    return _XMP.format(source_type=SOURCE_TYPE, creator=CREATOR)


@dataclass(frozen=True)
class Signer:
    """A certificate chain and its private key, both as PEM, to sign pictures with by C2PA (extra `sign`)."""

    certificate: bytes
    key: bytes

    @classmethod
    def of_files(cls, certificate: Path, key: Path) -> Signer:
        """Read both.

        Raises:
            StyleGANError: if one cannot be read.
        """
        try:
            signer = cls(certificate.read_bytes(), key.read_bytes())
        except OSError as error:
            raise StyleGANError(f"cannot read {error.filename}: {error.strerror}") from error
        return signer

    def sign(self, data: bytes, media_type: str) -> bytes:
        """Return a picture with a signed manifest that says who made it, and how.

        Raises:
            StyleGANError: if c2pa-python is missing, or cannot use the certificate and the key.
        """
        try:
            import c2pa
        except ImportError as error:
            raise StyleGANError("signing needs c2pa-python: pip install 'stylegan-torch[sign]'") from error
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": CREATOR}
        manifest = {
            "claim_generator_info": [{"name": "stylegan-torch", "version": __version__}],
            "format": media_type,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
        }
        signed = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(_algorithm(self.key), self.certificate, self.key, None)
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
                builder.sign(signer, media_type, io.BytesIO(data), signed)
        except (c2pa.C2paError, ValueError, TypeError) as error:
            raise StyleGANError(f"cannot sign with this certificate and key: {error}") from error
        return signed.getvalue()


def _algorithm(key: bytes) -> bytes:
    """Return C2PA's name of the algorithm that a private key signs by.

    Raises:
        ValueError, TypeError: if it is no such key, or needs a password.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = load_pem_private_key(key, None)
    if isinstance(found, ec.EllipticCurvePrivateKey) and found.curve.name in _CURVES:
        return _CURVES[found.curve.name]
    for kind, name in ((rsa.RSAPrivateKey, b"ps256"), (ed25519.Ed25519PrivateKey, b"ed25519")):
        if isinstance(found, kind):
            return name
    raise ValueError("C2PA knows keys of P-256, P-384, P-521, RSA and Ed25519 only")


@dataclass(frozen=True)
class Marking:
    """How pictures say that they are synthetic.

    in_xmp: in their XMP; films, which have none here, in their comment. signer: signs pictures, if there is one.
    """

    in_xmp: bool = True
    signer: Signer | None = None

    def comment(self) -> dict[str, str]:
        """Return what the comment of a film says besides how it was made."""
        return {"digitalSourceType": SOURCE_TYPE} if self.in_xmp else {}


MARKED = Marking()
UNMARKED = Marking(in_xmp=False)
"""For what no network drew."""

"""The data that ships with the package: the list of published networks, and a small network to start with.

`CATALOGUE` is JSON with one row a published network, read by `converter.sources.catalogue`. `DEMO` is a small pickle
of the official form, a StyleGAN2 of drawn faces, with which everything runs without a download.
"""

from pathlib import Path

__all__ = ["CATALOGUE", "DEMO"]

CATALOGUE = Path(__file__).with_name("catalogue.json")
DEMO = Path(__file__).parent / "demo" / "faces.pkl"

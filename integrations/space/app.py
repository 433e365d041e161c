"""Starts the explorer as a Space of the Hugging Face Hub, or anywhere else; README.md says what may be set."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import hf_hub_download

WEIGHTS = "model.safetensors"


def network_file(name: str, links: Path) -> Path:
    """Return the file of a repository of the Hub, or of a folder, under a name by which visitors can tell it."""
    if Path(name).is_file():
        return Path(name)
    found = Path(name, WEIGHTS) if Path(name).is_dir() else downloaded(name)
    link = links / f"{Path(name).name}.safetensors"
    if link.is_symlink():
        link = links / f"{name.strip('/').replace('/', '--')}.safetensors"
    link.symlink_to(found.resolve())
    return link


def downloaded(name: str) -> Path:
    """Return the file of a repository of the Hub; ends the program with a line if it cannot be had."""
    try:
        return Path(hf_hub_download(name, WEIGHTS))
    except (OSError, ValueError) as error:
        sys.exit(f"Error: cannot get {WEIGHTS} of {name}: {' '.join(str(error).split())}")


def arguments(environment: Mapping[str, str]) -> list[str]:
    """Return what `stylegan explore` is told: others can reach it in a Space only, which has a name of its own."""
    host = environment.get("SPACE_HOST")
    links = Path(tempfile.mkdtemp())
    told = ["--host", "0.0.0.0" if host else "127.0.0.1"]
    told += ["--allow-host", host, "--allow-frame", "https://huggingface.co"] if host else []
    told += ["--port", environment["PORT"]] if "PORT" in environment else []
    told += [] if environment.get("STYLEGAN_TORCH_AUTH") else ["--no-auth"]
    for name in dict.fromkeys(environment.get("NETWORKS", "").split()):
        told += ["--network", str(network_file(name, links))]
    return told


if __name__ == "__main__":
    command = [sys.executable, "-m", "stylegan_torch.commands.main", "explore", *arguments(os.environ)]
    os.execv(sys.executable, command)

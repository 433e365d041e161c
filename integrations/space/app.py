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
    found = Path(name, WEIGHTS) if Path(name).is_dir() else Path(hf_hub_download(name, WEIGHTS))
    link = links / f"{Path(name).name}.safetensors"
    link.symlink_to(found.resolve())
    return link


def arguments(environment: Mapping[str, str]) -> list[str]:
    """Return what `stylegan explore` is told: others can reach it in a Space only, which has a name of its own."""
    host = environment.get("SPACE_HOST")
    links = Path(tempfile.mkdtemp())
    told = ["--host", "0.0.0.0" if host else "127.0.0.1"]
    told += ["--allow-host", host, "--allow-frame", "https://huggingface.co"] if host else []
    told += ["--port", environment["PORT"]] if "PORT" in environment else []
    told += [] if environment.get("STYLEGAN_TORCH_AUTH") else ["--no-auth"]
    for name in environment.get("NETWORKS", "").split():
        told += ["--network", str(network_file(name, links))]
    return told


if __name__ == "__main__":
    command = [sys.executable, "-m", "stylegan_torch.commands.main", "explore", *arguments(os.environ)]
    os.execv(sys.executable, command)

"""Our files as repositories of the Hugging Face Hub, on a local folder."""

from __future__ import annotations

import json
import types
from pathlib import Path

import pytest
import torch

import converter
import stylegan_torch
from stylegan_torch.errors import CheckpointError
from stylegan_torch.hub import PretrainedNetworks
from tests import DATA


@pytest.mark.parametrize("name", ["pg", "sg1-cond", "ada-cond", "sg3t_64"])
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    before = converter.load(DATA / f"{name}.pkl")
    PretrainedNetworks(before).save_pretrained(tmp_path / "repository")
    after = PretrainedNetworks.from_pretrained(str(tmp_path / "repository")).checkpoint
    assert list(after.networks) == list(before.networks)
    assert after.provenance == before.provenance
    for role, network in before.networks.items():
        assert after.networks[role].config == network.config
        for part in ("state_dict", "source"):
            expected, found = getattr(network, part), getattr(after.networks[role], part)
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_modules_are_saved_as_they_are_now(tmp_path: Path) -> None:
    G = converter.load(DATA / "ada.pkl").network("G_ema")
    G.get_buffer("mapping.w_avg").add_(1)
    PretrainedNetworks.of({"G_ema": G}).save_pretrained(tmp_path)
    z = stylegan_torch.latents_from_seeds([1, 2], G.z_dim)
    again = PretrainedNetworks.from_pretrained(tmp_path).network()
    assert torch.equal(again(z, truncation_psi=0.5), G(z, truncation_psi=0.5))
    assert torch.equal(stylegan_torch.load(tmp_path / "model.safetensors")(z), G(z))


def test_config_and_model_card(tmp_path: Path) -> None:
    PretrainedNetworks(converter.load(DATA / "ada-cond.pkl")).save_pretrained(tmp_path)
    configs = json.loads((tmp_path / "config.json").read_text())["configs"]
    assert configs["G_ema"]["family"] == "stylegan2"
    assert configs["D"]["c_dim"] == 10
    card = (tmp_path / "README.md").read_text()
    assert "| G_ema | stylegan2 | 16 × 16 | 10 |\n| G | stylegan2 | 16 × 16 | 10 |\n| D | stylegan2" in card
    assert "library_name: stylegan-torch" in card
    assert "does not change its licence" in card


def test_a_folder_without_networks(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors: No such file"):
        PretrainedNetworks.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is damaged, or not a file of ours"):
        PretrainedNetworks.from_pretrained(tmp_path)


def test_push_to_hub_uploads_what_a_folder_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = []

    class Hub:
        def __init__(self, token: str | None = None) -> None:
            assert token == "secret"

        def create_repo(self, repo_id: str, **_: object) -> types.SimpleNamespace:
            return types.SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: object) -> str:
            assert PretrainedNetworks.from_pretrained(folder_path).network().z_dim == 32
            uploads.append((repo_id, sorted(path.name for path in folder_path.iterdir())))
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Hub)
    networks = PretrainedNetworks(converter.load(DATA / "sg3t_64.pkl"))
    assert networks.push_to_hub("me/faces", token="secret") == "done"
    assert uploads == [("me/faces", ["README.md", "config.json", "model.safetensors"])]

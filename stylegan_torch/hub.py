"""Our files as repositories of the Hugging Face Hub, by huggingface_hub's own mixin (extra `hub`).

from stylegan_torch.hub import PretrainedNetworks
PretrainedNetworks.open("ffhq.pt").push_to_hub("me/ffhq")
G = PretrainedNetworks.from_pretrained("me/ffhq").network("G_ema")

A repository, or a local folder, holds `model.safetensors`, which is a file of ours with all networks and their
provenance, `config.json` for those who look, and a model card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, overload

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from torch import nn

from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.registry import config_to_json, kind_of
from stylegan_torch.types import JsonObject

__all__ = ["PretrainedNetworks"]

WEIGHTS = "model.safetensors"
_TEMPLATE = (Path(__file__).parent / "model_card.md").read_text(encoding="utf-8")


class PretrainedNetworks(
    ModelHubMixin, library_name="stylegan-torch", license="other", tags=["stylegan"], model_card_template=_TEMPLATE
):
    """The networks of one checkpoint, with `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    _hub_mixin_config: JsonObject = {}  # noqa: RUF012  (set, so that the mixin does not copy the checkpoint into it)

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read a file that `stylegan_torch.save` or stylegan-convert wrote.

        Raises:
            CheckpointError: if it is none or is damaged.
        """
        return cls(checkpoint.read(path))

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module], provenance: JsonObject | None = None) -> Self:
        """Take modules by role, as `stylegan_torch.save` does.

        Raises:
            CheckpointError: for other roles, or modules that are not of this package.
        """
        return cls(checkpoint.of_modules(networks, provenance))

    @overload
    def network(self, role: Literal["G_ema", "G"] = "G_ema") -> Generator: ...
    @overload
    def network(self, role: Literal["D"]) -> Discriminator: ...
    @overload
    def network(self, role: str) -> Any: ...
    def network(self, role: str = "G_ema") -> Any:
        """Return a network: eval mode, no gradients, on the CPU.

        Raises:
            CheckpointError: if it is not there.
        """
        return self.checkpoint.network(role)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the model card: which networks there are, how to load them, and whose the weights are."""
        networks = [
            {"role": role, "family": kind_of(net.config)[0], "size": net.config.img_size, "c_dim": net.config.c_dim}
            for role, net in self.checkpoint.networks.items()
        ]
        return super().generate_model_card(*args, networks=networks, **kwargs)

    def _save_pretrained(self, save_directory: Path) -> None:
        checkpoint.write(save_directory / WEIGHTS, self.checkpoint, force=True)
        configs = {role: config_to_json(net.config) for role, net in self.checkpoint.networks.items()}
        content = {"library": "stylegan-torch", "configs": configs}
        (save_directory / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **model_kwargs: Any,
    ) -> Self:
        if Path(model_id).exists():
            return cls.open(Path(model_id) / WEIGHTS if Path(model_id).is_dir() else model_id)
        return cls.open(
            hf_hub_download(
                model_id,
                WEIGHTS,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        )

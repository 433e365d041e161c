"""Our files as repositories of the Hugging Face Hub, by huggingface_hub's own mixin (extra `hub`).

from stylegan_torch.hub import Licence, PretrainedNetworks
PretrainedNetworks.open("ffhq.pt", licence=Licence("cc-by-nc-4.0")).push_to_hub("me/ffhq")
G = PretrainedNetworks.from_pretrained("me/ffhq", roles=["G_ema"], device="cuda").network()

A repository, or a local folder, holds a file of ours for each network, so that only what is asked for need be
downloaded: `model.safetensors` has the first one, which draws if any does, `model.D.safetensors` the discriminator, and
so on. `config.json` says which there are. A model card with sample pictures is for those who look. Repositories of
0.1.0, whose `model.safetensors` has all networks, are read too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, overload

import torch
from huggingface_hub import HfApi, ModelCard, ModelCardData, ModelHubMixin, hf_hub_download
from huggingface_hub.utils import EntryNotFoundError  # type: ignore[attr-defined]  # 0.24 has it nowhere else
from PIL import Image
from torch import nn

from stylegan_torch.drawing.devices import has_fast_form, usable_device
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.drawing.images import save_png, to_pil
from stylegan_torch.drawing.sheets import Sheet
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files import checkpoint
from stylegan_torch.files.atomic import new_file
from stylegan_torch.files.checkpoint import ROLES, Checkpoint
from stylegan_torch.files.plain_json import parse, plain
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.registry import config_to_json, kind_of
from stylegan_torch.text import one_line
from stylegan_torch.types import JsonObject

__all__ = ["Licence", "PretrainedNetworks"]

WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_CARD = "README.md"
_SAMPLES = "samples.png"
_FILES = (WEIGHTS, *(f"model.{role}.safetensors" for role in ROLES))
_TEMPLATE = (Path(__file__).parent / "model_card.md").read_text(encoding="utf-8")
_COUNT, _COLUMNS, _SIDE = 8, 4, 1024
"""Pictures of the sheet of samples, those of a row, and its longest side in pixels."""
_Fetch: TypeAlias = Callable[[str], Path]


@dataclass(frozen=True)
class Licence:
    """The terms of weights, as model cards state them.

    id: a licence that the Hub knows, such as "cc-by-nc-4.0"; "other" for one that it doesn't.
    name: what such another one is called, in small letters, digits and -.
    link: its address, or a file of the repository.

    Raises:
        ValueError: for other names and addresses, or if they are not of "other".
    """

    id: str = "other"
    name: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        for value in (self.id, self.name or "other"):
            if not re.fullmatch(r"[a-z0-9.-]+", value):
                raise ValueError(f"{value!r} is not the name of a licence: small letters, digits, - and .")
        if self.link is not None and not re.fullmatch(r"https?://[^\s()<>]+|LICENSE[\w.-]*", self.link):
            raise ValueError(f"{self.link!r} is neither the address of a licence nor the file LICENSE")
        if self.id != "other" and (self.name or self.link):
            raise ValueError(f"the Hub knows {self.id}: only a licence that it doesn't, 'other', has a name and a link")


class PretrainedNetworks(ModelHubMixin):
    """The networks of one checkpoint, with `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    _hub_mixin_config: JsonObject = {}  # noqa: RUF012  (set, so that the mixin does not copy the checkpoint into it)

    def __init__(self, checkpoint: Checkpoint, *, licence: Licence | None = None, device: str = "cpu") -> None:
        self.checkpoint, self.licence, self.device = checkpoint, licence or Licence(), device
        self._sampled = False

    @classmethod
    def open(cls, path: str | Path, *, licence: Licence | None = None) -> Self:
        """Read a file that `stylegan_torch.save` or stylegan-convert wrote; `licence` is the weights' own.

        Raises:
            CheckpointError: if it is none or is damaged.
        """
        return cls(checkpoint.read(path), licence=licence)

    @classmethod
    def of(
        cls, networks: Mapping[str, nn.Module], provenance: JsonObject | None = None, *, licence: Licence | None = None
    ) -> Self:
        """Take modules by role, as `stylegan_torch.save` does.

        Raises:
            CheckpointError: for other roles, or modules that are not of this package.
        """
        return cls(checkpoint.of_modules(networks, provenance), licence=licence)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # other arguments mean nothing here
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        roles: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """Read networks from a repository of the Hub, or from a local folder or file.

        Args:
            pretrained_model_name_or_path: such as "me/ffhq", or a path.
            roles: the networks wanted: "G_ema", "G", "D". The files of others are not downloaded. None = all.
            device: where `network` puts them.
            revision: a branch, tag or commit.
            token: for private repositories; by default the one that `hf auth login` keeps.
            cache_dir: where downloads are kept, by default where the Hub's other files are.
            force_download: download what is in the cache already.
            local_files_only: take what is in the cache, and ask nobody.

        Raises:
            CheckpointError: if it is not there, cannot be downloaded, is damaged, or lacks a network.
            ValueError: if there is no such device.
        """
        place = str(pretrained_model_name_or_path)
        device = usable_device(str(device))
        if roles is not None and (isinstance(roles, str) or not roles or not set(roles) <= set(ROLES)):
            raise CheckpointError(f"roles are a list of {', '.join(ROLES)}, not {roles!r}")
        if Path(place).is_file():
            return cls(_only(checkpoint.read(place), roles, place), device=device)
        if Path(place).exists():
            fetch: _Fetch = Path(place).joinpath
        else:
            fetch = partial(
                _download,
                place,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        files, licence = _config_of(fetch, place)
        return cls(_read(fetch, files, roles, place), licence=licence, device=device)

    @overload
    def network(self, role: Literal["G_ema", "G"] = "G_ema") -> Generator: ...
    @overload
    def network(self, role: Literal["D"]) -> Discriminator: ...
    @overload
    def network(self, role: str) -> Any: ...
    def network(self, role: str = "G_ema") -> Any:
        """Return a network: eval mode, no gradients, on the device that `from_pretrained` was told, else the CPU.

        Raises:
            CheckpointError: if it is not there.
        """
        return self.checkpoint.network(role).to(self.device)

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: Mapping[str, Any] | None = None, **settings: Any) -> str:
        """Upload the files, and a model card if the repository has none; `settings` are those of the mixin.

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: if the Hub cannot be reached, or refuses.
        """
        api = HfApi(token=settings.get("token"))
        try:
            repo_id = repo_id if "/" in repo_id else f"{api.whoami()['name']}/{repo_id}"
            if api.file_exists(repo_id, _CARD, revision=settings.get("branch")):
                settings["ignore_patterns"] = [*_patterns(settings.get("ignore_patterns")), _CARD]
            about = {"repo_id": repo_id, **(model_card_kwargs or {})}
            return super().push_to_hub(repo_id, model_card_kwargs=about, **settings)
        except (StyleGANError, TypeError):  # ours, and settings that there are not
            raise
        except Exception as error:  # each version of huggingface_hub has another library for requests
            raise CheckpointError(f"cannot push to {repo_id}: {_said(error)}") from error

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the model card: which networks there are, how to load them, and under which terms."""
        files, draws = _files_of(self.checkpoint), self._draws()
        networks = [
            {
                "role": role,
                "family": kind_of(net.config)[0],
                "size": net.config.img_size,
                "c_dim": net.config.c_dim,
                "file": files[role],
            }
            for role, net in self.checkpoint.networks.items()
        ]
        data = ModelCardData(
            library_name="stylegan-torch",
            pipeline_tag="unconditional-image-generation",
            license=self.licence.id,
            license_name=self.licence.name,
            license_link=self.licence.link,
            tags=sorted({"gan", "stylegan", *(str(net["family"]) for net in networks)}),
        )
        about = {
            "repo_id": "<this repository>",
            "networks": networks,
            "licence": self.licence,
            "draws": draws,
            "file": files[draws] if draws else None,
            "samples": f"0-{_COUNT - 1}" if self._sampled else None,
            "classes": self.checkpoint.networks[draws].config.c_dim if draws else 0,
        }
        return ModelCard.from_template(data, template_str=_TEMPLATE, **{**about, **kwargs})

    def _draws(self) -> str | None:
        """Return the role of the generator that others will want, None if there is none."""
        return next((role for role in ("G_ema", "G") if role in self.checkpoint.networks), None)

    def _save_pretrained(self, save_directory: Path) -> None:
        files = _files_of(self.checkpoint)
        for role, name in sorted(files.items(), key=lambda item: item[1] == WEIGHTS):  # see `_check_whole`
            one = replace(self.checkpoint, networks={role: self.checkpoint.networks[role]})
            checkpoint.write(save_directory / name, one, force=True)
        for name in set(_FILES) - set(files.values()):
            (save_directory / name).unlink(missing_ok=True)  # of what was saved there before
        self._save_samples(save_directory / _SAMPLES, files)
        configs = {role: config_to_json(net.config) for role, net in self.checkpoint.networks.items()}
        content = {"library": "stylegan-torch", "files": files, "licence": asdict(self.licence), "configs": configs}
        with new_file(save_directory / _CONFIG, force=True) as file:
            file.write((json.dumps(content, indent=2) + "\n").encode())

    def _save_samples(self, path: Path, files: Mapping[str, str]) -> None:
        """Write sample pictures, if any can be drawn, in the place of earlier ones; another's file stays."""
        self._sampled = False
        if path.exists():
            if not _is_sheet(path):
                return
            path.unlink()
        sheet = self._sheet()
        if sheet:
            about = {"seeds": f"0-{_COUNT - 1}", "network": {"name": files[str(self._draws())]}}
            save_png(path, sheet, about)
            self._sampled = True

    def _sheet(self) -> Image.Image | None:
        """Return a few pictures side by side, None if no network can draw any: there is none, or it has NaN in it."""
        try:
            G = self.network(str(self._draws()))
            sheet = Sheet(_COUNT, _COLUMNS)
            for seed in range(_COUNT):
                settings = DrawSettings(class_index=seed % G.c_dim if G.c_dim else None)
                ((_, picture),) = draw(G, [seed], settings, device=G.device, fast=has_fast_form(G.device))
                sheet.add(picture)
        except StyleGANError:
            return None
        image = to_pil(sheet.picture)
        image.thumbnail((_SIDE, _SIDE))
        return image


def _patterns(given: Sequence[str] | str | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _files_of(networks: Checkpoint) -> dict[str, str]:
    """Return the names of files by the roles of networks; the first that draws has the plain name."""
    first = min(networks.networks, key=ROLES.index, default=None)
    return {role: WEIGHTS if role == first else f"model.{role}.safetensors" for role in networks.networks}


def _is_sheet(path: Path) -> bool:
    """Return whether a file is a sheet of samples: it says what its seeds are, as no other picture of ours does."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            about = json.loads(image.info.get("stylegan-torch", "{}"))
    except (OSError, ValueError, SyntaxError, RecursionError, Image.DecompressionBombError):
        return False
    return isinstance(about, dict) and about.get("seeds") == f"0-{_COUNT - 1}"


def _download(repository: str, name: str, **settings: Any) -> Path:
    """Return a file of a repository of the Hub, in the cache.

    Raises:
        EntryNotFoundError: if the repository has none of this name.
        CheckpointError: if it cannot be had.
    """
    try:
        return Path(hf_hub_download(repository, name, **settings))
    except (OSError, ValueError, EntryNotFoundError) as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, FileNotFoundError):
            raise  # the other kind is of those that can neither be looked for nor are in the cache
        raise CheckpointError(f"cannot get {name} of {repository}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return the line in which huggingface_hub says what is wrong, past the status and before the advice."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = next((line for line in lines if not re.match(r"\d{3} (Client|Server) Error", line)), lines[0])
    return one_line(told).strip().rstrip(".:")


def _config_of(fetch: _Fetch, place: str) -> tuple[dict[str, str], Licence]:
    """Return the files by role, none of a repository of 0.1.0, and the licence."""
    try:
        path = fetch(_CONFIG)
        _check_whole(path)
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
    except EntryNotFoundError:
        return {}, Licence()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{_CONFIG} is damaged ({error})", place) from error
    try:
        content = plain(parse(text, "it"), "it")
        content = content if isinstance(content, dict) else {}
        files, licence = content.get("files", {}), content.get("licence", {})
        if not isinstance(files, dict) or not set(files) <= set(ROLES) or not set(files.values()) <= set(_FILES):
            raise ValueError("the files that it names are none of ours")
        return files, Licence(**licence)
    except (CheckpointError, ValueError, TypeError) as error:
        raise CheckpointError(f"{_CONFIG} is damaged ({error})", place) from error


def _check_whole(config: Path) -> None:
    """Raise CheckpointError if a save did not come to its end, as that writes the config last.

    Before, the first network comes after the others and before old ones go: alone it is a repository of 0.1.0.
    """
    if not config.exists() and any((config.parent / name).exists() for name in _FILES[1:]):
        raise CheckpointError(f"{_CONFIG} is missing beside several networks: save them again", config.parent)


def _read(fetch: _Fetch, files: Mapping[str, str], roles: Sequence[str] | None, place: str) -> Checkpoint:
    """Read the files of networks."""
    try:
        if not files:
            return _only(checkpoint.read(fetch(WEIGHTS)), roles, place)
        _check_roles(roles, files, place)
        parts = [_only(checkpoint.read(fetch(files[role])), [role], place) for role in roles or files]
    except EntryNotFoundError as error:
        raise CheckpointError(f"cannot be downloaded: {_said(error)}", place) from error
    return Checkpoint({role: net for part in parts for role, net in part.networks.items()}, parts[0].provenance)


def _only(found: Checkpoint, roles: Sequence[str] | None, place: str) -> Checkpoint:
    _check_roles(roles, found.networks, place)
    return replace(found, networks={role: found.networks[role] for role in roles or found.networks})


def _check_roles(roles: Sequence[str] | None, there: Mapping[str, object], place: str) -> None:
    """Raise CheckpointError for networks that are not there."""
    for role in roles or ():
        if role not in there:
            raise CheckpointError(f"there is no network {role}, only {', '.join(there)}", place)

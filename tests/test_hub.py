"""Our files as repositories of the Hugging Face Hub, in a local folder and downloaded from a Hub on this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from PIL import Image

import converter
import stylegan_torch
from stylegan_torch.errors import CheckpointError
from stylegan_torch.files import checkpoint
from stylegan_torch.hub import Licence, PretrainedNetworks
from tests import DATA
from tests.tools.fake_hub import hub_of

PARTS = {"G_ema": "", "G": "G.", "D": "D."}
"""Of the names of files, by role."""

FILES = ["README.md", "config.json", *(f"model.{part}safetensors" for part in ("D.", "G.", "")), "samples.png"]


@dataclass
class Hub:
    """A Hub on this machine: its folder of repositories, and the names of the files that were downloaded."""

    folder: Path
    taken: list[str]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was saved of ada.pkl."""
    folder = tmp_path_factory.mktemp("saved") / "faces"
    PretrainedNetworks(converter.load(DATA / "ada.pkl")).save_pretrained(folder)
    return folder


@pytest.fixture
def hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shutil.copytree(saved, tmp_path / "hub" / "me" / "faces")
    with hub_of(tmp_path / "hub") as (address, taken):
        download = partial(huggingface_hub.hf_hub_download, endpoint=address)
        monkeypatch.setattr("stylegan_torch.hub.hf_hub_download", download)
        yield Hub(tmp_path / "hub", taken)


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
    rows = [f"| {role} | stylegan2 | 16 × 16 | 10 | model.{part}safetensors |" for role, part in PARTS.items()]
    assert "\n".join(rows) in card
    assert "library_name: stylegan-torch\nlicense: other\npipeline_tag: unconditional-image-generation\n" in card
    assert "does not change its licence. Say here whose" in card
    assert "![Pictures that the network draws](samples.png)\n\nSeeds 0-7" in card
    with Image.open(tmp_path / "samples.png") as samples:
        assert samples.size == (4 * 16, 2 * 16)


def test_the_code_of_a_model_card_runs(tmp_path: Path) -> None:
    PretrainedNetworks(converter.load(DATA / "ada-cond.pkl")).save_pretrained(tmp_path)
    code = (tmp_path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace("<this repository>", str(tmp_path)), names)
    assert names["images"].shape == (2, 3, 16, 16)


def test_the_licence_goes_with_the_weights(tmp_path: Path) -> None:
    own = Licence(name="our-own-1.0", link="https://example.org/terms")
    PretrainedNetworks.open(DATA / "version1.safetensors", licence=own).save_pretrained(tmp_path / "one")
    again = PretrainedNetworks.from_pretrained(tmp_path / "one")
    assert again.licence == own
    again.save_pretrained(tmp_path / "two")
    card = (tmp_path / "two" / "README.md").read_text()
    assert "license: other\nlicense_name: our-own-1.0\nlicense_link: https://example.org/terms\n" in card
    assert "These weights are under [our-own-1.0](https://example.org/terms)." in card


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"id": "CC BY"}, "'CC BY' is not the name of a licence: small letters, digits, - and ."),
        ({"name": "own", "link": "javascript:1"}, "neither the address of a licence nor the file LICENSE"),
        ({"id": "mit", "link": "https://example.org"}, "the Hub knows mit: only a licence that it doesn't, 'other'"),
    ],
)
def test_licences_that_cannot_be(given: dict[str, str], line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        Licence(**given)


def test_a_network_that_draws_nothing_has_no_samples(tmp_path: Path) -> None:
    stored = converter.load(DATA / "ada.pkl")
    PretrainedNetworks(stored).save_pretrained(tmp_path)
    (tmp_path / "README.md").unlink()
    PretrainedNetworks(checkpoint.Checkpoint({"D": stored.networks["D"]})).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert "samples" not in (tmp_path / "README.md").read_text()
    assert list(PretrainedNetworks.from_pretrained(tmp_path).checkpoint.networks) == ["D"]


def test_a_folder_without_networks(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors: No such file"):
        PretrainedNetworks.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is damaged, or not a file of ours"):
        PretrainedNetworks.from_pretrained(tmp_path)


def test_only_what_is_asked_for_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    read = partial(PretrainedNetworks.from_pretrained, "me/faces", cache_dir=tmp_path / "cache")
    G = read(roles=["G_ema"]).network()
    assert hub.taken == ["config.json", "model.safetensors"]
    assert list(read(roles=["D", "G_ema"]).checkpoint.networks) == ["D", "G_ema"]
    assert hub.taken[2:] == ["model.D.safetensors"]
    with pytest.raises(CheckpointError, match=r"^there is no network G, only G_ema$"):
        read(roles=["G_ema"]).network("G")
    everything = read().checkpoint
    assert hub.taken[3:] == ["model.G.safetensors"]
    assert everything.provenance == converter.load(DATA / "ada.pkl").provenance
    z = stylegan_torch.latents_from_seeds([1], G.z_dim)
    assert torch.equal(G(z), everything.network("G_ema")(z))


def test_one_file_has_all_networks_of_earlier_repositories(hub: Hub, tmp_path: Path) -> None:
    shutil.copy(DATA / "version1.safetensors", hub.folder / "me" / "faces" / "model.safetensors")
    (hub.folder / "me" / "faces" / "config.json").write_text('{"library": "stylegan-torch", "configs": {}}')
    read = partial(PretrainedNetworks.from_pretrained, "me/faces", cache_dir=tmp_path / "cache")
    before = checkpoint.read(DATA / "version1.safetensors").networks
    assert list(read().checkpoint.networks) == list(before)
    assert list(read(roles=[list(before)[-1]]).checkpoint.networks) == [list(before)[-1]]
    assert set(hub.taken) == {"config.json", "model.safetensors"}


def test_networks_go_to_a_device(saved: Path) -> None:
    networks = PretrainedNetworks.from_pretrained(saved, roles=["G"], device="cpu")
    assert networks.network("G").device == torch.device("cpu")
    with pytest.raises(ValueError, match="there is no device meta here"):
        PretrainedNetworks.from_pretrained(saved, device="meta")


@pytest.mark.parametrize(
    ("repository", "roles", "line"),
    [
        ("me/faces", ["E"], "roles are a list of G_ema, G, D, not ['E']"),
        ("me/faces", "D", "roles are a list of G_ema, G, D, not 'D'"),
        ("me/faces", [], "roles are a list of G_ema, G, D, not []"),
        ("me/part", ["D"], "me/part: there is no network D, only G_ema"),
        ("me/nobody", None, "cannot get config.json of me/nobody: Repository Not Found"),
        ("me/faces/more", None, "cannot get config.json of me/faces/more: Repo id must be"),
        ("me/evil", None, "me/evil: config.json is damaged (the files that it names are none of ours)"),
        ("me/broken", None, "me/broken: config.json is damaged ("),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(
    repository: str, roles: Any, line: str, hub: Hub, tmp_path: Path
) -> None:
    for name, config in {
        "part": '{"files": {"G_ema": "model.safetensors"}}',
        "evil": '{"files": {"G_ema": "../faces/model.safetensors"}}',
        "broken": "{",
    }.items():
        (hub.folder / "me" / name).mkdir()
        (hub.folder / "me" / name / "config.json").write_text(config)
    with pytest.raises(CheckpointError) as caught:
        PretrainedNetworks.from_pretrained(repository, roles=roles, cache_dir=tmp_path / "cache")
    assert str(caught.value).startswith(line)
    assert len(str(caught.value).splitlines()) == 1
    assert "G_ema" in line or not [name for name in hub.taken if name != "config.json"]


def test_without_the_internet_the_cache_is_read(hub: Hub, tmp_path: Path) -> None:
    read = partial(PretrainedNetworks.from_pretrained, "me/faces", cache_dir=tmp_path / "cache", local_files_only=True)
    with pytest.raises(CheckpointError, match=r"^cannot get config\.json of me/faces: Cannot find"):
        read()
    PretrainedNetworks.from_pretrained("me/faces", cache_dir=tmp_path / "cache", roles=["D"])
    assert list(read(roles=["D"]).checkpoint.networks) == ["D"]
    with pytest.raises(CheckpointError, match=r"^cannot get model\.safetensors of me/faces: "):
        read(roles=["G_ema"])


class BrokenOffError(Exception):
    """What stops a save."""


@pytest.mark.parametrize("before", [None, "ada.pkl", "version1.safetensors"])
@pytest.mark.parametrize("roles", [("G_ema", "G", "D"), ("G_ema",)])
def test_a_save_that_fails_reads_as_none_or_as_all_that_was_to_be_saved(
    before: str | None, roles: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = converter.load(DATA / "ada.pkl")
    networks = PretrainedNetworks(checkpoint.Checkpoint({role: stored.networks[role] for role in roles}))
    write = checkpoint.write

    def save(fails_at: int) -> Path:
        folder = tmp_path / str(fails_at)
        folder.mkdir()
        if before == "ada.pkl":
            PretrainedNetworks(stored).save_pretrained(folder)
        elif before:
            shutil.copy(DATA / before, folder / "model.safetensors")
        step = iter(range(10))

        def stepped(work: Callable[..., None]) -> Callable[..., None]:
            def run(*args: Any, **settings: Any) -> None:
                if next(step) == fails_at:
                    raise BrokenOffError
                work(*args, **settings)

            return run

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "write", stepped(write))
            patch.setattr(PretrainedNetworks, "_save_samples", stepped(lambda self, path, files: None))
            with pytest.raises(BrokenOffError):
                networks.save_pretrained(folder)
        return folder

    for fails_at in range(1, len(roles) + 1):
        folder = save(fails_at)
        if len(roles) == 1:
            assert list(PretrainedNetworks.from_pretrained(folder).checkpoint.networks) == ["G_ema"]
        else:
            with pytest.raises(
                CheckpointError, match=r"config\.json is missing beside several networks: save them again"
            ):
                PretrainedNetworks.from_pretrained(folder)


def test_pictures_of_others_stay(tmp_path: Path) -> None:
    networks = PretrainedNetworks(converter.load(DATA / "ada.pkl"))
    Image.new("RGB", (3, 3)).save(tmp_path / "samples.png")
    theirs = (tmp_path / "samples.png").read_bytes()
    networks.save_pretrained(tmp_path)
    assert (tmp_path / "samples.png").read_bytes() == theirs
    assert "samples" not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("me/faces", "cannot push to me/faces: "),
        ("me/faces/more", "cannot push to me/faces/more: Repo id must be"),
        ("faces", "cannot push to faces: "),
    ],
)
def test_a_push_that_fails_says_so_in_one_line(name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:  # listens here
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setattr("stylegan_torch.hub.HfApi", partial(huggingface_hub.HfApi, endpoint=endpoint))
        networks = PretrainedNetworks(converter.load(DATA / "ada.pkl"))
        with pytest.raises(CheckpointError) as caught:
            networks.push_to_hub(name, token="hf_secret")
    assert str(caught.value).startswith(line)
    assert str(caught.value) != line
    assert len(str(caught.value).splitlines()) == 1
    assert "hf_secret" not in str(caught.value)


def test_a_setting_of_a_push_that_is_none_is_pythons_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylegan_torch.hub.HfApi.file_exists", lambda *_, **__: False)
    with pytest.raises(TypeError, match="colour"):
        PretrainedNetworks(converter.load(DATA / "ada.pkl")).push_to_hub("me/faces", colour="red")


@pytest.mark.parametrize("patterns", [None, "*.txt", ["*.txt"]])
def test_push_to_hub_uploads_what_a_folder_holds(patterns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads: list[tuple[str, list[str]]] = []
    there: set[tuple[str, str]] = set()

    class Api:
        def __init__(self, token: str | None = None) -> None:
            assert token == "secret"

        def create_repo(self, repo_id: str, **_: object) -> types.SimpleNamespace:
            return types.SimpleNamespace(repo_id=f"me/{repo_id.removeprefix('me/')}")

        def whoami(self) -> dict[str, str]:
            return {"name": "me"}

        def file_exists(self, repo_id: str, filename: str, *, revision: str | None = None) -> bool:
            assert revision is None
            return (repo_id, filename) in there

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, ignore_patterns: str | list[str] | None = None, **_: object
        ) -> str:
            assert PretrainedNetworks.from_pretrained(folder_path).network().z_dim == 16
            assert f'from_pretrained("{repo_id}", roles' in (folder_path / "README.md").read_text()
            names = sorted(path.name for path in folder_path.iterdir())
            ignored = [ignore_patterns] if isinstance(ignore_patterns, str) else ignore_patterns or []
            sent = [name for name in names if not any(fnmatch(name, pattern) for pattern in ignored)]
            uploads.append((repo_id, sent))
            there.update((repo_id, name) for name in sent)
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    monkeypatch.setattr("stylegan_torch.hub.HfApi", Api)
    networks = PretrainedNetworks(converter.load(DATA / "ada.pkl"))
    for name in ("me/faces", "faces"):  # the second finds the card of the first
        assert networks.push_to_hub(name, token="secret", ignore_patterns=patterns) == "done"
    assert uploads == [("me/faces", FILES), ("me/faces", [name for name in FILES if name != "README.md"])]

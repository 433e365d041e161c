"""The template of a Space: its files fit together, and its program serves the page as the Hub needs it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import requests

import converter
from tests import DATA, HOME
from tests.tools.fake_hub import hub_of
from tests.tools.served import serving

SPACE = HOME / "integrations" / "space"
NAME = "me-faces.hf.space"


def test_its_files_fit_together() -> None:
    yaml = pytest.importorskip("yaml")
    _, front, text = (SPACE / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert (about["sdk"], about["app_port"]) == ("docker", 7860)  # the explorer's first port
    assert len(about["short_description"]) <= 60
    steps = (SPACE / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) \.$", steps, re.MULTILINE)
    assert sorted(copied) == ["app.py", "requirements.txt"]
    assert json.loads(steps[steps.index("CMD ") + 4 :]) == ["python", "app.py"]
    program = (SPACE / "app.py").read_text()
    assert all(name in program for name in re.findall(r"`([A-Z_]{6,})`", text) if name != "HF_TOKEN")


@pytest.fixture
def program() -> ModuleType:
    """Return the Space's program as a module."""
    pytest.importorskip("huggingface_hub")
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_repositories_of_one_name(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for owner in ("me", "you", "us"):
        path = tmp_path / owner / "faces" / "model.safetensors"
        path.parent.mkdir(parents=True)
        path.write_text(owner)
    told = program.arguments({"NETWORKS": "me/faces you/faces/ us/faces me/faces"})
    files = [Path(value) for option, value in itertools.pairwise(told) if option == "--network"]
    assert [file.name for file in files] == ["faces.safetensors", "you--faces.safetensors", "us--faces.safetensors"]
    assert [file.read_text() for file in files] == ["me", "you", "us"]


def test_what_the_hub_does_not_have_is_said_in_one_line(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_of(tmp_path) as (address, _):
        download = partial(program.hf_hub_download, endpoint=address, cache_dir=tmp_path / "cache")
        monkeypatch.setattr(program, "hf_hub_download", download)
        for name in ("me/nobody", "me/faces/more"):
            with pytest.raises(SystemExit) as told:
                program.network_file(name, tmp_path)
            line = str(told.value.code)
            assert line.startswith(f"Error: cannot get model.safetensors of {name}: ")
            assert len(line.splitlines()) == 1


def test_it_serves_the_page_as_the_hub_embeds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("websockets")
    hub = pytest.importorskip("stylegan_torch.hub")
    hub.PretrainedNetworks(converter.load(DATA / "ada.pkl")).save_pretrained(tmp_path / "faces")
    monkeypatch.setenv("SPACE_HOST", NAME)
    monkeypatch.setenv("NETWORKS", str(tmp_path / "faces"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with serving(tmp_path, str(SPACE / "app.py")) as url:
        framed = {"Host": NAME, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
        page = requests.get(url, headers=framed, timeout=600)
        assert page.ok
        assert "frame-ancestors https://huggingface.co" in page.headers["Content-Security-Policy"]
        assert requests.get(url, headers={"Host": "evil.example"}, timeout=600).status_code == 403
        about = requests.get(f"{url}about", headers={"Host": NAME}, timeout=600).json()
        assert "faces.safetensors" in json.dumps(about)
        ours = {"Host": NAME, "Origin": f"https://{NAME}"}
        picture = requests.post(f"{url}picture.png", data=b"{}", headers=ours, timeout=600)
        assert picture.content.startswith(b"\x89PNG")

"""The template of a Space: its files fit together, and its program serves the page as the Hub needs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests

import converter
from tests import DATA, HOME
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

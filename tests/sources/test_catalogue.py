"""The list of published networks, and finding one in it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from checkpoints import CATALOGUE
from converter.errors import DownloadError
from converter.sources.catalogue import Entry, entries, fetch, find, suggestion
from converter.sources.download import direct_url


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_row(entry: Entry) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9-]+", entry.name)
    assert entry.name.startswith(entry.release)
    assert entry.family in {"progan", "stylegan1", "stylegan2"}
    assert entry.resolution in {2**n for n in range(5, 11)}
    assert entry.conditional >= 0
    assert entry.licence
    assert entry.file.endswith(".pkl")
    assert (entry.url is None) != (entry.page is None)
    assert (entry.url or entry.page or "").startswith("https://")
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size is None or entry.size > 0
    if entry.url:
        assert direct_url(entry.url).startswith("https://")


def test_all_releases_are_there() -> None:
    assert Counter(entry.release for entry in entries()) == {
        "progan": 31,
        "stylegan": 5,
        "stylegan2": 36,
        "stylegan2-ada": 12,
        "stylegan2-ada-pytorch": 12,
    }


def test_names_and_addresses_are_unique() -> None:
    assert len({entry.name.lower() for entry in entries()}) == len(entries())
    assert len({(entry.url or entry.page, entry.file) for entry in entries()}) == len(entries())


def test_one_row_a_line() -> None:
    lines = CATALOGUE.read_text(encoding="utf-8").splitlines()
    assert [lines[0], lines[-1]] == ["[", "]"]
    assert [json.loads(line.rstrip(","))["name"] for line in lines[1:-1]] == [entry.name for entry in entries()]


def test_known_facts() -> None:
    assert [entry.name for entry in entries() if entry.conditional] == [
        "stylegan2-ada-cifar10",
        "stylegan2-ada-pytorch-cifar10",
    ]
    assert {entry.name for entry in entries("stylegan2-*") if entry.family == "stylegan1"} == {
        f"stylegan2-{subject}-config-a" for subject in ("car", "ffhq", "cat", "church", "horse")
    }


def test_find() -> None:
    entry = find("stylegan2-ffhq-config-f")
    assert entry is not None
    assert entry.url == "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/stylegan2-ffhq-config-f.pkl"
    assert find("StyleGAN2-FFHQ-Config-F") is entry
    assert find("stylegan2-car-config-e-gorig-dskip") is find("stylegan2-car-config-e-Gorig-Dskip") is not None
    assert find("stylegan2-ffhq") is None


def test_entries_by_pattern() -> None:
    assert len(entries("stylegan2-*-config-[a-f]")) == 18
    assert len(entries("STYLEGAN2-*-CONFIG-E-G*")) == 18
    assert [entry.name for entry in entries("stylegan2-ada-ffhq")] == ["stylegan2-ada-ffhq"]
    assert entries("ffhq") == []


def test_suggestion_for_a_near_miss() -> None:
    assert suggestion("stylegan2-fhq-config-f").startswith("did you mean stylegan2-ffhq-config-f")
    assert suggestion("StyleGAN2-CAR-config-e-GorigDskip").startswith("did you mean stylegan2-car-config-e-Gorig-Dskip")
    assert suggestion("zzz.pkl") == ""


def test_suggestion_for_a_word() -> None:
    assert "did you mean stylegan2-ada-ffhq, " in suggestion("ffhq")
    assert suggestion("ffhq").count("ffhq") == 5
    assert suggestion("FFHQ.pkl") == suggestion("fhqq") == suggestion("ffhq")  # the case, the suffix, a typing error
    assert suggestion("metfaces") == "did you mean stylegan2-ada-metfaces or stylegan2-ada-pytorch-metfaces?"
    assert suggestion("ffhq-1024").startswith("did you mean stylegan-ffhq-1024x1024, ")
    assert suggestion("stylegan2-ada-pytorch-cifar").startswith("did you mean stylegan2-ada-pytorch-cifar10")
    assert suggestion("") == suggestion("network.pkl") == ""


def test_fetch_downloads_with_what_the_row_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def download(url: str, **options: object) -> Path:
        asked.append((url, options))
        return tmp_path / "net.pkl"

    monkeypatch.setattr("converter.sources.download.download", download)
    entry = Entry("x", "stylegan", "stylegan1", 64, 0, "licence", "x.pkl", "https://x.org", None, "ab", 12)
    assert fetch(entry, cache_dir=tmp_path, progress=False) == tmp_path / "net.pkl"
    assert asked == [
        ("https://x.org", {"sha256": "ab", "size": 12, "cache_dir": tmp_path, "progress": False}),
    ]


def test_fetch_tells_which_page_to_open() -> None:
    entry = find("progan-lsun-bedroom-256x256")
    assert entry is not None
    with pytest.raises(DownloadError, match=r"folders/15hvzxt_\S+ in a browser, download karras2018iclr-lsun-bed"):
        fetch(entry)

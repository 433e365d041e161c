"""From what the user names to a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from converter.errors import ConvertError, DownloadError
from converter.sources import catalogue, download, locate


def test_what_is_named_of_an_archive(tmp_path: Path) -> None:
    place = str(tmp_path / "a.zip")
    assert locate.split(f"{place}!b.pkl") == (place, "b.pkl")
    assert locate.split(f"{place}!b!c.pkl") == (place, "b!c.pkl")
    for whole in (place, f"{place}!", "!b.pkl"):
        assert locate.split(whole) == (whole, None)
    (tmp_path / "a.zip!b.pkl").touch()
    assert locate.split(f"{place}!b.pkl") == (f"{place}!b.pkl", None)
    assert locate.split(tmp_path / "x") == (str(tmp_path / "x"), None)


def test_files_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"x")
    locate.check(str(path))
    locate.check(f"{path}!b")
    assert locate.locate(path) == (path, None)
    assert locate.locate(f"{path}!b") == (path, "b")


def test_what_is_no_file_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pipe = tmp_path / "in.pkl", tmp_path / "pipe"
    path.touch()
    os.mkfifo(pipe)
    for each, words in ((tmp_path, "is a directory, not a network file"), (pipe, "is not a regular file")):
        with pytest.raises(ConvertError, match=words):
            locate.check(str(each))
    with pytest.raises(ConvertError, match=r"in\.pkl: is empty"):
        locate.check(str(path))
    path.write_bytes(b"x")
    locate.check(str(path))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    with pytest.raises(ConvertError, match=r"in\.pkl: cannot be read: Permission denied"):
        locate.check(str(path))


@pytest.mark.parametrize(
    ("name", "words"), [("x" * 300, "File name too long"), ("x" * 300 + "!y", "File name too long")]
)
def test_names_that_no_file_can_have(name: str, words: str) -> None:
    for find in (locate.check, locate.locate):
        with pytest.raises(ConvertError, match=f"cannot read x*.*: {words}"):
            find(name)


def test_signed_urls_are_longer_than_names_can_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"https://example.com/a.pkl?signature={'f' * 300}"
    monkeypatch.setattr(download, "download", lambda source, sha256: tmp_path)
    locate.check(url)
    assert locate.locate(url) == (tmp_path, None)
    assert locate.split(f"{url}!b") == (url, "b")


def test_unknown_names() -> None:
    with pytest.raises(
        ConvertError, match=r"^nothing-like-it: no such file, and no network of that name in the catalogue$"
    ):
        locate.locate("nothing-like-it")
    with pytest.raises(ConvertError, match=r"in the catalogue; .*stylegan2-ada-cifar10"):
        locate.check("stylegan2-ada-cifar1")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_addresses_are_downloaded(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, got = f"{scheme}://example.org/a.pkl", {None: tmp_path / "got", "00": tmp_path / "checked"}
    monkeypatch.setattr(download, "download", lambda asked, sha256: got[sha256] if asked == url else None)
    assert locate.locate(url) == (tmp_path / "got", None)
    assert locate.locate(f"{url}!b", "00") == (tmp_path / "checked", "b")
    with pytest.raises(ConvertError, match="no such file"):
        locate.locate("ftp://example.org/a.pkl")


def test_published_names_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, got = catalogue.entries()[0], {None: tmp_path / "got", "00": tmp_path / "checked"}
    monkeypatch.setattr(catalogue, "fetch", lambda asked, sha256: got[sha256] if asked == entry else None)
    assert locate.locate(entry.name) == (tmp_path / "got", None)
    assert locate.locate(f"{entry.name}!b", "00") == (tmp_path / "checked", "b")


def test_hashes_of_files_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    for given in (sha256, sha256.upper()):
        assert locate.locate(path, given) == (path, None)
    with pytest.raises(ConvertError, match=rf"a\.pkl: its sha256 is {sha256}, not 00"):
        locate.locate(f"{path}!b", "00")
    with pytest.raises(ConvertError, match="is a directory"):
        locate.locate(tmp_path, sha256)


def test_addresses_are_looked_at_before_the_work() -> None:
    with pytest.raises(DownloadError):
        locate.check("https://")

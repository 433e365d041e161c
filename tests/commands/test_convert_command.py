"""`stylegan-convert`: what it says, and what it takes."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import converter
import stylegan_torch
from converter.describe import as_text
from stylegan_torch.commands.convert import main
from tests import DATA

FILES = (".pkl", ".pt", ".pth", ".bin", ".model")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_ends_with_a_table(tmp_path: Path) -> None:
    result = run(DATA / "ada-cond.pkl", tmp_path / "net.pt")
    assert result.exit_code == 0
    head, *rows, origin, target = result.stdout.splitlines()
    assert head.split() == ["network", "family", "size", "classes", "parameters"]
    assert [row.split() for row in rows] == [
        ["G_ema", "stylegan2", "16x16x3", "10", "14,520"],
        ["G", "stylegan2", "16x16x3", "10", "14,520"],
        ["D", "stylegan2", "16x16x3", "10", "16,368"],
    ]
    sha256 = "f20baa7e60227babc3f6fb207f23d924a12e1c1ca3437907dd0c77df0991dea2"
    assert origin == f"from  ada-cond.pkl, 194,333 bytes, sha256 {sha256}"
    assert target == f"to    {tmp_path / 'net.pt'}, {(tmp_path / 'net.pt').stat().st_size:,} bytes"


@pytest.mark.parametrize(
    ("networks", "roles"), [("g_ema", ["G_ema"]), ("D,g", ["G", "D"]), ("all", ["G_ema", "G", "D"])]
)
def test_networks(networks: str, roles: list[str], tmp_path: Path) -> None:
    assert run(DATA / "sg1.pkl", tmp_path / "net.pt", "--networks", networks).exit_code == 0
    for role in ("G_ema", "G", "D"):
        if role in roles:
            stylegan_torch.load(tmp_path / "net.pt", role)
        else:
            with pytest.raises(stylegan_torch.CheckpointError, match=f"no network {role}"):
                stylegan_torch.load(tmp_path / "net.pt", role)


def test_inspect_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--inspect", DATA / "sg1-cond.pkl")
    assert result.exit_code == 0
    for words in (
        "stylegan1",
        "16x16x3",
        "mapping.z_dim=16",
        "G_style of G_synthesis and G_mapping (tf)",
        "fmap_max=16",
    ):
        assert words in result.stdout
    network = json.loads(run("--inspect", "--json", DATA / "sg1-cond.pkl").stdout)["networks"]["G_ema"]
    assert network["config"]["truncation_cutoff"] == 8
    assert network["original"]["static_kwargs"]["fmap_max"] == 16
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", [path for path in sorted(DATA.rglob("*")) if path.suffix in FILES], ids=lambda p: p.name
)
def test_inspect_fits_one_screen(path: Path) -> None:
    summary = converter.inspect(path)
    lines = as_text(summary).splitlines()
    assert len(lines) <= 40
    for role, config in summary.configs.items():
        row = next(line for line in lines if line.split()[0] == role).split()
        height, width = config.img_size
        assert row[2] == f"{height}x{width}x{config.img_channels}"
        assert int(row[4].replace(",", "")) == summary.parameters[role]


def test_of_what_is_long_the_start_is_shown() -> None:
    summary = converter.inspect(DATA / "ada.pkl")
    record = {**summary.records["G"], "taps": list(range(40)), "told": "x" * 1000}
    text = "".join(as_text(replace(summary, records={"G": record})).split())
    assert "taps=[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,…40inall]" in text
    assert 'told="' + "x" * 299 + "…" in text


def test_augment_pipe_is_mentioned(tmp_path: Path) -> None:
    from tests.tools.official_torch import persistence_network, write_persistence_pickle

    sizes = {"c_dim": 0, "img_resolution": 8, "img_channels": 3}
    channels = {"channel_base": 64, "channel_max": 8}
    G = persistence_network("G", 1, z_dim=8, w_dim=8, mapping_kwargs={}, synthesis_kwargs=channels, **sizes)
    D = persistence_network("D", 2, **channels, **sizes)
    write_persistence_pickle(tmp_path / "x.pkl", G=G, D=D, G_ema=G, augment_pipe=True)
    result = run(tmp_path / "x.pkl", tmp_path / "x.pt")
    assert result.exit_code == 0
    assert "Note: an augment pipe is passed over" in result.stderr


def test_existing_file_needs_force(tmp_path: Path) -> None:
    target = tmp_path / "net.pt"
    target.write_text("mine")
    result = run(DATA / "pg.pkl", target)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert target.read_text() == "mine"
    assert run(DATA / "pg.pkl", target, "--force").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_list() -> None:
    result = run("--list", "stylegan2-ada-cifar*")
    assert result.stdout.split()[:4] == ["stylegan2-ada-cifar10", "32²", "10", "classes"]
    assert len(run("--list").stdout.splitlines()) > 90


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the file"),
        (["x.pkl"], "name the file to write"),
        (["x.pkl", "x.zip"], ".safetensors"),
        (["x.pkl", "x.pt", "--networks", "h"], "g_ema, g, d, all"),
        (["x.pkl", "x.pt", "--inspect"], "writes nothing"),
        (["x.pkl", "x.pt", "--json"], "goes with --inspect"),
        (["x.pkl", "x.pt", "--unknown"], "--unknown"),
    ],
)
def test_unusable_arguments_end_with_2(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", tmp_path / "none.pkl", tmp_path / "x.pt")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert "no such file" in result.stderr.splitlines()[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "net.pkl.gz").write_bytes(gzip.compress((DATA / "pg.pkl").read_bytes()))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_url_is_downloaded_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "cache"))
    assert run(f"{server}/net.pkl.gz", tmp_path / "a.pt").exit_code == 0
    signed = run(f"{server}/net.pkl.gz?signed={'f' * 300}", tmp_path / "signed.pt")  # longer than a file's name can be
    assert signed.exit_code == 0, signed.output
    (tmp_path / "www" / "net.pkl.gz").unlink()
    assert run(f"{server}/net.pkl.gz", tmp_path / "b.pt").exit_code == 0
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    missing = run(f"{server}/other.pkl?signed={'f' * 300}", tmp_path / "c.pt")
    assert missing.exit_code == 1
    assert "404" in missing.stderr
    assert not (tmp_path / "c.pt").exists()


def test_hash_is_looked_at_first(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "cache"))
    damaged = tmp_path / "in.pkl"
    damaged.write_bytes(b"\x80\x02X")
    sound, wrong = hashlib.sha256((DATA / "pg.pkl").read_bytes()).hexdigest(), "0" * 64
    is_now = hashlib.sha256(damaged.read_bytes()).hexdigest()
    refused = run("--inspect", damaged, "--sha256", wrong)
    assert refused.stderr == f"Error: {damaged}: its sha256 is {is_now}, not {wrong}\n"
    for src in (f"{server}/net.pkl.gz", DATA / "pg.pkl"):
        refused = run(src, tmp_path / "out.pt", "--sha256", wrong)
        assert refused.exit_code == 1
        assert f", not {wrong}" in refused.stderr
        assert not (tmp_path / "out.pt").exists()
    assert run("--inspect", DATA / "pg.pkl", "--sha256", sound.upper()).exit_code == 0
    assert run("--inspect", "--sha256", "12", DATA / "pg.pkl").exit_code == 2
    assert run("--inspect", "--sha256", wrong, "--sha256", wrong, DATA / "pg.pkl").exit_code == 2
    with pytest.raises(converter.ConvertError, match=f"not {wrong}"):
        converter.load(DATA / "pg.pkl", sha256=wrong)


def test_the_list_says_what_is_not_verified() -> None:
    assert "not verified" in run("--list", "stylegan2-ffhq-config-f").stdout

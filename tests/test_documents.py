"""What README and docs tell to type is understood, and runs on small files; their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stylegan_torch.commands.main import main
from tests import HOME
from tests.tools.documents import PAGES, Shown, blocks, inline, lines, named, outputs, provide, understood
from tests.tools.jail import weak_option

TYPED = {line: page for page in PAGES for line in lines(page)}
"""Every line once, and a page that has it."""
ELSEWHERE = re.compile(
    r"git clone|cd (stylegan-torch|stylegan2-ada-pytorch|stylegan3)|(python -m )?pip install (\.$|\. -r |-r )"
    r"|cp -r integrations|python integrations/|\.ci/|curl |docker |uvx |pipx "
)
"""What is typed outside of this repository, or runs what has tests of its own."""
SERVERS = ("explore", "page", "serve")
"""Commands that go on until they are stopped; tests/explorer has them."""
UNREACHABLE = re.compile(r"--download|stylegan2-ffhq-config-f|--features weights|vgg16.pt|--engine ray|s3://")
"""What takes the internet, another machine, or weights that are not here."""

SMALLER = {
    r"\b1_000_000\b|\b1[_ ]?000\b": "8",
    r"\b0-50\b|\b0-15\b|\b0-39\b": "0-2",
    r"\b0-999\b": "0-19",
    r"\b0-31\b|\b0-11\b": "0-7",
    r"--count \d+": "--count 8",
    r"(examples.faces.faces faces.zip)$": r"\1 --count 8",
    r"--samples \d+": "--samples 12",
    r"--w-frames \d+": "--w-frames 2",
    r"--seconds \d+": "--seconds 5 --fps 2",
    r"--kimg \d+": "--kimg 0.008",
    r"--outdir run --resume": "--outdir stopped --resume",
    r"--cfg auto --mirror": "--cfg auto --mirror --set channel_base=256 --set mapping_layers=2",
    r"--at 32": "--at 16",
    r"--resolution (512x384|256x256)": "--resolution 64x64",
    r"--resolution 512": "--resolution 128",
    r"512,700:512,660": "32,40:32,36",
    r"checkpoints/demo/recipe.toml": "recipe.toml",
    r"-multi_gpu": "",
    r"(ffhq\.pkl|FILE)(?=.*(--trust-embedded-code|--show-source))": "program.pkl",
    r"(ffhq\.pkl|FILE)(?= theirs.pt --format rosinality)": "rosinality.pt",
    r"ffhq\.(pkl|pt)(?= ffhq.(onnx|pt2))": "FILE",
    r"ffhq\.pt(?= ref.npz)": "program.pkl",
    r"(--out film.gif|--seeds 0-7 --out film.mp4)": r"\1 --seconds 2 --fps 4",
    r"(--latents me.npz --points)": r"--row 0 \1",
}
"""What makes a command small enough to be run here."""
MORE = {
    "project": "--steps 2",
    "drag": "--steps 2",
    "centres": "--samples 64",
    "train": "--batch 4 --kimg 0.008",
    "measure": "--samples 8",
    "bulk": "--shard-size 4 --workers 1",
}
TUNED = "--tune-steps 2"


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("line", TYPED)
def test_what_is_typed_is_understood(line: str) -> None:
    shown = understood(line.replace(" --sign chain.pem key.pem", ""))  # which are read at once
    if shown:
        shown.command.make_context(shown.name, list(shown.words))
    elif line.startswith("make "):
        assert set(line.split()[1:]) <= set(
            re.findall(r"^([\w-]+):(?!=)", (HOME / "Makefile").read_text(), re.MULTILINE)
        )
    elif extras := re.match(r"pip install '\.\[([\w,]+)\]'$", line):
        known = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(extras[1].split(",")) <= known.keys()
    else:
        assert ELSEWHERE.match(line), f"{TYPED[line].relative_to(HOME)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_commands_within_texts_are_there(page: Path) -> None:
    for text in inline(page):
        shown = understood(f"{text} ".replace("\n", " "))
        assert shown, text
        known = {option for parameter in shown.command.params for option in parameter.opts} | {"--help", "--version"}
        if isinstance(shown.command, click.Group) and shown.command is main:
            continue
        assert {word for word in shown.words if word.startswith("--")} <= known, text


def _smaller(shown: Shown) -> str:
    text = shown.text
    for pattern, less in SMALLER.items():
        text = re.sub(pattern, less, text)
    return " ".join(filter(None, [text, MORE.get(shown.name), TUNED if "--tune" in text else None]))


ANOTHERS = {HOME / "docs" / "ADD_A_FORM.md"}
"""Pages whose Python other tests run."""
PYTHON = [page for page in PAGES if page not in ANOTHERS and any(language == "python" for language, _ in blocks(page))]
"""Pages whose Python is run, from above to below."""
FIRST = "import stylegan_torch\nG = stylegan_torch.load('ffhq.pt')\n"
INSTEAD = {".push_to_hub(": ".save_pretrained(", "me/ffhq": "folder", "cuda": "cpu", "18": "8", "512": "16"}
"""What a snippet says, and what is run: nothing is uploaded, no card is needed, and the network is smaller."""


@pytest.mark.long
@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.stem)
def test_python_runs(page: Path, here: Path, pool: Path) -> None:
    code = "\n".join(text for language, text in blocks(page) if language == "python")
    if "hub" in code:
        pytest.importorskip("huggingface_hub")
    if "onnxruntime" in code:
        pytest.importorskip("onnxruntime")
        provide("ffhq.onnx", here, pool)
    for name in ("ffhq.pkl", "ffhq.pt", "faces.pt", "checkpoints/demo/faces.pkl"):
        provide(name, here, pool)
    for said, small in INSTEAD.items():
        code = code.replace(said, small)
    exec(compile(FIRST + code, str(page), "exec"), {})


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", [*PAGES, *HOME.glob("*.md"), HOME / "benchmarks" / "README.md"], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Within the repository; `make docs` looks at headings too."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        if not re.match(r"https?://|#|mailto:", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


OURS = [shown for line in TYPED if (shown := understood(line)) and not UNREACHABLE.search(line)]
RUN = {_smaller(shown): shown.text for shown in OURS if shown.name not in SERVERS}
"""Each command that is run, small, and as it is shown."""


@pytest.mark.long
@pytest.mark.parametrize("text", RUN, ids=RUN.get)
def test_what_is_typed_runs(text: str, here: Path, pool: Path) -> None:
    if ("--trust-embedded-code" in text or "ref.npz" in text) and not find_spec("tensorflow"):
        pytest.skip("needs the extra tf")
    for name in named(text):
        if name.endswith(".pem"):  # which are read at once
            provide(name, here, pool)
    small = understood(f"{text} {' '.join(weak_option())}" if "--trust-embedded-code" in text else text)
    assert small
    words = list(small.words)
    written = outputs(small, words)
    for name in named(text):
        if name not in written or "--resume" in text:
            provide(name, here, pool)
    words = [each for word in words for each in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    result = CliRunner().invoke(small.command, words)
    assert result.exit_code == 0, result.output


NOTEBOOKS = sorted((HOME / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells if cell["cell_type"] == "code")
    assert notebook.name in (notebook.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(notebook: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.notebook", notebook, tmp_path / notebook.name],
        cwd=HOME,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

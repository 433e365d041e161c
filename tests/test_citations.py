"""Citations of docs/spec lead to a page and to numbered headings that are there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "spec"
TREE = ("stylegan_torch", "converter", "checkpoints", "tests", "benchmarks", "examples", "docs")

_NUMBER = r"\d+(?:\.\d+)*"
_FOLDER = r"(?P<folder>[\w/]*\bspec[ /])?"
_PAGE = r"\b(?P<page>[A-Z][A-Z0-9_]*\.md)"
_SECTIONS = rf"(?P<sections>,? (?:section )?{_NUMBER}(?:(?:, | to | and ){_NUMBER})*)?"
CITATION = re.compile(_FOLDER + _PAGE + _SECTIONS)
"""A page in a folder called spec, or sections of any page: "docs/spec/TF.md 2.3, 3.1", "TORCH.md 1 to 4"."""


def headings(page: Path) -> set[str]:
    """Return the numbers of a page's headings."""
    return set(re.findall(rf"^#+ ({_NUMBER})\.? ", page.read_text(encoding="utf-8"), re.MULTILINE))


def wrong_citations(text: str, *folders: str) -> Iterator[str]:
    """Yield the citations in a text that lead nowhere, or are written in another way.

    Args:
        text: with comment signs and broken lines as they are.
        folders: what may stand before a page's name.
    """
    for match in CITATION.finditer(re.sub(r"\s+(?:# )?", " ", text)):
        folder, page, sections = match["folder"] or "", PAGES / match["page"], match["sections"] or ""
        if not folder and not sections:
            continue  # another file, such as the README
        usual = folder in folders and page.is_file() and not sections.startswith((",", " section"))
        if not usual or not set(re.findall(_NUMBER, sections)) <= headings(page):
            yield match[0]


def _texts() -> Iterator[tuple[Path, str]]:
    found = [path for folder in TREE for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    for path in [*found, *ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "Makefile"]:
        if path != Path(__file__).resolve():
            yield path, path.read_text(encoding="utf-8")


def _folders(path: Path) -> tuple[str, ...]:
    if path.parent == PAGES:
        return "docs/spec/", ""
    linked = ("spec/", "/spec/") if PAGES.parent in path.parents else ()  # links are relative
    return "docs/spec/", *linked


def test_citations_lead_to_a_page_and_to_headings() -> None:
    wrong, read = [], 0
    for path, text in _texts():
        wrong += [f"{path.relative_to(ROOT)}: {citation}" for citation in wrong_citations(text, *_folders(path))]
        read += len(CITATION.findall(text))
    assert not wrong
    assert read > 40


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_every_heading_has_a_number_of_its_own(page: Path) -> None:
    titles = re.findall(r"^##+ .*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings(page)) == len(titles)


RIGHT = [
    "docs/spec/TF.md 0.1",
    "docs/spec/TORCH.md 1 to 4",
    "docs/spec/TF.md 2.3,\n2.4",
    "docs/spec/COMMUNITY.md",
    "README.md",
]
WRONG = [
    "docs/spec/NOPE.md 1",
    "docs/spec/NOPE.md",
    "docs/spec/TF.md 99",
    "docs/spec/TF.md 1, 2.99",
    "docs/spec/TF.md\n    # 99",
    "spec TF.md 1",
    "TF.md 1",
    "docs/spec/TF.md, section 1",
    "another/spec/TF.md",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_citations_are_known(text: str) -> None:
    assert not list(wrong_citations(f"({text}).", "docs/spec/"))


@pytest.mark.parametrize("text", WRONG)
def test_wrong_citations_are_found(text: str) -> None:
    assert list(wrong_citations(f"({text}).", "docs/spec/"))

"""What MkDocs does not do by itself: pages from outside docs/, links as a forge has them, linked code, formulas.

The same files are read on a forge and on the site. So links go from file to file of the repository, and are led to the
site's pages here. What is no page is linked in the repository once `[project.urls]` has its address, and is plain text
until then. A line "Code: [`name`](file.py)" becomes the code itself, and formulas become MathML, which browsers draw
without a script.
"""

from __future__ import annotations

import ast
import html
import logging
import posixpath
import re
import textwrap
import tomllib
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOME = Path(__file__).parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that are where a forge looks for them."""
BRANCH = "main"

_LOG = logging.getLogger("mkdocs.hooks")

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s#]+)(#[^)\s]+)?\)")
_CODE = re.compile(r"^Code: \[`.*\)$", re.MULTILINE)
_LINKED_CODE = re.compile(r"\[`([\w.]+)`\]\(([^)]+)\)")
_FETCHED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=[^>]*//[^>]*>|<link[^>]*stylesheet[^>]*//[^>]*>")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> None:
    """Take the repository's address from the package."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config.repo_url = project.get("urls", {}).get("Repository")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages from outside."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(HOME / source)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their files are on the site."""
    pages = {Path(file.abs_src_path).resolve(): file.src_uri for file in files if file.abs_src_path}
    here = Path(str(page.file.abs_src_path)).resolve().parent

    def led(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = (here / target).resolve()
        if path in pages:
            there = posixpath.relpath(pages[path], posixpath.dirname(page.file.src_uri))
            return f"[{text}]({there}{anchor})"
        if "://" in target or not path.exists():
            return match[0]  # MkDocs tells of what is missing
        return f"[{text}]({config.repo_url}/blob/{BRANCH}/{path.relative_to(HOME)})" if config.repo_url else text

    markdown = _CODE.sub(lambda match: _shown(match[0], here), markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(led, part) for part in _FENCE.split(markdown))


def _shown(line: str, here: Path) -> str:
    """Return the code that a line links to, as blocks."""
    return "\n\n".join(_block((here / target).resolve(), name) for name, target in _LINKED_CODE.findall(line))


def _block(path: Path, name: str) -> str:
    source = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        (node,) = (child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    code = textwrap.dedent(ast.get_source_segment(source, node, padded=True) or "")
    return f'```python title="{path.relative_to(HOME)}"\n{code}\n```'


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of what a browser would fetch from elsewhere."""
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        for element in _FETCHED.findall(path.read_text(encoding="utf-8")):
            _LOG.warning("%s fetches %s", path.relative_to(config.site_dir), element)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which browsers draw by themselves."""

    def mathml(match: re.Match[str]) -> str:
        return convert(html.unescape(match[2]), display="block" if match[1] == "div" else "inline")

    return _FORMULA.sub(mathml, content)

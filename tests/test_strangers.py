"""What strangers look for: versions agree, forms ask for commands that exist, workflows call what is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from stylegan_torch import __version__
from stylegan_torch.commands.convert import main as convert
from tests import HOME

WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))
ISSUE_FORMS = sorted((HOME / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def _text(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


def _steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_versions_agree() -> None:
    released = re.findall(r"^## \[(\d.*?)\]", _text("CHANGELOG.md"), re.MULTILINE)
    assert released[0] == __version__
    assert yaml.safe_load(_text("CITATION.cff"))["version"] == __version__


def test_pre_commit_and_make_lint_have_the_same_ruff() -> None:
    repositories = yaml.safe_load(_text(".pre-commit-config.yaml"))["repos"]
    (repository,) = [each for each in repositories if "ruff" in each["repo"]]
    assert f"\nruff=={repository['rev'].removeprefix('v')}\n" in _text("constraints.txt")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_is_there(workflow: Path) -> None:
    targets = re.findall(r"^([\w-]+):(?!=)", _text("Makefile"), re.MULTILINE)
    for step in _steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])
            continue
        for words in map(shlex.split, step["run"].splitlines()):
            if words[0] == "make":
                assert set(words[1:]) <= set(targets)
            scripts = [word for word in words if word.startswith(".ci/")]
            assert all((HOME / script).is_file() for script in scripts)
            if scripts == words[:1]:
                assert os.access(HOME / words[0], os.X_OK)


def test_the_modes_of_the_tests_script_are_known_to_it() -> None:
    modes = set(re.findall(r"^    (\w+)\) install=", _text(".ci/tests"), re.MULTILINE))
    (job,) = yaml.safe_load(_text(".github/workflows/nightly.yml"))["jobs"].values()
    called = re.findall(r"\.ci/tests (\w+)", _text(".github/workflows/test.yml"))
    assert modes == {*called, *job["strategy"]["matrix"]["versions"]}


def test_what_windows_leaves_out_is_there() -> None:
    (listed,) = re.findall(r"for path in (.*?); do", _text(".ci/tests").replace("\\\n", ""))
    assert all((HOME / "tests" / path).exists() for path in listed.split())


@pytest.mark.parametrize("form", ISSUE_FORMS, ids=lambda path: path.stem)
def test_forms_ask_for_commands_that_are_there(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        assert content == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= content.keys()
    fields = {field["id"]: field for field in content["body"] if field["type"] != "markdown"}
    (command,) = re.findall(r"`stylegan-convert (.*?)`", fields["inspect"]["attributes"]["description"])
    options = {name for parameter in convert.params for name in parameter.opts}
    assert {word for word in command.split() if word.startswith("-")} <= options


def test_the_api_has_a_page_for_each_public_module() -> None:
    public = set(re.findall(r"^\| `([\w.]+)` \|", _text("docs/PUBLIC.md"), re.MULTILINE))
    assert {page.stem for page in (HOME / "docs" / "api").glob("*.md")} == public


def test_licences_of_published_weights_are_the_catalogue_s() -> None:
    told = re.findall(r"^\| (?:ProGAN|StyleGAN).*? \| (\d+) \| (.*?) \|$", _text("docs/licences.md"), re.MULTILINE)
    networks = json.loads(_text("checkpoints/catalogue.json"))
    counted = Counter(network["release"].removesuffix("-pytorch") for network in networks)
    licences = {network["release"].removesuffix("-pytorch"): network["licence"] for network in networks}
    assert [(int(count), licence) for count, licence in told] == [(counted[each], licences[each]) for each in counted]


def test_links_of_the_readme_are_absolute_once_there_is_an_address() -> None:
    urls = tomllib.loads(_text("pyproject.toml"))["project"].get("urls")
    assert not urls or not re.findall(r"\]\((?!https?://|#)", _text("README.md"))


def test_what_packages_read_is_installed() -> None:
    data = tomllib.loads(_text("pyproject.toml"))["tool"]["setuptools"]["package-data"]
    patterns = [f"{package.replace('.', '/')}/{pattern}" for package, patterns in data.items() for pattern in patterns]
    for package in ("stylegan_torch", "converter"):
        for path in (HOME / package).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                name = path.relative_to(HOME)
                assert any(_matches(name, pattern) for pattern in patterns), f"{name} is in no package-data"


def _matches(name: Path, pattern: str) -> bool:
    parts = Path(pattern).parts
    return len(name.parts) == len(parts) and all(map(fnmatchcase, name.parts, parts))

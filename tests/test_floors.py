"""The lowest versions that `pyproject.toml` states are those that `make test-lowest` installs."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import HOME


def test_the_lowest_versions_stated_are_those_tested() -> None:
    lines = (HOME / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    stated = [
        *project["dependencies"],
        *(line for name in ("test", "hub", "train", "edit", "film", "measure") for line in extras[name]),
    ]
    for requirement in map(Requirement, stated):
        (floor,) = (limit.version for limit in requirement.specifier if limit.operator == ">=")
        assert Version(tested[canonicalize_name(requirement.name)]) == Version(floor), requirement

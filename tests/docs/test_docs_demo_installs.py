"""What the pages' lines of Python import is there after `make demo`."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
OURS = {"sambench"}


def requirements(names):
    """Names of packages in a list of requirements."""
    return {re.match(r"[\w.-]+", one)[0].lower() for one in names}


@pytest.fixture(scope="module")
def installed():
    """Packages that the Makefile asks pip for, those of the extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.search(r"-e '\.\[([\w,]+)\]'", (ROOT / "Makefile").read_text())[1].split(",")
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {package for names in lists for package in requirements(names)}


@pytest.mark.parametrize("page", ["records", "notebook"])
def test_what_a_page_imports_is_installed(installed, page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.S)
    imported = set(re.findall(r"^(?:import|from) (\w+)", "\n".join(blocks), re.M)) - OURS
    modules = {MODULES.get(package, package) for package in installed}
    assert blocks
    assert {name for name in imported if _is_third_party(name)} <= modules


def test_pandas_is_installed(installed):
    """`sambench.reports.frames` makes tables of it."""
    assert "pandas" in installed


def _is_third_party(module):
    return module in metadata.packages_distributions()

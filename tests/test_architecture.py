"""The five floors: imports point down, light commands stay light, files stay readable."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("evsam", "adapters", "suites", "reports", "harness")  # from the ground up
NOT_EVEN_BELOW = {"reports": {"torch"}}
MOST_LINES = 400
MODULES = sorted(file for floor in FLOORS for file in (ROOT / floor).rglob("*.py"))


def imported(source: str) -> set[str]:
    """The packages that a module imports, also within functions and for types; ours with their floor."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, *rest = name.split(".")
            found.add(".".join([top, *rest[:1]]) if top == "sambench" else top)
    return found


def forbidden(floor: str, source: str) -> set[str]:
    """What a module of this floor imports and must not: floors above, and names that are other people's."""
    above = {f"sambench.{name}" for name in FLOORS[FLOORS.index(floor) + 1 :]}
    return imported(source) & (above | set(FLOORS) | NOT_EVEN_BELOW.get(floor, set()))


def python(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_every_floor_has_modules_to_check() -> None:
    assert {file.relative_to(ROOT).parts[0] for file in MODULES} == set(FLOORS)
    assert len(MODULES) > 30


@pytest.mark.parametrize(
    ("floor", "source"),
    [
        ("evsam", "from sambench.adapters.base import Segmenter"),
        ("evsam", "def later():\n    import sambench.harness.cli"),
        ("adapters", "if TYPE_CHECKING:\n    from sambench.suites.data import coco"),
        ("suites", "from sambench import reports"),
        ("reports", "from sambench.harness import store"),
        ("reports", "import torch"),
        ("harness", "from adapters.base import Segmenter"),
    ],
)
def test_an_import_that_points_up_is_seen(floor: str, source: str) -> None:
    assert len(forbidden(floor, source)) == 1


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_imports_only_point_down(file: Path) -> None:
    floor = file.relative_to(ROOT).parts[0]
    assert forbidden(floor, file.read_text(encoding="utf-8")) == set()


def test_registries_name_only_modules_of_their_own_floor() -> None:
    from sambench.adapters.models import REGISTRY
    from sambench.suites.registry import SUITES

    assert REGISTRY
    assert SUITES
    assert {entry.target.split(".")[1] for entry in REGISTRY.values()} == {"adapters"}
    assert {target.split(".")[1] for target, _ in SUITES.values()} == {"suites"}


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_a_module_says_what_it_is_and_is_short(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert (ast.get_docstring(ast.parse(source)) or "").strip(), "no docstring"
    assert len(source.splitlines()) <= MOST_LINES


def test_reports_run_without_torch() -> None:
    modules = [
        f"sambench.{named(f).removesuffix('.py').replace('/', '.')}"
        for f in MODULES
        if named(f).startswith("reports/")
    ]
    assert "sambench.reports.report" in modules
    done = python(
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print([m for m in ('torch', 'cv2', 'sambench.harness') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["models"], ["models", "--json"], ["suites"]], ids=" ".join
)
def test_a_command_that_only_lists_imports_nothing_heavy(arguments: list[str]) -> None:
    done = python(
        "import sys\nfrom sambench.harness.cli import main\n"
        f"sys.argv = ['sambench', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "heavy = [m for m in ('torch', 'cv2', 'pyarrow', 'matplotlib') if m in sys.modules]\n"
        "print('heavy:', heavy)"
    )
    assert len(done.stdout.splitlines()) > 3, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"

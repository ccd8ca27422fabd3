"""What is missing is said in the same words, and with an extra that there is."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from sambench.adapters.extras import MissingExtraError, install, missing
from sambench.evsam.errors import SambenchError

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError) as absent:
        __import__("no_such_library.part")
    error = missing("engine abacus", absent.value, "onnx")
    assert isinstance(error, SambenchError)
    assert str(error) == (
        "engine abacus needs no_such_library, which is not installed. Say: pip install 'sambench[onnx]'"
    )


def test_a_library_that_lacks_something_itself_says_what() -> None:
    error = missing("EdgeTam", ImportError("it requires the timm library"), "hf", " and mind the licence")
    assert isinstance(error, MissingExtraError)
    assert "it requires the timm library" in str(error)
    assert str(error).endswith("Say: pip install 'sambench[hf]' and mind the licence")


def test_every_part_names_an_extra_that_there_is_and_by_the_same_words() -> None:
    named = set()
    for top in ("evsam", "adapters", "suites", "reports", "harness"):
        for file in (ROOT / top).rglob("*.py"):
            text = file.read_text()
            assert "pip install 'sambench[" not in text or file.name == "extras.py", file
            named |= {extra for node in ast.walk(ast.parse(text)) if (extra := _extra(node))}
    assert named <= set(EXTRAS)
    assert {"report", "hf", "yolo", "onnx", "openvino", "tensorrt", "groundingdino", "gpu"} <= named


def _extra(node: ast.AST) -> str | None:
    """The extra that a call of `missing` or `install` names."""
    place = {missing.__name__: 2, install.__name__: 0}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in place:
        given = node.args[place[node.func.id] :][:1]
        return str(given[0].value) if given and isinstance(given[0], ast.Constant) else None
    return None

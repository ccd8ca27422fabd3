"""Models from outside: installed packages that announce one, and a class in a file of the user's.

A package announces its models as entry points of the group ``sambench.adapters``, name to ``module:Class``.
Nothing of it is imported before one of them is created.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from sambench.evsam.errors import SambenchError, did_you_mean

GROUP = "sambench.adapters"


@cache
def announced() -> dict[str, tuple[str, str]]:
    """Name to target and distribution of the models that installed packages announce.

    Raises:
        SambenchError: two packages announce one name.
    """
    found: dict[str, tuple[str, str]] = {}
    for point in metadata.entry_points(group=GROUP):
        package = point.dist.name if point.dist else point.module
        if point.name in found:
            raise SambenchError(
                f"model {point.name!r} is announced by {found[point.name][1]} and {package}. Uninstall one."
            )
        found[point.name] = (point.value, package)
    return found


def from_file(spec: str) -> tuple[str, str]:
    """Check ``path/to/file.py:Class``, and return the class's name with its target.

    The file is run, as an import would.

    Raises:
        SambenchError: the file or the class is not there, or the file fails.
    """
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py") or not name.isidentifier():
        raise SambenchError(f"adapter {spec!r}: say path/to/file.py:Class.")
    target = f"{Path(path).expanduser().resolve()}:{name}"
    load(target)
    return name, target


def load(target: str) -> Callable[..., Any]:
    """Import the class or function that ``module:attribute`` or ``file.py:attribute`` names.

    Raises:
        SambenchError: there is none; a failure inside the module is shown with its type and line.
    """
    where, _, attribute = target.rpartition(":")
    try:
        module = _run(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except SambenchError:
        raise
    except Exception as error:
        raise SambenchError(f"{where}: cannot be imported. {_place(error)}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise SambenchError(f"{where}: has no class {attribute!r}.{did_you_mean(attribute, known)}")
    return found


def _run(file: Path) -> ModuleType:
    """Import a file by its path, once; other files of the same name do not get in its way."""
    if not file.is_file():
        raise SambenchError(f"{file}: no such file.")
    name = f"sambench_adapter_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(error: Exception) -> str:
    """Name an error and the line it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f" (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename})" if trace else ""
    return f"{type(error).__name__}: {error}{line}"

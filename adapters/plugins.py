"""Models from outside: installed packages that announce one, and a class in a file of the user's.

A package announces its models as entry points of the group ``sambench.adapters``, name to ``module:Class``.
Nothing of it is imported before one of them is created.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from sambench.evsam.errors import SambenchError, did_you_mean

GROUP = "sambench.adapters"

_KEYS = ("name", "class", "options")
_NAME = re.compile(r"\w[\w.+-]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


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


@dataclass(frozen=True)
class AdapterSpec:
    """A model of the user's own: its class, what it is called, and the settings it is created with."""

    target: str
    """``path/to/file.py:Class``, or ``package.module:Class`` of an installed package."""
    name: str
    """Of its rows in tables; two settings of one class are two names."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keyword arguments beside ``weights`` and ``device``, plain values; part of what decides its numbers."""

    def to_json(self) -> dict[str, Any]:
        """Return the specification as a configuration file has it."""
        return {"name": self.name, "class": self.target, "options": dict(self.options)}


def parse_adapter(given: str | Mapping[str, Any]) -> AdapterSpec:
    """Read ``[NAME=]path/to/file.py:Class``, or a mapping of ``class``, ``name`` and ``options``.

    Nothing is imported. A file's path becomes absolute, so that any process finds it.

    Raises:
        SambenchError: it is neither, or an option is no plain value.
    """
    if isinstance(given, str):
        name, equals, target = given.partition("=")
        given = {"name": name, "class": target} if equals and _NAME.fullmatch(name) else {"class": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("class"), str):
        raise SambenchError(f"adapter {given!r}: say [NAME=]FILE.py:Class, or class, name and options.")
    for key in given:
        if key not in _KEYS:
            raise SambenchError(
                f"adapter {given['class']}: no key {key!r}.{did_you_mean(str(key), _KEYS)} There are "
                f"{', '.join(_KEYS)}."
            )
    where, colon, attribute = given["class"].rpartition(":")
    if not colon or not attribute.isidentifier() or not (where.endswith(".py") or _MODULE.fullmatch(where)):
        raise SambenchError(f"adapter {given['class']!r}: say path/to/file.py:Class or package.module:Class.")
    if where.endswith(".py"):
        where = str(Path(os.path.expandvars(where)).expanduser().resolve())
    name, options = given.get("name") or attribute, given.get("options") or {}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SambenchError(f"adapter name {name!r}: use letters, digits, -, +, . and _.")
    if not isinstance(options, Mapping) or not _is_plain(options):
        raise SambenchError(f"adapter {name}: options map names to plain values, not {options!r}.")
    return AdapterSpec(f"{where}:{attribute}", name, dict(options))


def check_options(spec: AdapterSpec) -> None:
    """Import a model of the user's own, and see that its class takes the options.

    Raises:
        SambenchError: there is no such class, the file fails, or an option is none of its arguments.
    """
    target = load(spec.target)
    try:
        found = inspect.signature(target)
        found.bind(spec.name, weights=None, device=None, **spec.options)
    except (TypeError, ValueError) as error:
        raise SambenchError(
            f"adapter {spec.name}: {spec.target.rpartition(':')[2]} cannot be called with the name, weights, "
            f"device and options {dict(spec.options)}: {error}."
        ) from None


def _is_plain(value: Any) -> bool:
    """Tell whether JSON gives a value back as it was: then it can travel, and be part of a key."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


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
        known = [n for n, value in vars(module).items() if not n.startswith("_") and callable(value)]
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

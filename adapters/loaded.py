"""What creating a model from outside took in: files of the user's, and libraries.

A checksum of the class's own file says little where it imports a helper, or reads a table. Python announces
every file that it opens and keeps every module that it loads, so that nobody need declare them; a `Segmenter`
names in `files` what it reads by other ways.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sambench.adapters.files import refuse_changed
from sambench.adapters.weights.resolve import sha256_of

ROOT = Path(__file__).resolve().parent.parent
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/")
_INSTALLED = tuple(
    dict.fromkeys(
        f"{Path(folder).resolve()}{os.sep}"
        for folder in (
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
            *site.getsitepackages(),
            site.getusersitepackages(),
        )
    )
)


@dataclass(frozen=True)
class Loaded:
    """Files and libraries that a model was made of, beside sambench and its weights."""

    files: dict[str, str] = field(default_factory=dict)
    """Path to SHA-256."""
    libraries: dict[str, str] = field(default_factory=dict)
    """Distribution to version."""

    def key(self) -> dict[str, Any]:
        """Return it as part of what decides a number: wherever the files lie."""
        files = sorted([Path(file).name, checksum] for file, checksum in self.files.items())
        return {"files": files, "libraries": dict(sorted(self.libraries.items()))}

    def check(self) -> None:
        """See that the files are still what they were.

        Raises:
            SambenchError: one has changed, or is gone.
        """
        for file, checksum in self.files.items():
            path = Path(file)
            refuse_changed(path, sha256_of(path) if path.is_file() else "", checksum)


class Watch:
    """Takes note of what is opened and imported while it is on."""

    def __init__(self, who: str) -> None:
        self.opened: dict[str, None] = {}
        self._who = who
        self._before = frozenset(sys.modules)

    def loaded(self, also: Iterable[str | Path] = (), *, apart: str | None = None) -> Loaded:
        """Return what was taken in.

        Args:
            also: files that the model names itself.
            apart: path of its weights, which are recorded with a checksum of their own.
        """
        names = _imported.setdefault(self._who, set())
        names |= sys.modules.keys() - self._before
        libraries: dict[str, str] = {}
        modules = []
        for name in sorted(names):
            file = getattr(sys.modules.get(name), "__file__", None)
            if found := _distribution(name) if file and _is_installed(file) else None:
                libraries[found] = metadata.version(found)
            elif file:
                modules.append(file)
        weights = None if apart is None else Path(apart).resolve()
        files = (Path(file).resolve() for file in (*modules, *self.opened, *also))
        return Loaded({str(f): sha256_of(f) for f in sorted(set(files)) if _counts(f, weights)}, libraries)


_watches: list[Watch] = []
_imported: dict[str, set[str]] = {}
"""Names of modules by who imported them first: Python imports nothing a second time."""


@contextmanager
def watched(who: str) -> Iterator[Watch]:
    """Watch what this process opens and imports for somebody."""
    _listen()
    watch = Watch(who)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


@cache
def _listen() -> None:
    sys.addaudithook(_hear)  # for the life of the process: Python takes none away again


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watches:
        return
    if sys._getframe(1).f_globals.get("__name__") == "tokenize":
        return  # a line of who calls, for the stack that torch keeps where it is seeded: not the model's
    path, mode, flags = arguments
    writes = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)
    if isinstance(path, str | bytes | os.PathLike) and not writes:
        for watch in _watches:
            watch.opened[os.path.abspath(os.fsdecode(path))] = None


def _counts(file: Path, weights: Path | None) -> bool:
    """Tell whether a file is the user's: neither installed, nor ours, nor the system's, nor the weights."""
    if not file.is_file() or file.suffix == ".pyc" or str(file).startswith(_SYSTEM):
        return False
    if weights is not None and file.is_relative_to(weights):
        return False
    return not _is_installed(str(file)) and not _is_ours(file)


def _is_installed(file: str) -> bool:
    return os.path.realpath(file).startswith(_INSTALLED)


def _is_ours(file: Path) -> bool:
    packages = ("evsam", "adapters", "suites", "harness", "reports")
    return file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in packages


def _distribution(module: str) -> str | None:
    """Return the distribution that a module came with; ``None`` for the standard library's."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "sambench":
        return None
    found = _distributions().get(top)
    return found[0] if found else None


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())

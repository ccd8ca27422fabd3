"""What made a number: code, versions, machine, files."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEASURING = ("evsam", "adapters", "suites", "harness")
"""The packages whose code decides a record, as far as a suite, an adapter or the worker imports it."""

TABLES = ("sambench.adapters.models", "sambench.suites.registry")
"""Modules that only say which others there are."""

LIBRARIES = ("torch", "numpy", "pillow", "opencv-python-headless", "pycocotools", "pyarrow")


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 over the sources of some modules and of all that they import from the measuring packages.

    A record is reused by the code that made it alone, and another model's code does not matter to it.
    """
    digest = hashlib.sha256()
    found: set[Path] = set()
    todo = [_source(module) or _outside(module) for module in modules]
    while todo:
        file = todo.pop()
        if file is not None and file not in found:
            found.add(file)
            todo += [_source(name) or _beside(name, file) for name in _imports(file)]
    for file in sorted(found):
        name = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _source(module: str) -> Path | None:
    """The file of a measuring module or package."""
    namespace, *parts = module.split(".")
    if namespace != "sambench" or not parts or parts[0] not in MEASURING or module in TABLES:
        return None
    package = ROOT.joinpath(*parts)
    files = (package.with_suffix(".py"), package / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _outside(module: str) -> Path | None:
    """The file of a model from outside: a path, or a module of an installed package."""
    if module.endswith(".py"):
        return Path(module)
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


def _beside(module: str, importer: Path) -> Path | None:
    """The file of a module that a model from outside imports from its own folder or package."""
    if importer.is_relative_to(ROOT) and importer.relative_to(ROOT).parts[0] in MEASURING:
        return None
    parts = module.split(".")
    for folder in importer.parents[: len(parts) + 1]:
        tails = [parts]
        if folder.name in parts[:-1]:  # the folder is the package itself
            tails.append(parts[parts.index(folder.name) + 1 :])
        for tail in tails:
            for file in (folder.joinpath(*tail).with_suffix(".py"), folder.joinpath(*tail, "__init__.py")):
                if file.is_file():
                    return file
    return None


def _imports(file: Path) -> Iterator[str]:
    """All that a file imports, wherever in it; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module
            yield from (".".join(filter(None, (node.module, alias.name))) for alias in node.names)


@cache
def versions(*more: str) -> dict[str, str]:
    """Versions of Python, sambench and the libraries that numbers depend on, and of more where installed."""
    found = {"python": platform.python_version()}
    for name in ("sambench", *LIBRARIES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_state() -> dict[str, Any]:
    """Commit of the checkout this runs from and whether it was changed; empty outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return {}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


@cache
def device_name(device: str) -> str:
    """Name the hardware behind ``cpu`` or ``cuda:0``."""
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return f"{_cpu_model()}, {torch.get_num_threads()} threads"


@dataclass(frozen=True)
class Hardware:
    """What a worker computes on, as it sees it itself."""

    device: str
    """Its name (`device_name`)."""
    host: str
    """The machine's."""
    threads: int
    """Of torch, on the CPU."""
    cpu_capability: str
    """The instruction set that torch's kernels take, such as ``AVX512``."""


def hardware(device: str) -> Hardware:
    """Return what this process computes on."""
    import torch

    return Hardware(device_name(device), platform.node(), torch.get_num_threads(), cpu_capability())


def cpu_capability() -> str:
    """Return the instruction set that torch's kernels take here: another one rounds otherwise."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

"""Which sambench this is: the version it was installed as, or where a checkout stands."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "0+unknown"
"""Of an archive that says nothing of itself; the build's ``fallback_version`` too."""

ARCHIVED = ".git_archival.txt"
"""Filled by ``git archive``, so that an archive of the sources knows its commit."""


@cache
def version() -> str:
    """Return the version of the code that runs, by PEP 440.

    A checkout is asked itself, for what was installed from it keeps the version of that day, whatever the
    files are now: ``0.1.0`` at its tag, ``0.1.0+12.g1cf418b`` twelve commits later, ``0+g1cf418b`` where no
    tag is known, each with ``.dirty`` where tracked files were changed.
    """
    if (ROOT / ".git").exists() and (found := _of_checkout()):
        return found
    if found := _of_archive():
        return found
    try:
        return metadata.version("sambench")
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _of_checkout() -> str | None:
    described = ("git", "-C", str(ROOT), "describe", "--tags", "--long", "--always", "--dirty", "--match")
    try:
        done = subprocess.run([*described, "v[0-9]*"], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return of_description(done.stdout.strip())


def _of_archive() -> str | None:
    """Read what ``git archive`` left; nothing where the file is as it lies in the repository."""
    try:
        lines = (ROOT / ARCHIVED).read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    node = found.get("node", "")
    if not re.fullmatch("[0-9a-f]{40}", node):
        return None
    return of_description(found.get("describe-name") or node[:9])


def of_description(text: str) -> str:
    """Return the version that ``git describe`` means.

    Args:
        text: ``v0.1.0-12-g1cf418b``, ``v0.1.0`` or, without a tag, ``1cf418b``; perhaps with ``-dirty``.
    """
    clean = text.removesuffix("-dirty")
    dirty = ["dirty"] * (text != clean)
    if not clean.startswith("v"):
        return f"0+{'.'.join([f'g{clean}', *dirty])}"
    tag, *since = clean.removeprefix("v").rsplit("-", 2)
    local = dirty if since[:1] in ([], ["0"]) else [*since, *dirty]
    return f"{tag}+{'.'.join(local)}" if local else tag

"""What the headers of image files say, read once: the next command on the same files opens none."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import PIL

from sambench.adapters.images import Look, look
from sambench.suites.data.remembered import Remembered

VERSION = 1
"""Of what `adapters.images.header` finds: raise it with any change that alters an answer."""


class Looks:
    """Looks at image files, and remembers what it saw once it is asked to `keep` it.

    Args:
        files: those that are to be looked at.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._memory = Remembered("looks")
        self._known = self._memory.recall(files)
        self._fresh: dict[Path, str] = {}

    def __call__(self, file: Path) -> Look:
        """Return what a header says, as `adapters.images.look` does, in any thread.

        Raises:
            SambenchError: missing, not an image, or damaged in what it says of itself.
        """
        text = self._known.get(file)
        if text is not None and (seen := _look(text)) is not None:
            return seen
        seen = look(file)
        self._fresh[file] = _text(seen)
        return seen

    def keep(self) -> None:
        """Remember what was seen."""
        self._memory.remember(self._fresh)


def _by() -> str:
    return f"{VERSION} {PIL.__version__}"


def _text(seen: Look) -> str:
    return json.dumps({"by": _by(), **asdict(seen)})


def _look(text: str) -> Look | None:
    """Return what was remembered; ``None`` where other code or another Pillow had seen it."""
    found = json.loads(text)
    if found.pop("by") != _by():
        return None
    return Look(**(found | {"stored": tuple(found["stored"])}))

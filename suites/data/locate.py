"""Where a data set's image files lie: by their names as tools write them, and always within their folder."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from sambench.suites.data.ids import nfc

Match = Literal["name", "basename"]
"""By what an image's file is found: its name, which may have folders, or the last part of that alone."""

LOCAL = "?d="
"""What precedes the path in an address of Label Studio's local storage."""


@dataclass(frozen=True)
class Located:
    """Where an image's file is."""

    file: Path
    """Where it is, or where it should be."""
    kind: str | None = None
    """A name in `checks.problems.KINDS`, where it is not simply there under its name."""
    detail: str = ""


class ImageFolder:
    """A folder of images.

    Args:
        folder: of the images.
        match: by what their files are found.
    """

    def __init__(self, folder: Path, match: Match = "name") -> None:
        self.folder, self._match = folder, match

    def named(self, file_name: str | None, coco_url: str | None) -> Path:
        """Return where an image should lie by its name, or as LVIS has it by the end of its address."""
        if file_name or not coco_url:
            return self.folder / (file_name or "")
        # http://images.cocodataset.org/train2017/000000123456.jpg
        *_, split, name = ("", *str(coco_url).split("/"))
        beside = self.folder / name
        return beside if split in ("", ".", "..") or _is_file(beside) else self.folder / split / name

    def find(self, file_name: str | None, coco_url: str | None) -> Located:
        """Find an image's file."""
        plain = self.named(file_name, coco_url)
        if not file_name:
            return Located(plain) if _is_file(plain) else Located(plain, "missing_image", str(plain))
        if self._match == "basename":
            return self._by_basename(file_name)
        name = file_name.replace("\\", "/")
        decoded = unquote(name.rpartition(LOCAL)[2]).replace("\\", "/")
        kinds = {decoded: "name_decoded", name: "name_slashes" if name != file_name else None}
        inside = {own: kinds[way] for way in (name, decoded) if (own := self._inside(way)) is not None}
        for own, kind in inside.items():
            if _is_file(self.folder / own):
                return Located(self.folder / own, kind, f"{file_name!r} is {own}")
        for own in inside:
            if there := self._by_relative.get(nfc(own)):
                return Located(there, "name_unicode", f"{file_name!r} is written otherwise there")
        for base in dict.fromkeys((_base(name), _base(decoded))):
            if self._by_base.get(nfc(base)):
                return Located(plain, "name_elsewhere", f"{file_name!r}, but the folder has {base}")
        kind = "missing_image" if inside else "outside_image"
        return Located(plain, kind, str(plain) if inside else repr(file_name))

    def _inside(self, name: str) -> str | None:
        """Return a name from the folder on; ``None`` where it leads out of it. Links may lead anywhere."""
        if "\0" in name:
            return None
        root = os.path.abspath(self.folder)
        path = os.path.normpath(os.path.join(root, name))
        return os.path.relpath(path, root) if (path + os.sep).startswith(root + os.sep) else None

    def _by_basename(self, file_name: str) -> Located:
        base = _base(file_name)
        files = self._by_base.get(nfc(base)) or self._by_base.get(nfc(_base(unquote(file_name))))
        if not files:
            return Located(self.folder / base, "missing_image", str(self.folder / base))
        if len(files) > 1:
            both = " and ".join(str(file.relative_to(self.folder)) for file in files[:2])
            return Located(files[0], "ambiguous_name", f"{base} is {both}")
        same = file_name == str(files[0].relative_to(self.folder))
        return Located(files[0], None if same else "name_base", f"{file_name!r} is {files[0]}")

    @cached_property
    def _by_relative(self) -> dict[str, Path]:
        """All files below the folder, by their names from it on, letters and accents composed."""
        found = {}
        for at, _, names in os.walk(self.folder):
            for name in sorted(names):
                file = Path(at, name)
                found[nfc(file.relative_to(self.folder).as_posix())] = file
        return found

    @cached_property
    def _by_base(self) -> dict[str, list[Path]]:
        """Likewise, by the last part of their names."""
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for file in self._by_relative.values():
            found[nfc(file.name)].append(file)
        return dict(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no system takes
        return False


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]

"""SA-1B's files: a picture ``sa_ID.jpg`` and its annotations ``sa_ID.json``, in folders.

There are eleven million, so what is kept of one is a few numbers in arrays, and files are opened when they
are read. For the tar files as released see `tars`.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sambench.evsam.errors import SambenchError

NAME = re.compile(r"sa_(0|[1-9][0-9]{0,11})\.(jpg|json)")
"""Of a file: the id, and which of the two it is."""
ID_LIST = "sa_images_ids.txt"
"""In the authors' layout: the ids in their order, one a line."""


@dataclass(frozen=True)
class Pair:
    """The two files of one image, as bytes."""

    id: int
    picture: bytes
    picture_name: str
    """For messages, as the next."""
    annotations: bytes
    annotations_name: str


class Pairs(ABC):
    """All images there are, in their order. It travels to other processes."""

    layout: str
    """For the record."""
    ids: np.ndarray
    """(n,) int64."""

    @abstractmethod
    def read(self, index: int) -> Pair:
        """Read the files of an image.

        Raises:
            SambenchError: one is missing or cannot be read; the message names it.
        """

    def contents(self) -> dict[str, Any]:
        """Return what decides the images beside their ids, in JSON's types."""
        return {}


class Folders(Pairs):
    """Unpacked files, two and two beside one another, in a folder or in its folders; by rising id.

    Args:
        root: of all. It is listed once.

    Raises:
        SambenchError: it cannot be listed, or has an id twice.
    """

    layout = "folder"

    def __init__(self, root: Path) -> None:
        self.folders, ids, places = _list(root)
        keys = np.unique(ids * len(self.folders) + places)  # one of a picture with its annotations
        self.ids, self.places = keys // len(self.folders), (keys % len(self.folders)).astype(np.int32)
        twice = np.flatnonzero(np.diff(self.ids) == 0)
        if len(twice):
            first, second = (self.folders[self.places[twice[0] + k]] for k in (0, 1))
            raise SambenchError(
                f"{root}: sa_{self.ids[twice[0]]} is in {first} and in {second}; {len(twice)} images are "
                "in two places. Leave one of each, picture and annotations side by side."
            )

    def read(self, index: int) -> Pair:
        """Read two files that lie beside one another."""
        folder, number = self.folders[self.places[index]], int(self.ids[index])
        return _read(number, folder / f"sa_{number}.jpg", folder / f"sa_{number}.json", "or remove the other")


class Listed(Pairs):
    """The authors' layout: a list of ids, folders of pictures and of annotations; in the list's order.

    Args:
        root: which has the list.

    Raises:
        SambenchError: the list cannot be read, or has an id twice.
    """

    layout = "authors"

    def __init__(self, root: Path) -> None:
        self.root = root
        file = root / ID_LIST
        self.ids = _read_ids(file)
        found, counts = np.unique(self.ids, return_counts=True)
        if (counts > 1).any():
            raise SambenchError(f"{file}: {found[counts > 1][0]} is there twice. Leave one line of each id.")

    def read(self, index: int) -> Pair:
        """Read two files by the id that the list has."""
        number = int(self.ids[index])
        picture, annotations = (self.root / f for f in (f"images/sa_{number}.jpg", f"masks/sa_{number}.json"))
        return _read(number, picture, annotations, f"or take {number} out of {ID_LIST}")


def _list(root: Path) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """List a folder and the folders in it.

    Returns:
        The folders; and of each file with such a name its id and its folder's place among them, both int64.
    """
    folders = [root]
    ids, places = array("q"), array("q")
    for place, folder in enumerate(_growing(folders)):
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    if match := NAME.fullmatch(entry.name):
                        ids.append(int(match[1]))
                        places.append(place)
                    elif folder == root and entry.is_dir():
                        folders.append(root / entry.name)
        except OSError as error:
            raise SambenchError(f"{folder}: cannot be listed ({error.strerror or error}).") from None
        if place == 0:
            folders[1:] = sorted(folders[1:])
    return folders, np.array(ids, np.int64), np.array(places, np.int64)


def _growing(folders: list[Path]) -> Iterator[Path]:
    """Walk a list that grows meanwhile."""
    yield from folders


def _read_ids(file: Path) -> np.ndarray:
    """Read whole numbers, one a line, as int64."""
    try:
        with file.open("rb") as lines:
            return np.fromiter((int(line) for line in lines if line.strip()), np.int64)
    except OSError as error:
        raise SambenchError(f"{file}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, OverflowError) as error:
        raise SambenchError(
            f"{file}: must have one whole number a line, the id of an image ({error})."
        ) from None


def _read(number: int, picture: Path, annotations: Path, remedy: str) -> Pair:
    """Read two files."""
    contents = []
    for file in (picture, annotations):
        try:
            contents.append(file.read_bytes())
        except FileNotFoundError:
            raise SambenchError(f"{file}: no such file. Get it again, {remedy}.") from None
        except OSError as error:
            raise SambenchError(f"{file}: cannot be read ({error.strerror or error}).") from None
    return Pair(number, contents[0], str(picture), contents[1], str(annotations))

"""Ids as files have them, and the whole numbers that stand for them inside.

Tools write the id 7 as 7, 7.0 or "7"; others take hashes, names, negative numbers. All that is asked of an id
is that it is the same wherever it is meant. Whole numbers of 64 bits stand for themselves; where a file has
others among the ids of its images, say, all of these are numbered anew, and records give back what the file
has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sambench.suites.data.endings import image_endings

Given = int | str
"""An id as it is meant: 7.0 and "7" are 7, "0007" too; what is no whole number is its text."""

TextIds = Mapping[str, Mapping[int, str]]
"""By column of records, what an annotation file has for the numbers that stand for its ids."""

MARKS = ("NaN", "Infinity", "-Infinity")
"""Strings that stand for numbers that JSON has not (see `content.Content`)."""

WHOLE = re.compile(r"[+-]?[0-9]{1,1000}(\.0*)?")
LEAST, MOST = -(2**63), 2**63 - 1


def as_id(value: object) -> Given | None:
    """Return the id that a JSON value is meant as; ``None`` where it is none."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str) or not (text := value.strip()) or text in MARKS:
        return None
    return int(text.partition(".")[0]) if WHOLE.fullmatch(text) else text


@dataclass(frozen=True)
class Ids:
    """The ids of one kind in a file: those of its images, of its annotations, or of its categories."""

    numbers: Mapping[Given, int] = field(default_factory=dict)
    """What stands for each inside, where they are numbered anew."""

    @classmethod
    def of(cls, given: Iterable[Given]) -> Ids:
        """Number ids in their order from 1, unless each can stand for itself."""
        listed = list(dict.fromkeys(given))
        if all(type(one) is int and LEAST <= one <= MOST for one in listed):
            return cls()
        return cls({one: number for number, one in enumerate(listed, start=1)})

    @property
    def anew(self) -> bool:
        """Whether they are numbered anew."""
        return bool(self.numbers)

    @property
    def texts(self) -> dict[int, str]:
        """What the file has for each number, where they are numbered anew."""
        return {number: str(given) for given, number in self.numbers.items()}

    @property
    def given(self) -> dict[int, Given]:
        """The id that each number stands for, where they are numbered anew."""
        return {number: given for given, number in self.numbers.items()}

    def number(self, given: Given) -> int | None:
        """Return what stands for an id; ``None`` of one that the file has not."""
        if self.numbers:
            return self.numbers.get(given)
        return given if type(given) is int else None


@dataclass(frozen=True)
class Known:
    """What a detector's boxes can belong to: the images and categories of an annotation file."""

    listed: frozenset[int]
    """The images' numbers inside."""
    images: Ids = field(default_factory=Ids)
    stems: Mapping[str, int] = field(default_factory=dict)
    """Name of an image's file without folder and ending to its number; those of two images are left out."""
    categories: Ids = field(default_factory=Ids)
    twice: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The names that several images share, with their numbers."""
    names: Mapping[str, int] = field(default_factory=dict)
    """Name of a category to its number; those of two categories are left out."""
    listed_categories: frozenset[int] | None = None
    """The categories' numbers inside; ``None`` where they are not known."""

    @classmethod
    def of(
        cls,
        files: Mapping[int, str],
        images: Ids | None = None,
        categories: Ids | None = None,
        names: Iterable[tuple[int, str]] = (),
    ) -> Known:
        """Index what an annotation file lists.

        Args:
            files: each image's number inside to its file as annotated, empty where it has none.
            images: what the numbers stand for.
            categories: what those of the categories stand for.
            names: each category's number and name.
        """
        by_stem: dict[str, list[int]] = {}
        for number, file in files.items():
            if stem := stem_of(file):
                by_stem.setdefault(stem, []).append(number)
        by_name: dict[str, int | None] = {}
        listed = list(names)
        for number, given in listed:
            name = nfc(given.strip())
            by_name[name] = number if by_name.get(name, number) == number else None
        return cls(
            frozenset(files),
            images or Ids(),
            {stem: numbers[0] for stem, numbers in by_stem.items() if len(numbers) == 1},
            categories or Ids(),
            {stem: tuple(numbers) for stem, numbers in by_stem.items() if len(numbers) > 1},
            {name: number for name, number in by_name.items() if number is not None},
            frozenset(number for number, _ in listed) if listed else None,
        )


def stem_of(file: str) -> str:
    """Return a file's name without folder and ending, however its system writes it (see `nfc`).

    An ending is that of a kind of image: ``a.v2`` is a name as it is. What an address has behind it, from a
    question mark on, goes with it.
    """
    path = PurePosixPath(nfc(file).replace("\\", "/"))
    return path.stem if path.suffix.partition("?")[0].lower() in image_endings() else path.name


def nfc(text: str) -> str:
    """Return a text in the one form that equal texts share: macOS takes letters with marks apart."""
    return unicodedata.normalize("NFC", text)

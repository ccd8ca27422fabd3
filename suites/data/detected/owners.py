"""Which image and which category each detection is of: by id, else by the file's or the category's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.detected.entries import Column, Written
from sambench.suites.data.detected.faults import Wrong
from sambench.suites.data.detected.kinds import FAULTS
from sambench.suites.data.ids import LEAST, MOST, Given, Known, as_id, nfc, stem_of

_None = frozenset[int]()


@dataclass(frozen=True)
class Owners:
    """What the U written ids of a column stand for."""

    numbers: np.ndarray
    """(U,) int64, inside."""
    there: np.ndarray
    """(U,) bool: whether the annotation file lists it, as far as that is known."""
    by_name: np.ndarray
    """(U,) bool: whether a name told it, not an id."""
    wrong: tuple[Wrong, ...] = ()
    """Ids that fit none or two, with the first entry of each."""
    other: Mapping[int, int] = field(default_factory=dict)
    """What the numbers would be if whole numbers were read the other way, by id or by name; none where it is
    all the same."""
    read_by_name: bool = False
    """Whether whole numbers were read as names."""

    @classmethod
    def of(cls, rows: Sequence[tuple[int, bool, bool]], wrong: Sequence[Wrong] = ()) -> Owners:
        """Return those of a row an id: number, whether it is there, whether a name told it."""
        numbers, there, by_name = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(numbers, np.int64), np.array(there, bool), np.array(by_name, bool), tuple(wrong))


def whole_numbers(column: Column, what: str) -> Owners:
    """Take ids for the whole numbers that they say, where nothing is known of an annotation file."""
    rows, wrong = [], []
    for place, written in enumerate(column.written):
        given = as_id(written)
        fits = type(given) is int and LEAST <= given <= MOST
        rows.append((given if fits and type(given) is int else 0, fits, False))
        if not fits:
            found = f"{what} is {quoted(written)}, no whole number of 64 bits"
            wrong.append(Wrong(column.entry_of(place), "id", found))
    return Owners.of(rows, wrong)


class Images:
    """The images of an annotation file, by id and by the name of their file.

    A text fits by either, and has to fit one image. Whole numbers are ids, or file names without their zeros,
    as ultralytics writes them of one's own data: all numbers of a file are the one or the other, whichever
    explains them. Where both do, they are what COCO's format says, ids; a mixture is not taken.
    """

    key, fits_two = "image_id", "two_images"

    def __init__(self, known: Known) -> None:
        self._known = known
        self.names_are_sure = bool(known.stems or known.twice)
        """Whether an image of another name is another image."""
        self._by_stem: dict[Written, frozenset[int]] = {s: frozenset([n]) for s, n in known.stems.items()}
        self._by_stem |= {stem: frozenset(both) for stem, both in known.twice.items()}
        for stem, numbers in list(self._by_stem.items()):
            number = as_id(stem)
            if type(number) is int:
                self._by_stem[number] = self._by_stem.get(number, _None) | numbers

    def match(self, column: Column) -> Owners:
        """Match the images of detections; those that fit none are of images elsewhere."""
        fits = [(self.by_id(w), self.by_name(w)) for w in column.written]
        only = _explains([pair for w, pair in zip(column.written, fits, strict=True) if type(w) is int])
        rows, wrong = [], []
        for place, (written, (own, named)) in enumerate(zip(column.written, fits, strict=True)):
            taken = own | named
            if type(written) is int:
                taken = {"id": own, "name": named}.get(only, taken)
            if only == "mixed" and type(written) is int and own != named:
                kind = "an image's id" if own else "the name of an image's file"
                what = f"image_id is {written}, {kind}, while other numbers are only the other"
                wrong.append(Wrong(column.entry_of(place), "two_images", what))
            elif len(taken) > 1:
                wrong.append(Wrong(column.entry_of(place), "two_images", self._two(written, own, named)))
            number = min(own & taken or taken, default=0)
            rows.append((number, bool(taken), bool(taken) and number not in own))
        both = [
            (min(own), min(named))
            for written, (own, named) in zip(column.written, fits, strict=True)
            if type(written) is int and len(own) == len(named) == 1
        ]
        by_name = only == "name"
        other = {named: own for own, named in both} if by_name else dict(both)
        if all(taken == also for taken, also in other.items()):
            other = {}
        return replace(Owners.of(rows, wrong), other=other, read_by_name=by_name)

    def by_id(self, written: Written) -> frozenset[int]:
        """Return the image of an id."""
        given = as_id(written)
        number = None if given is None else self._known.images.number(given)
        return frozenset([number]) & self._known.listed if number is not None else _None

    def by_name(self, written: Written) -> frozenset[int]:
        """Return the images whose file has a name."""
        if type(written) is int:
            return self._by_stem.get(written, _None)
        text = nfc(str(written).strip())
        for name in (text, stem_of(text), as_id(text)):
            if name in self._by_stem:
                return self._by_stem[name]
        return _None

    def _two(self, written: Written, own: frozenset[int], named: frozenset[int]) -> str:
        first = min(own or named)
        fits = f"the id of an image, whose file is {self._stems.get(first, 'not named')}"
        if not own:
            fits = f"the file name of {self._image(first)}"
        return (
            f"image_id is {quoted(written)}, {fits}, and the file name of {self._image(min(named - {first}))}"
        )

    def _image(self, number: int) -> str:
        return f"image {quoted(self._given.get(number, number))}"

    @cached_property
    def _given(self) -> dict[int, Given]:
        return {number: given for given, number in self._known.images.numbers.items()}

    @cached_property
    def _stems(self) -> dict[int, str]:
        shared = {number: stem for stem, numbers in self._known.twice.items() for number in numbers}
        return shared | {number: stem for stem, number in self._known.stems.items()}


class Categories:
    """The categories of an annotation file, by id and by name."""

    key, fits_two = "category_id", "two_categories"
    names_are_sure = False
    """Tools spell the name of a category otherwise."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def match(self, column: Column) -> Owners:
        """Match the categories of detections.

        A whole number that is not listed stands for itself, as far as it can: what numbering it may be of is
        seen from all of them (see `scoring.detector`).
        """
        rows, wrong = [], []
        for place, written in enumerate(column.written):
            number, named = self._number(written), self.by_name(written)
            own = self.by_id(written)
            taken = own | named or number
            if len(taken) != 1:
                kind = "two_categories" if taken else "no_category"
                what = f"category_id is {quoted(written)}, which {FAULTS[kind].what}"
                wrong.append(Wrong(column.entry_of(place), kind, what))
            rows.append((min(taken, default=0), True, bool(named - own)))
        return Owners.of(rows, wrong)

    def _number(self, written: Written) -> frozenset[int]:
        given = as_id(written)
        number = None if given is None else self._known.categories.number(given)
        return _None if number is None or not LEAST <= number <= MOST else frozenset([number])

    def by_id(self, written: Written) -> frozenset[int]:
        """Return the category of an id, if it is listed."""
        number, listed = self._number(written), self._known.listed_categories
        return number if listed is None or number <= listed else _None

    def by_name(self, written: Written) -> frozenset[int]:
        """Return the category of a name."""
        number = self._known.names.get(nfc(written.strip())) if isinstance(written, str) else None
        return _None if number is None else frozenset([number])


def _explains(fits: Sequence[tuple[frozenset[int], frozenset[int]]]) -> str:
    """Say what the whole numbers of a file are: ``id``, ``name`` or ``mixed``."""
    ids_alone = any(own and not named for own, named in fits)
    names_alone = any(named and not own for own, named in fits)
    if ids_alone and names_alone:
        return "mixed"
    return "name" if names_alone else "id"

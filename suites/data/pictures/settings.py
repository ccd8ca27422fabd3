"""What a data set's file says of its masks: where they lie, and what their pixels' values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.suites.files import expanded

Ids = Literal["binary", "values", "rgb"]
"""What is one object: all that is not 0; each value above 0; each id R + 256 G + 65536 B above 0."""

KEYS = ("masks", "mask_ids", "void", "components")
"""Of a data set's file, in place of ``annotations``."""


@dataclass(frozen=True)
class Masks:
    """A folder of mask pictures, and how they are read."""

    folder: Path
    """Of the masks; its last part may be a pattern of their names, such as ``gtFine/*_instanceIds.png``."""
    ids: Ids | None = None
    """``None`` to tell it from all files."""
    void: tuple[int, ...] | None = None
    """Values of pixels that count nowhere. ``()`` says that there are none, ``None`` says nothing."""
    components: bool = False
    """Whether each connected part of an id is an object of its own."""

    @classmethod
    def of(cls, folder: Path, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` was made of."""
        void = facts["void"]
        return cls(folder, facts["ids"], None if void is None else tuple(void), facts["components"])

    def facts(self) -> dict[str, Any]:
        """Return what decides how files are read, as plain values."""
        void = None if self.void is None else list(self.void)
        return {"ids": self.ids, "void": void, "components": self.components}


def read_masks(given: Mapping[str, Any], where: str) -> Masks | None:
    """Read the keys `KEYS` of a data set; ``None`` where it has no ``masks``.

    Args:
        given: the data set's keys, others too.
        where: they were given, for messages.

    Raises:
        SambenchError: one is wrong (see `refuse_wrong`), or a variable of the folder's path is not set.
    """
    refuse_wrong(given, where)
    if not given.get("masks"):
        return None
    void = _listed(given.get("void"))
    return Masks(
        expanded(given["masks"], "masks", where),
        given.get("mask_ids"),
        None if void is None else tuple(sorted(set(void))),
        bool(given.get("components")),
    )


def refuse_wrong(given: Mapping[str, Any], where: str) -> None:
    """See that a data set's keys `KEYS` are what they can be.

    Raises:
        SambenchError: a value is wrong, or one is there without ``masks``, or ``annotations`` is beside it.
    """
    ids, void, components = (given.get(key) for key in KEYS[1:])
    alone = [key for key in KEYS[1:] if given.get(key)]
    if alone and not given.get("masks"):
        raise SambenchError(f"{where}: {alone[0]} goes with masks, a folder of mask pictures. Name it.")
    if given.get("masks") and given.get("annotations"):
        raise SambenchError(
            f"{where}: has annotations and masks. Say one: a JSON file, or a folder of masks."
        )
    if ids not in (None, *get_args(Ids)):
        near = did_you_mean(str(ids), get_args(Ids))
        raise SambenchError(f"{where}: mask_ids is {ids!r}; it can be {', '.join(get_args(Ids))}.{near}")
    if not isinstance(components, bool | None):
        raise SambenchError(f"{where}: components is {components!r}; say true or false.")
    if not all(type(value) is int and value >= 0 for value in _listed(void) or ()):
        raise SambenchError(
            f"{where}: void is {void!r}; it is a list of whole numbers from 0, such as [255]."
        )


def _listed(given: Any) -> list[Any] | None:
    """Return values as a list, also one that stands alone."""
    if given is None:
        return None
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]

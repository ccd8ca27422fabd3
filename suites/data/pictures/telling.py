"""What the values of mask pictures mean, where nobody said: told from all files if they leave no doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.pictures.picture import VOC_VOID
from sambench.suites.data.pictures.settings import Ids
from sambench.suites.data.pictures.values import MaskError, read_values
from sambench.suites.data.prefetch import prefetch

CLASSES = 255
"""Up to here a value may be a class, for there are pictures of classes in 8 bits."""
DEEPEST = 65535
"""White in 16 bits: a picture that has it beside other values may be smoothed."""
SHOWN = 12
"""Values that a message lists."""


@dataclass(frozen=True)
class Seen:
    """What one file has."""

    kind: str
    """Of picture, in words."""
    values: frozenset[int]
    """Above 0 and not void; empty of colours."""
    is_palette: bool = False
    in_colours: bool = False
    is_lossy: bool = False


def look(file: Path, void: Sequence[int]) -> Seen | MaskError:
    """Decode a file and see what it has; the error where it cannot be read.

    Raises:
        SambenchError: it is missing.
    """
    try:
        found = read_values(file)
    except MaskError as error:
        return error
    if found.grey is None:
        return Seen(found.kind, frozenset(), in_colours=True)
    values = frozenset(np.unique(found.grey).tolist()) - {0, *void}
    return Seen(found.kind, values, found.is_palette, is_lossy=found.is_lossy)


def tell(files: Sequence[Path], void: tuple[int, ...] | None) -> Ids | list[Finding]:
    """Tell what values mean, or say why it cannot be told.

    Args:
        files: all masks.
        void: values that count nowhere, where they are said.

    Returns:
        What they mean; or what was seen that leaves a doubt, and each file that cannot be read.

    Raises:
        SambenchError: a file is missing.
    """
    looks = list(prefetch(lambda file: look(file, void or ()), files))
    seen = [one for one in looks if isinstance(one, Seen)]
    doubt = _doubt(seen, void) if seen else ""
    if seen and not doubt:
        return "binary" if all(len(one.values) <= 1 for one in seen) else "values"
    unread = [one.finding for one in looks if isinstance(one, MaskError)]
    return [("mask_ids", f"{doubt}. {_what(seen)}"), *unread] if doubt else unread


def _doubt(seen: Sequence[Seen], void: Sequence[int] | None) -> str:
    """Say why the files could mean several things; empty where they cannot."""
    if any(one.in_colours or one.is_lossy for one in seen):
        return "some are in colours, which may be ids or a drawing, or JPEGs, whose values are blurred"
    alone = all(len(one.values) <= 1 for one in seen)
    together = frozenset().union(*(one.values for one in seen))
    palettes = frozenset().union(*(one.values for one in seen if one.is_palette))
    if VOC_VOID in palettes and palettes != {VOC_VOID} and void is None:
        return f"palettes have index {VOC_VOID}, which VOC calls void"
    if alone:  # one value a file: binary and values are the same
        return ""
    kinds = {one.kind for one in seen if one.values}
    if len(kinds) > 1:
        return "they are of several kinds"
    if kinds == {"palette"} or together.union(void or ()) >= set(range(1, max(together))):  # without a gap
        return ""
    if max(together) <= CLASSES or max(together) == DEEPEST:
        return "the values may be ids, classes, or what smoothing left"
    if min(together) <= CLASSES:  # as Cityscapes' 7 for all of the road beside 26001 for one car
        return f"those up to {CLASSES} may be classes beside the ids of objects"
    return ""


def _what(seen: Sequence[Seen]) -> str:
    """Say what was seen: kinds with how many files, and values."""
    kinds = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(Counter(o.kind for o in seen).items()))
    values = sorted(frozenset().union(*(one.values for one in seen)))
    if not values:
        return f"Seen: {kinds}."
    shown = ", ".join(map(str, values[:SHOWN]))
    more = f", ... {values[-1]} ({len(values):,} values)" if len(values) > SHOWN else ""
    several = sum(len(one.values) > 1 for one in seen)
    return (
        f"Seen: {kinds}; values above 0: {shown}{more}, more than one in {several:,} of {len(seen):,} files."
    )

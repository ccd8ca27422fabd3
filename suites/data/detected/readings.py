"""Whole numbers that are both ids of images and names of files: which of the two the boxes speak for."""

from __future__ import annotations

from collections.abc import Sequence

from sambench.suites.data.detected.box_kinds import COCOS, ENOUGH, FEWEST, TIMES, Seen, count_met, most_met


def read_otherwise(taken: Sequence[Seen], other: Sequence[Seen], *, by_name: bool) -> str | None:
    """Say that boxes meet far more annotated boxes if numbers are read the other way.

    Args:
        taken: images with their boxes, as the numbers were read.
        other: those that the same boxes are of in the other reading.
        by_name: whether they were read as names of files, not as ids.
    """
    ours, theirs = (count_met(seen, COCOS) for seen in (taken, other))
    most, their_most = most_met(taken), most_met(other)
    if theirs < max(FEWEST, ENOUGH * their_most) or theirs / their_most < TIMES * ours / max(most, 1):
        return None
    names = ("ids", "the names of files") if by_name else ("the names of files", "ids")
    return (
        f"image_id looks like {names[0]}: {theirs / their_most:.0%} of the annotated boxes are met so, "
        f"{ours / max(most, 1):.0%} as {names[1]}"
    )

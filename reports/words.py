"""Names and protocol axes in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sambench.adapters.models import REGISTRY
from sambench.suites.protocol import PRESETS, for_suite


@dataclass(frozen=True)
class Axis:
    """One choice of a protocol, for a reader who has not seen the code."""

    title: str
    about: str
    values: dict[str, tuple[str, str]]
    """Value to a few words for a footnote, and the words of the table."""


AXES = {
    "crowd": Axis(
        "Crowd regions",
        "Whether regions marked iscrowd, which cover many things at once, count as objects.",
        {
            "keep": ("crowds kept", "kept, as the authors' script does"),
            "drop": ("crowds dropped", "dropped and counted"),
        },
    ),
    "leave_out": Axis(
        "Objects left out",
        "Which objects are too small to score. They are counted.",
        {
            "area_below_1": ("annotated area below 1 left out", "annotated area below 1 pixel"),
            "empty_raster": ("empty rasters left out", "no pixel at the image's size"),
        },
    ),
    "bins": Axis(
        "Size bins",
        "Small, medium and large meet at 32² and 96² pixels.",
        {
            "closed": ("closed bins", "closed: an area on a bound counts in both bins"),
            "half_open": ("half-open bins", "half-open: every object counts once"),
        },
    ),
    "area_source": Axis(
        "Area of an object",
        "What decides its size bin.",
        {
            "ann": ("annotated area", "the annotation's area field"),
            "mask": ("area from the raster", "the pixels of its raster"),
        },
    ),
    "perfect": Axis(
        "After a perfect mask",
        "What happens to the clicks that remain once a mask has no error.",
        {
            "click_on": ("clicking on after a perfect mask", "a background click at pixel (0, 0)"),
            "stop": ("stopping at a perfect mask", "stop, and keep its IoU"),
        },
    ),
    "select": Axis(
        "Which mask is scored",
        "A model offers three masks, and one meant for a single answer.",
        {
            "pred_iou": ("best predicted IoU", "of three, the best by predicted IoU"),
            "single": ("single mask", "the single-mask token"),
            "stability": ("most stable mask", "of three, the best by stability"),
        },
    ),
    "mask_feedback": Axis(
        "Mask feedback",
        "Whether a click also sends the mask of the round before.",
        {
            "none": ("no mask feedback", "points only"),
            "previous": ("mask feedback", "points and the previous low-resolution logits"),
        },
    ),
    "click_rule": Axis(
        "Where a click goes",
        "The pixel chosen in the error region of the mask before.",
        {
            "farthest_from_boundary": ("clicks farthest from the edge", "farthest from the region's edge"),
        },
    ),
    "threshold": Axis(
        "Making masks of logits",
        "The order of resizing and thresholding.",
        {"upsample_first": ("upsample first", "upsample to the image, then cut at 0")},
    ),
    "score": Axis(
        "Score of a mask",
        "What ranks the masks for AP.",
        {
            "det": ("the detector's score", "the detector's score of its box"),
            "pred_iou": ("predicted IoU as score", "the predicted IoU of the mask"),
            "product": ("score times predicted IoU", "the detector's score times the predicted IoU"),
        },
    ),
    "orientation": Axis(
        "Turned images",
        "Which way up an image is whose EXIF data say that it is stored turned.",
        {
            "stated_size": (
                "turned to the stated size",
                "as the annotations' size says, else as it is shown",
            ),
            "exif": ("turned by EXIF", "as viewers show it, always"),
            "stored": ("images as stored", "as stored, never turned"),
        },
    ),
    "box_source": Axis(
        "Boxes of objects",
        "Where the box of an annotated object is from.",
        {
            "ann": ("annotated boxes", "the annotation's, which has to be its mask's"),
            "as_given": ("boxes as given", "the annotation's, whatever it says"),
            "mask": ("boxes of masks", "around the mask"),
        },
    ),
    "void": Axis(
        "Void pixels",
        "What pixels are that mask pictures call void.",
        {
            "ignore": ("void pixels ignored", "no prompt, no error and no part of a union"),
            "background": ("void as background", "plain background"),
        },
    ),
    "gt_ids": Axis(
        "Objects of id 0",
        "The reference scorer of COCO never matches an object whose annotation id is 0.",
        {
            "as_given": ("ids as given", "ids as given: an object of id 0 counts as missed"),
            "from_one": ("ids from one", "numbered anew from 1: every object can be matched"),
        },
    ),
    "average": Axis(
        "Average",
        "What the mean is taken over.",
        {"instances": ("mean over instances", "every object weighs the same")},
    ),
    "names": Axis(
        "Names asked for",
        "Which phrases are asked of an image.",
        {
            "all": ("all names asked for", "every category's name; of SA-Co all that the file asks"),
            "there": ("only names that are there", "those of what the image has"),
        },
    ),
    "phrases": Axis(
        "Words of a name",
        "How a category's name becomes a phrase.",
        {
            "cleaned": ("names cleaned", "plain words: no underscores, nothing in brackets"),
            "as_given": ("names as given", "as the annotations have it"),
        },
    ),
    "instances": Axis(
        "Instances of a phrase",
        "Which of a model's answers are kept.",
        {
            "all": (
                "all instances",
                "all that counts: the best 100 of a phrase, of LVIS 300 of an image, and all above 0.5",
            ),
            "above_0.3": ("instances above 0.3", "of a score above 0.3, as SAM 3's evaluation keeps them"),
        },
    ),
}
"""The axes of `suites.protocol.Protocol`, in its order."""


def model_rank(model: str) -> int:
    """Return where a model stands among the rows; those from outside come last."""
    return list(REGISTRY).index(model) if model in REGISTRY else len(REGISTRY)


def axis_value(axis: str, value: Any, *, short: bool = False) -> str:
    """Return one choice in words; one that this version does not know is shown as written."""
    known = AXES[axis].values.get(str(value)) if axis in AXES else None
    if known is None:
        return f"{axis}: {value}"
    return known[0] if short else known[1]


def off_paper(protocol: Mapping[str, Any], suite: str = "") -> list[str]:
    """Return the axes in which a protocol differs from the paper's for a suite, on whichever kind of data."""
    papers = (for_suite(PRESETS["paper"], suite, pairs=pairs).to_json() for pairs in (False, True))
    found = (
        [axis for axis in protocol if axis != "preset" and protocol[axis] != paper.get(axis)]
        for paper in papers
    )
    return min(found, key=len)


def figures(value: float) -> str:
    """Write a number with three figures, or with all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")


def bound(value: float | None) -> str:
    """Write what a number may be moved by: two figures, never less than it is; nothing of ``None``."""
    if value is None:
        return ""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    decimals = max(0, -round(math.log10(unit)))
    return f"\u00b1{math.ceil(round(value / unit, 6)) * unit:.{decimals}f}"

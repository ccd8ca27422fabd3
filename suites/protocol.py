"""Every choice that moves a number, named, with the two presets.

``paper`` makes the choices of the evaluation scripts of the EfficientViT-SAM authors, quirks included
(``applications/efficientvit_sam/eval_efficientvit_sam_model.py`` at commit de7d7733, and the
RITM clicker it imports); ``strict`` does what is right. A number is only as good as the protocol
printed beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from sambench.evsam.errors import SambenchError, did_you_mean

SMALL_AREA = 32**2  # COCO's "small" ends here, square pixels (cocodataset.org, detection evaluation)
MEDIUM_AREA = 96**2  # and its "medium" here


@dataclass(frozen=True)
class Protocol:
    """The choices behind a number. Each field is one axis; the presets differ where marked (*)."""

    preset: str = "strict"
    """``paper``, ``strict``, or ``custom`` when an axis was changed."""
    crowd: Literal["keep", "drop"] = "drop"
    """(*) Whether ``iscrowd`` regions are scored as objects. The authors' script keeps them."""
    leave_out: Literal["area_below_1", "empty_raster"] = "empty_raster"
    """(*) Objects not scored but counted: by the annotation's ``area``, or those without a pixel."""
    bins: Literal["closed", "half_open"] = "half_open"
    """(*) Size bins. ``closed``: areas of exactly 1024 or 9216 count twice; ``half_open``: once."""
    area_source: Literal["ann", "mask"] = "ann"
    """What decides the size bin: the annotation's ``area`` field, or the pixels of its raster."""
    perfect: Literal["click_on", "stop"] = "stop"
    """(*) A mask without error before the last click: click on at pixel (0, 0), or keep its IoU."""
    select: Literal["pred_iou", "single", "stability"] = "pred_iou"
    """Which mask is scored: of three the best by predicted IoU or by stability, or the single-mask token."""
    mask_feedback: Literal["none", "previous"] = "none"
    """Whether a click also sends the low-resolution logits of the round before."""
    click_rule: Literal["farthest_from_boundary"] = "farthest_from_boundary"
    """Where a click goes: the pixel with the largest exact distance to the edge of the error region."""
    threshold: Literal["upsample_first"] = "upsample_first"
    """Logits are brought to the image's size, then cut at 0 (never the other way round)."""
    average: Literal["instances"] = "instances"
    """mIoU is the mean over instances."""
    score: Literal["det", "pred_iou", "product"] = "det"
    """What ranks masks for AP: the detector's score, the mask's predicted IoU, or the two multiplied."""
    orientation: Literal["stated_size", "exif", "stored"] = "stated_size"
    """(*) Which way up an image with an EXIF orientation is: as the annotations' size says, or as the tag
    where both fit; by the tag, as viewers and annotation tools show it; or as stored. The authors' script
    takes images as stored."""
    box_source: Literal["ann", "as_given", "mask"] = "ann"
    """(*) Where an object's box is from: the annotation, which is refused where it cannot be the mask's; the
    annotation, whatever it says, as the authors' script takes it; or around its mask."""
    void: Literal["ignore", "background"] = "ignore"
    """Pixels that mask pictures call void: no prompt, no error, no part of a union; or plain background."""
    names: Literal["all", "there"] = "all"
    """Which categories' names are asked as phrases of an image: all of the data set (SA-Co: all that its file
    asks of the image), or those alone that have an object there, "positive only"."""
    phrases: Literal["cleaned", "as_given"] = "cleaned"
    """What of a name is asked: without LVIS's underscores and parentheses, or all of it. SA-Co's phrases are
    asked as given."""
    instances: Literal["all", "above_0.3"] = "all"
    """Which instances of a phrase are kept: all that AP looks at, the best 100 of a phrase (LVIS: 300 of an
    image), and all that cgF1 does, of a score from 0.5; or those above 0.3, as SAM 3's authors keep them on
    SA-Co."""
    gt_ids: Literal["as_given", "from_one"] = "from_one"
    """(*) pycocotools never matches an object of id 0: ``as_given`` leaves it so, ``from_one`` renumbers."""

    def to_json(self) -> dict[str, Any]:
        """Return the axes as a plain dictionary."""
        return dataclasses.asdict(self)


PRESETS: dict[str, Protocol] = {
    "strict": Protocol(),
    "paper": Protocol(
        preset="paper",
        crowd="keep",
        leave_out="area_below_1",
        bins="closed",
        perfect="click_on",
        gt_ids="as_given",
        orientation="stored",
        box_source="as_given",
    ),
}


def for_suite(protocol: Protocol, suite: str, *, pairs: bool = False) -> Protocol:
    """Return what a protocol means for a suite.

    Args:
        protocol: of a run.
        suite: by name. SGinW takes the single mask under either preset, as its official script does.
        pairs: whether the data are SA-Co's pairs of an image and a phrase: they say themselves what is asked,
            and what is kept is what the official evaluation keeps, whatever the protocol says.
    """
    if suite == "sginw" and protocol.preset != "custom":
        return dataclasses.replace(protocol, select="single")
    if suite == "concept" and pairs:
        return dataclasses.replace(protocol, names="all", phrases="as_given", instances="above_0.3")
    return protocol


def make_protocol(spec: object) -> Protocol:
    """Build a protocol from a preset's name, or from ``{"preset": name, axis: value, ...}``.

    Raises:
        SambenchError: unknown preset, axis or value; the message names the nearest right one.
    """
    if not isinstance(spec, str | Mapping):
        raise SambenchError(
            f"protocol: {spec!r}; say {' or '.join(PRESETS)}, or preset and axes as a mapping."
        )
    changes: dict[str, Any] = {"preset": spec} if isinstance(spec, str) else dict(spec)
    preset = changes.pop("preset", "strict")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise SambenchError(
            f"protocol: no preset {preset!r}; there are {', '.join(PRESETS)}."
            + did_you_mean(str(preset), PRESETS)
        )
    axes = {k: t for k, t in get_type_hints(Protocol).items() if k != "preset"}
    for axis, value in changes.items():
        if axis not in axes:
            raise SambenchError(f"protocol: no axis {axis!r}.{did_you_mean(str(axis), axes)}")
        allowed = get_args(axes[axis])
        if value not in allowed:
            raise SambenchError(f"protocol: {axis} is {value!r}; it can be {', '.join(map(repr, allowed))}.")
    protocol = dataclasses.replace(PRESETS[preset], **changes)
    if protocol != PRESETS[preset]:
        protocol = dataclasses.replace(protocol, preset="custom")
    return protocol

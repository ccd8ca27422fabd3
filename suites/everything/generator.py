"""Everything mode: all masks of an image, from a grid of clicks (arXiv 2304.02643, appendix B).

Each click's alternatives are kept where the model thinks well of them and they hardly depend on the
threshold; of masks whose boxes all but coincide the best stays. With crops, the same is done again on parts
of the image. As ``SamAutomaticMaskGenerator`` of segment-anything does it, for any segmenter that takes
points; one that has a single mask a click gives that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from pycocotools import mask as rle
from torch import Tensor

from sambench.adapters.base import Embedding, Prompts, Segmenter
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.base import Stopwatch
from sambench.suites.data.rle import as_json, encode
from sambench.suites.everything.parts import (
    Corners,
    clean,
    crop_boxes,
    cut_by_crop,
    mask_boxes,
    nms,
    point_grid,
)
from sambench.suites.metrics.stability import stability

PIXELS_AT_ONCE = 2**24
"""Of masks at the crop's size, whose logits are then 64 MB: 16 masks of a megapixel, one of 12 megapixels.
More is no faster."""

OnPoints = Callable[[int, int], None]
"""Called with the points done so far, and how many there are."""


@dataclass(frozen=True)
class GeneratorSettings:
    """What decides which masks come out. The defaults are those of ``SamAutomaticMaskGenerator``.

    Raises:
        SambenchError: there would be no points.
    """

    points_per_side: int = 32
    """Of the grid on the whole image."""
    points_per_batch: int = 64
    """Points whose masks are held at once. Bounds the memory, and changes no mask."""
    pred_iou_thresh: float = 0.88
    """Masks are kept whose predicted IoU is above; 0 keeps all."""
    stability_score_thresh: float = 0.95
    """Masks are kept that are at least so stable; 0 keeps all."""
    stability_score_offset: float = 1.0
    """How far from 0 the logits are cut, up and down, to see how stable a mask is."""
    box_nms_thresh: float = 0.7
    """IoU of boxes above which the mask of lower predicted IoU goes, within a crop."""
    crop_n_layers: int = 0
    """Layers of crops beyond the whole image; layer i has 4^i."""
    crop_nms_thresh: float = 0.7
    """IoU of boxes above which the mask of the larger crop goes."""
    crop_overlap_ratio: float = 512 / 1500
    """Overlap of the first layer's crops, as a share of the image's shorter side."""
    crop_n_points_downscale_factor: int = 1
    """Points a side are divided by this from one layer to the next."""
    min_mask_region_area: int = 0
    """Holes and islands of fewer pixels are mended in the end; 0 leaves all."""

    def __post_init__(self) -> None:
        if self.points_per_batch < 1 or min(self.points_per_layer, default=0) < 1:
            raise SambenchError(
                f"everything mode: {self.points_per_side} points a side, divided by "
                f"{self.crop_n_points_downscale_factor} in each of {self.crop_n_layers} layers of crops, "
                f"{self.points_per_batch} at a time, leave none. Give 1 at least everywhere."
            )

    @property
    def points_per_layer(self) -> list[int]:
        """Points a side by layer, the whole image first."""
        factor = self.crop_n_points_downscale_factor
        return [int(self.points_per_side / max(factor, 1) ** i) for i in range(self.crop_n_layers + 1)]


@dataclass(frozen=True)
class GeneratedMask:
    """One mask of everything mode."""

    segmentation: dict[str, Any]
    """COCO's compressed RLE at the image's size: ``{"size": [H, W], "counts": str}``."""
    area: int
    """Pixels."""
    bbox: Corners
    """x y width height between the centres of the outermost pixels, as in SAM: one less than they span."""
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    """x y of the click it answers."""
    crop_box: Corners
    """x y width height of the crop it was found in."""

    def mask(self) -> np.ndarray:
        """Return the pixels, (H, W) bool."""
        return rle.decode(self.segmentation).astype(bool)


@torch.inference_mode()
def generate(
    segmenter: Segmenter,
    image: np.ndarray,
    settings: GeneratorSettings = GeneratorSettings(),
    *,
    embedding: Embedding | None = None,
    watch: Stopwatch | None = None,
    on_points: OnPoints | None = None,
) -> list[GeneratedMask]:
    """Find all masks of an image.

    Args:
        segmenter: any that takes points.
        image: (H, W, 3) uint8 RGB.
        settings: of the generator.
        embedding: of the whole image, where the caller has it already.
        watch: is charged the seconds of ``encode``, ``decode`` and ``postprocess``, which is all the rest.
        on_points: hears how far it is.

    Returns:
        The masks, of the smallest crops first, and by falling predicted IoU within a crop.

    Raises:
        SambenchError: the segmenter takes no points, or its answers are not finite.
    """
    if reason := segmenter.capabilities.refusal(_clicks(np.zeros((1, 2)))):
        raise SambenchError(f"{segmenter.name}: everything mode clicks on the image, but {reason}.")
    watch = watch or Stopwatch()
    size = (image.shape[0], image.shape[1])
    crops = crop_boxes(size, settings.crop_n_layers, settings.crop_overlap_ratio)
    total = sum(settings.points_per_layer[layer] ** 2 for _, layer in crops)
    found: list[GeneratedMask] = []
    done = 0
    for crop, layer in crops:
        x0, y0, x1, y1 = crop
        if layer or embedding is None:
            with watch("encode", segmenter.device):
                (embedding,) = segmenter.encode([np.ascontiguousarray(image[y0:y1, x0:x1])])
        work = _CropWork(segmenter, embedding, crop, size, settings, watch)
        here: list[GeneratedMask] = []
        for points in _batches(point_grid(settings.points_per_layer[layer]) * [x1 - x0, y1 - y0], settings):
            here += work.masks_at(points)
            done += len(points)
            if on_points:
                on_points(done, total)
        with watch("postprocess"):
            found += _distinct(here, [m.predicted_iou for m in here], settings.box_nms_thresh)
    with watch("postprocess"):
        return _finished(found, len(crops), settings)


@dataclass(frozen=True)
class _CropWork:
    """The masks of one crop, in the frame of the image."""

    segmenter: Segmenter
    embedding: Embedding
    crop: Corners
    size: Size
    """Of the image."""
    settings: GeneratorSettings
    watch: Stopwatch

    def masks_at(self, points: np.ndarray) -> list[GeneratedMask]:
        """Return the good masks of some clicks (n, 2), in the crop's frame.

        The predicted IoU is looked at first: what fails by it need not be brought to the crop's size.
        """
        with self.watch("decode", self.segmenter.device):
            prediction = self.segmenter.decode(self.embedding, _clicks(points), multimask=True)
            iou, logits = prediction.iou.flatten(), prediction.logits.flatten(0, 1)
            if not bool(torch.isfinite(iou).all()):
                raise SambenchError(
                    f"{self.segmenter.name}: its predicted IoUs are not finite (NaN or infinite)."
                )
            good = _above(iou, self.settings.pred_iou_thresh)
        points = points.repeat(prediction.iou.shape[1], axis=0)
        masks: list[GeneratedMask] = []
        for some in good.split(self._at_once()) if len(good) else ():
            with self.watch("postprocess", self.segmenter.device):
                masks += self._stable_masks(logits[some], iou[some].tolist(), points[some.cpu().numpy()])
        return masks

    def _at_once(self) -> int:
        """How many masks are brought to the crop's size together, which decides nothing but rounding."""
        height, width = self.embedding.size
        return max(1, min(self.segmenter.prompt_batch, PIXELS_AT_ONCE // (height * width)))

    def _stable_masks(self, logits: Tensor, iou: Sequence[float], points: np.ndarray) -> list[GeneratedMask]:
        """Return those of some masks, logits (n, h, w), that are stable and not cut off by the crop."""
        logits = self.segmenter.upsample(logits, self.embedding.size)
        stable = stability(logits, self.settings.stability_score_offset)
        masks = logits > 0
        keep = masks.flatten(1).any(dim=1)
        if self.settings.stability_score_thresh > 0:
            keep &= stable >= self.settings.stability_score_thresh
        if not bool(keep.any()):
            return []
        x0, y0, x1, y1 = self.crop
        boxes = mask_boxes(masks[keep]) + np.array([x0, y0, x0, y0])
        whole = ~cut_by_crop(boxes, self.crop, self.size)
        chosen = keep.nonzero()[:, 0].cpu().numpy()[whole]
        return [
            GeneratedMask(
                segmentation=segmentation,
                area=int(rle.area(segmentation)),
                bbox=_extent(box),
                predicted_iou=iou[i],
                stability_score=float(stable[i]),
                point=(float(points[i, 0]) + x0, float(points[i, 1]) + y0),
                crop_box=(x0, y0, x1 - x0, y1 - y0),
            )
            for i, box in zip(chosen.tolist(), boxes[whole], strict=True)
            for segmentation in [self._encode(masks[i])]
        ]

    def _encode(self, mask: Tensor) -> dict[str, Any]:
        """Encode a mask of the crop at the image's size."""
        x0, y0, x1, y1 = self.crop
        full = np.zeros((1, *self.size), bool)
        full[0, y0:y1, x0:x1] = mask.cpu().numpy()
        return as_json(encode(full)[0])


def _batches(points: np.ndarray, settings: GeneratorSettings) -> list[np.ndarray]:
    """Cut points (n, 2) into those whose masks are held at once."""
    step = settings.points_per_batch
    return [points[start : start + step] for start in range(0, len(points), step)]


def _clicks(points: np.ndarray) -> Prompts:
    """Make a prompt of each point (n, 2), one click inside; in double precision, as in SAM."""
    xy = torch.from_numpy(points)[:, None]
    return Prompts(points=xy, labels=torch.ones(len(points), 1, dtype=torch.int64))


def _above(scores: Tensor, threshold: float) -> Tensor:
    """Return which scores (n,) are above a threshold; all, where it is 0."""
    return (scores > threshold if threshold > 0 else torch.ones_like(scores)).nonzero()[:, 0]


def _extent(corners: np.ndarray) -> Corners:
    """Return corners as x y width height."""
    x0, y0, x1, y1 = corners.tolist()
    return x0, y0, x1 - x0, y1 - y0


def _finished(masks: list[GeneratedMask], crops: int, settings: GeneratorSettings) -> list[GeneratedMask]:
    """Drop what several crops found, the mask of the larger crop first, and mend the rest."""
    if crops > 1:
        scores = [1 / (m.crop_box[2] * m.crop_box[3]) for m in masks]
        masks = _distinct(masks, scores, settings.crop_nms_thresh)
    if settings.min_mask_region_area == 0:
        return masks
    mended = [_mended(mask, settings.min_mask_region_area) for mask in masks]
    untouched = [float(new is old) for new, old in zip(mended, masks, strict=True)]
    return _distinct(mended, untouched, max(settings.box_nms_thresh, settings.crop_nms_thresh))


def _mended(one: GeneratedMask, least: int) -> GeneratedMask:
    """Fill small holes and drop small islands; the same object where there are none."""
    mask, changed = clean(one.mask(), least)
    if not changed:
        return one
    (box,) = mask_boxes(torch.from_numpy(mask[None]))
    return replace(
        one, segmentation=as_json(encode(mask[None])[0]), area=int(np.count_nonzero(mask)), bbox=_extent(box)
    )


def _distinct(
    masks: Sequence[GeneratedMask], scores: Sequence[float], threshold: float
) -> list[GeneratedMask]:
    """Return the best of masks whose boxes overlap, by falling score."""
    boxes = np.array([m.bbox for m in masks]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return [masks[i] for i in nms(boxes, np.array(scores), threshold)]

"""A picture of predictions now and then: where people would rather look than read a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Embedding, Prompts, Segmenter
from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Training
from sambench.harness.train.scored import as_segmenter
from sambench.harness.train.sources.base import Source
from sambench.reports.pictures import Cell, Row, draw
from sambench.suites.base import Stopwatch
from sambench.suites.click.clicker import Clicker
from sambench.suites.data.sample import Target
from sambench.suites.metrics.iou import mask_iou
from sambench.suites.predict import predict
from sambench.suites.protocol import Protocol

IMAGES = 3
"""The first with an object; what they show can be compared from step to step."""


class Pictures:
    """Annotated objects beside what the model makes of their boxes, and of one click on each.

    Args:
        config: of the training; pictures are ``OUT/pictures/step-STEP-IMAGE.png``.
        source: the images, those of the validation where there is one.
    """

    def __init__(self, config: Training, source: Source) -> None:
        self.config, self.source = config, source
        self._shown: list[int] | None = None

    def __call__(self, state: Mapping[str, Tensor], step: int) -> None:
        """Draw what some weights see.

        Raises:
            SambenchError: matplotlib is not installed, or the folder cannot be written to.
        """
        segmenter = as_segmenter(self.config, state)
        for number, index in enumerate(self._images()):
            sample = self.source.load(index).for_suites()
            (embedding,) = segmenter.encode([sample.image])
            boxes = torch.tensor([target.box for target in sample.targets])
            clicks = [Clicker(target.mask).click() for target in sample.targets]
            points = torch.tensor([[(click.x, click.y)] for click in clicks], dtype=torch.float32)
            by_box, box_iou = _answer(segmenter, embedding, Prompts(boxes=boxes), sample.targets)
            ones = torch.ones(len(points), 1, dtype=torch.int64)
            prompts = Prompts(points=points, labels=ones)
            by_click, click_iou = _answer(segmenter, embedding, prompts, sample.targets)
            cells = (
                Cell("annotated", [target.mask.full() for target in sample.targets]),
                Cell(f"by box: mIoU {box_iou:.1f}", by_box),
                Cell(f"by one click: mIoU {click_iou:.1f}", by_click),
            )
            file = self.config.out / "pictures" / f"step-{step:08d}-{number}.png"
            write_atomic(file, draw(sample.image, [Row(f"step {step}", cells)]))

    def _images(self) -> list[int]:
        """The images that are shown; damaged ones are passed over."""
        if self._shown is None:
            self._shown = []
            for index in range(len(self.source)):
                if len(self._shown) == IMAGES:
                    break
                try:
                    found = self.source.load(index)
                except SambenchError:
                    continue
                if found.annotations:
                    self._shown.append(index)
        return self._shown


def _answer(
    segmenter: Segmenter, embedding: Embedding, prompts: Prompts, targets: Sequence[Target]
) -> tuple[list[np.ndarray], float]:
    """The best mask for each prompt, (H, W) bool, and their mean IoU with the objects, in percent."""
    chosen = predict(segmenter, embedding, prompts, Protocol(), Stopwatch())
    masks = torch.cat([one.masks for one in chosen])
    iou = mask_iou(masks, [target.mask for target in targets])
    return list(np.asarray(masks.cpu())), 100 * float(np.mean(iou))

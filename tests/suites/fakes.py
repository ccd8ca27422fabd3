"""Segmenters that answer by a rule, and hand-made images to ask them about."""

import numpy as np
import pyarrow as pa
import torch
from torch.nn.functional import interpolate

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Segmenter, Weights
from sambench.suites.base import Stopwatch
from sambench.suites.data.masks import to_window
from sambench.suites.data.sample import Sample, Target
from sambench.suites.records import Records

FILE_NAME = "some/image.jpg"
CATEGORIES = {1: "thing", 90: "toothbrush"}


class Fake(Segmenter):
    """Answers each prompt by ``rule(prompt, size) -> (logits (M, h, w), predicted IoU (M,))``.

    ``asked`` has every decoder call, ``upsampled`` the shape of every call of `upsample`.
    """

    def __init__(self, rule, *, prompt_batch=16, capabilities=None):
        self.name = "fake"
        self.capabilities = capabilities or Capabilities()
        self.weights = Weights(source="none")
        self.device = torch.device("cpu")
        self.prompt_batch = prompt_batch
        self.rule = rule
        self.asked = []
        self.multimask = []
        self.upsampled = []

    def prepare(self, image):
        return Prepared(torch.from_numpy(image).permute(2, 0, 1), image.shape[:2])

    def embed(self, prepared):
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding, prompts, multimask):
        assert len(prompts) <= self.prompt_batch
        self.asked.append(prompts)
        self.multimask.append(multimask)
        answers = [self.rule(prompts[i : i + 1], embedding.size) for i in range(len(prompts))]
        logits = torch.stack([torch.as_tensor(np.asarray(a), dtype=torch.float32) for a, _ in answers])
        return Prediction(logits, torch.tensor([list(iou) for _, iou in answers], dtype=torch.float32))

    def upsample(self, logits, size):
        self.upsampled.append(tuple(logits.shape))
        if logits.shape[-2:] == size:
            return logits
        return interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def as_logits(mask):
    """Logits (1, H, W) of a mask (H, W): +1 in it, -1 outside."""
    return np.where(mask, 1.0, -1.0).astype(np.float32)[None]


def paint(mask, x, y, radius, value):
    """Set the pixels with ``(px - x)^2 + (py - y)^2 <= radius^2`` of a mask, in place."""
    y0, x0 = max(y - radius, 0), max(x - radius, 0)
    part = mask[y0 : y + radius + 1, x0 : x + radius + 1]
    rows, columns = np.ogrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
    part[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = value


def paint_click(mask, k, x, y, positive):
    """Answer click number k (from 0) as the predictor of ``golden/clicks_coco_mini.json`` does."""
    paint(mask, x, y, 20 + 10 * k if positive else 12 + 4 * k, positive)


def discs(prompt, size):
    """The rule of the golden click traces."""
    mask = np.zeros(size, bool)
    for k, ((x, y), label) in enumerate(
        zip(prompt.points[0].tolist(), prompt.labels[0].tolist(), strict=True)
    ):
        paint_click(mask, k, int(x), int(y), label == 1)
    return as_logits(mask), [1.0]


def in_order(masks):
    """The rule that answers the n-th prompt with the n-th mask, whatever was asked."""
    rest = iter(masks)
    return lambda prompt, size: (as_logits(next(rest)), [1.0])


def perfect(targets):
    """The rule that answers a click with the object it hit first."""

    def rule(prompt, size):
        x, y = prompt.points[0, 0].int().tolist()
        (hit,) = [t for t in targets if t.mask.full()[y, x]]
        return as_logits(hit.mask.full()), [1.0]

    return rule


def rectangle(size, x0, y0, x1, y1):
    """Mask (H, W) of the pixels x0 .. x1-1, y0 .. y1-1."""
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def target(mask, ann_id=1, *, area=None, crowd=False, box=None, category_id=1):
    """An object with a mask; its area and box are those of the mask where none are given."""
    window = to_window(mask)
    height, width = window.pixels.shape
    box = box or (window.left, window.top, window.left + width, window.top + height)
    return Target(ann_id, category_id, box, window.area if area is None else area, crowd, window)


def sample_of(*targets, size=None, image_id=7):
    """A gray image with objects."""
    size = size or targets[0].mask.size
    return Sample(image_id, np.full((*size, 3), 128, np.uint8), targets, FILE_NAME, CATEGORIES)


def evaluate(suite, segmenter, sample, protocol):
    """The records of one image."""
    (embedding,) = segmenter.encode([sample.image])
    return suite.evaluate(segmenter, embedding, sample, protocol, Stopwatch())


def table(suite, records):
    """Records as they are stored."""
    return pa.Table.from_pylist(records, schema=suite.schema)


def in_shards(records, images, read=lambda table: table):
    """Records of rising images, so many a shard, each given to ``read`` when it is asked for."""
    ids = records["image_id"].to_numpy()
    edges = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1))[::images].tolist()
    parts = [records.slice(a, b - a) for a, b in zip(edges, [*edges[1:], len(ids)], strict=True)]
    shards = [lambda columns, part=part: read(part.select(list(columns))) for part in parts]
    return Records(shards, tuple(records.column_names))

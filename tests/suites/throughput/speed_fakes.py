"""Models whose speed and masks are known."""

from __future__ import annotations

import time

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Segmenter, Weights
from sambench.suites.throughput.scopes import Step

SIDE = 32
LOW = 64


class Known(Segmenter):
    """Takes so many seconds an image, and answers a box with the box."""

    capabilities = Capabilities()
    weights = Weights("none")
    device = torch.device("cpu")
    prompt_batch = 4

    def __init__(self, seconds=0.0, *, alone=True, spoil=None):
        self.name = "known"
        self.seconds = seconds
        self.alone = alone
        self.spoil = spoil
        self.encoded = []

    def prepare(self, image):
        pixels = torch.from_numpy(image[:SIDE, :SIDE].copy()).permute(2, 0, 1).float()
        return Prepared(pixels, image.shape[:2])

    def run_encoder(self, pixels: Tensor) -> Tensor:
        if not self.alone:
            return super().run_encoder(pixels)
        time.sleep(self.seconds * len(pixels))
        self.encoded.append([float(row.sum()) for row in pixels])
        return pixels.mean(dim=1, keepdim=True)

    def embed(self, prepared):
        time.sleep(self.seconds * len(prepared))
        self.encoded.append([float(p.pixels.sum()) for p in prepared])
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding, prompts, multimask):
        assert len(prompts) <= self.prompt_batch
        logits = torch.stack([box_logits(box, embedding.size) for box in prompts.boxes])[:, None]
        if self.spoil is not None:
            logits = self.spoil(logits)
        return Prediction(logits, torch.ones(len(prompts), 1))

    def upsample(self, logits, size):
        return interpolate(logits[:, None], size=size, mode="nearest")[:, 0]


def box_logits(box: Tensor, size) -> Tensor:
    """Logits (64, 64) of a filled box on an image of ``size`` (H, W), at least a pixel."""
    height, width = size
    scale = torch.tensor([width, height, width, height]) / LOW
    x0, y0, x1, y1 = (box / scale).int().tolist()
    logits = torch.full((LOW, LOW), -1.0)
    logits[y0 : y1 + 1, x0 : x1 + 1] = 1.0
    return logits


class Counting(Step):
    """A step that only says which batch it was asked for; computing takes as long as it is told."""

    images, prompts, inputs = 2, 0, 5

    def __init__(self, batches=5, seconds=0.0, io_seconds=0.0):
        self.batches = batches
        self.seconds, self.io_seconds = seconds, io_seconds
        self.loaded, self.computed, self.stored = [], [], []

    def load(self, k):
        time.sleep(self.io_seconds)
        self.loaded.append(k)
        return (torch.full((2,), float(k)),)

    def compute(self, k, given):
        assert float(given[0][0]) == k  # what was loaded for this batch, not for another
        time.sleep(self.seconds)
        self.computed.append(k)
        return (given[0] * 10,)

    def store(self, k, results):
        assert float(results[0][0]) == 10 * k
        time.sleep(self.io_seconds)
        self.stored.append(k)

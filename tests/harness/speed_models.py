"""Models for `sambench throughput` in a process of its own: one that works, and others that do not."""

import os
import signal
import time

import torch
from torch.nn.functional import interpolate

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Segmenter, Weights

SIDE, LOW = 32, 64


class Quick(Segmenter):
    """Answers a box with the box."""

    capabilities = Capabilities()
    prompt_batch = 8

    def __init__(self, name, *, weights, device):
        self.name, self.device = name, device
        self.weights = Weights("none")

    def prepare(self, image):
        pixels = torch.from_numpy(image[::8, ::8][:SIDE, :SIDE].copy()).permute(2, 0, 1).float()
        return Prepared(pixels, image.shape[:2])

    def run_encoder(self, pixels):
        return pixels.mean(dim=1, keepdim=True)

    def embed(self, prepared):
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding, prompts, multimask):
        height, width = embedding.size
        logits = torch.full((len(prompts), 1, LOW, LOW), -1.0)
        for i, box in enumerate(prompts.boxes / torch.tensor([width, height, width, height]) * LOW):
            x0, y0, x1, y1 = box.int().tolist()
            logits[i, :, y0 : y1 + 1, x0 : x1 + 1] = 1.0
        return Prediction(logits, torch.ones(len(prompts), 1))

    def upsample(self, logits, size):
        return interpolate(logits[:, None], size=size, mode="nearest")[:, 0]


class Odd(Quick):
    """Takes images as they are, sets what a process shares, and says itself which weights it has."""

    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=weights, device=device)
        self.weights = Weights("file", weights)
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.benchmark = True

    def prepare(self, image):
        return Prepared(torch.from_numpy(image).permute(2, 0, 1), image.shape[:2])

    def run_encoder(self, pixels):
        raise NotImplementedError


class Stuck(Quick):
    """Never answers."""

    def run_encoder(self, pixels):
        time.sleep(600)


class Killed(Quick):
    """Dies as a process does when memory runs out."""

    def run_encoder(self, pixels):
        os.kill(os.getpid(), signal.SIGKILL)


class Greedy(Quick):
    """Wants more memory than there is."""

    def run_encoder(self, pixels):
        return torch.empty(2**50)


class Ghostly(Quick):
    """Answers NaN."""

    def decode_batch(self, embedding, prompts, multimask):
        found = super().decode_batch(embedding, prompts, multimask)
        return Prediction(found.logits * float("nan"), found.iou)

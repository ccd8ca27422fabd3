"""A model of one's own that takes phrases: it has the answers in a file, and knows an image by its grey."""

import json
from pathlib import Path

import numpy as np
import torch

from sambench.adapters.base import Capabilities, Embedding, Prepared, Segmenter, Weights
from sambench.adapters.concepts import Instances


class Answers(Segmenter):
    capabilities = Capabilities(boxes=False, points=False, mask_input=False, concepts=True)

    def __init__(self, name, *, weights, device, answers):
        assert weights is None
        self.name, self.device, self.weights = name, device, Weights("none")
        self.prompt_batch, self.phrase_batch = 2, 3
        self.files = [answers]
        self.known = json.loads(Path(answers).read_text())

    def prepare(self, image):
        return Prepared(torch.from_numpy(image).permute(2, 0, 1), image.shape[:2])

    def embed(self, prepared):
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding, prompts, multimask):
        raise AssertionError("it takes phrases alone")

    def find_batch(self, embedding, phrases, wanted):
        assert 0 < len(phrases) <= self.phrase_batch
        image = self.known.get(str(int(embedding.features[0, 0, 0])), {})
        return [self._answer(image.get(phrase, []), embedding.size, wanted) for phrase in phrases]

    def _answer(self, found, size, wanted):
        scores = torch.tensor([one["score"] for one in found], dtype=torch.float64)
        best = wanted.best(scores)
        chosen = [found[i] for i in best.tolist()]
        masks = [self._disc(size, *one["disc"]) for one in chosen]
        logits = torch.tensor(np.array(masks, np.float32).reshape(-1, *size)) * 2 - 1
        boxes = torch.tensor([one["box"] for one in chosen], dtype=torch.float32).reshape(-1, 4)
        return Instances(logits, scores[best], boxes)

    @staticmethod
    def _disc(size, x, y, radius):
        rows, columns = np.ogrid[: size[0], : size[1]]
        return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2

    def upsample(self, logits, size):
        assert logits.shape[1:] == size
        return logits

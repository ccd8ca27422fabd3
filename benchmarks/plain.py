"""What the paper's evaluation script does, written plainly: the other side of `benchmarks.suites`.

One prompt a call, every projection for every prompt, three masks to full resolution, IoU in numpy, clicks by
distance transforms of the whole image, annotations found by scanning the whole list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sambench import evsam
from sambench.adapters.base import Embedding, Prompts, Segmenter, Weights
from sambench.adapters.families.sam import SamSegmenter
from sambench.evsam import geometry
from sambench.evsam.layers import LayerNorm2d
from sambench.evsam.model import Sam
from sambench.evsam.transformer import Attention, TwoWayBlock
from sambench.suites.base import Record, Stopwatch
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.sample import load_sample
from tests.golden import golden


def golden_segmenter(name: str) -> SamSegmenter:
    """A segmenter with the weights of the golden data."""
    model = golden.load_filled(evsam.create_model(name))
    return SamSegmenter(name, model, Weights("random"), torch.device("cpu"), adopt=True)


@dataclass(frozen=True)
class Loop:
    """What the worker process holds."""

    model: Sam
    """As released: norms beside their convolutions, channels first."""
    segmenter: SamSegmenter
    """For the clicks, whose masks must be those of the suite."""
    entries: dict[int, Entry]
    annotations: list[dict[str, Any]]


_loop: Loop | None = None


def start(model: str, images: Path, annotations: Path) -> None:
    """Make this process the one that runs the plain loop."""
    global _loop  # noqa: PLW0603 - a worker process has no other place to keep it
    entries = {e.record.id: e for e in CocoDataset(images, annotations).entries}
    plain = golden.load_filled(evsam.create_model(model))
    PlainPredictor(plain).set_image(np.zeros((64, 64, 3), np.uint8))  # first-call costs stay out
    _loop = Loop(plain, golden_segmenter(model), entries, json.loads(annotations.read_text())["annotations"])


def boxes(image_id: int) -> tuple[dict[int, float], dict[str, float]]:
    """Evaluate the boxes of an image: IoU by annotation, and seconds by stage."""
    assert _loop is not None
    watch = Stopwatch()
    predictor = PlainPredictor(_loop.model)
    with watch("read"):
        sample = load_sample(_loop.entries[image_id])
    with watch("encode"):
        predictor.set_image(sample.image)
    with watch("look up"):
        mine = [a for a in _loop.annotations if a["image_id"] == image_id]
    truth = {t.ann_id: t.mask.full() for t in sample.targets}
    ious = {a["id"]: predictor.box_iou(a["bbox"], truth[a["id"]], watch) for a in mine}
    return ious, dict(watch.seconds)


def clicks(image_id: int, rows: list[Record]) -> float:
    """Click on the objects of an image along the rounds of some records; return the seconds of placing."""
    assert _loop is not None
    sample = load_sample(_loop.entries[image_id])
    (embedding,) = _loop.segmenter.encode([sample.image])
    watch = Stopwatch()
    replay = PlainClicker(_loop.segmenter, embedding, watch)
    for target, row in zip(sample.targets, rows, strict=True):
        agreed = sum(
            a == b for a, b in zip(replay.points(target.mask.full(), row), row["points"], strict=True)
        )
        assert agreed >= len(row["points"]) - 1, "the clickers disagree"  # noisy masks may flip a tie
    return watch.seconds["click"]


def attend(module: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as it is defined: project, split heads, weigh, join, project."""
    q, k, v = module.q_proj(q), module.k_proj(k), module.v_proj(v)
    n, t, dim = q.shape
    heads = module.heads
    q, k, v = (x.reshape(n, -1, heads, dim // heads).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.permute(0, 1, 3, 2) / (dim // heads) ** 0.5).softmax(dim=-1)
    return module.out_proj((weights @ v).transpose(1, 2).reshape(n, t, dim))


def block(
    layer: TwoWayBlock, tokens: Tensor, prompt: Tensor, keys: Tensor, at: Tensor
) -> tuple[Tensor, Tensor]:
    """One two-way block."""
    if layer.first:
        tokens = attend(layer.self_attn, tokens, tokens, tokens)
    else:
        q = tokens + prompt
        tokens = tokens + attend(layer.self_attn, q, q, tokens)
    tokens = layer.norm1(tokens)
    tokens = layer.norm2(tokens + attend(layer.cross_attn_token_to_image, tokens + prompt, keys + at, keys))
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    keys = layer.norm4(keys + attend(layer.cross_attn_image_to_token, keys + at, tokens + prompt, tokens))
    return tokens, keys


def norm_channels(norm: LayerNorm2d, x: Tensor) -> Tensor:
    """Layer norm over channels as a formula on maps."""
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    x = (x - mean) / torch.sqrt(variance + norm.eps)
    return norm.weight[:, None, None] * x + norm.bias[:, None, None]


class PlainPredictor:
    """Set an image, then predict for one prompt at a time."""

    def __init__(self, model: Sam) -> None:
        self.model = model
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def set_image(self, image: np.ndarray) -> None:
        """Encode."""
        self.size = image.shape[:2]
        pixels = geometry.preprocess(image, self.model.input_size)[None]
        self.features = self.model.image_encoder(pixels.to(self.device))

    @torch.inference_mode()
    def box_iou(self, bbox: list[float], truth: np.ndarray, watch: Stopwatch) -> float:
        """Predict for a box x y w h and compare the best of three masks."""
        x, y, w, h = bbox
        corners = torch.tensor([[[x, y], [x + w, y + h]]], dtype=torch.float32, device=self.device)
        with watch("decode"):
            sparse, dense = self.model.prompt_encoder(
                boxes=geometry.to_prompt_frame(corners, self.size).reshape(1, 4)
            )
            low, iou = self.decode(sparse, dense)
        with watch("upsample"):
            height, width = geometry.resized(self.size, 1024)
            frame = F.interpolate(low, (1024, 1024), mode="bilinear", align_corners=False)
            full = F.interpolate(frame[..., :height, :width], self.size, mode="bilinear", align_corners=False)
            masks = (full > 0)[0].cpu().numpy()
        with watch("score"):
            mask = masks[int(iou[0].argmax())]
            union = np.logical_or(mask, truth).sum()
            return float(np.logical_and(mask, truth).sum() / max(union, 1))

    def decode(self, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Decode N prompts by the layers' definitions, in the layout of the convolutions."""
        decoder, n = self.model.mask_decoder, len(sparse)
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])[None]
        prompt = torch.cat([own.expand(n, -1, -1), sparse], dim=1)
        # Image and positions are repeated for each prompt.
        source = torch.repeat_interleave(self.features, n, dim=0) + dense
        position = torch.repeat_interleave(self.model.prompt_encoder.get_dense_pe(), n, dim=0)
        keys = source.flatten(2).permute(0, 2, 1)
        at = position.flatten(2).permute(0, 2, 1)
        tokens = prompt
        for layer in decoder.transformer.layers:
            tokens, keys = block(layer, tokens, prompt, keys, at)
        last = attend(decoder.transformer.final_attn_token_to_image, tokens + prompt, keys + at, keys)
        tokens = decoder.transformer.norm_final_attn(tokens + last)
        expand1, norm, gelu, expand2, _ = decoder.output_upscaling
        maps = expand1(keys.transpose(1, 2).reshape(n, 256, 64, 64))
        maps = gelu(expand2(gelu(norm_channels(norm, maps))))
        mlps = decoder.output_hypernetworks_mlps
        vectors = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(mlps)], dim=1)
        masks = (vectors @ maps.flatten(2)).reshape(n, -1, 256, 256)
        return masks[:, 1:], decoder.iou_prediction_head(tokens[:, 0])[:, 1:]


class PlainClicker:
    """Place clicks on whole images, as the script's clicker does."""

    def __init__(self, segmenter: Segmenter, embedding: Embedding, watch: Stopwatch) -> None:
        self.segmenter, self.embedding, self.watch = segmenter, embedding, watch

    def points(self, truth: np.ndarray, row: Record) -> list[list[int]]:
        """Repeat the rounds of a record, and return where this clicker would have clicked."""
        mask = np.zeros_like(truth)
        free = np.ones_like(truth)
        found: list[list[int]] = []
        for k in range(1, len(row["points"]) + 1):
            with self.watch("click"):
                x, y = self._place(truth, mask, free)
            found.append([x, y])
            prompts = Prompts(
                points=torch.tensor([row["points"][:k]], dtype=torch.float32),
                labels=torch.tensor([row["labels"][:k]]),
            )
            prediction = self.segmenter.decode(self.embedding, prompts)
            best = prediction.logits[:, int(prediction.iou[0].argmax())]
            mask = (self.segmenter.upsample(best, self.embedding.size) > 0)[0].numpy()
        return found

    def _place(self, truth: np.ndarray, mask: np.ndarray, free: np.ndarray) -> tuple[int, int]:
        depth = []
        for region in (truth & ~mask, ~truth & mask):
            framed = np.pad(region, 1).astype(np.uint8)
            depth.append(cv2.distanceTransform(framed, cv2.DIST_L2, 0)[1:-1, 1:-1] * free)
        lacking, excess = depth
        chosen = lacking if lacking.max() > excess.max() else excess
        ys, xs = np.where(chosen == chosen.max())
        free[ys[0], xs[0]] = False
        return int(xs[0]), int(ys[0])

"""How FastSAM and SAM 2 of ultralytics are prompted: as that library's own predictors do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.adapters.devices import by_kind
from sambench.adapters.families.sam import PROMPT_BATCH
from sambench.evsam import geometry
from sambench.evsam.size import Size

FAST_SAM_SIDE = 1024  # longest side; the three values of FastSAM's page in the documentation of ultralytics
CONFIDENCE = 0.4  # an instance's least
OVERLAP = 0.9  # IoU of boxes beyond which the less confident instance goes
MOST_INSTANCES = 300  # ``max_det`` of ultralytics


@dataclass(frozen=True)
class Instances(Embedding):
    """All that FastSAM found in an image; ``features`` are K masks (K, H, W) bool at the image's size."""

    confidence: Tensor
    """(K,)."""
    area: Tensor
    """(K,) int, pixels."""


class FastSam(Segmenter):
    """FastSAM (arXiv 2306.12156): segments everything once; a prompt chooses among the instances found.

    A box chooses the instance of the highest IoU with the filled box. Points choose all instances that hold
    a foreground point and no background point (with background points alone: those that hold none), united to
    one mask. The predicted IoU is the highest confidence among the chosen; where none is, the mask is empty.

    Args:
        name: the registry's name.
        model: a YOLOv8 segmentation model of one class, with its weights loaded.
        weights: where they come from.
        device: where to compute.
        library: ultralytics.
    """

    capabilities = Capabilities(boxes_with_points=False, mask_input=False)
    prompt_batch = 16

    def __init__(self, name: str, model: Any, weights: Weights, device: torch.device, library: Any) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.float().eval().requires_grad_(False).to(device).fuse(verbose=False)
        self.library = library
        side = (FAST_SAM_SIDE, FAST_SAM_SIDE)
        self.letterbox = library.data.augment.LetterBox(side, auto=True, stride=32)

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize, pad to a multiple of 32 on both sides, scale to 0..1: (3, h, w) float32."""
        pixels = torch.from_numpy(self.letterbox(image=image)).permute(2, 0, 1)
        return Prepared(pixels.float() / 255, (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Find the instances of each image; inputs differ in shape, so one goes after the other."""
        return [self.instances(p.pixels.to(self.device)[None], p.size) for p in prepared]

    def instances(self, pixels: Tensor, size: Size) -> Instances:
        """Detect in one input (1, 3, h, w), and draw the masks at the image's size within their boxes."""
        utils = self.library.utils
        found, prototypes = self.model(pixels)[0]
        # (K, 6 + 32): x0 y0 x1 y1, confidence, class, then the mask's share of each prototype
        (rows,) = utils.nms.non_max_suppression(found, CONFIDENCE, OVERLAP, max_det=MOST_INSTANCES, nc=1)
        boxes = utils.ops.scale_boxes(pixels.shape[2:], rows[:, :4], size)
        masks = utils.ops.process_mask_native(prototypes[0], rows[:, 6:], boxes, size).bool()
        area = _count(masks)
        seen = area > 0
        return Instances(masks[seen], size, rows[seen, 4], area[seen])

    @torch.inference_mode()
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Choose for each prompt: logits (N, 1, H, W) of -1 and 1."""
        assert isinstance(embedding, Instances)
        del multimask
        prompts = prompts.to(self.device)
        masks, confidence = embedding.features, embedding.confidence
        logits = torch.full((len(prompts), 1, *embedding.size), -1.0, device=self.device)
        iou = torch.zeros(len(prompts), 1, device=self.device)
        for i in range(len(prompts) if len(masks) else 0):
            if prompts.boxes is not None:
                chosen = _by_box(masks, embedding.area, prompts.boxes[i])
            else:
                assert prompts.points is not None
                assert prompts.labels is not None
                chosen = _by_points(masks, prompts.points[i], prompts.labels[i])
            logits[i, 0][masks[chosen].any(dim=0)] = 1
            iou[i] = confidence[chosen].amax() if bool(chosen.any()) else 0
        return Prediction(logits, iou)

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Return the logits as they are: masks are drawn at the image's size."""
        assert logits.shape[-2:] == size
        return logits


def _by_box(masks: Tensor, area: Tensor, box: Tensor) -> Tensor:
    """Which of K masks of area (K,) a box (4,) in whole pixels chooses, (K,) bool."""
    height, width = masks.shape[1:]
    x0, y0, x1, y1 = box.int().clamp(min=0).tolist()
    x0, y0, x1, y1 = min(x0, width), min(y0, height), min(x1, width), min(y1, height)
    inside = _count(masks[:, y0:y1, x0:x1])
    union = (x1 - x0) * (y1 - y0) + area - inside
    chosen = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    chosen[(inside / union).argmax()] = True
    return chosen


def _by_points(masks: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Which of K masks points (P, 2) in whole pixels, with labels (P,), choose, (K,) bool."""
    height, width = masks.shape[1:]
    x, y = points[:, 0].long().clamp(0, width - 1), points[:, 1].long().clamp(0, height - 1)
    held = masks[:, y, x]  # (K, P)
    wanted = labels == 1
    chosen = held[:, wanted].any(dim=1) if bool(wanted.any()) else torch.ones_like(held[:, 0])
    return chosen & ~held[:, labels == 0].any(dim=1)


def _count(masks: Tensor) -> Tensor:
    """Pixels of each mask, (K,); torch counts twice as fast in 32 bits as in its default of 64."""
    return masks.sum(dim=(1, 2), dtype=torch.int32)


@dataclass(frozen=True)
class Sam2Embedding(Embedding):
    """SAM 2's embedding with the finer maps that its mask decoder reads."""

    maps: tuple[Tensor, Tensor]
    """(32, 256, 256) and (64, 128, 128)."""


class Sam2(Segmenter):
    """SAM 2 and 2.1 (arXiv 2408.00714) of ultralytics, on images.

    ultralytics keeps the aspect ratio and pads with grey at the right and the bottom, where the authors (and
    `hf.py`) stretch the image: numbers of the two are of the same weights and yet not the same.

    Args:
        name: the registry's name.
        model: with its weights loaded.
        weights: where they come from.
        device: where to compute.
        library: ultralytics.
    """

    capabilities = Capabilities()

    def __init__(self, name: str, model: Any, weights: Weights, device: torch.device, library: Any) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.to(device).eval().requires_grad_(False)
        self.library = library
        self.prompt_batch = by_kind(PROMPT_BATCH, device.type)
        self.side: int = model.image_size
        square = (self.side, self.side)
        self.letterbox = library.data.augment.LetterBox(square, auto=False, center=False)
        self.position = self.model.sam_prompt_encoder.get_dense_pe()

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize, pad with grey, normalise: (3, 1024, 1024) float32."""
        pixels = torch.from_numpy(self.letterbox(image=image)).permute(2, 0, 1)
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (geometry.PIXEL_MEAN, geometry.PIXEL_STD))
        return Prepared((pixels - mean) / std, (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch."""
        pixels = torch.stack([p.pixels for p in prepared]).to(self.device, non_blocking=True)
        fine, middle, coarse = self.model.forward_image(pixels)["backbone_fpn"]
        coarse = coarse + self.model.no_mem_embed.reshape(1, -1, 1, 1)
        return [Sam2Embedding(coarse[i], p.size, (fine[i], middle[i])) for i, p in enumerate(prepared)]

    @torch.inference_mode()
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Scale the prompts to the 1024 frame and decode: logits (N, 3 or 1, 256, 256)."""
        assert isinstance(embedding, Sam2Embedding)
        if not len(prompts):  # the decoder reshapes by -1, which an empty batch leaves open
            one = self.decode_batch(embedding, Prompts(boxes=torch.zeros(1, 4)), multimask)
            return Prediction(one.logits[:0], one.iou[:0])
        prompts = prompts.to(self.device)
        sparse, dense = self.model.sam_prompt_encoder(
            points=self.tokens(prompts, embedding.size), boxes=None, masks=prompts.masks
        )
        logits, iou, _, _ = self.model.sam_mask_decoder(
            image_embeddings=embedding.features[None],
            image_pe=self.position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=True,
            high_res_features=[m[None] for m in embedding.maps],
        )
        return Prediction(logits, iou)

    def tokens(self, prompts: Prompts, size: Size) -> tuple[Tensor, Tensor]:
        """Coordinates (N, T, 2) in the input and labels (N, T); a box is two points, labelled 2 and 3."""
        scale = self.side / max(size)
        xy, labels = [], []
        if prompts.boxes is not None:
            xy.append(prompts.boxes.float().reshape(-1, 2, 2))
            labels.append(torch.tensor([[2, 3]], device=self.device).expand(len(prompts), -1))
        if prompts.points is not None and prompts.labels is not None:
            xy.append(prompts.points.float())
            labels.append(prompts.labels)
        return torch.cat(xy, dim=1) * scale, torch.cat(labels, dim=1)

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Cut the padding off and resize to the image, bilinear."""
        scale, low = self.side / max(size), logits.shape[-1] / self.side
        gains = [round(length * scale) * low / length for length in size]
        place = (gains, (0, 0))
        resized: Tensor = self.library.utils.ops.scale_masks(
            logits.float()[None], size, place, padding=False
        )[0]
        return resized

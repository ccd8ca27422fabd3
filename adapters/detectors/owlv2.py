"""OWLv2 (arXiv 2306.09683) of transformers as a detector of phrases.

Every patch of the image proposes a box; a phrase's score is the sigmoid of its likeness to the patch. The
phrase is asked as it is, without a sentence around it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sambench.adapters.base import Weights
from sambench.adapters.concepts import Texts
from sambench.adapters.detectors.grounding_dino import load_folder
from sambench.adapters.detectors.phrases import Boxes, PhraseDetector, find_folder
from sambench.adapters.extras import missing
from sambench.adapters.families import hf
from sambench.adapters.weights.resolve import default_path
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

# ``OPENAI_CLIP_MEAN`` and ``OPENAI_CLIP_STD`` of transformers' image_utils.py
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "owlv2_b": {"vision_config": {"image_size": 960}},  # the rest are transformers' defaults
    "owlv2_l": {  # config.json of google/owlv2-large-patch14-ensemble
        "vision_config": {
            "image_size": 1008,
            "patch_size": 14,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
        },
        "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    },
}
"""What a name stands for."""

PHRASE_BATCH = 64  # a phrase beside others is a product of vectors


def create(name: str, *, weights: str | None, device: torch.device) -> Owlv2:
    """Build a detector by its name in `adapters.models.PHRASE_DETECTORS`.

    Args:
        name: of the detector.
        weights: a folder as ``save_pretrained`` writes it; ``"random"``; ``None`` for that of the weights
            folder.
        device: where to compute.

    Raises:
        SambenchError: transformers is missing, or weights or tokenizer are missing or wrong.
    """
    found = find_folder(name, weights)
    library = _transformers()
    tokenizer = _tokenizer(library, Path(found.path) if found.path else default_path(name))
    with hf.quiet_and_offline():
        if found.path is not None:
            model = load_folder(library.Owlv2ForObjectDetection, Path(found.path))
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(found.seed or 0)
                model = library.Owlv2ForObjectDetection(_config(library, name))
    width = SIZES[name]["vision_config"].get("hidden_size", 768)
    if model.config.vision_config.hidden_size != width:
        raise SambenchError(
            f"{found.path}: is no {name}; its encoder is {model.config.vision_config.hidden_size} channels "
            f"wide, and not {width}."
        )
    return Owlv2(name, model=model, tokenizer=tokenizer, weights=found, device=device)


def _config(library: Any, name: str) -> Any:
    width = SIZES[name].get("text_config", {}).get("hidden_size", 512)
    return library.Owlv2Config(**SIZES[name], projection_dim=width)


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise missing("OWLv2", error, "hf") from None


def _tokenizer(library: Any, folder: Path) -> Any:
    try:
        with hf.quiet_and_offline():
            return library.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        said = " ".join(str(error).split())[:150]
        raise SambenchError(
            f"{folder}: no CLIP tokenizer ({type(error).__name__}: {said}). Put the tokenizer's files of the "
            "same repository into that folder."
        ) from None


@dataclass(frozen=True)
class Seen:
    """An image's Q patches."""

    features: Tensor
    """(1, Q, C)."""
    boxes: Tensor
    """(Q, 4) x0 y0 x1 y1 in pixels of the original image: they depend on no phrase."""


class Owlv2(PhraseDetector):
    """A box a patch; phrases compare with all patches at once.

    A phrase of more tokens than the model has places (16) is cut there, as in the authors' code.

    Args:
        name: of the detector.
        model: of transformers, with its weights loaded.
        tokenizer: CLIP's.
        weights: where the parameters come from.
        device: where to compute.
    """

    def __init__(
        self, name: str, *, model: Any, tokenizer: Any, weights: Weights, device: torch.device
    ) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.phrase_batch = PHRASE_BATCH
        self.model = model.float().eval().requires_grad_(False).to(device)
        self.side: int = model.config.vision_config.image_size
        self.tokenizer = tokenizer
        self.texts = Texts(self._encode_texts)

    def prepare(self, image: np.ndarray) -> Tensor:
        """Pad to a square with black at the bottom and right, resize, normalise: (3, S, S) float32."""
        pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        height, width = image.shape[:2]
        square = max(height, width)
        pixels = F.pad(pixels, (0, square - width, 0, square - height))
        pixels = F.interpolate(
            _smoothed(pixels, square / self.side)[None], (self.side, self.side), mode="bilinear"
        )[0]
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
        return (pixels - mean) / std

    @torch.inference_mode()
    def see(self, pixels: Tensor, size: Size) -> Seen:
        """Encode a prepared image (3, S, S) that was of ``size``, and propose its boxes."""
        maps = self.model.image_embedder(pixel_values=pixels[None].to(self.device))[0]
        features = maps.flatten(1, 2)
        centre, half = self.model.box_predictor(features, maps)[0].float().split(2, dim=1)
        corners = torch.cat([centre - half / 2, centre + half / 2], dim=1)
        return Seen(features, corners * max(size))  # of the square that the image was padded to

    @torch.inference_mode()
    def find(self, seen: Seen, phrases: Sequence[str]) -> list[Boxes]:
        """Compare phrases with all patches."""
        texts = torch.stack(self.texts(phrases))[None]  # (1, N, D)
        logits = self.model.class_predictor(seen.features, texts)[0][0]  # (Q, N)
        return [Boxes(scores, seen.boxes) for scores in logits.float().sigmoid().unbind(dim=1)]

    def _encode_texts(self, phrases: Sequence[str]) -> list[Tensor]:
        places = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(phrases), padding="max_length", truncation=True, max_length=places, return_tensors="pt"
        ).to(self.device)
        text_model = self.model.owlv2.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        found: Tensor = self.model.owlv2.text_projection(text_model.pooler_output)
        return list(F.normalize(found, dim=1))


def _smoothed(pixels: Tensor, factor: float) -> Tensor:
    """Blur (3, h, w) before it shrinks by a factor: a Gaussian of half of what the factor is over 1.

    As transformers' processor does, after scikit-image's ``resize``.
    """
    sigma = (factor - 1) / 2
    if sigma <= 0:
        return pixels
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(pixels[None], [reach] * 4, mode="reflect")
    across = F.conv2d(padded, kernel, groups=3)
    return F.conv2d(across, kernel.transpose(2, 3), groups=3)[0]

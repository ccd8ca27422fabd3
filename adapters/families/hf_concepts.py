"""SAM 3's detector, and SAM3-LiteText's: noun phrases in, every instance of each out.

The released SAM 3 is one backbone with two necks and two heads: the tracker's, which take clicks and boxes
(`hf_models.Sam3`), and the detector's, which take phrases. `Sam3` has both here, over one pass of the
backbone; `Sam3Detector` has the detector alone.

What is computed is transformers' ``Sam3Model.forward``, module by module: so an image is encoded once for all
phrases, a phrase once for all images, and masks are made of the wanted instances alone. Most phrases have
none, and masks are a third of a phrase's arithmetic and 66 MB of its memory (200 of 288 x 288).

One thing more: behind the text stands the geometry encoder's own token, also where no box is given, as in the
authors' code (``Sam3Image._encode_prompt``), by which their numbers are made. ``Sam3Model.forward`` has it
beside boxes alone; given one box that is marked as padding, it says the same.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.adapters.concepts import Instances, Texts, Wanted
from sambench.adapters.families import hf_models
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

CONTEXT = 32
"""Tokens of a phrase, its two ends included (transformers' ``Sam3Processor``; ``context_length`` of the
authors' text encoder). The authors cut a longer one there and keep its end token; transformers fails."""

EPSILON = 1e-3
"""Of the inverse sigmoid of boxes (``inverse_sigmoid`` in transformers' and the authors' code)."""


@dataclass(frozen=True)
class Text:
    """An encoded phrase."""

    features: Tensor
    """(T, C)."""
    valid: Tensor
    """(T,) bool, false where it is padded."""


class Pyramid:
    """The detector's maps of an image, made of the backbone's when the first phrase asks for them.

    Args:
        backbone: (C, h, w).
        model: ``Sam3Model`` or ``Sam3LiteTextModel``.
    """

    def __init__(self, backbone: Tensor, model: Any) -> None:
        self._backbone = backbone
        self._model = model

    @cached_property
    def levels(self) -> tuple[list[Tensor], Tensor]:
        """Maps (1, C, ...) from fine to coarse, and the encoding of the coarse one's positions (1, C, h, w).

        The neck makes a fourth map, coarser still, which SAM 3 does not use.
        """
        maps, positions = self._model.vision_encoder.neck(self._backbone[None])
        return list(maps[:-1]), positions[-2]

    @cached_property
    def token(self) -> Tensor:
        """What the geometry encoder says of the image without a box, (1, 1, C): its own token."""
        maps, positions = self.levels
        none = maps[-1].new_zeros(1, 0, 4)
        asked = self._model.geometry_encoder(
            box_embeddings=none,
            box_mask=none[..., 0].bool(),
            box_labels=none[..., 0].long(),
            img_feats=maps[-1:],
            img_pos_embeds=[positions],
        )
        token: Tensor = asked.last_hidden_state
        return token


class Detector:
    """Finds the instances of phrases in what the backbone made of an image.

    Args:
        model: ``Sam3Model`` or ``Sam3LiteTextModel``, on its device, in eval mode.
        tokenizer: of the same folder (`load_tokenizer`).

    Raises:
        SambenchError: the tokenizer has more words than the model.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        words = model.config.text_config.vocab_size
        if len(tokenizer) > words:
            raise SambenchError(
                f"{tokenizer.name_or_path}: its tokenizer has {len(tokenizer)} words, and the model by its "
                f"config.json {words}. Get tokenizer.json and config.json of the same model."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.texts = Texts(self._encode_texts)

    def _encode_texts(self, phrases: Sequence[str]) -> list[Text]:
        """Encode phrases, each padded to the whole context."""
        tokens = self.tokenizer(
            list(phrases), padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
        ).to(self.model.device)
        features = self.model.get_text_features(**tokens).pooler_output  # (N, T, C), no pooling in truth
        return [Text(*text) for text in zip(features, tokens["attention_mask"].bool(), strict=True)]

    def backbone(self, pixels: Tensor) -> Tensor:
        """Encode (B, 3, S, S) to (B, C, h, w)."""
        return as_maps(self.model.vision_encoder.backbone(pixels).last_hidden_state)

    def pyramid(self, backbone: Tensor) -> Pyramid:
        """Take what the backbone made of an image, (C, h, w)."""
        return Pyramid(backbone, self.model)

    @torch.inference_mode()
    def find(self, pyramid: Pyramid, size: Size, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Answer N phrases in one call of encoder and decoder, on an image of ``size``."""
        model, texts = self.model, self.texts(phrases)
        maps, positions = pyramid.levels
        text = torch.stack([t.features for t in texts])
        text = torch.cat([text, _repeat(pyramid.token, len(texts))], dim=1)  # (N, T + 1, C)
        valid = torch.stack([t.valid for t in texts])
        valid = torch.cat([valid, valid.new_ones(len(texts), 1)], dim=1)  # (N, T + 1)
        encoded = model.detr_encoder(
            vision_features=[_repeat(maps[-1], len(texts))],
            vision_pos_embeds=[_repeat(positions, len(texts))],
            text_features=text,
            text_mask=valid,
        )
        decoded = model.detr_decoder(
            vision_features=encoded.last_hidden_state,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_features=text,
            text_mask=valid,
            spatial_shapes=encoded.spatial_shapes,
        )
        queries = decoded.intermediate_hidden_states[-1]  # of the last layer, (N, Q, C)
        logits = model.dot_product_scoring(
            decoder_hidden_states=queries[None], text_features=text, text_mask=valid
        )
        scores = logits[0, ..., 0].sigmoid() * decoded.presence_logits[-1].sigmoid()  # (N, Q)
        boxes = _corners(model.detr_decoder.box_head(queries), decoded.reference_boxes[-1], size)
        found = []
        for i in range(len(texts)):
            best, one = wanted.best(scores[i]), slice(i, i + 1)
            masks = self._masks(
                maps, queries[one, best], encoded.last_hidden_state[one], text[one], valid[one]
            )
            found.append(Instances(masks, scores[i, best], boxes[i, best]))
        return found

    def _masks(
        self, maps: list[Tensor], queries: Tensor, image: Tensor, text: Tensor, valid: Tensor
    ) -> Tensor:
        """Make the masks of K queries (1, K, C) of one phrase: (K, h, w), of the finest map's size."""
        if not queries.shape[1]:
            return maps[0].new_zeros(0, *maps[0].shape[-2:])
        made = self.model.mask_decoder(
            decoder_queries=queries,
            backbone_features=maps,
            encoder_hidden_states=image,
            prompt_features=text,
            prompt_mask=valid,
        )
        masks: Tensor = made.pred_masks[0]
        return masks


@dataclass(frozen=True)
class DetectorEmbedding(Embedding):
    """What the backbone made of an image, (C, h, w), and the detector's maps of it."""

    pyramid: Pyramid


class Sam3Detector(Segmenter):
    """SAM 3's detector without its tracker, and SAM3-LiteText: phrases, and nothing else.

    Args:
        name: the registry's name.
        model: ``Sam3Model`` or ``Sam3LiteTextModel``, with its weights loaded.
        weights: where they come from.
        device: where to compute.
        tokenizer: of the same folder.
    """

    capabilities = Capabilities(boxes=False, points=False, mask_input=False, concepts=True)

    def __init__(
        self, name: str, model: Any, weights: Weights, device: torch.device, *, tokenizer: Any
    ) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.to(device).eval().requires_grad_(False)
        self.detector = Detector(self.model, tokenizer)
        self.side: int = model.config.image_size
        self.prompt_batch = 1

    def prepare(self, image: np.ndarray) -> Prepared:
        """Stretch to S x S, scale to -1..1: (3, S, S) float32."""
        return hf_models.stretched(image, self.side, hf_models.Sam3.pixel_mean, hf_models.Sam3.pixel_std)

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch, once for all phrases."""
        maps = self.detector.backbone(torch.stack([p.pixels for p in prepared]).to(self.device))
        return [
            DetectorEmbedding(m, p.size, self.detector.pyramid(m))
            for p, m in zip(prepared, maps, strict=True)
        ]

    def find_batch(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Answer phrases in one call of the decoder: masks (K, 4h, 4w)."""
        assert isinstance(embedding, DetectorEmbedding)
        return self.detector.find(embedding.pyramid, embedding.size, phrases, wanted)

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Refuse: `capabilities` allow neither boxes nor points."""
        raise SambenchError(f"{self.name}: it takes phrases alone (find), no boxes and no points")

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize straight to the image."""
        return hf_models.resize(logits, size)


@dataclass(frozen=True)
class Sam3Embedding(hf_models.HfEmbedding):
    """The tracker's maps of an image, and the detector's."""

    pyramid: Pyramid


class Sam3(hf_models.Sam3):
    """SAM 3 as released: clicks and boxes by its tracker, phrases by its detector, one backbone.

    Args:
        name: the registry's name.
        model: ``Sam3TrackerModel``, with its weights loaded.
        detector: ``Sam3Model`` of the same folder; it takes the tracker's backbone for its own.
        weights: where they come from.
        device: where to compute.
        tokenizer: of the same folder.

    Raises:
        SambenchError: their backbones are not the same.
    """

    capabilities = Capabilities(concepts=True)

    def __init__(
        self, name: str, model: Any, detector: Any, weights: Weights, device: torch.device, *, tokenizer: Any
    ) -> None:
        if weights.source == "file":
            check_same(model.vision_encoder.backbone, detector.vision_encoder.backbone, str(weights.path))
        detector.vision_encoder.backbone = model.vision_encoder.backbone
        super().__init__(name, model, weights, device)
        self.detector = Detector(detector.to(device).eval().requires_grad_(False), tokenizer)

    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode, once for all prompts and phrases: the tracker's three maps, then the backbone's."""
        model = self.model
        seen = model.get_image_features(pixels)
        fine, middle, coarse = (
            m.permute(1, 2, 0).unflatten(2, size)
            for m, size in zip(seen.fpn_hidden_states, model.backbone_feature_sizes, strict=True)
        )
        coarse = coarse + model.no_memory_embedding.reshape(-1, 1, 1)
        return coarse, fine, middle, as_maps(seen.last_hidden_state)

    def embedding(self, size: Size, features: Tensor, *maps: Tensor) -> Sam3Embedding:
        """Keep the backbone's map for the detector's neck."""
        *tracked, backbone = maps
        return Sam3Embedding(features, size, tuple(tracked), self.detector.pyramid(backbone))

    def find_batch(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Answer phrases in one call of the detector: masks (K, 4h, 4w)."""
        assert isinstance(embedding, Sam3Embedding)
        return self.detector.find(embedding.pyramid, embedding.size, phrases, wanted)


def load_tokenizer(folder: Path) -> Any:
    """Read a folder's tokenizer, CLIP's: lower case, ends of its own, padded with the end token.

    Args:
        folder: with ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``.

    Raises:
        SambenchError: there is none, or it is damaged.
    """
    if not (folder / "tokenizer.json").is_file() and not all(
        (folder / name).is_file() for name in ("vocab.json", "merges.txt")
    ):
        raise SambenchError(
            f"{folder}: no tokenizer.json, nor vocab.json with merges.txt, so no phrase can be read. Get "
            "tokenizer.json of the same model: 'sambench weights fetch sam3' has SAM 3's."
        )
    try:
        tokenizers = importlib.import_module("transformers").CLIPTokenizer
        return tokenizers.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SambenchError(
            f"{folder}: its tokenizer cannot be read ({said}). Get tokenizer.json of the same model again."
        ) from None


def check_same(one: Any, other: Any, where: str) -> None:
    """Refuse two backbones of one file that are not the same network with the same parameters."""
    a, b = one.state_dict(), other.state_dict()
    same = one.config.to_dict() == other.config.to_dict() and a.keys() == b.keys()
    if not same or not all(torch.equal(value, b[key]) for key, value in a.items()):
        raise SambenchError(
            f"{where}: its detector and its tracker do not have the same backbone, so it is not SAM 3 as "
            "released. Get config.json and model.safetensors of the same model."
        )


def as_maps(tokens: Tensor) -> Tensor:
    """Lay the tokens of square images out: (B, h * w, C) to (B, C, h, w)."""
    side = math.isqrt(tokens.shape[1])
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def _repeat(x: Tensor, phrases: int) -> Tensor:
    return x.expand(phrases, *x.shape[1:])


def _corners(offsets: Tensor, reference: Tensor, size: Size) -> Tensor:
    """Refine boxes (..., 4), centre and size in 0..1: corners in pixels of an image of ``size``."""
    before = torch.log(reference.clamp(min=EPSILON) / (1 - reference).clamp(min=EPSILON))
    centre, extent = (before + offsets).sigmoid().split(2, dim=-1)
    height, width = size
    corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)
    return corners * corners.new_tensor([width, height, width, height])

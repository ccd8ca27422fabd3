"""SAM 3 and 3.1 of ultralytics on phrases: ``ultralytics:sam3.pt``, ``ultralytics:sam3.1_multiplex.pt``.

The files are Meta's own, of which the detector is taken; ultralytics has its modules. What of these a phrase
does not use is left out: the tracker's neck, the neck's coarsest map, the encoder of example boxes. SAM 3.1
has another tracker and the same detector, without that map. Clicks and boxes are not served: ultralytics'
tracker wants the image in another shape. transformers has one that does not (`sam3_tracker`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.adapters.concepts import Instances, Texts, Wanted
from sambench.adapters.devices import by_kind
from sambench.evsam.checkpoint import OtherModelError, read_state
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.evsam.unwrap import find

FILES = ("sam3.pt", "sam3.1_multiplex.pt")
"""As Meta's repositories facebook/sam3 and facebook/sam3.1 name them."""

SINCE = (8, 4, 148)
"""The first ultralytics that reads SAM 3.1 as well."""

SIDE = 1008  # ``img_size`` of build_sam3.py
MIDDLE = 127.5  # mean and deviation of every channel: ``SAM3Predictor.setup_model`` of predict.py

PHRASE_BATCH = {"cpu": 2, "cuda": 16}
"""The latter is ``max_text_batch`` of ultralytics; by their shapes a phrase's maps take some 300 MB."""

CLIP = "git+https://github.com/ultralytics/CLIP.git"
"""What ultralytics installs by itself for its tokenizer; on the registry ``clip`` is another package."""


def load(library: Any, found: Weights, build: Callable[[Any], Any] | None = None) -> Any:
    """Build the model, and load the detector of a checkpoint strictly: every parameter that it uses.

    Args:
        library: ultralytics.
        found: a file, or the seed of a random initialisation.
        build: makes the model of the library; `build_model` by default.

    Raises:
        SambenchError: ultralytics is too old, or the file is damaged or of another model.
    """
    version = tuple(int(part) for part in library.__version__.split(".")[:3])
    if version < SINCE:
        raise SambenchError(
            f"ultralytics {library.__version__} does not serve SAM 3 and 3.1 alike: "
            f"pip install 'ultralytics>={'.'.join(map(str, SINCE))}'"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(found.seed or 0)
        model = (build or build_model)(library)
        nn.init.normal_(model.backbone.language_backbone.encoder.positional_embedding, std=0.01)  # left unset
    leave_phrases(model)
    if found.path is not None:
        _fill(model, Path(found.path))
    return model.eval()


def build_model(library: Any) -> Any:
    """Build ultralytics' image model without weights, and with the tokenizer still to come."""
    module = library.models.sam.build_sam3
    # its own function would run what is in a file
    unloaded = mock.patch.object(module, "_load_checkpoint", lambda model, *_, **__: model)
    with _clip_to_come(), unloaded:
        return module.build_sam3_image_model("")


@contextmanager
def _clip_to_come() -> Iterator[None]:
    """Have `_tokenize` in the place of the package that ultralytics would install."""
    before = sys.modules.get("clip")
    stand_in: Any = SimpleNamespace(simple_tokenizer=SimpleNamespace(SimpleTokenizer=lambda: _tokenize))
    sys.modules["clip"] = stand_in
    try:
        yield
    finally:
        del sys.modules["clip"]
        if before is not None:
            sys.modules["clip"] = before


def leave_phrases(model: Any) -> None:
    """Take out what a phrase does not use, so that no checkpoint need have it and no image pays for it."""
    neck = model.backbone.vision_backbone
    neck.convs = neck.convs[: len(neck.convs) - model.backbone.scalp]  # their maps were dropped
    model.backbone.scalp = 0
    neck.sam2_convs = None
    model.geometry_encoder = None
    model.backbone.language_backbone.encoder.text_projection = None  # of a pooled vector that nobody reads


def _fill(model: nn.Module, path: Path) -> None:
    content = read_state(path)
    inner = content.get("model")
    content = inner if isinstance(inner, Mapping) else content
    own = {
        key.removeprefix("detector."): value for key, value in content.items() if key.startswith("detector.")
    }
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = find(own, wanted, whole=False) if own else None
    if found is None:
        missing = [key for key in wanted if key not in own]
        what = f"{len(missing)} keys are missing, first {missing[0]}" if missing else "shapes differ"
        raise OtherModelError(
            f"{path}: no SAM 3 or 3.1 as Meta publishes it, with its detector under 'detector.' ({what}). "
            f"Get {' or '.join(FILES)} from huggingface.co/facebook/sam3 or sam3.1, which ask for consent.",
            {},
        )
    model.load_state_dict(dict(found.state))


def _tokenize(texts: Sequence[str], context_length: int) -> Tensor:
    """Tokenize as ultralytics does, by its fork of CLIP: (N, context_length) int, 0 behind each text's end.

    Raises:
        SambenchError: that package is missing, or another one is there in its place.
    """
    try:
        tokenizer = importlib.import_module("clip.simple_tokenizer").SimpleTokenizer()
        found: Tensor = tokenizer(list(texts), context_length=context_length)
    except (ImportError, AttributeError, TypeError) as error:
        raise SambenchError(
            f"SAM 3 of ultralytics needs the tokenizer of its fork of CLIP ({error}): pip install '{CLIP}'. "
            "SAM 3 of transformers (hf:facebook/sam3) has its own."
        ) from None
    return found


@dataclass(frozen=True)
class Sam3Embedding(Embedding):
    """Maps of one image; ``features`` is the coarsest, (256, 72, 72)."""

    maps: tuple[Tensor, ...]
    """From fine to coarse, each (1, C, h, w)."""
    positions: tuple[Tensor, ...]
    """As many, of the same shapes."""


class Sam3(Segmenter):
    """SAM 3's detector (arXiv 2511.16719): a phrase to at most 200 instances.

    The image is stretched to a square. A score is the query's times the phrase's presence. There is no
    threshold and no suppression, as in Meta's evaluation; ultralytics' own predictor suppresses boxes that
    overlap by 0.7. Unlike Meta's code, it gives the model no empty example beside a text. A phrase of over
    32 tokens is cut there, as both do.

    Args:
        name: the registry's name.
        model: with its weights loaded.
        weights: where they come from.
        device: where to compute.
        library: ultralytics.
        side: of the square.
    """

    capabilities = Capabilities(
        boxes=False, points=False, boxes_with_points=False, mask_input=False, concepts=True
    )
    prompt_batch = 1

    def __init__(
        self,
        name: str,
        model: Any,
        weights: Weights,
        device: torch.device,
        library: Any,
        *,
        side: int = SIDE,
    ) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.to(device).requires_grad_(False)
        self.phrase_batch = by_kind(PHRASE_BATCH, device.type)
        self.letterbox = library.data.augment.LetterBox(
            (side, side), auto=False, center=False, scale_fill=True
        )
        self.texts = Texts(self._encode_texts)

    def prepare(self, image: np.ndarray) -> Prepared:
        """Stretch, scale to -1..1: (3, 1008, 1008) float32."""
        pixels = torch.from_numpy(self.letterbox(image=image)).permute(2, 0, 1)
        return Prepared((pixels.float() - MIDDLE) / MIDDLE, (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch, once for all phrases."""
        pixels = torch.stack([p.pixels for p in prepared]).to(self.device, non_blocking=True)
        found = self.model.backbone.forward_image(pixels)
        maps, positions = found["backbone_fpn"], found["vision_pos_enc"]
        return [
            Sam3Embedding(
                maps[-1][i],
                p.size,
                tuple(one[i : i + 1] for one in maps),
                tuple(one[i : i + 1] for one in positions),
            )
            for i, p in enumerate(prepared)
        ]

    @torch.inference_mode()
    def find_batch(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Find each phrase by itself: logits (K, 288, 288)."""
        assert isinstance(embedding, Sam3Embedding)
        features, padding = zip(*self.texts(phrases), strict=True)
        self.model.text_embeddings = {
            "language_features": torch.stack(features, dim=1),  # (L, N, C)
            "language_mask": torch.stack(padding),
        }
        found = self.model.forward_grounding(
            {"backbone_fpn": list(embedding.maps), "vision_pos_enc": list(embedding.positions)},
            text_ids=torch.arange(len(phrases), device=self.device),
        )
        presence = found["presence_logit_dec"].sigmoid()  # (N, 1)
        scores = found["pred_logits"][..., 0].sigmoid() * presence  # (N, Q)
        centre, side = found["pred_boxes"].split(2, dim=2)
        height, width = embedding.size
        corners = torch.cat([centre - side / 2, centre + side / 2], dim=2)
        boxes = corners * corners.new_tensor([width, height, width, height])
        best = [wanted.best(row) for row in scores]
        rows = zip(found["pred_masks"], scores, boxes, best, strict=True)
        return [Instances(masks[k], score[k], box[k]) for masks, score, box, k in rows]

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Refuse: `decode` does by `capabilities`.

        Raises:
            SambenchError: always.
        """
        raise SambenchError(f"{self.name}: it takes phrases alone")

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize straight to the image, bilinear."""
        return F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0]

    def _encode_texts(self, phrases: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """Features (L, C) of each phrase, and which of its L tokens are padding."""
        found = self.model.backbone.forward_text(list(phrases))
        return list(zip(found["language_features"].unbind(dim=1), found["language_mask"], strict=True))

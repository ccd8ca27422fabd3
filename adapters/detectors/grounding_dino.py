"""GroundingDINO (arXiv 2303.05499) as a detector of a data set's categories, by their names.

Two implementations under one name: the port in transformers (the default), and ``groundingdino-py``, the
authors' code as a package (`adapters.detectors.grounding_dino_py`). What is ours is the same for both: the
image's size, the captions (`adapters.detectors.captions`), and the choice of boxes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sambench.adapters.base import Weights
from sambench.adapters.detectors import grounding_dino_py
from sambench.adapters.detectors.base import Category, Detector, ImageBoxes, find_weights
from sambench.adapters.detectors.captions import Caption, Tokenizer, captions
from sambench.adapters.extras import missing
from sambench.adapters.families import hf
from sambench.adapters.models import PHRASE_DETECTORS, PhraseEntry
from sambench.adapters.weights.upstream import weights_folder
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.evsam.size import Size

# ``RandomResize([800], max_size=1333)`` and ``Normalize`` of the authors' demo/test_ap_on_coco.py.
SHORTEST = 800
LONGEST = 1333
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

TOP_K = 300  # ``num_select`` of the same file

_SWIN: dict[str, dict[str, Any]] = {
    "t": {"embed_dim": 96},  # swin_T_224_1k: the defaults of transformers' SwinConfig
    "b": {  # swin_B_384_22k, groundingdino/models/GroundingDINO/backbone/swin_transformer.py
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
        "image_size": 384,
    },
    "l": {  # mmdetection, configs/mm_grounding_dino/grounding_dino_swin-l_pretrain_all.py
        "embed_dim": 192,
        "depths": [2, 2, 18, 2],
        "num_heads": [6, 12, 24, 48],
        "window_size": 12,
        "image_size": 384,
    },
}
SWIN = {
    name: _SWIN[name.rpartition("_")[2]]
    for name, one in PHRASE_DETECTORS.items()
    if one.target == PhraseEntry.target
}
"""The backbone that a name stands for."""
HUB = {name: PHRASE_DETECTORS[name].folder for name in ("grounding_dino_t", "grounding_dino_b")}
"""Folder within the weights folder."""

Network = Callable[[Tensor, Caption], tuple[Tensor, Tensor]]
"""Pixels (3, h, w) and a caption to logits (Q, >= T) of tokens, -inf where there is none, and boxes (Q, 4):
centre x, centre y, width, height in 0..1 of the image."""


def create(
    name: str,
    *,
    categories: Sequence[Category],
    weights: str | None,
    device: torch.device,
    implementation: str = "transformers",
    chunk_size: int | None = None,
    names: str = "cleaned",
    top_k: int = TOP_K,
    tokenizer: str | None = None,
) -> GroundingDino:
    """Build a GroundingDINO by its registered name (see `adapters.detectors.registry.create`).

    Args:
        name: the registry's name.
        categories: of the data set.
        weights: for transformers a folder as ``save_pretrained`` writes it; for groundingdino-py the authors'
            file.
        device: where to compute.
        implementation: one of `IMPLEMENTATIONS`.
        chunk_size: see `adapters.detectors.captions.captions`.
        names: see there too.
        top_k: boxes kept of an image.
        tokenizer: folder of BERT's uncased vocabulary, by default that of the weights where they are a
            folder, or ``bert-base-uncased`` in the weights folder.

    Raises:
        SambenchError: an option is wrong, a library is missing, or weights or vocabulary are missing or
            wrong.
    """
    if implementation not in IMPLEMENTATIONS:
        raise SambenchError(
            f"{name}: no implementation {implementation!r}; there is {' and '.join(IMPLEMENTATIONS)}."
            + did_you_mean(implementation, IMPLEMENTATIONS)
        )
    if top_k < 1:
        raise SambenchError(f"{name}: option top_k is {top_k}; at least 1 box is kept.")
    file, build = IMPLEMENTATIONS[implementation]
    found = find_weights(name, weights, weights_folder() / file[name])
    of_weights = found.path if found.path and Path(found.path).is_dir() else None
    vocabulary = Path(tokenizer or of_weights or weights_folder() / "bert-base-uncased").expanduser()
    its_tokenizer = load_tokenizer(vocabulary)
    network = build(name, found, vocabulary, device)
    return GroundingDino(
        name,
        network=network,
        captions=captions(its_tokenizer, categories, chunk_size, names),
        weights=found,
        device=device,
        implementation=implementation,
        top_k=top_k,
    )


class GroundingDino(Detector):
    """A GroundingDINO network with its captions.

    Every category competes for every box that the network proposes: of all pairs, over all captions, the
    ``top_k`` of the highest scores are kept, without any threshold. A proposal can so be kept under several
    categories, as in the authors' evaluation. Boxes are not clipped to the image, as there. Each caption is a
    pass of its own through the whole network.

    Args:
        name: the registry's name.
        network: from pixels and a caption to logits and boxes.
        captions: for the data set's categories.
        weights: where the parameters come from.
        device: where to compute.
        implementation: whose code the network is.
        top_k: boxes kept of an image.
    """

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        captions: Sequence[Caption],
        weights: Weights,
        device: torch.device,
        implementation: str,
        top_k: int,
    ) -> None:
        self.name = name
        self.weights = weights
        self.libraries = tuple(dict.fromkeys(("transformers", implementation)))
        self.network = network
        self.captions = captions
        self.device = device
        self.top_k = top_k
        self.settings = {
            "implementation": implementation,
            "input": f"shortest side {SHORTEST}, longest at most {LONGEST}",
            "captions": [c.text for c in captions],
            "score": "mean of the sigmoids at the category's own tokens",
            "labels": "every category of every proposal competes",
            "threshold": None,
            "top_k": top_k,
        }

    @torch.inference_mode()
    def detect_one(self, image: np.ndarray) -> ImageBoxes:
        """Detect in one RGB image (H, W, 3) uint8."""
        height, width = image.shape[:2]
        pixels = prepare(image).to(self.device)
        parts = [self._of_caption(pixels, caption) for caption in self.captions]
        scores, boxes, ids = (torch.cat(part) for part in zip(*parts, strict=True))
        best = _highest(scores, self.top_k)
        centre, half = boxes[best, :2].double(), boxes[best, 2:].double() / 2
        corners = torch.cat([centre - half, centre + half], dim=1) * torch.tensor([width, height] * 2)
        return ImageBoxes(corners.numpy(), scores[best].numpy(), ids[best].numpy())

    def _of_caption(self, pixels: Tensor, caption: Caption) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (k,), boxes (k, 4) and category ids (k,) of the best pairs for one caption."""
        logits, boxes = self.network(pixels, caption)
        scores = caption.scores(logits.float()).cpu()  # (Q, K)
        best = _highest(scores.flatten(), self.top_k)
        proposal, category = best // scores.shape[1], best % scores.shape[1]
        return scores.flatten()[best], boxes.cpu()[proposal], caption.category_ids[category]


def _highest(scores: Tensor, most: int) -> Tensor:
    """Indices of the highest scores (N,), falling; equal ones in their order, so that runs repeat."""
    return scores.sort(descending=True, stable=True).indices[:most]


def prepare(image: np.ndarray) -> Tensor:
    """Resize and normalise an image (H, W, 3) uint8: (3, h, w) float32."""
    height, width = input_size((image.shape[0], image.shape[1]))
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
    return (pixels - mean) / std


def input_size(size: Size) -> Size:
    """Scale (height, width) to `SHORTEST`, or less where `LONGEST` would be exceeded; fractions are cut.

    As ``get_size_with_aspect_ratio`` of the authors' groundingdino/datasets/transforms.py.
    """
    short, long = min(size), max(size)
    target = SHORTEST
    if long / short * target > LONGEST:
        target = round(LONGEST * short / long)
    other = int(target * long / short)
    return (target, other) if size[0] <= size[1] else (other, target)


def load_tokenizer(folder: Path, remedy: str = "give its folder by --option tokenizer=FOLDER") -> Tokenizer:
    """Load BERT's tokenizer from a folder.

    Args:
        folder: has ``tokenizer.json`` or ``vocab.txt``.
        remedy: what to do where it has not.

    Raises:
        SambenchError: transformers is missing, or the folder holds none.
    """
    library = _transformers()
    try:
        with hf.quiet_and_offline():
            found: Tokenizer = library.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, use_fast=True, trust_remote_code=False
            )
            found("a", return_offsets_mapping=True)  # slow tokenizers do not know the place of a token
            return found
    except Exception as error:
        said = " ".join(str(error).split())[:150]
        raise SambenchError(
            f"{folder}: no BERT tokenizer ({type(error).__name__}: {said}). It takes tokenizer.json or "
            f"vocab.txt of bert-base-uncased; {remedy}."
        ) from None


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise missing("GroundingDINO", error, "hf") from None


def transformers_network(name: str, weights: Weights, vocabulary: Path, device: torch.device) -> Network:
    """Build the port of transformers (see `transformers_model`) as a `Network`."""
    del vocabulary
    model = transformers_model(name, weights, device)

    def network(pixels: Tensor, caption: Caption) -> tuple[Tensor, Tensor]:
        output = model(pixel_values=pixels[None], input_ids=caption.tokens[None].to(device))
        return output.logits[0], output.pred_boxes[0]

    return network


def transformers_model(name: str, weights: Weights, device: torch.device) -> Any:
    """Build the port of transformers from a folder, or with random weights.

    Raises:
        SambenchError: transformers is missing, or the folder does not hold this model.
    """
    library = _transformers()
    kind = "GroundingDino" if name.startswith("grounding_dino") else "MMGroundingDino"  # LLMDet is one too
    model_class = getattr(library, f"{kind}ForObjectDetection")
    with hf.quiet_and_offline():
        if weights.path is not None:
            model = load_folder(model_class, Path(weights.path))
            width = model.config.backbone_config.embed_dim
            if width != SWIN[name]["embed_dim"]:
                raise SambenchError(f"{weights.path}: is no {name}; its backbone is {width} channels wide.")
        else:
            config = getattr(library, f"{kind}Config")(
                backbone_config=library.SwinConfig(**SWIN[name], out_indices=[2, 3, 4])
            )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(weights.seed or 0)
                model = model_class(config)
    return model.float().eval().requires_grad_(False).to(device)


def load_folder(model_class: Any, folder: Path) -> Any:
    """Load a folder strictly, from safetensors alone. `hf._load` asks for SDPA, which this model has not.

    Raises:
        SambenchError: the folder does not hold exactly the parameters of its ``config.json``.
    """
    with hf.explained(folder, model_class):
        model, report = model_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to be named below, with the other two
        )
    for kind in ("missing", "unexpected", "mismatched"):
        if keys := sorted(map(str, report[f"{kind}_keys"])):
            raise SambenchError(
                f"{folder}: {len(keys)} parameters are {kind} by its config.json, first {keys[0]}. "
                "Get config.json and model.safetensors of the same model."
            )
    return model


IMPLEMENTATIONS: dict[str, tuple[dict[str, str], Callable[..., Network]]] = {
    "transformers": (HUB, transformers_network),
    "groundingdino-py": (grounding_dino_py.FILES, grounding_dino_py.network),
}
"""By name: the weights looked for in the weights folder, and the network's builder."""

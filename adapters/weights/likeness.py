"""Which model a checkpoint looks like that does not fit the one it was given for: asked after that failed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from sambench.adapters.models import REGISTRY

Shapes = Mapping[str, tuple[int, ...]]

ALIKE = 0.95
"""Of keys with their shapes, from which on a checkpoint is said to look like a model. Models of a family that
differ in size share no more than 0.8 of them."""

FOREIGN = {
    "mask_decoder.hf_token.": "SAM-HQ of its authors; take sam_hq_vit_b, _l or _h (transformers' layout)",
    "sam_mask_decoder.": "SAM 2 of its authors; take ultralytics:sam2_t.pt and its like, or sam2_hiera_tiny",
    "memory_attention.": "SAM 2; take ultralytics:sam2_t.pt and its like, or sam2_hiera_tiny",
    "shared_image_embedding.": "SAM as transformers has it; take hf:FOLDER with its config.json beside",
    "vision_encoder.": "a model of transformers; take hf:FOLDER with its config.json beside",
    "backbone.0.": "a detector or segmenter of the DETR kind, no SAM",
    "model.0.conv.": "a YOLO of ultralytics, no SAM; ultralytics:FastSAM-s.pt is one that takes prompts",
}
"""How some keys begin of checkpoints that are not of the models here."""


def looks_like(shapes: Shapes) -> str:
    """Say in a sentence which model a checkpoint is of, by its keys and shapes.

    Args:
        shapes: keys to shapes.
    """
    if not shapes:
        return "It holds no tensors by name."
    alike = {name: _share(shapes, own) for name, own in _own_models().items()}
    most = max(alike.values())
    if most >= ALIKE:
        names = [name for name, share in alike.items() if share == most]
        return f"It {'is' if most == 1 else 'looks like'} {' or '.join(names)}."
    for beginning, what in FOREIGN.items():
        if any(key.startswith(beginning) for key in shapes):
            return f"It looks like {what}."
    parts = [name for name, own in _own_models().items() if _is_part(shapes, own)]
    if parts:
        return f"It looks like a part of {' or '.join(parts)}: the whole model is needed."
    return f"It looks like none of the {len(alike)} models whose layout is known here."


def _share(shapes: Shapes, own: Shapes) -> float:
    same = sum(own.get(key) == shape for key, shape in shapes.items())
    return same / max(len(shapes), len(own))


def _is_part(shapes: Shapes, own: Shapes) -> bool:
    """Tell whether shapes are those of one part of a model, with or without the part's name before them."""
    for part in dict.fromkeys(key.partition(".")[0] + "." for key in own):
        its = {key: shape for key, shape in own.items() if key.startswith(part)}
        bare = {key.removeprefix(part): shape for key, shape in its.items()}
        if shapes in (its, bare):
            return True
    return False


@cache
def _own_models() -> Mapping[str, Shapes]:
    """Return the layouts of the models of our own code, which take some seconds to build: without memory."""
    import torch

    layouts = {}
    for name, entry in REGISTRY.items():
        module = entry.target.partition(":")[0]
        if entry.libraries or not hasattr(importlib.import_module(module), "create_model"):
            continue
        with torch.device("meta"):
            model = importlib.import_module(module).create_model(name)
        layouts[name] = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return layouts

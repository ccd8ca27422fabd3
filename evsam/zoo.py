"""The five variants by name, and how official checkpoints are loaded into them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evsam.backbone import Backbone, Stage
from evsam.errors import SambenchError, did_you_mean
from evsam.layers import NORM_EPS
from evsam.mask_decoder import MaskDecoder
from evsam.model import EfficientViTSam
from evsam.neck import ImageEncoder, Neck
from evsam.prompt_encoder import PromptEncoder
from evsam.transformer import TwoWayTransformer


@dataclass(frozen=True)
class Variant:
    """What tells one EfficientViT-SAM from another (paper, section 3.1; official ``sam_model_zoo``)."""

    stages: tuple[Stage, ...]
    neck_depth: int
    neck_expand: int
    input_size: int


def _large(*depths: int, neck_depth: int) -> Variant:
    d0, d1, d2, d3, d4 = depths
    stages = (
        Stage(32, d0, "res"),
        Stage(64, d1, "fmb", expand=4),
        Stage(128, d2, "fmb", expand=4),
        Stage(256, d3, "mb", expand=4),
        Stage(512, d4, "att", expand=6, kernel=5),
    )
    return Variant(stages, neck_depth=neck_depth, neck_expand=1, input_size=512)


def _extra_large(*depths: int, neck_depth: int) -> Variant:
    d0, d1, d2, d3, d4, d5 = depths
    stages = (
        Stage(32, d0, "res"),
        Stage(64, d1, "fmb", expand=4),
        Stage(128, d2, "fmb", expand=4),
        Stage(256, d3, "fmb", expand=4),
        Stage(512, d4, "att", expand=4, kernel=3),
        Stage(1024, d5, "att", expand=6, kernel=3),
    )
    return Variant(stages, neck_depth=neck_depth, neck_expand=4, input_size=1024)


VARIANTS: dict[str, Variant] = {
    "efficientvit_sam_l0": _large(1, 1, 1, 4, 4, neck_depth=4),
    "efficientvit_sam_l1": _large(1, 1, 1, 6, 6, neck_depth=8),
    "efficientvit_sam_l2": _large(1, 2, 2, 8, 8, neck_depth=12),
    "efficientvit_sam_xl0": _extra_large(0, 1, 1, 2, 3, 3, neck_depth=6),
    "efficientvit_sam_xl1": _extra_large(1, 2, 2, 4, 6, 6, neck_depth=12),
}

FUSED_STAGES = 3  # the neck reads the three deepest maps


def create_model(name: str) -> EfficientViTSam:
    """Build a variant with random weights, in eval mode, with the official ``state_dict`` layout.

    Raises:
        SambenchError: there is no variant of that name.
    """
    if name not in VARIANTS:
        raise SambenchError(
            f"no model {name!r} in evsam; there are {', '.join(VARIANTS)}.{did_you_mean(name, VARIANTS)}"
        )
    variant = VARIANTS[name]
    widths = [stage.width for stage in variant.stages[::-1][:FUSED_STAGES]]
    neck = Neck(widths, depth=variant.neck_depth, expand=variant.neck_expand)
    model = EfficientViTSam(
        image_encoder=ImageEncoder(Backbone(variant.stages), neck),
        prompt_encoder=PromptEncoder(),
        mask_decoder=MaskDecoder(TwoWayTransformer(norm_eps=NORM_EPS)),
        input_size=variant.input_size,
    )
    return model.eval()


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Load an official checkpoint strictly: every key there, none too many, every shape right.

    Takes ``.pt`` / ``.pth`` (a bare state dict, or one under ``state_dict`` or ``model``) and
    ``.safetensors``. Nothing in the file is executed.

    Raises:
        SambenchError: the file is missing, damaged, holds code, or belongs to another model; the message
            names the first keys that differ.
    """
    state = _read_state(path)
    for outer in ("state_dict", "model"):
        if isinstance(state.get(outer), Mapping):
            state = state[outer]
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected:
        raise SambenchError(
            f"{path}: a checkpoint of another model. {_first('missing', missing)}; "
            f"{_first('unexpected', unexpected)}. Give the file that belongs to this model."
        )
    for key, value in own.items():
        found = state[key]
        if not isinstance(found, Tensor) or found.shape != value.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SambenchError(
                f"{path}: a checkpoint of another model. {key} is {shape}, "
                f"this model has {tuple(value.shape)}."
            )
    model.load_state_dict(dict(state), strict=True)


def _read_state(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise SambenchError(
            f"{path}: no such checkpoint. Give a .pt, .pth or .safetensors file, or 'random'."
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own text advises to load it all the same
        raise SambenchError(
            f"{path}: refused. It is not a checkpoint, is damaged, or is a pickle that would run code when "
            "opened. Get the file again from its authors, or have them save the state dict alone."
        ) from None
    except Exception as error:
        raise SambenchError(
            f"{path}: not a readable checkpoint ({_short(error)}). Get the file again."
        ) from None
    if not isinstance(state, Mapping):
        raise SambenchError(f"{path}: holds a {type(state).__name__}, not a state dict.")
    return state


def _first(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} keys" + (f", first {keys[0]}" if keys else "")


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__

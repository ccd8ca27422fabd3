"""GroundingDINO by its authors' code, as the package ``groundingdino-py`` has it.

The package was written for transformers 4: three methods that it takes from BERT are gone in transformers 5,
and are given to the one BERT that it wraps. BERT's parameters are in the authors' checkpoint, so none are
looked for elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from sambench.adapters.base import Weights
from sambench.adapters.detectors.captions import Caption
from sambench.adapters.extras import missing
from sambench.adapters.families import hf
from sambench.evsam.checkpoint import find_state
from sambench.evsam.errors import SambenchError

CONFIGURATIONS = {
    "grounding_dino_t": "GroundingDINO_SwinT_OGC",
    "grounding_dino_b": "GroundingDINO_SwinB_cfg",
}
"""Modules of ``groundingdino.config``."""

FILES = {
    "grounding_dino_t": "groundingdino_swint_ogc.pth",
    "grounding_dino_b": "groundingdino_swinb_cogcoor.pth",
}
"""The authors' checkpoints."""

LEFT_OVER = {"label_enc.weight", "bert.embeddings.position_ids"}
"""Of the authors' checkpoints, but not of the model: of training alone, and a constant."""

PACKAGES = "pip install --no-deps groundingdino-py==0.4.0 addict yapf platformdirs, and timm and torchvision"


def network(
    name: str, weights: Weights, vocabulary: Path, device: torch.device
) -> Callable[[Tensor, Caption], tuple[Tensor, Tensor]]:
    """Build the model with the parameters of an authors' checkpoint, or with random ones.

    Raises:
        SambenchError: a package is missing, or the checkpoint is damaged or of another model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.seed or 0)
        model = build(CONFIGURATIONS[name], vocabulary)
    if weights.path is not None:
        load(model, Path(weights.path))
    model = model.float().eval().requires_grad_(False).to(device)

    def run(pixels: Tensor, caption: Caption) -> tuple[Tensor, Tensor]:
        with _quiet():
            output = model(pixels[None], captions=[caption.text])
        return output["pred_logits"][0], output["pred_boxes"][0]

    return run


def build(configuration: str, vocabulary: Path, **changes: Any) -> Any:
    """Build the model without weights, on the CPU.

    Args:
        configuration: a module of ``groundingdino.config``.
        vocabulary: folder of BERT's tokenizer.
        changes: of the configuration.
    """
    with _quiet():
        models, settings, text = _import(configuration)
        arguments = vars(settings) | {"device": "cpu", "text_encoder_type": str(vocabulary)}
        # activation checkpoints save memory in training; without gradients they only warn
        arguments |= {"use_checkpoint": False, "use_transformer_ckpt": False} | changes
        with mock.patch.object(text, "get_pretrained_language_model", _bert):
            return models.build_model(SimpleNamespace(**arguments))


def _import(configuration: str) -> tuple[Any, Any, Any]:
    try:
        names = ("models", f"config.{configuration}", "util.get_tokenlizer")
        models, settings, text = (importlib.import_module(f"groundingdino.{n}") for n in names)
    except ImportError as error:
        bare = f", or, where OpenCV finds no libGL, {PACKAGES}"
        raise missing("implementation groundingdino-py", error, "groundingdino", bare) from None
    return models, settings, text


def _bert(_: str) -> Any:
    """Build BERT of its base size, with what ``BertModelWarper`` takes from it and transformers 5 lacks."""
    transformers: Any = importlib.import_module("transformers")
    bert = transformers.BertModel(transformers.BertConfig())

    def extended(mask: Tensor, *_: Any) -> Tensor:
        """Turn a mask (B, T, T) of who sees whom into what attention adds to its scores (B, 1, T, T)."""
        return (1 - mask[:, None].float()) * torch.finfo(torch.float32).min

    def heads(_: None, layers: int) -> list[None]:
        return [None] * layers

    for method, stand_in in (
        ("get_extended_attention_mask", extended),
        ("invert_attention_mask", None),  # of decoders; asked for and never called
        ("get_head_mask", heads),
    ):
        if not hasattr(bert, method):
            setattr(bert, method, stand_in)
    return bert


def load(model: Any, path: Path) -> None:
    """Load a checkpoint strictly, but for `LEFT_OVER`.

    Raises:
        SambenchError: it is damaged, holds code, or is of another model.
    """
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    try:
        found = find_state(path, own, spare=LEFT_OVER.__contains__)
    except SambenchError as error:
        raise SambenchError(
            f"{error} It is no checkpoint of GroundingDINO's authors for this model; they are at "
            "github.com/IDEA-Research/GroundingDINO."
        ) from None
    model.load_state_dict(found.state)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep its prints from scripts that read our output, and its use of others' old names to itself."""
    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, warnings.catch_warnings(), hf.quiet_and_offline():
        warnings.simplefilter("ignore")
        yield

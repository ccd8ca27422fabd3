"""EfficientSAM3 (arXiv 2511.15833): SAM 3 with a small image encoder, distilled from its own.

After github.com/SimonZeng7108/efficientsam3 (``build_efficientsam3_image_model``). The nine encoders are
those of `adapters.modules.student`; all behind them is SAM 3's, as transformers has it (`hf_concepts.Sam3`):
clicks and boxes by its tracker, phrases by its detector, with its own text encoder. So are the checkpoints of
the first stage, which hold all of it in the layout of SAM 3's authors (`sam3_layout`). Those with MobileCLIP
for a text encoder, and later ones without a tracker, are other models and refused.

Not proven: what the released weights give, for they are not here. Proven are the number of parameters of each
encoder, its arithmetic against timm's, and the layout against that of ultralytics' SAM 3, which loads the
authors' file (tests/adapters/families/test_efficient_sam3.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sambench.adapters.base import Segmenter, Weights
from sambench.adapters.families import hf, hf_concepts, hf_models
from sambench.adapters.families.hf import ModelOfLibrary
from sambench.adapters.families.sam3_layout import SAM3
from sambench.adapters.modules.student import BACKBONES, Student
from sambench.adapters.weights.likeness import looks_like
from sambench.adapters.weights.resolve import default_path, resolve
from sambench.evsam.checkpoint import OtherModelError
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.evsam.fuse import fuse_norms

FINE_TUNED = "_ft"
"""How names end of those that are fine-tuned with boxes and points: the same networks."""

VARIANTS = {
    **{f"efficient_sam3_{which}": which for which in BACKBONES},
    **{
        f"efficient_sam3_{which}_m{FINE_TUNED}": f"{which}_m"
        for which in ("repvit", "tinyvit", "efficientvit")
    },
}

CHECKPOINTS = (".pt", ".pth", ".safetensors")


class Trunk(nn.Module):
    """A student in the place of the ViT within transformers' vision model.

    Args:
        student: images (B, 3, S, S) to maps (B, C, h, w).
        config: of the ViT, which says C and h to its neck.
    """

    def __init__(self, student: nn.Module, config: Any) -> None:
        super().__init__()
        self.student = student
        self.config = config

    def forward(self, pixels: Tensor, **_: Any) -> Any:
        """Return the map as tokens, (B, h * w, C), under transformers' name for them."""
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.student(pixels).flatten(2).transpose(1, 2))


def build(student: nn.Module, *, detector: Mapping[str, Any], tracker: Mapping[str, Any]) -> ModelOfLibrary:
    """Give a student SAM 3's two heads, in eval mode.

    Args:
        student: see `Trunk`.
        detector: keywords of transformers' ``Sam3Config``; its defaults are the numbers of SAM 3.
        tracker: those of its ``Sam3TrackerConfig``.
    """
    tracker_class, detector_class = hf.model_classes(hf.FAMILIES["sam3_video"])
    with hf.quiet_and_offline():
        model = tracker_class(tracker_class.config_class(**_without_layers(tracker)))
        found = detector_class(detector_class.config_class(**_without_layers(detector)))
    model.vision_encoder.backbone = Trunk(student, model.config.vision_config.backbone_config)
    return ModelOfLibrary(model, found).eval()


def _without_layers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the layers of the ViT out, which the student replaces: half a billion parameters."""
    vision = {"model_type": "sam3_vision_model", **config.get("vision_config", {})}
    trunk = {"model_type": "sam3_vit_model", **vision.get("backbone_config", {}), "num_hidden_layers": 0}
    return {**config, "vision_config": vision | {"backbone_config": trunk}}


def create_model(name: str) -> ModelOfLibrary:
    """Build a variant with random weights, in eval mode.

    Raises:
        SambenchError: there is no variant of that name, or transformers is missing or too old.
    """
    if name not in VARIANTS:
        raise SambenchError(
            f"no EfficientSAM3 {name!r}; there are {', '.join(VARIANTS)}.{did_you_mean(name, VARIANTS)}"
        )
    return build(Student(*BACKBONES[VARIANTS[name]]()), detector={}, tracker={})


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create a model of `VARIANTS`.

    Its vocabulary is CLIP's, ``tokenizer.json`` in the folder of the weights; a random one without it takes
    no phrases.
    """
    return segmenter(name, lambda: create_model(name), resolve(name, weights), device)


def segmenter(
    name: str, create_network: Callable[[], ModelOfLibrary], weights: Weights, device: torch.device
) -> hf_models.Sam3:
    """Build a network, load what the weights say, and put it behind the common interface.

    Raises:
        SambenchError: the checkpoint is damaged, or of another model; there is no vocabulary.
    """
    file = None if weights.path is None else _checkpoint(Path(weights.path))
    folder = file.parent if file else default_path(name)
    tokenizer = hf_concepts.load_tokenizer(folder) if file or folder.exists() else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.seed or 0)
        network = create_network()
    if file:
        try:
            weights = dataclasses.replace(weights, taken=SAM3.load(network, file))
        except OtherModelError as error:
            raise SambenchError(f"{error} {looks_like(error.shapes)}") from None
    fuse_norms(network.model.vision_encoder.backbone)
    if tokenizer is None:
        return hf_models.Sam3(name, network.model, weights, device)
    return hf_concepts.Sam3(name, network.model, network.detector, weights, device, tokenizer=tokenizer)


def _checkpoint(path: Path) -> Path:
    """Return the one checkpoint of a folder, or the file itself."""
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in CHECKPOINTS)
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise SambenchError(
            f"{path}: it has to hold one checkpoint ({', '.join(CHECKPOINTS)}), and there is {names}. "
            "Name the file itself."
        )
    return files[0]

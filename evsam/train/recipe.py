"""Every choice of the training, named. Where the paper and the released code differ there are two presets.

"Paper" is arXiv 2402.05008, section 3.2; "released" is github.com/mit-han-lab/efficientvit at commit
de7d7733, ``efficientvit/samcore/trainer/`` and ``samcore/data_provider/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Samples:
    """How an image gets to the model; both phases read it."""

    flip: float = 0.5
    """Share of images that are mirrored, left to right."""
    resize: Literal["bytes", "tensor"] = "bytes"
    """``bytes``: Pillow's bilinear on bytes, as at inference. ``tensor``: torch's, smoothing, on floats, as
    in the released training; the two differ by 2% of an image's deviation."""
    colour: float = 0.0
    """Largest change of contrast, brightness and saturation, as a share; neither paper nor code has any."""


@dataclass(frozen=True, kw_only=True)
class Finetune(Samples):
    """Phase 2: what is asked of an image, and what the answer costs. Defaults are the paper's."""

    masks_per_image: int = 64
    """Objects drawn of an image."""
    draw: Literal["uniform", "by_size"] = "uniform"
    """``by_size`` draws as many small as large objects (by thirds of the image's own areas): an image of
    hundreds of specks otherwise teaches to predict nothing."""
    fill: bool = True
    """Whether objects are repeated where an image has fewer."""
    boxes: float = 0.5
    """Share of images whose objects are all asked for by box; the others by points."""
    jitter: float = 0.0
    """Deviation of a box's corners, as a share of its sides (released: none)."""
    points: tuple[int, int] = (1, 10)
    """Fewest and most foreground points an object; one number for all objects of an image."""
    short_of_points: Literal["boxes", "repeat"] = "boxes"
    """An object with fewer pixels than points: its image is asked by boxes (released), or pixels repeat."""
    clicks: int = 0
    """Most corrective clicks on the errors of answers before the one that counts (released: none)."""
    click_share: float = 0.5
    """Share of steps that have any, where ``clicks`` is not 0."""
    multimask: float = 0.5
    """Share of steps with three masks a prompt; the others have the single one."""
    mask_loss: Literal["focal", "bce"] = "focal"
    """Focal loss (paper), or plain binary cross-entropy (released)."""
    pixels: Literal["all", "uncertain"] = "all"
    """Where it is taken: everywhere, or at 12,544 points of which three quarters are the least certain."""
    mask_weight: float = 20.0
    dice_weight: float = 1.0
    area_weight: float = 0.0
    """Of the mask loss once more, over the object's area instead of the image's: it keeps specks alive."""
    mean_share: float = 0.0
    """Of the mean over a prompt's masks, beside the least of them, so that none starves."""
    iou_weight: float = 0.0
    """Of the squared error of the predicted IoU. Neither paper nor code supervises it."""


@dataclass(frozen=True, kw_only=True)
class Distill(Samples):
    """Phase 1: the student's embedding against the teacher's, L2 as the paper says."""

    area: Literal["all", "image"] = "all"
    """The whole embedding, or the part of it that shows the image and no padding."""
    other_size: Literal["refuse", "resize"] = "refuse"
    """An embedding of another height or width than the teacher's: an error, or resized (bilinear)."""


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """How the weights move."""

    lr: float = 2e-6
    """The paper's for L0 to L2; 1e-6 for XL0 and XL1."""
    lr_per_rank: bool = False
    """Whether ``lr`` is multiplied by the number of processes, as the released code does."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.1
    no_decay: Literal["names", "vectors"] = "names"
    """What is not decayed: parameters with ``norm`` or ``bias`` in their name (released; two norms of SAM's
    parts have neither), or all that have one dimension."""
    warm_up: int = 0
    """Steps of a linear rise to ``lr``; from there a cosine to zero."""
    clip: Literal["value", "norm", "none"] = "value"
    clip_at: float = 2.0
    norms: Literal["batch", "synchronised", "frozen"] = "batch"
    """Batch norms: of a process's own images (released), of all processes' (CUDA), or as they are."""
    average: float = 0.0
    """Decay of an exponential moving average of the weights; 0 for none (released)."""
    frozen: tuple[str, ...] = ()
    """Parts that do not learn, by the start of their names: ``image_encoder``, ``prompt_encoder``, ..."""

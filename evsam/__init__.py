"""EfficientViT-SAM, complete: the model of "EfficientViT-SAM: Accelerated Segment Anything Model
Without Accuracy Loss" (arXiv 2402.05008), written to be read.

Read ``layers`` and ``attention`` (the linear attention that makes it fast), ``backbone`` (EfficientViT-L/XL),
``neck``, ``prompt_encoder``, ``transformer``, ``mask_decoder``, then ``model`` which joins them and ``zoo``
which holds the five variants. ``geometry`` is how pixels get in and masks get out, ``checkpoint`` how the
official files are loaded.

    >>> from sambench import evsam
    >>> from sambench.evsam import geometry
    >>> model = evsam.create_model("efficientvit_sam_l0")
    >>> pixels = geometry.preprocess(image, model.input_size)[None]  # image: (H, W, 3) uint8 RGB
    >>> corners = geometry.to_prompt_frame(torch.tensor([[[130.0, 95.0], [408.0, 337.0]]]), image.shape[:2])
    >>> logits, iou = model(pixels, boxes=corners.reshape(-1, 4))  # (1, 3, 256, 256), (1, 3)
    >>> masks = geometry.upsample(logits[:, iou[0].argmax()], image.shape[:2]) > 0  # (1, H, W)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sambench.evsam.zoo import create_model as create_model

__all__ = ["create_model"]


def __getattr__(name: str) -> Any:
    """Import the model code on first use, so that listing models never waits for torch."""
    if name == "create_model":
        from sambench.evsam.zoo import create_model

        return create_model
    raise AttributeError(f"module 'evsam' has no attribute {name!r}")

"""EfficientViT-SAM, complete: the model of "EfficientViT-SAM: Accelerated Segment Anything Model
Without Accuracy Loss" (arXiv 2402.05008), written to be read.

Read ``backbone`` (EfficientViT-L/XL), ``neck``, ``prompt_encoder``, ``transformer``, ``mask_decoder``, then
``model`` which joins them and ``zoo`` which holds the five variants. ``geometry`` is how pixels get in and
masks get out.

    >>> import evsam
    >>> model = evsam.create_model("efficientvit_sam_l0")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evsam.zoo import create_model as create_model

__all__ = ["create_model"]


def __getattr__(name: str) -> Any:
    """Import the model code on first use, so that listing models never waits for torch."""
    if name == "create_model":
        from evsam.zoo import create_model

        return create_model
    raise AttributeError(f"module 'evsam' has no attribute {name!r}")

"""Who is measured: every model behind one interface.

>>> from sambench import adapters
>>> segmenter = adapters.create("efficientvit_sam_l0", weights="random")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sambench.adapters.registry import create as create

__all__ = ["create"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that a light import of a neighbour stays light."""
    if name == "create":
        from sambench.adapters.registry import create

        return create
    raise AttributeError(f"module 'adapters' has no attribute {name!r}")

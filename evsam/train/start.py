"""What a model begins phase 2 with: SAM's prompt encoder and decoder, or attention that looks where asked."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sambench.evsam.errors import SambenchError
from sambench.evsam.model import Sam
from sambench.evsam.transformer import Attention, TwoWayBlock

HEAD = ("prompt_encoder.", "mask_decoder.")
TIED_GAIN = 2.0
"""Of queries and keys alike: with it a point's largest weight is a few pixels of the embedding wide."""


def take_head(model: Sam, state: Mapping[str, Tensor], source: str) -> None:
    """Give a model the prompt encoder and the mask decoder of a SAM checkpoint (paper, section 3.2).

    Raises:
        SambenchError: it has other parts or sizes.
    """
    own = {key: value for key, value in model.state_dict().items() if key.startswith(HEAD)}
    for key, value in own.items():
        if key not in state or state[key].shape != value.shape:
            found = tuple(state[key].shape) if key in state else "missing"
            raise SambenchError(
                f"{source}: is no SAM checkpoint for this model: {key} is {found}, not {tuple(value.shape)}."
            )
    model.load_state_dict({key: state[key] for key in own}, strict=False)


@torch.no_grad()
def tie_attention(model: Sam) -> None:
    """Make queries and keys of the attention between tokens and image equal, and twice as large.

    A prompt's token and a pixel with the same position encoding then fit each other best: the model attends
    to where it is asked from the first step, which random projections learn in thousands.
    """
    transformer = model.mask_decoder.transformer
    blocks = [block for block in transformer.layers if isinstance(block, TwoWayBlock)]
    attentions: list[Attention] = [block.cross_attn_token_to_image for block in blocks]
    attentions += [block.cross_attn_image_to_token for block in blocks]
    for attention in (*attentions, transformer.final_attn_token_to_image):
        attention.q_proj.weight.mul_(TIED_GAIN)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.k_proj.bias.copy_(attention.q_proj.bias)

"""SAM's two-way transformer: a handful of prompt tokens and 4096 image tokens read each other.

The formulas are those of "Segment Anything" (arXiv 2304.02643, appendix A); the order in which they are
computed is not. With T tokens (7 for a box) against P = 4096 pixels and 8 heads, ``8 T`` is far below the
128 channels that keys and queries are projected to, so it is cheaper to carry the tokens through the
projection weights than the pixels:

    q . (W k + b)  =  (W^T q) . k + q . b          one product of (8 T, 256) with (256, P)

which halves the arithmetic and never writes a projected image. In the first layer the image tokens are
still the same for every prompt; there they are projected, once an image (`ImageTokens`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DIM = 256
HEADS = 8
CROSS_DIM = 128  # channels inside the attention between tokens and image ("attention_downsample_rate" 2)
MLP_DIM = 2048
LAYERS = 2


@dataclass(frozen=True)
class ImageTokens:
    """The image's side of the transformer before any prompt is seen.

    B is 1 where the prompts share it, or N where each brings a mask of its own.
    """

    keys: Tensor
    """Embedding plus dense prompt, (B, P, 256)."""
    position: Tensor
    """Position encoding, (1, P, 256)."""
    first_k: Tensor
    """Keys of the first token-to-image attention, (B, P, 128)."""
    first_v: Tensor
    """Values of the same."""
    first_q: Tensor
    """Queries of the first image-to-token attention, (B, P, 128)."""

    @staticmethod
    def join(images: Sequence[ImageTokens]) -> ImageTokens:
        """Put N images of one model beside each other, to decode one prompt on each."""
        names = ("keys", "first_k", "first_v", "first_q")
        joined = {name: torch.cat([getattr(image, name) for image in images]) for name in names}
        return ImageTokens(position=images[0].position, **joined)


class Attention(nn.Module):
    """Multi-head attention with the projections of the official checkpoints."""

    def __init__(self, *, inner_dim: int = DIM) -> None:
        super().__init__()
        self.q_proj = nn.Linear(DIM, inner_dim)
        self.k_proj = nn.Linear(DIM, inner_dim)
        self.v_proj = nn.Linear(DIM, inner_dim)
        self.out_proj = nn.Linear(inner_dim, DIM)
        self.scale = (inner_dim // HEADS) ** -0.5

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from q (N, T, 256) to k and v (N, S, 256), all as they are before projection."""
        return self.attend(self.q_proj(q), self.k_proj(k), self.v_proj(v))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend between projected tensors (N, T, inner_dim) and (N, S, inner_dim)."""
        out = F.scaled_dot_product_attention(split_heads(q), split_heads(k), split_heads(v))
        return self.out_proj(out.transpose(1, 2).flatten(2))


class TokenToImage(Attention):
    """Tokens read the image: `Attention` from ``tokens`` to ``keys + position`` with values ``keys``."""

    def __init__(self) -> None:
        super().__init__(inner_dim=CROSS_DIM)

    def read_projected(self, tokens: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Read projected pixels (B, P, 128); queries of all prompts share them where B is 1."""
        q = self.q_proj(tokens).reshape(k.shape[0], _rows(tokens, k), CROSS_DIM)
        q, k, v = split_heads(q.to(k.dtype)), split_heads(k), split_heads(v)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).reshape(*tokens.shape[:2], CROSS_DIM).to(tokens.dtype))

    def read(self, tokens: Tensor, keys: Tensor, keys_at: Tensor) -> Tensor:
        """Read pixels (N, P, 256), given plain as ``keys`` and with their position as ``keys_at``.

        The bias of the keys is left out: it adds the same to every score of a row of the softmax.
        """
        q = split_heads(self.q_proj(tokens) * self.scale)  # (N, 8, T, 16)
        n, heads, t, _ = q.shape
        folded = (q @ split_weight(self.k_proj)).flatten(1, 2).to(keys.dtype)
        scores = folded @ keys_at.transpose(1, 2)  # (N, 8 T, P)
        context = (scores.softmax(dim=-1) @ keys).to(tokens.dtype).reshape(n, heads, t, DIM)
        out = context @ split_weight(self.v_proj).transpose(1, 2)  # (N, 8, T, 16)
        return self.out_proj(out.transpose(1, 2).flatten(2) + self.v_proj.bias)


class ImageToToken(Attention):
    """The image reads the tokens: ``keys`` plus `Attention` from ``keys + position`` to ``tokens``.

    In two steps, scores and update, because the first layer scores by an image that is projected already.
    """

    def __init__(self) -> None:
        super().__init__(inner_dim=CROSS_DIM)

    def scores_projected(self, q: Tensor, tokens: Tensor) -> Tensor:
        """Scores (N, 8, T, P) of projected pixels (B, P, 128) against tokens (N, T, 256).

        Where the prompts share the pixels, their tokens are the rows of one product a head.
        """
        k = (self.k_proj(tokens) * self.scale).reshape(q.shape[0], _rows(tokens, q), CROSS_DIM)
        scores = split_heads(k.to(q.dtype)) @ split_heads(q).transpose(2, 3)  # (B, 8, N T / B, P)
        scores = scores.unflatten(2, (tokens.shape[0] // q.shape[0], tokens.shape[1]))  # (B, 8, N / B, T, P)
        return scores.transpose(1, 2).flatten(0, 1)

    def scores(self, keys_at: Tensor, tokens: Tensor) -> Tensor:
        """Scores (N, 8, T, P) of pixels with position (N, P, 256) against tokens (N, T, 256)."""
        k = split_heads(self.k_proj(tokens) * self.scale)  # (N, 8, T, 16)
        n, heads, t, _ = k.shape
        bias = (k @ self.q_proj.bias.reshape(HEADS, -1, 1)).to(keys_at.dtype)  # (N, 8, T, 1)
        folded = (k @ split_weight(self.q_proj)).flatten(1, 2).to(keys_at.dtype)  # (N, 8 T, 256)
        scores = torch.baddbmm(bias.flatten(1, 2), folded, keys_at.transpose(1, 2))
        return scores.reshape(n, heads, t, keys_at.shape[1])

    def update(self, keys: Tensor, scores: Tensor, values: Tensor) -> Tensor:
        """Add to pixels (B, P, 256) what they read from values (N, T, 256), giving (N, P, 256).

        The weights of a head sum to one, so an eighth of the output's bias on every value adds all of it.
        """
        v = split_heads(self.v_proj(values))  # (N, 8, T, 16)
        out = self.out_proj.weight.reshape(DIM, HEADS, -1).permute(1, 2, 0)  # (8, 16, 256)
        # values already through the output projection
        carried = (v @ out + self.out_proj.bias / HEADS).to(keys.dtype)
        weights = scores.softmax(dim=2).flatten(1, 2)  # (N, 8 T, P)
        return torch.baddbmm(keys, weights.transpose(1, 2), carried.flatten(1, 2))


def _rows(tokens: Tensor, pixels: Tensor) -> int:
    """How many tokens of N prompts meet each of B sets of pixels: T, or N T where the prompts share one."""
    return tokens.shape[0] * tokens.shape[1] // pixels.shape[0]


def split_heads(x: Tensor) -> Tensor:
    """Reshape (N, T, inner) to (N, heads, T, inner / heads)."""
    return x.unflatten(-1, (HEADS, x.shape[-1] // HEADS)).transpose(1, 2)


def split_weight(linear: nn.Linear) -> Tensor:
    """Reshape a projection's weight (inner, 256) to (heads, inner / heads, 256)."""
    return linear.weight.reshape(HEADS, -1, DIM)


class TokenMLP(nn.Module):
    """The tokens' feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(DIM, MLP_DIM)
        self.lin2 = nn.Linear(MLP_DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """Tokens attend to each other, to the image, pass an MLP; then the image attends to the tokens.

    The first block differs: its tokens have nothing yet to add to, so self-attention has neither position
    nor residual there, and its image side comes projected.
    """

    def __init__(self, *, first: bool, norm_eps: float) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention()
        self.norm1 = nn.LayerNorm(DIM, eps=norm_eps)
        self.cross_attn_token_to_image = TokenToImage()
        self.norm2 = nn.LayerNorm(DIM, eps=norm_eps)
        self.mlp: nn.Module = TokenMLP()
        self.norm3 = nn.LayerNorm(DIM, eps=norm_eps)
        self.cross_attn_image_to_token = ImageToToken()
        self.norm4 = nn.LayerNorm(DIM, eps=norm_eps)

    def forward(
        self, tokens: Tensor, prompt: Tensor, keys: Tensor, image: ImageTokens
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (N, T, 256) and pixels (B, P, 256), which come back as (N, P, 256).

        ``prompt`` is the tokens as the prompt encoder made them; they serve as the tokens' position.
        """
        tokens = self.norm1(self.attend_to_each_other(tokens, prompt))
        reader, writer = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        if self.first:
            read = reader.read_projected(tokens + prompt, image.first_k, image.first_v)
        else:
            keys_at = keys + image.position
            read = reader.read(tokens + prompt, keys, keys_at)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        if self.first:
            scores = writer.scores_projected(image.first_q, tokens + prompt)
        else:
            scores = writer.scores(keys_at, tokens + prompt)
        return tokens, self.norm4(writer.update(keys, scores, tokens))

    def attend_to_each_other(self, tokens: Tensor, prompt: Tensor) -> Tensor:
        """Let the tokens of a prompt read each other: (N, T, 256) to the same shape."""
        if self.first:
            return self.self_attn(tokens, tokens, tokens)
        at = tokens + prompt
        return tokens + self.self_attn(at, at, tokens)


class TwoWayTransformer(nn.Module):
    """Two blocks and a last look of the tokens at the image.

    Args:
        norm_eps: epsilon of its layer norms: 1e-6 in EfficientViT-SAM (its model zoo sets it), 1e-5 in SAM.
        block: what its blocks are; EfficientSAM varies them.
    """

    def __init__(self, *, norm_eps: float, block: type[TwoWayBlock] = TwoWayBlock) -> None:
        super().__init__()
        self.layers = nn.ModuleList(block(first=i == 0, norm_eps=norm_eps) for i in range(LAYERS))
        self.final_attn_token_to_image = TokenToImage()
        self.norm_final_attn = nn.LayerNorm(DIM, eps=norm_eps)

    def image_side(self) -> list[nn.Module]:
        """The modules that pixels pass through; all others see tokens alone."""
        first = cast(TwoWayBlock, self.layers[0])
        reader, writer = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        norms = (cast(TwoWayBlock, layer).norm4 for layer in self.layers)
        return [reader.k_proj, reader.v_proj, writer.q_proj, *norms]

    def project_image(self, source: Tensor, position: Tensor) -> ImageTokens:
        """Compute what no prompt changes, from maps (B, 256, 64, 64) and (1, 256, 64, 64)."""
        keys = source.flatten(2).transpose(1, 2).contiguous()
        position = position.flatten(2).transpose(1, 2).contiguous()
        block = cast(TwoWayBlock, self.layers[0])
        return ImageTokens(
            keys=keys,
            position=position,
            first_k=block.cross_attn_token_to_image.k_proj(keys + position),
            first_v=block.cross_attn_token_to_image.v_proj(keys),
            first_q=block.cross_attn_image_to_token.q_proj(keys + position),
        )

    def forward(self, prompt: Tensor, image: ImageTokens) -> tuple[Tensor, Tensor]:
        """Run prompt tokens (N, T, 256) against an image: tokens (N, T, 256), pixels (N, P, 256)."""
        tokens, keys = prompt, image.keys
        for layer in self.layers:
            tokens, keys = layer(tokens, prompt, keys, image)
        last = self.final_attn_token_to_image.read(tokens + prompt, keys, keys + image.position)
        return self.norm_final_attn(tokens + last), keys

"""SAM's two-way transformer: a handful of prompt tokens and 4096 image tokens read each other.

The formulas are those of "Segment Anything" (arXiv 2304.02643, appendix A); the order in which they are
computed is not. With T tokens (7 for a box) against P = 4096 pixels and 8 heads, ``8 T`` is far below the
128 channels that keys and queries are projected to, so it is cheaper to carry the tokens through the
projection weights than the pixels:

    q . (W k + b)  =  (W^T q) . k + q . b          one product of (8 T, 256) with (256, P)

which halves the arithmetic and never writes a projected image. In the first layer the image tokens are
still the same for every prompt; there they are projected, once an image (`ImageTokens`).

Sizes in what follows are those of the released models, which all arguments have as defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.evsam.neck import EMBED_DIM

HEADS = 8
CROSS_DIM = 128  # channels inside the attention between tokens and image ("attention_downsample_rate" 2)
MLP_DIM = 2048
LAYERS = 2


@dataclass(frozen=True)
class ImageTokens:
    """The image's side of the transformer before any prompt is seen.

    B is 1 where the prompts share it, or N where each has one of its own, or brings a mask of its own.
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
        joined = {name: torch.cat([getattr(image, name) for image in images]) for name in BY_IMAGE}
        return replace(images[0], **joined)

    def for_prompts(self, index: Tensor) -> ImageTokens:
        """Give each of N prompts the tokens of its image, which ``index`` (N,) names among the B."""
        # index_select goes back by adding rows, where indexing writes number by number
        return replace(self, **{name: getattr(self, name).index_select(0, index) for name in BY_IMAGE})


BY_IMAGE = ("keys", "first_k", "first_v", "first_q")
"""What of `ImageTokens` differs from image to image."""


class Attention(nn.Module):
    """Multi-head attention with the projections of the official checkpoints.

    Args:
        dim: channels of what attends, of what it attends to, and of the result.
        heads: that share the channels inside.
        inner_dim: channels inside, a multiple of the heads.
    """

    def __init__(self, *, dim: int = EMBED_DIM, heads: int = HEADS, inner_dim: int = EMBED_DIM) -> None:
        super().__init__()
        self.dim = dim
        self.heads = heads
        self.inner_dim = inner_dim
        self.q_proj = nn.Linear(dim, inner_dim)
        self.k_proj = nn.Linear(dim, inner_dim)
        self.v_proj = nn.Linear(dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, dim)
        self.scale = (inner_dim // heads) ** -0.5

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from q (N, T, 256) to k and v (N, S, 256), all as they are before projection."""
        return self.attend(self.q_proj(q), self.k_proj(k), self.v_proj(v))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend between projected tensors (N, T, inner_dim) and (N, S, inner_dim)."""
        q, k, v = self.split_heads(q), self.split_heads(k), self.split_heads(v)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def split_heads(self, x: Tensor) -> Tensor:
        """Reshape (N, T, inner_dim) to (N, heads, T, inner_dim / heads)."""
        return x.unflatten(-1, (self.heads, x.shape[-1] // self.heads)).transpose(1, 2)

    def split_weight(self, linear: nn.Linear) -> Tensor:
        """Reshape a projection's weight (inner_dim, 256) to (heads, inner_dim / heads, 256)."""
        return linear.weight.reshape(self.heads, -1, self.dim)


class TokenToImage(Attention):
    """Tokens read the image: `Attention` from ``tokens`` to ``keys + position`` with values ``keys``."""

    def __init__(self, *, dim: int = EMBED_DIM, heads: int = HEADS, inner_dim: int = CROSS_DIM) -> None:
        super().__init__(dim=dim, heads=heads, inner_dim=inner_dim)

    def read_projected(self, tokens: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Read projected pixels (B, P, 128); queries of all prompts share them where B is 1."""
        q = self.q_proj(tokens).reshape(k.shape[0], _rows(tokens, k), self.inner_dim)
        q, k, v = self.split_heads(q.to(k.dtype)), self.split_heads(k), self.split_heads(v)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).reshape(*tokens.shape[:2], self.inner_dim).to(tokens.dtype))

    def read(self, tokens: Tensor, keys: Tensor, keys_at: Tensor) -> Tensor:
        """Read pixels (N, P, 256), given plain as ``keys`` and with their position as ``keys_at``.

        The bias of the keys is left out: it adds the same to every score of a row of the softmax.
        """
        q = self.split_heads(self.q_proj(tokens) * self.scale)  # (N, 8, T, 16)
        n, heads, t, _ = q.shape
        folded = (q @ self.split_weight(self.k_proj)).flatten(1, 2).to(keys.dtype)
        scores = folded @ keys_at.transpose(1, 2)  # (N, 8 T, P)
        context = (scores.softmax(dim=-1) @ keys).to(tokens.dtype).reshape(n, heads, t, self.dim)
        out = context @ self.split_weight(self.v_proj).transpose(1, 2)  # (N, 8, T, 16)
        return self.out_proj(out.transpose(1, 2).flatten(2) + self.v_proj.bias)


class ImageToToken(Attention):
    """The image reads the tokens: ``keys`` plus `Attention` from ``keys + position`` to ``tokens``.

    In two steps, scores and update, because the first layer scores by an image that is projected already.
    """

    def __init__(self, *, dim: int = EMBED_DIM, heads: int = HEADS, inner_dim: int = CROSS_DIM) -> None:
        super().__init__(dim=dim, heads=heads, inner_dim=inner_dim)

    def scores_projected(self, q: Tensor, tokens: Tensor) -> Tensor:
        """Scores (N, 8, T, P) of projected pixels (B, P, 128) against tokens (N, T, 256).

        Where the prompts share the pixels, their tokens are the rows of one product a head.
        """
        k = (self.k_proj(tokens) * self.scale).reshape(q.shape[0], _rows(tokens, q), self.inner_dim)
        scores = self.split_heads(k.to(q.dtype)) @ self.split_heads(q).transpose(2, 3)  # (B, 8, N T / B, P)
        scores = scores.unflatten(2, (tokens.shape[0] // q.shape[0], tokens.shape[1]))  # (B, 8, N / B, T, P)
        return scores.transpose(1, 2).flatten(0, 1)

    def scores(self, keys_at: Tensor, tokens: Tensor) -> Tensor:
        """Scores (N, 8, T, P) of pixels with position (N, P, 256) against tokens (N, T, 256)."""
        k = self.split_heads(self.k_proj(tokens) * self.scale)  # (N, 8, T, 16)
        n, heads, t, _ = k.shape
        bias = (k @ self.q_proj.bias.reshape(heads, -1, 1)).to(keys_at.dtype)  # (N, 8, T, 1)
        folded = (k @ self.split_weight(self.q_proj)).flatten(1, 2).to(keys_at.dtype)  # (N, 8 T, 256)
        scores = torch.baddbmm(bias.flatten(1, 2), folded, keys_at.transpose(1, 2))
        return scores.reshape(n, heads, t, keys_at.shape[1])

    def update(self, keys: Tensor, scores: Tensor, values: Tensor) -> Tensor:
        """Add to pixels (B, P, 256) what they read from values (N, T, 256), giving (N, P, 256).

        The weights of a head sum to one, so an eighth of the output's bias on every value adds all of it.
        """
        v = self.split_heads(self.v_proj(values))  # (N, 8, T, 16)
        out = self.out_proj.weight.reshape(self.dim, self.heads, -1).permute(1, 2, 0)  # (8, 16, 256)
        # values already through the output projection
        carried = (v @ out + self.out_proj.bias / self.heads).to(keys.dtype)
        weights = scores.softmax(dim=2).flatten(1, 2)  # (N, 8 T, P)
        return torch.baddbmm(keys, weights.transpose(1, 2), carried.flatten(1, 2))


def _rows(tokens: Tensor, pixels: Tensor) -> int:
    """How many tokens of N prompts meet each of B sets of pixels: T, or N T where the prompts share one."""
    return tokens.shape[0] * tokens.shape[1] // pixels.shape[0]


class TokenMLP(nn.Module):
    """The tokens' feed-forward layer."""

    def __init__(self, *, dim: int = EMBED_DIM, mlp_dim: int = MLP_DIM) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """Tokens attend to each other, to the image, pass an MLP; then the image attends to the tokens.

    The first block differs: its tokens have nothing yet to add to, so self-attention has neither position
    nor residual there, and its image side comes projected. Arguments as of `TwoWayTransformer`.
    """

    def __init__(
        self,
        *,
        first: bool,
        norm_eps: float,
        dim: int = EMBED_DIM,
        heads: int = HEADS,
        cross_dim: int = CROSS_DIM,
        mlp_dim: int = MLP_DIM,
    ) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim=dim, heads=heads, inner_dim=dim)
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.cross_attn_token_to_image = TokenToImage(dim=dim, heads=heads, inner_dim=cross_dim)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp: nn.Module = TokenMLP(dim=dim, mlp_dim=mlp_dim)
        self.norm3 = nn.LayerNorm(dim, eps=norm_eps)
        self.cross_attn_image_to_token = ImageToToken(dim=dim, heads=heads, inner_dim=cross_dim)
        self.norm4 = nn.LayerNorm(dim, eps=norm_eps)

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
    """Blocks, and a last look of the tokens at the image.

    Args:
        norm_eps: epsilon of its layer norms: 1e-6 in EfficientViT-SAM (its model zoo sets it), 1e-5 in SAM.
        block: what its blocks are; EfficientSAM varies them.
        layers: how many blocks there are.
        dim: channels of tokens and pixels.
        heads: of every attention.
        cross_dim: channels inside the attentions between tokens and image, a multiple of the heads.
        mlp_dim: channels inside the tokens' feed-forward layers.
    """

    def __init__(
        self,
        *,
        norm_eps: float,
        block: type[TwoWayBlock] = TwoWayBlock,
        layers: int = LAYERS,
        dim: int = EMBED_DIM,
        heads: int = HEADS,
        cross_dim: int = CROSS_DIM,
        mlp_dim: int = MLP_DIM,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.ModuleList(
            block(first=i == 0, norm_eps=norm_eps, dim=dim, heads=heads, cross_dim=cross_dim, mlp_dim=mlp_dim)
            for i in range(layers)
        )
        self.final_attn_token_to_image = TokenToImage(dim=dim, heads=heads, inner_dim=cross_dim)
        self.norm_final_attn = nn.LayerNorm(dim, eps=norm_eps)

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

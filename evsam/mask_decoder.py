"""SAM's mask decoder: prompt tokens and image embedding to masks and their predicted quality."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.evsam.errors import SambenchError
from sambench.evsam.layers import LayerNorm2d
from sambench.evsam.neck import EMBED_DIM, EMBED_SIZE
from sambench.evsam.transformer import ImageTokens, TwoWayTransformer

MASK_TOKENS = 4  # token 0 for a single mask, 1 to 3 for three alternatives


class MLP(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, out_dim: int, *, dim: int = EMBED_DIM) -> None:
        super().__init__()
        widths = (dim, dim, dim, out_dim)
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class TokenDecoder(nn.Module):
    """What SAM's decoder and its relatives have in common: tokens in, and per mask token a vector out.

    Subclasses build the parts, and say in `masks` how pixels become masks.
    """

    embed_size: int
    """Height and width of the image embedding."""
    transformer: TwoWayTransformer
    iou_token: nn.Embedding
    mask_tokens: nn.Embedding
    output_hypernetworks_mlps: nn.ModuleList
    iou_prediction_head: nn.Module

    @property
    def mask_size(self) -> int:
        """Height and width of the masks, which upscaling doubles twice."""
        return 4 * self.embed_size

    def masks(self, vectors: Tensor, pixels: Tensor) -> Tensor:
        """Multiply vectors (N, M, 32) with the upscaled pixels (N, 4096, 256): logits (N, M, 256, 256)."""
        raise NotImplementedError

    def upscaling(self) -> nn.Module:
        """The module that upscales the pixels."""
        raise NotImplementedError

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` what has the image's size; tokens stay in float32.

        A few tokens against thousands of pixels cost next to nothing, and are what masks are most sensitive
        to: with tokens rounded to bfloat16 as well, masks differ by three times as many pixels.
        """
        for module in (*self.transformer.image_side(), self.upscaling()):
            module.to(dtype)

    def project_image(self, source: Tensor, image_pe: Tensor) -> ImageTokens:
        """Compute once what all prompts on an image share; ``source`` is embedding plus dense prompt."""
        return self.transformer.project_image(source, image_pe)

    def decode(self, image: ImageTokens, sparse: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """Decode prompt tokens (N, T, 256) against a projected image.

        Returns:
            Logits (N, M, 256, 256) and predicted IoU (N, M): of mask tokens 1 to 3, in that order, or of
            token 0 where not ``multimask``.
        """
        tokens, pixels = self._read_image(image, sparse)
        chosen = self._alternatives() if multimask else range(1)
        masks = self.masks(self._vectors(tokens, chosen), pixels)
        iou = self.iou_prediction_head(tokens[:, 0])
        return masks, iou[:, chosen.start : chosen.stop]

    def decode_best(self, image: ImageTokens, sparse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode, of the three alternatives, the one of highest predicted IoU alone.

        Returns:
            Logits (N, 256, 256), predicted IoU (N,), and which of the three (N,), the first among equals.
        """
        tokens, pixels = self._read_image(image, sparse)
        iou, choice = self.iou_prediction_head(tokens[:, 0])[:, 1:].max(dim=1, keepdim=True)
        vectors = self._vectors(tokens, self._alternatives())
        vectors = vectors.gather(1, choice.unsqueeze(-1).expand(-1, -1, vectors.shape[-1]))
        return self.masks(vectors, pixels)[:, 0], iou[:, 0], choice[:, 0]

    def _read_image(self, image: ImageTokens, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Run the transformer: own and prompt tokens (N, 5 + T, 256) and pixels (N, 4096, 256)."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(sparse.shape[0], -1, -1), sparse], dim=1)
        return self.transformer(tokens, image)

    def _alternatives(self) -> range:
        """Which mask tokens are for a choice of masks: all but the first."""
        return range(1, self.mask_tokens.num_embeddings)

    def _vectors(self, tokens: Tensor, chosen: range) -> Tensor:
        """Make of chosen mask tokens the vectors (N, M, 32) that pixels are multiplied with."""
        return torch.stack([self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in chosen], dim=1)


class MaskDecoder(TokenDecoder):
    """Predict masks as the product of upscaled pixels with a vector made from each mask token.

    Sizes below are those of the released models.

    Args:
        transformer: whose channels are the decoder's too.
        embed_size: height and width of the image embedding; masks have four times as much.
    """

    def __init__(self, transformer: TwoWayTransformer, *, embed_size: int = EMBED_SIZE) -> None:
        super().__init__()
        dim = transformer.dim
        self.embed_size = embed_size
        self.transformer = transformer
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim // 8, dim=dim) for _ in range(MASK_TOKENS))
        self.iou_prediction_head = MLP(MASK_TOKENS, dim=dim)

    def forward(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts on B images.

        Args:
            image_embeddings: (B, 256, 64, 64).
            image_pe: position encoding, (1, 256, 64, 64).
            sparse_prompt_embeddings: (N, T, 256).
            dense_prompt_embeddings: (N, 256, 64, 64), or (1, 256, 64, 64) shared by all prompts.
            multimask_output: three alternatives a prompt, or the single mask.
            image_index: which image each prompt is on, (N,) int64. Without it, all are on the one image, or
                each is on its own where there are N.

        Returns:
            Logits (N, M, 256, 256) and predicted IoU (N, M), M being 3 or 1.

        Raises:
            SambenchError: nothing says which prompt is on which image (see `check_index`).
        """
        check_index(image_index, images=image_embeddings.shape[0], prompts=sparse_prompt_embeddings.shape[0])
        image = self.project_images(image_embeddings, dense_prompt_embeddings, image_pe, image_index)
        return self.decode(image, sparse_prompt_embeddings, multimask_output)

    def project_images(
        self, embeddings: Tensor, dense: Tensor, image_pe: Tensor, image_index: Tensor | None = None
    ) -> ImageTokens:
        """Add dense prompts to image embeddings and project them; arguments as of `forward`."""
        if image_index is None:
            return self.project_image(embeddings + dense, image_pe)
        if dense.shape[0] == 1:  # nothing differs by prompt, and each image is projected once
            return self.project_image(embeddings + dense, image_pe).for_prompts(image_index)
        return self.project_image(embeddings[image_index] + dense, image_pe)

    def upscaling(self) -> nn.Module:
        """The module that upscales the pixels."""
        return self.output_upscaling

    def _upscale(self, pixels: Tensor) -> Tensor:
        """Upscale (N, 4096, 256) four times to (N, 4096 * 4 * 4, 32), sub-pixels inside each pixel.

        A 2x2 transposed convolution with stride 2 writes each pixel's four sub-pixels from that pixel
        alone. As a matrix product it leaves channels last, where norm and the next product want them.
        """
        expand1, norm, gelu, expand2, _ = self.output_upscaling
        x = expand_pixels(cast(nn.ConvTranspose2d, expand1), pixels)
        x = gelu(norm_last(cast(LayerNorm2d, norm), x))
        return gelu(expand_pixels(cast(nn.ConvTranspose2d, expand2), x))

    def masks(self, vectors: Tensor, pixels: Tensor) -> Tensor:
        """Multiply vectors (N, M, 32) with sub-pixels (N, 65536, 32), then put them in their places."""
        n, m, _ = vectors.shape
        # (N, M, y x 64 64, rows 2, columns 2, rows 2, columns 2)
        masks = vectors.to(pixels.dtype) @ self._upscale(pixels).transpose(1, 2)
        masks = masks.reshape(n, m, self.embed_size, self.embed_size, 2, 2, 2, 2)
        return masks.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(n, m, self.mask_size, self.mask_size)


def check_index(index: Tensor | None, *, images: int, prompts: int) -> None:
    """Refuse prompts of which it is not said on which image they are.

    Args:
        index: image of each prompt, (N,) int64; none where it needs no saying.
        images: how many there are.
        prompts: N.

    Raises:
        SambenchError: the index has another length or type, or names an image that is not there; or there is
            none, and the images are neither one for all prompts nor as many as they.
    """
    said = f"{prompts} prompts on {images} images"
    if index is None:
        if images not in (1, prompts):
            raise SambenchError(
                f"{said}: which is on which? Give image_index, ({prompts},) int64; without it there is one "
                "image for all prompts, or one for each."
            )
        return
    if index.shape != (prompts,) or index.dtype != torch.int64:
        found = f"{tuple(index.shape)} {str(index.dtype).removeprefix('torch.')}"
        raise SambenchError(f"{said}: image_index is {found}. It has an image for each: ({prompts},) int64.")
    if prompts == 0:
        raise SambenchError(f"{said}: there is nothing to decode. Leave out batches without a prompt.")
    if torch.compiler.is_compiling():
        return  # values cannot be looked at, and the look-up itself checks them
    if not 0 <= int(index.min()) <= int(index.max()) < images:
        raise SambenchError(f"{said}: image_index has {index.tolist()}. Images are counted from 0.")


def expand_pixels(conv: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Apply a 2x2 stride-2 transposed convolution to pixels (N, P, C_in), giving (N, 4 P, C_out)."""
    assert conv.bias is not None
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C_out, C_in)
    out = F.linear(x, weight, conv.bias.repeat(4))
    return out.reshape(x.shape[0], 4 * x.shape[1], conv.out_channels)


def norm_last(norm: LayerNorm2d, x: Tensor) -> Tensor:
    """Apply a `LayerNorm2d` to pixels (N, P, C) that have their channels last."""
    return F.layer_norm(x, norm.norm_shape, norm.weight, norm.bias, norm.eps)

"""A SAM: an image encoder of one's choice with SAM's prompt encoder and mask decoder."""

from __future__ import annotations

from torch import Tensor, nn

from evsam.mask_decoder import MaskDecoder
from evsam.prompt_encoder import PromptEncoder


class Sam(nn.Module):
    """The three parts, under the official checkpoints' names.

    Args:
        image_encoder: preprocessed images (B, 3, S, S) to embeddings (B, 256, 64, 64).
        prompt_encoder: prompts to tokens.
        mask_decoder: embedding and tokens to masks.
        input_size: S, the side of the square that images are resized and padded to.
    """

    def __init__(
        self,
        *,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        input_size: int,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.input_size = input_size

    def forward(
        self,
        images: Tensor,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Segment N prompts on one image in a single pass.

        Args:
            images: one preprocessed image, (1, 3, S, S) (see `evsam.geometry.preprocess`).
            points: xy (N, P, 2) and labels (N, P), in the 1024 frame.
            boxes: xyxy (N, 4), in the 1024 frame.
            masks: earlier logits (N, 1, 256, 256).
            multimask: three masks a prompt, or one.

        Returns:
            Logits (N, M, 256, 256) and predicted IoU (N, M).
        """
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
        return self.mask_decoder(
            image_embeddings=self.image_encoder(images),
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )

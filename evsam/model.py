"""A SAM: an image encoder of one's choice with SAM's prompt encoder and mask decoder."""

from __future__ import annotations

from torch import Tensor, nn

from sambench.evsam.mask_decoder import MaskDecoder, check_index
from sambench.evsam.prompt_encoder import PromptEncoder, as_points
from sambench.evsam.transformer import ImageTokens


class Sam(nn.Module):
    """The three parts, under the official checkpoints' names.

    Sizes below are those of the released models; the parts decide them, and must agree.

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
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Segment N prompts on B images in a single pass.

        Args:
            images: preprocessed images, (B, 3, S, S) (see `evsam.geometry.preprocess`).
            points: xy (N, P, 2) and labels (N, P), in the 1024 frame.
            boxes: xyxy (N, 4), in the 1024 frame.
            masks: earlier logits (N, 1, 256, 256).
            multimask: three masks a prompt, or one.
            image_index: which image each prompt is on, (N,) int64. Without it, all are on the one image, or
                each is on its own where there are N.

        Returns:
            Logits (N, M, 256, 256) and predicted IoU (N, M).

        Raises:
            SambenchError: nothing says which prompt is on which image
                (see `evsam.mask_decoder.check_index`).
        """
        xy, labels = as_points(points, boxes)
        check_index(image_index, images=images.shape[0], prompts=xy.shape[0])
        features = self.image_encoder(images)
        image = self.project_image(features, self.prompt_encoder.get_dense_pe(), masks, image_index)
        return self.decode(image, xy, labels, multimask)

    def project_image(
        self,
        features: Tensor,
        position: Tensor,
        masks: Tensor | None = None,
        image_index: Tensor | None = None,
    ) -> ImageTokens:
        """Compute what no point or box changes.

        Args:
            features: embeddings (B, 256, 64, 64); with masks and no index, B is 1 or N.
            position: the prompt encoder's `get_dense_pe`, (1, 256, 64, 64).
            masks: earlier logits (N, 1, 256, 256), one a prompt.
            image_index: which image each prompt is on, (N,); checked already.
        """
        dense = self.prompt_encoder.embed_masks(masks).to(features.dtype)
        return self.mask_decoder.project_images(features, dense, position.to(features.dtype), image_index)

    def decode(
        self, image: ImageTokens, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts, given as points alone (see `evsam.prompt_encoder.as_points`).

        They share the image, or each has one of its own where the image brings N of them.

        Returns:
            Logits (N, M, 256, 256) and predicted IoU (N, M).
        """
        return self.mask_decoder.decode(image, self._tokens(xy, labels), multimask)

    def decode_best(self, image: ImageTokens, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode the best alternative alone: logits (N, 256, 256), IoU (N,), which of the three (N,)."""
        return self.mask_decoder.decode_best(image, self._tokens(xy, labels))

    def _tokens(self, xy: Tensor, labels: Tensor) -> Tensor:
        """Points to tokens in the decoder's precision for them; their sines are taken in float32."""
        return self.prompt_encoder.embed_points(xy, labels).to(self.mask_decoder.mask_tokens.weight.dtype)

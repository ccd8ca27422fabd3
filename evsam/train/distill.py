"""Phase 1, one step: the student's embeddings against the teacher's, and nothing else of the model learns.

The paper has one sentence on it (section 3.2): the L2 loss on the image embedding of SAM-ViT-H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sambench.evsam.errors import SambenchError
from sambench.evsam.model import Sam
from sambench.evsam.size import Size
from sambench.evsam.train.learner import Learner
from sambench.evsam.train.recipe import Distill
from sambench.evsam.train.sample import Change, coloured


@dataclass(frozen=True)
class Views:
    """Images of one step, and what the teacher makes of them."""

    images: Tensor
    """(B, 3, S, S), as the student takes them."""
    teacher: Tensor
    """The teacher's embeddings, (B, C, h, w)."""
    sizes: tuple[Size, ...]
    """Of each image in the student's frame; the rest of it is padding."""

    def to(self, device: torch.device) -> Views:
        """Move the tensors."""
        images, teacher = (x.to(device, non_blocking=True) for x in (self.images, self.teacher))
        return replace(self, images=images, teacher=teacher)


@dataclass(frozen=True)
class Distances:
    """How far the student's embeddings are from the teacher's."""

    images: Tensor
    """Of each image, the mean squared difference, (B,)."""
    relative: Tensor
    """The same as a share of the teacher's mean square, (B,), detached: 1 is what zeros would have."""


class DistillStep(Learner):
    """A model whose image encoder is to learn: `Views` to `Distances`.

    Its prompt encoder and mask decoder are frozen, and stay as they are given.

    Args:
        model: of SAM's structure.
        recipe: what counts.
    """

    def __init__(self, model: Sam, recipe: Distill) -> None:
        super().__init__(model)
        self.recipe = recipe
        model.prompt_encoder.requires_grad_(False)
        model.mask_decoder.requires_grad_(False)

    def forward(self, views: Views) -> Distances:
        """Encode, and compare.

        Args:
            views: on the model's device.

        Raises:
            SambenchError: the embeddings are of different sizes (see `fitted`).
        """
        student = self.model.image_encoder(views.images)
        found = distances(student, views.teacher, self.recipe, views.sizes, views.images.shape[-1])
        if self.touch_all:
            found = replace(found, images=self.touched(found.images))
        return found


def distances(
    student: Tensor, teacher: Tensor, recipe: Distill, sizes: Sequence[Size], side: int
) -> Distances:
    """Compare embeddings, in float32 whatever they are given in.

    Args:
        student: (B, C, h, w).
        teacher: (B, C, h, w).
        recipe: which part of them counts, and whether heights and widths may differ.
        sizes: of the images in the student's frame.
        side: of that frame.

    Raises:
        SambenchError: the embeddings are of different sizes (see `fitted`).
    """
    teacher = teacher.float()
    wrong = (fitted(student.float(), teacher, recipe) - teacher).square().mean(dim=1)  # (B, h, w)
    size = teacher.square().mean(dim=1)
    if recipe.area == "all":
        wrong, size = wrong.mean(dim=(1, 2)), size.mean(dim=(1, 2))
    else:
        shown = image_part(sizes, side, (teacher.shape[2], teacher.shape[3])).to(teacher)
        count = shown.sum(dim=(1, 2))
        wrong, size = ((x * shown).sum(dim=(1, 2)) / count for x in (wrong, size))
    return Distances(wrong, wrong.detach() / size)


def fitted(student: Tensor, teacher: Tensor, recipe: Distill) -> Tensor:
    """Return the student's embeddings (B, C, h, w) at the teacher's height and width, or refuse.

    Raises:
        SambenchError: channels differ; or height or width do, and the recipe says to refuse that.
        ValueError: they are of different numbers of images.
    """
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} embeddings of the student, {len(teacher)} of the teacher")
    if student.shape == teacher.shape:
        return student
    own, other = (" x ".join(map(str, one.shape[1:])) for one in (student, teacher))
    both = f"the student's embedding is {own}, the teacher's {other}"
    if student.shape[1] != teacher.shape[1]:
        raise SambenchError(f"{both}: only embeddings with equally many channels can be compared.")
    if recipe.other_size == "refuse":
        raise SambenchError(f"{both}. Say recipe.other_size: resize, or take another teacher.")
    return F.interpolate(student, teacher.shape[2:], mode="bilinear", align_corners=False)


def image_part(sizes: Sequence[Size], side: int, cells: Size) -> Tensor:
    """Mark the cells of an embedding that show some of the image: (B, h, w) bool.

    Args:
        sizes: of the images at the top left of the frame.
        side: of the frame.
        cells: height and width of the embedding, which shows the whole frame.
    """
    y, x = (torch.arange(n) * side / n for n in cells)  # where each cell begins, in pixels of the frame
    return torch.stack([(y < height)[:, None] & (x < width) for height, width in sizes])


def view(image: np.ndarray, change: Change) -> np.ndarray:
    """Return what student and teacher both see of an image (H, W, 3) uint8: mirrored and coloured bytes."""
    turned = np.ascontiguousarray(image[:, ::-1]) if change.mirrored else image
    if change == Change(change.mirrored):
        return turned
    pixels = coloured(torch.from_numpy(turned).permute(2, 0, 1).float(), change)
    return pixels.round().byte().permute(1, 2, 0).contiguous().numpy()

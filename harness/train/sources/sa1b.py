"""SA-1B as it is kept: tar files as released, unpacked, or in the layout of EfficientViT's authors."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

from sambench.adapters.images import decode_image
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.harness.train.config import Data
from sambench.harness.train.sources.base import Annotated, Source
from sambench.harness.train.sources.pairs import ID_LIST, Folders, Listed, Pair, Pairs
from sambench.harness.train.sources.tars import Tars, tar_files
from sambench.suites.data.annotations import AnnotationRecord

TRAIN_SHARE = 0.99
"""As the released code splits: the first images train."""
CATEGORY = 1
"""Of every object, for SA-1B has none."""


class _Image(msgspec.Struct, gc=False):
    image_id: int
    width: int
    height: int


class _Mask(msgspec.Struct, gc=False):
    id: int
    segmentation: msgspec.Raw
    bbox: tuple[float, float, float, float]
    area: float


class _Rle(msgspec.Struct, gc=False):
    size: Size


class _File(msgspec.Struct):
    """What is read of a JSON file; how masks were found, and how sure SAM was, is not."""

    image: _Image
    annotations: list[_Mask]


def open_sa1b(data: Data) -> Sa1b:
    """Open SA-1B by the folder that settings name, whatever of the three layouts it has.

    Raises:
        SambenchError: no folder is named, or it has none of the layouts or two, or too few images, or damaged
            tar files.
    """
    root = data.root
    if root is None:
        raise SambenchError("data: format sa1b needs root. Name the folder that has the images.")
    if not root.is_dir():
        raise SambenchError(f"data: root is {root}, which is no folder.")
    if (root / ID_LIST).exists():
        return Sa1b(Listed(root), data)
    if (root / "images").is_dir() and (root / "masks").is_dir():
        raise SambenchError(f"{root}: has images/ and masks/, but no {ID_LIST}. Write it, one id a line.")
    tars, unpacked = tar_files(root), Folders(root)
    if tars and len(unpacked.ids):
        raise SambenchError(
            f"{root}: has {len(tars)} tar files and {len(unpacked.ids)} images that are unpacked. "
            "Move either elsewhere, so that none counts twice."
        )
    return Sa1b(Tars(tars) if tars else unpacked, data)


class Sa1b(Source):
    """Images of SA-1B.

    Args:
        pairs: all there are.
        data: which ``part`` of them to take, and its ``limit``.

    Raises:
        SambenchError: there is no image in the part.
    """

    def __init__(self, pairs: Pairs, data: Data) -> None:
        self.pairs, self.part, self.limit = pairs, data.part, data.limit
        count = len(pairs.ids)
        if count == 0:
            raise SambenchError(
                f"data: root is {data.root}, which has no images: neither {ID_LIST} nor sa_ID.jpg "
                "with sa_ID.json nor tar files of those."
            )
        middle = int(TRAIN_SHARE * count)
        parts = {"all": range(count), "train": range(middle), "validation": range(middle, count)}
        self.chosen = parts[data.part][: data.limit]
        if not parts[data.part]:
            raise SambenchError(
                f"data: part is {data.part}, but {data.root} has a single image. Two are needed, "
                "or part: all."
            )

    def __len__(self) -> int:
        return len(self.chosen)

    def load(self, index: int) -> Annotated:
        """Read a picture and its annotations."""
        return annotated(self.pairs.read(self.chosen[index]))

    def identity(self) -> dict[str, Any]:
        """Return layout, part and limit, and the SHA-256 of the ids in their order."""
        ids = np.ascontiguousarray(self.pairs.ids[self.chosen.start : self.chosen.stop], "<i8")
        return {
            "format": "sa1b",
            "layout": self.pairs.layout,
            "part": self.part,
            "limit": self.limit,
            "images": len(self),
            "ids_sha256": hashlib.sha256(ids.tobytes()).hexdigest(),
            **self.pairs.contents(),
        }


def annotated(pair: Pair) -> Annotated:
    """Make sense of an image's two files.

    Raises:
        SambenchError: one is damaged, or they do not belong together.
    """
    name = pair.annotations_name
    try:
        file = msgspec.json.decode(pair.annotations, type=_File)
    except msgspec.ValidationError as error:
        raise SambenchError(f"{name}: not in SA-1B's format ({error}). Get the file again.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SambenchError(
            f"{name}: not valid JSON, perhaps cut off ({error}). Get the file again."
        ) from None
    stated = (file.image.height, file.image.width)
    image = decode_image(pair.picture, pair.picture_name, stated)
    objects = [_object(mask, pair.id, stated, name) for mask in file.annotations]
    return Annotated(pair.id, pair.picture_name, image, objects)


def _object(mask: _Mask, image_id: int, stated: Size, name: str) -> AnnotationRecord:
    """Make a record of a mask, which must be of the image's size."""
    try:
        size = msgspec.json.decode(mask.segmentation, type=_Rle).size
    except msgspec.MsgspecError as error:
        raise SambenchError(
            f"{name}: annotation {mask.id}: its segmentation is no RLE ({error}). Get the file again."
        ) from None
    if size != stated:
        raise SambenchError(
            f"{name}: annotation {mask.id}: its mask is of {size[1]} x {size[0]} pixels, the image of "
            f"{stated[1]} x {stated[0]}. Get the file again, or remove the annotation."
        )
    return AnnotationRecord(mask.id, image_id, CATEGORY, mask.bbox, mask.area, mask.segmentation)

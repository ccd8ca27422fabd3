"""A folder of images and one of mask pictures, read as suites read them (`suites.data.pictures`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.harness.train.config import Data
from sambench.harness.train.sources.base import Annotated, Source
from sambench.harness.train.sources.packed import Packed
from sambench.suites.data.coco import Entry
from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.pictures.picture import MaskPicture
from sambench.suites.data.pictures.settings import read_masks


class _Packed(msgspec.Struct, gc=False, array_like=True):
    """An image with its mask, by name below their folders, as bytes say it."""

    image: str
    mask: str
    size: Size | None
    """(height, width) of the mask, where its header could be read."""
    sha256: str
    """Of the mask."""


class Pictures(Source):
    """Images with masks as pictures, by rising name. Images whose masks have no object are not left out.

    It travels to other processes, so it holds no object per image: each is a piece of one string of bytes.

    Args:
        data: with ``images`` and ``masks``, and how masks are read.

    Raises:
        SambenchError: a folder is not said or missing, or images and masks do not belong together.
    """

    def __init__(self, data: Data) -> None:
        keys = ("masks", "mask_ids", "void", "components")
        masks = read_masks({key: getattr(data, key) for key in keys}, "data")
        if data.images is None or masks is None:
            lacking = "images" if data.images is None else "masks"
            raise SambenchError(f"data: format masks needs {lacking}. Name the folder.")
        dataset = MaskFolder(data.images, masks)
        entries = dataset.entries[: data.limit]
        self.images, self.masks, self.folder = data.images, dataset.masks, dataset.folder
        self.annotations_sha256, self.limit = dataset.annotations_sha256, data.limit
        self.categories = dataset.categories
        self._packed = Packed(_Packed, (self._pack(entry) for entry in entries))

    def __len__(self) -> int:
        return len(self._packed)

    def load(self, index: int) -> Annotated:
        """Read an image and its mask."""
        one = self._packed[index]
        image, mask = self.images / one.image, self.folder / one.mask
        pixels = read_image(image, one.size)
        picture = self._picture(mask, index + 1, one.sha256)
        found = picture.decode((pixels.shape[0], pixels.shape[1]))
        return Annotated(index + 1, str(image), pixels, found.annotations, self.categories, found.void)

    def identity(self) -> dict[str, Any]:
        """Return a digest over the masks and how they are read, the number of images, and what limited it."""
        return {
            "format": "masks",
            "annotations_sha256": self.annotations_sha256,
            "images": len(self),
            "limit": self.limit,
        }

    def _pack(self, entry: Entry) -> _Packed:
        picture = entry.picture
        assert picture is not None
        assert picture.sha256 is not None
        mask = picture.file.relative_to(self.folder).as_posix()
        return _Packed(entry.file_name, mask, entry.stated, picture.sha256)

    def _picture(self, mask: Path, image_id: int, sha256: str) -> MaskPicture:
        its = self.masks
        assert its.ids is not None  # told, where it was not said
        return MaskPicture(mask, image_id, its.ids, its.void, its.components, sha256=sha256)

"""One mask picture: from its pixels' values to objects, and to the pixels that count nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.checks.kinds import KINDS
from sambench.suites.data.masks import WindowMask, to_window
from sambench.suites.data.pictures.objects import objects_of
from sambench.suites.data.pictures.settings import Ids
from sambench.suites.data.pictures.values import MaskError, Values, read_values

VOC_VOID = 255
"""The index that VOC's palettes paint borders with; SBD, DAVIS's 2016 and most tools after them too."""
HALF = 128
"""From here on a blurred value of a JPEG is white."""


@dataclass(frozen=True)
class Objects:
    """What a mask says."""

    size: Size
    """(height, width) of the picture."""
    annotations: tuple[AnnotationRecord, ...]
    """With masks as COCO's run lengths, the box around each and its pixels for an area."""
    void: WindowMask | None
    """Pixels that count nowhere, where there are such; no object has one of them."""
    remarks: tuple[str, ...] = ()
    """Kinds of findings (`checks.problems.KINDS`) that results count."""


@dataclass(frozen=True)
class MaskPicture:
    """One picture, not yet read."""

    file: Path
    image_id: int
    """Of its image, from 1."""
    ids: Ids
    void: tuple[int, ...] | None = None
    """Values that count nowhere; ``None`` where nobody said."""
    components: bool = False
    void_counts: bool = False
    """Whether void pixels are plain background (`Protocol.void`)."""
    sha256: str | None = None
    """Of the file, as the run was planned with."""

    def read(self, size: Size) -> tuple[Sequence[AnnotationRecord], WindowMask | None]:
        """Return its objects as COCO's records, and the void pixels where there are such.

        Args:
            size: (height, width) of the image as it was read.

        Raises:
            SambenchError: the picture cannot be read, is of another size, or was replaced.
        """
        found = self.decode(size)
        return found.annotations, found.void

    def decode(self, size: Size | None = None) -> Objects:
        """Return what it says, with what is worth knowing of it.

        Args:
            size: (height, width) that it must have; ``None`` for any.

        Raises:
            SambenchError: as of `read`.
        """
        try:
            return self.parse(size)
        except MaskError as error:
            kind, example = error.finding
            about = KINDS[kind]
            raise SambenchError(f"{example.rstrip('.')}: {about.what}. {about.remedy}") from None

    def parse(self, size: Size | None = None) -> Objects:
        """Do as `decode`, for whoever lists all that is wrong.

        Raises:
            MaskError: the picture cannot be read, or is of another size.
            SambenchError: it is missing or was replaced.
        """
        ids, void, remarks = self._meant(size)
        its = (ids.shape[0], ids.shape[1])
        annotations = tuple(objects_of(ids, self.image_id, components=self.components))
        window = None if void is None or self.void_counts or not void.any() else to_window(void)
        return Objects(its, annotations, window, remarks)

    def remarks(self, size: Size | None = None) -> tuple[str, ...]:
        """Return what `parse` remarks, without the cost of objects.

        Raises:
            MaskError: as of `parse`.
            SambenchError: likewise.
        """
        return self._meant(size)[2]

    def _meant(self, size: Size | None) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
        """Return (H, W) of ids, 0 where no object is; which pixels are void; and remarks."""
        values = read_values(self.file, self.sha256, size)
        ids, remarks = self._ids(values)
        void = np.isin(ids, self.void) if self.void else None
        if void is not None:
            ids = np.where(void, 0, ids)
        if self.ids == "binary":
            remarks += _smoothing(ids, values)
            ids = (ids >= HALF if values.is_lossy else ids != 0).view(np.uint8)
        return ids, void, remarks if ids.any() else (*remarks, "no_object")

    def _ids(self, values: Values) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the picture's ids, (H, W) of whole numbers, void ones too."""
        if values.is_lossy and self.ids != "binary":
            raise MaskError(
                "bad_mask", f"{self.file}: a JPEG or another kind that changes values, which are ids"
            )
        if self.ids == "rgb":
            if values.colours is None:
                raise MaskError("bad_mask", f"{self.file}: {values.kind} has no colours for mask_ids: rgb")
            return values.colours.astype(np.int64) @ np.array([1, 256, 65536]), values.remarks
        if values.grey is None:
            if self.ids == "values":
                raise MaskError("mask_colours", f"{self.file}: {values.kind} under mask_ids: values")
            assert values.colours is not None
            return values.colours.max(axis=2) if values.is_lossy else _painted(values.colours), values.remarks
        if values.is_palette and self.void is None:
            refuse_unsaid_void(values.grey, self.ids, self.file)
        return values.grey, values.remarks


def _painted(colours: np.ndarray) -> np.ndarray:
    """Return values for a binary mask in colours: of grey pixels the grey, of others one that no grey has."""
    return np.where((colours[..., :1] == colours[..., 1:]).all(axis=2), colours[..., 0], np.int64(256))


def refuse_unsaid_void(indices: np.ndarray, ids: Ids, file: Path) -> None:
    """See that a palette has no index 255 beside others, where nobody said whether it is void.

    Raises:
        MaskError: it has. Where 255 is all there is, and one object is meant, it is that.
    """
    found = set(np.unique(indices).tolist()) - {0}
    if VOC_VOID in found and (ids != "binary" or len(found) > 1):
        raise MaskError("palette_255", f"{file}: indices {_listed(sorted(found))}")


def _listed(values: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(map(str, values[:most]))
    return f"{shown}, ... {values[-1]}" if len(values) > most else shown


def _smoothing(ids: np.ndarray, values: Values) -> tuple[str, ...]:
    """Say whether a binary mask has several values; a JPEG always has."""
    if values.is_lossy:
        return ()
    set_ = ids[ids != 0]
    return ("smooth_mask",) if set_.size and (set_ != set_[0]).any() else ()

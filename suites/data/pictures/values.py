"""The values that a mask picture stores: numbers of grey, indices of a palette, or three channels.

They are what the file says, before anyone knows what they mean. Pillow shows grey of 2 and 4 bits stretched
to 8, and of colours of 16 bits the upper halves: both are undone here.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sambench.adapters.files import refuse_changed
from sambench.adapters.images import LARGEST, look
from sambench.adapters.images.header import Look, raw_mode
from sambench.adapters.images.opening import opened
from sambench.adapters.images.orientation import as_stored
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N", "LA", "La")
PALETTE = ("P", "PA")
COLOURS = ("RGB", "RGBA", "RGBa")
LOSSY = ("JPEG", "MPO", "JPEG2000", "AVIF")
"""Formats that change values; WebP may."""
STRETCHED = {"L;2": 85, "L;4": 17, "L;2I": 85, "L;4I": 17}
"""How Pillow calls grey of few bits in a file, and by what it multiplies the values."""


class MaskError(SambenchError):
    """A mask that cannot be read.

    Args:
        kind: a name in `checks.problems.KINDS`.
        example: the file, and what is wrong.
    """

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(example)
        self.finding = (kind, example)


@dataclass(frozen=True)
class Values:
    """A decoded mask."""

    kind: str
    """In words, for messages: such as "8-bit grey" or "palette"."""
    grey: np.ndarray | None
    """(H, W) of whole numbers: values, or indices of a palette; ``None`` of colours."""
    colours: np.ndarray | None
    """(H, W, 3) uint8: of colours, or what a palette's indices and grey look like; ``None`` of deep grey."""
    remarks: tuple[str, ...] = ()
    """Kinds of findings worth knowing."""

    @property
    def is_palette(self) -> bool:
        """Whether the values are indices of a palette."""
        return self.kind == "palette"

    @property
    def is_lossy(self) -> bool:
        """Whether the file is a JPEG, or another kind that changes values."""
        return "lossy_mask" in self.remarks


def look_at_mask(file: Path) -> Look:
    """Read the head of a picture, no pixel.

    Raises:
        MaskError: it is no picture, or of several frames.
    """
    try:
        found = look(file)
    except SambenchError as error:
        raise MaskError("bad_mask", str(error)) from None
    if found.frames > 1:
        raise MaskError("bad_mask", f"{file}: has {found.frames} frames or pages, a mask has one")
    return found


def read_values(file: Path, sha256: str | None = None, size: Size | None = None) -> Values:
    """Decode a mask.

    Args:
        file: of any kind that Pillow reads without loss, or a JPEG.
        sha256: of the file, where it is known: the very bytes that are decoded are compared with it.
        size: (height, width) of its image, where it is known: one of another size is not decoded, and without
            it none of more pixels than an image without a stated size may have.

    Raises:
        MaskError: it is damaged, of another size, or of a kind that holds no values.
        SambenchError: it is missing, or not what it was.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SambenchError(f"{file}: cannot be read ({error.strerror}).") from None
    if sha256 is not None:
        refuse_changed(file, hashlib.sha256(content).hexdigest(), sha256)
    try:
        with opened(io.BytesIO(as_stored(content)), str(file)) as image:
            _refuse_other_size((image.height, image.width), size, file)
            return _values(image, content, file)
    except MaskError:
        raise
    except SambenchError as error:
        raise MaskError("bad_mask", str(error)) from None


def _refuse_other_size(mask: Size, size: Size | None, file: Path) -> None:
    if size is None and mask[0] * mask[1] > LARGEST:
        raise MaskError(
            "bad_mask", f"{file}: {mask[1]} x {mask[0]} pixels, more than {LARGEST / 1e6:.0f} million"
        )
    if size is not None and mask != size:
        raise MaskError("mask_size", f"{file}: is {mask[1]} x {mask[0]}, the image is {size[1]} x {size[0]}")


def _values(image: Image.Image, content: bytes, file: Path) -> Values:
    stored = raw_mode(image)  # before it is loaded: Pillow forgets it then
    lossy = image.format in LOSSY or (image.format == "WEBP" and b"VP8L" not in content[:64])
    remarks: tuple[str, ...] = ("lossy_mask",) if lossy else ()
    if "16" in stored and image.mode in ("LA", *COLOURS):
        return _deep(content, file, remarks)
    image.load()
    if image.mode not in (*GREY, *PALETTE, *COLOURS):
        raise MaskError("bad_mask", f"{file}: {image.mode} has no values that a mask could be read from")
    pixels = np.asarray(image)
    if image.mode in ALPHA:
        remarks += _alpha(pixels[..., :-1], pixels[..., -1], file)
        pixels = pixels[..., :-1].squeeze(-1) if image.mode in (*GREY, *PALETTE) else pixels[..., :-1]
    if image.mode in PALETTE:
        _refuse_reversed(image, file)
        return Values("palette", pixels, np.asarray(image.convert("RGB")), remarks)
    if image.mode in COLOURS:
        return _of_colours(pixels, remarks)
    grey = _whole(pixels, file)
    if (times := STRETCHED.get(stored)) is not None:
        grey = grey // times
    shallow = image.mode in ("1", "L", "LA", "La")
    kind = {"1": "1-bit", "L": "8-bit grey", "LA": "8-bit grey", "La": "8-bit grey"}.get(
        image.mode, "deep grey"
    )
    return Values(kind, grey, np.repeat(grey[..., None], 3, axis=2) if shallow else None, remarks)


def _deep(content: bytes, file: Path, remarks: tuple[str, ...]) -> Values:
    """Read colours of 16 bits, which Pillow would cut to 8."""
    import cv2  # for such pictures alone

    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise MaskError("bad_mask", f"{file}: colours of 16 bits that cannot be read")
    if pixels.shape[2] == 4:
        remarks += _alpha(pixels[..., :3], pixels[..., 3], file)
    if not (pixels[..., :1] == pixels[..., 1:3]).all():
        raise MaskError("mask_colours", f"{file}: colours of 16 bits")
    return Values("deep grey", pixels[..., 0].astype(np.int64), None, remarks)


def _of_colours(pixels: np.ndarray, remarks: tuple[str, ...]) -> Values:
    if (pixels[..., :1] == pixels[..., 1:]).all():
        return Values("RGB of equal channels", pixels[..., 0], pixels, remarks)
    return Values("RGB", None, pixels, remarks)


def _alpha(colours: np.ndarray, alpha: np.ndarray, file: Path) -> tuple[str, ...]:
    """Say whether transparency is dropped that says something.

    Raises:
        MaskError: it is all that says something.
    """
    if alpha.size == 0 or (alpha == np.iinfo(alpha.dtype).max).all():
        return ()
    if (alpha != alpha.flat[0]).any() and (colours == colours[0, 0]).all():
        raise MaskError("mask_alpha", f"{file}: transparency of {len(np.unique(alpha))} values")
    return ("alpha_dropped",)


def _refuse_reversed(image: Image.Image, file: Path) -> None:
    """See that a palette of greys alone begins with black: else what looks like background is an object."""
    colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    greys = (colours == colours[:, :1]).all()
    if greys and colours[0].any() and not colours.any(axis=1).all():
        raise MaskError("mask_palette", f"{file}: index 0 is grey {colours[0, 0]}")


def _whole(pixels: np.ndarray, file: Path) -> np.ndarray:
    """Return grey values as whole numbers from 0.

    Raises:
        MaskError: they are none.
    """
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels) & (pixels == np.rint(pixels))).all():
        raise MaskError("bad_mask", f"{file}: values that are not whole numbers")
    if pixels.size and pixels.min() < 0:
        raise MaskError("bad_mask", f"{file}: values below 0, the least is {pixels.min()}")
    return (
        pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint8 if pixels.dtype == bool else np.int64)
    )

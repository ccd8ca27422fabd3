"""Reading an image file as the pixels its annotations were drawn on. All images are read here."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

Orientation = Literal["stated_size", "exif", "stored"]
"""Which way up an image with an EXIF orientation is: see `read_image`."""


def read_image(
    path: Path,
    size: Size | None = None,
    *,
    sha256: str | None = None,
    orientation: Orientation = "stated_size",
) -> np.ndarray:
    """Read any image as RGB, (H, W, 3) uint8.

    Grayscale, palette, CMYK and 16-bit images are converted, transparency is dropped. An image with an EXIF
    rotation is taken in the orientation whose size the annotations state; as stored where both fit.

    Args:
        path: the file.
        size: (height, width) as the annotations state it; ``None`` takes the image as stored.
        sha256: of the file, where it is known: the very bytes that are decoded are compared with it.

    Raises:
        SambenchError: missing, damaged or cut off, of a kind that is not an image, of another size, or not
            what it was.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such image.") from None
    except (OSError, ValueError) as error:
        raise SambenchError(f"{path}: cannot be read ({error}).") from None
    if sha256 is not None:
        refuse_changed(path, hashlib.sha256(content).hexdigest(), sha256)
    pixels = decode_image(content, str(path), size)
    if size is not None and pixels.shape[:2] != size:
        height, width = pixels.shape[:2]
        raise SambenchError(
            f"{path}: is {width} x {height} pixels, but its annotations are for {size[1]} x {size[0]}. "
            "Is --images the folder that belongs to --annotations?"
        )
    return pixels


def decode_image(content: bytes, name: str, size: Size | None = None) -> np.ndarray:
    """Read an image's bytes as `read_image` reads a file.

    Args:
        content: of the file.
        name: of it, for messages.
        size: decides the orientation where there are two; the pixels may be of another still.

    Raises:
        SambenchError: damaged or cut off, or of a kind that is not an image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return _to_rgb(_orient(image, size))
    except UnidentifiedImageError:
        raise SambenchError(f"{name}: not an image that Pillow can read. Get the file again.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SambenchError(f"{name}: damaged or cut off ({error}). Get the file again.") from None


def _orient(image: Image.Image, size: Size | None) -> Image.Image:
    if size is None or (image.height, image.width) == size:
        return image
    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip 16 bits at 255
        values = np.asarray(image).astype(np.float64)
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        scale = 257 if deep else 1  # 65535 / 255
        gray = np.rint(values / scale).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))

"""From what a file stores to 8 bits of red, green and blue: deep images, unusual colours, contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageCms

from sambench.adapters.images.header import raw_mode
from sambench.evsam.errors import SambenchError

RANGES = (255, 1023, 4095, 16383, 65535)
"""The largest values of 8, 10, 12, 14 and 16 bits: what cameras and scanners deliver."""
LOW_CONTRAST = 32
"""Of 256 levels. An image of 12 bits that is taken for one of 16 has 16 of them; the flattest of the 197
photographs of COCO that this was chosen on has 125."""

_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # TIFF 6.0, sections 8 and 19
_WHITE_IS_ZERO, _SIGNED = 0, 2
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_REMEDY = "Scale it to 8 or 16 bits, and write it as PNG."


def to_rgb(image: Image.Image, content: bytes, name: str) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8, as stored.

    Args:
        image: opened, and not decoded yet.
        content: of its file.
        name: of it, for messages.

    Raises:
        SambenchError: it holds values that no range of 8 to 16 bits has.
    """
    raw = raw_mode(image)
    image.info.pop("xmp", None)  # Pillow would turn a TIFF by what is said there
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        gray = scaled(np.asarray(image), name)
        return _three(255 - gray if _tiff(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,) else gray)
    if ";16" in raw:
        return scaled(_deep_colours(image, content, raw, name), name)
    if image.mode in ("1", "L"):
        gray = np.array(image.convert("L"))
        if image.mode == "L" and _SIGNED in _tiff(image, _SAMPLE_FORMAT):
            scaled(gray.view(np.int8), name)  # refuses what is below zero
        return _three(gray)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return np.array(turned)
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def scaled(values: np.ndarray, name: str) -> np.ndarray:
    """Scale deep values to 0 to 255, by the smallest usual range that holds the largest of them.

    Whole numbers are of 8, 10, 12, 14 or 16 bits; fractions of 0 to 1, else of these.

    Args:
        values: of any shape and type of numbers.
        name: of the image, for messages.

    Raises:
        SambenchError: some are negative, not finite or above 16 bits, or it cannot be told what they mean.
    """
    if values.size == 0:
        return values.astype(np.uint8)
    fractions = values.dtype.kind == "f"
    if fractions and not (finite := np.isfinite(values)).all():
        raise SambenchError(
            f"{name}: {values.size - finite.sum():,} of {values.size:,} values are NaN or infinite. Give "
            f"them a value. {_REMEDY}"
        )
    low, high = values.min().item(), values.max().item()
    within = 1 + 1e-6 if fractions else 1  # what float32 rounds
    ranges = (1, *RANGES) if fractions else RANGES
    top = next((top for top in ranges if high <= top * within), None)
    if top is None or low < -1e-6:
        raise SambenchError(
            f"{name}: holds values from {low:g} to {high:g}, and an image's are from 0 to 1, or of 8 to 16 "
            f"bits. {_REMEDY}"
        )
    if fractions and top == 255 and high < 2:
        raise SambenchError(
            f"{name}: holds values up to {high:g}: a little more than 1, or hardly any of 255? {_REMEDY}"
        )
    if fractions:
        return np.rint(values.astype(np.float32) * np.float32(255 / top)).clip(0, 255).astype(np.uint8)
    table = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
    return table[values]


def low_contrast(pixels: np.ndarray) -> bool:
    """Say whether an image has hardly any contrast, as one whose range was mistaken.

    That is fewer than `LOW_CONTRAST` levels between the darkest and the brightest half percent, in every
    colour. About a million pixels are looked at.

    Args:
        pixels: (H, W, 3) uint8.
    """
    step = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / 1e6)))
    some = pixels[::step, ::step].reshape(-1, 3)
    darkest, brightest = np.percentile(some, (0.5, 99.5), axis=0)
    return bool((brightest - darkest < LOW_CONTRAST).all())


def _three(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _tiff(image: Image.Image, tag: int) -> tuple[int, ...]:
    """Return the values of a tag of a TIFF, none of another file."""
    value = getattr(image, "tag_v2", {}).get(tag, ())
    return value if isinstance(value, tuple) else (value,)


def _deep_colours(image: Image.Image, content: bytes, raw: str, name: str) -> np.ndarray:
    """Return 16 bits of each colour, (H, W, 3), of which Pillow keeps the upper 8.

    OpenCV has them all. It says little of what is damaged, so it gets what Pillow has decoded without a word,
    and must agree in the upper 8.
    """
    import cv2  # reports read images too, and start without it

    known = raw.startswith(("RGB;", "RGBA;", "RGBX;", "LA;"))
    deep: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if known else None
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3 or deep.shape[2] < 3:
        raise SambenchError(f"{name}: its 16 bits a colour cannot be read as {image.format}. {_REMEDY}")
    deep = deep[:, :, 2::-1]
    if not np.array_equal(deep >> 8, np.asarray(image)[:, :, :3]):
        raise SambenchError(
            f"{name}: its 16 bits a colour are read as different pixels by Pillow and OpenCV. {_REMEDY}"
        )
    return deep

"""Reading an image file as the pixels its annotations were drawn on."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from sambench.adapters.files import refuse_changed
from sambench.adapters.images.header import look_at
from sambench.adapters.images.opening import opened
from sambench.adapters.images.orientation import Orientation, as_stored, turn
from sambench.adapters.images.pixels import to_rgb
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size


def read_image(
    path: Path,
    size: Size | None = None,
    *,
    sha256: str | None = None,
    orientation: Orientation = "stated_size",
) -> np.ndarray:
    """Read any image as RGB, (H, W, 3) uint8.

    Grayscale, palette, CMYK and LAB images are converted, transparency is dropped, colour profiles are not
    applied; of several frames or pages the first is taken. Deeper images than 8 bits are scaled by the
    smallest of 8, 10, 12, 14 and 16 bits that holds their largest value, fractions by 1 or else by these;
    what fits none, NaN or negative values are refused.

    An image with an EXIF orientation (in JPEG, PNG, WebP, AVIF or TIFF) is turned:

    - ``stated_size``: to the way up that the annotations' size says. Where that leaves it open (upside down,
      mirrored, square, or no size stated) as the tag says, because that is how annotation tools show images.
    - ``exif``: as the tag says. The annotations may state the stored size too, as Label Studio's do.
    - ``stored``: never.

    What others take: pycocotools reads no images, and draws masks in the stated size. OpenCV's ``imread``, by
    it MMDetection (mmcv#1091) and Ultralytics, and detectron2's ``read_image`` turn by the tag; so do CVAT
    (cvat#1059), FiftyOne (fiftyone#3778) and labelme, and state the turned size. Label Studio shows images
    turned and states the stored size (label-studio#6608). COCO Annotator shows them as stored
    (coco-annotator#228), as a plain ``PIL.Image.open`` gives them.

    Args:
        path: the file.
        size: (height, width) as the annotations state it. A file of another size is refused by its header,
            before it is decoded; so an image is as large as was stated, or, where no size is stated, as 179
            megapixels.
        sha256: of the file, where it is known: the very bytes that are decoded are compared with it.
        orientation: the axis of the protocol.

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
    return decode_image(content, str(path), size, orientation)


def decode_image(
    content: bytes, name: str, size: Size | None = None, orientation: Orientation = "stated_size"
) -> np.ndarray:
    """Read an image's bytes as `read_image` reads a file.

    Args:
        content: of the file.
        name: of it, for messages.
        size: (height, width) as the annotations state it.
        orientation: the axis of the protocol.

    Raises:
        SambenchError: damaged or cut off, of a kind that is not an image, or of another size.
    """
    stored = as_stored(content)
    with opened(io.BytesIO(stored), name) as image:
        found = look_at(image, io.BytesIO(content))
        if refusal := found.refusal(size, orientation):
            raise SambenchError(f"{name}: {refusal}")
        pixels = to_rgb(image, stored, name)
    if pixels.shape[:2] != found.stored:
        raise SambenchError(
            f"{name}: damaged: it says that it is {found.stored[1]} x {found.stored[0]} pixels, and holds "
            f"{pixels.shape[1]} x {pixels.shape[0]}. Get the file again."
        )
    return turn(pixels, found.applied(size, orientation))

"""Opening image files with Pillow: its errors in a user's words, its warnings nobody's, its limit ours.

Pillow warns above 89 megapixels and refuses above 179, by one number for the whole process. Here the limit
is each image's own, and other threads and libraries keep Pillow's: its check is asked through one that knows
which thread is reading here.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from sambench.adapters.images.causes import NOT_READ, cause
from sambench.evsam.errors import SambenchError

LARGEST = 178_956_970
"""Pixels of an image without a stated size that are decoded at most: Pillow's own limit."""

HEAD = 65_536
"""Bytes of a file from which is told what it is."""

_reading = threading.local()
_check_of_pillow = Image._decompression_bomb_check


def _check(size: tuple[int, int], **how: Any) -> None:
    """Check an image's size: in a thread that reads here by the limit there, in any other as Pillow does."""
    limit = getattr(_reading, "limit", None)
    if limit is None:
        _check_of_pillow(size, **how)
    elif size[0] * size[1] > limit:
        raise Image.DecompressionBombError(f"{size[0]} x {size[1]} pixels within an image of {limit}")


Image._decompression_bomb_check = _check
# What Pillow says of odd tags and palettes. A filter for a block of code would not be safe among threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@contextlib.contextmanager
def opened(stream: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image, whatever its size, without decoding it; what is done with it is told as `told` does.

    Args:
        stream: with the file.
        name: of the file, for messages.

    Raises:
        SambenchError: not an image that Pillow can read, damaged, or cut off; the message says which.
    """
    with told(stream, name), _limited(), Image.open(stream) as image:
        if image.format in NOT_READ:
            raise SambenchError(
                f"{name}: {NOT_READ[image.format]}, not an image of pixels. Convert it to PNG or JPEG."
            )
        _reading.limit = max(LARGEST, image.width * image.height)  # of images within it
        yield image


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Let this thread open images of any size, until it says another limit."""
    before = getattr(_reading, "limit", None)
    _reading.limit = float("inf")
    try:
        yield
    finally:
        _reading.limit = before


@contextlib.contextmanager
def told(stream: BinaryIO, name: str) -> Iterator[None]:
    """Tell what Pillow raises as what is wrong with the file. Its readers raise anything on damaged bytes."""
    try:
        yield
    except SambenchError:
        raise
    except UnidentifiedImageError:
        stream.seek(0)
        raise SambenchError(f"{name}: {cause(stream.read(HEAD))}") from None
    except MemoryError:
        raise SambenchError(
            f"{name}: there is not enough memory to decode it. Free some, or take a smaller image."
        ) from None
    except Exception as error:
        if "truncated" in str(error).lower():
            raise SambenchError(
                f"{name}: damaged or cut off: the file ends before its picture does. Get the file again."
            ) from None
        raise SambenchError(
            f"{name}: damaged or cut off: what is stored is no valid picture. Get the file again."
        ) from error

"""Which way up an image is: the orientation tag of EXIF, wherever a file has it, and turning by it.

Pillow's own ``exif_transpose`` is not used: it rewrites all other tags when it turns an image, and fails if
one of them is damaged. Only tag 274 is read here, whatever stands beside it.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image

Orientation = Literal["stated_size", "exif", "stored"]
"""What decides which way up an image is: see `adapters.images.reading.read_image`."""

TAG = 274
"""Of the orientation, in EXIF and in TIFF (Exif 2.32, section 4.6.4)."""
UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF begins, and BigTIFF."""

_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_TYPES = {1: "B", 3: "H", 4: "I"}
"""Of EXIF's values: byte, short and long. The standard wants a short."""
_MOST_ENTRIES = 65_535
"""Of a directory; a damaged BigTIFF could state any number."""


@dataclass(frozen=True)
class Entry:
    """The orientation tag in a file."""

    value: int
    """1 to 8."""
    offset: int
    """Of the value, in bytes."""
    form: str
    """Of the value, for `struct`."""


def find(stream: BinaryIO) -> Entry | None:
    """Find the tag in what is built as TIFF: a TIFF file of either kind, or a block of EXIF.

    Entries after a damaged or cut one are read as far as they are there; a value out of 1 to 8 is none.
    """
    with contextlib.suppress(struct.error, KeyError, OSError, OverflowError, ValueError):
        stream.seek(0)
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}[head[:2]]
        (magic,) = struct.unpack_from(f"{order}H", head, 2)
        big = magic == 43  # BigTIFF, with 8 bytes where others have 4
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
        counter, length, at = ("Q", 20, 12) if big else ("H", 12, 8)
        stream.seek(start)
        (count,) = struct.unpack(order + counter, stream.read(struct.calcsize(counter)))
        first = stream.tell()
        entries = stream.read(min(count, _MOST_ENTRIES) * length)
        for i in range(0, len(entries), length):
            tag, kind = struct.unpack_from(f"{order}HH", entries, i)
            if tag == TAG:
                form = order + _TYPES[kind]
                (value,) = struct.unpack_from(form, entries, i + at)
                return Entry(value, first + i + at, form) if 1 <= value <= 8 else None
    return None


def as_stored(content: bytes) -> bytes:
    """Return a file that Pillow decodes as stored: it turns a TIFF by itself, unless its tag says upright."""
    entry = find(io.BytesIO(content)) if content[:4] in TIFF else None
    if entry is None or entry.value == UPRIGHT:
        return content
    changed = bytearray(content)
    struct.pack_into(entry.form, changed, entry.offset, UPRIGHT)
    return bytes(changed)


def tag_of(image: Image.Image, stream: BinaryIO) -> int:
    """Return the orientation of an image that is opened and not yet decoded, 1 where none is said.

    Where EXIF has none, XMP's counts, as it does for Pillow.

    Args:
        image: opened from the stream.
        stream: with the file; its position is kept.
    """
    position = stream.tell()
    try:
        entry = find(stream) if image.format == "TIFF" else _in_blocks(image, stream)
    finally:
        stream.seek(position)
    if entry is not None:
        return entry.value
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    found = _XMP.search(xmp.encode() if isinstance(xmp, str) else bytes(xmp))
    return int(found[1]) if found else UPRIGHT


def _in_blocks(image: Image.Image, stream: BinaryIO) -> Entry | None:
    """Find the tag in the first block of EXIF that has one."""
    blocks = [image.info.get("exif")]
    if image.format == "PNG":
        blocks += [_chunk(stream, b"eXIf"), _raw_profile(image.info.get("Raw profile type exif"))]
    found = (find(io.BytesIO(block.removeprefix(b"Exif\0\0"))) for block in blocks if block)
    return next(filter(None, found), None)


def _chunk(stream: BinaryIO, name: bytes) -> bytes | None:
    """Return what a PNG has in a chunk, which may be after the pixels."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        if head[4:] == name:
            return stream.read(length)
        stream.seek(length + 4, io.SEEK_CUR)
    return None


def _raw_profile(text: object) -> bytes | None:
    """Read EXIF as ImageMagick writes it into the text of a PNG: three lines, then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(str(text).split("\n")[3:])) if text else None
    except ValueError:
        return None


def turn(pixels: np.ndarray, tag: int) -> np.ndarray:
    """Turn stored pixels (H, W, ...) the way up that an orientation says; of 5 to 8, (W, H, ...) come out."""
    if tag in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if tag in (3, 4, 7, 8):  # the first stored row, or column of 7 and 8, is at the bottom
        pixels = pixels[::-1]
    if tag in (2, 3, 6, 7):  # the first stored column, or row of 6 and 7, is on the right
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)

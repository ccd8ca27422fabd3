"""Image files written byte by byte, so that what reads them is compared with what was put in."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def tiff(pixels, *, order="<", bits=None, photometric=1, sample_format=None, more=()):
    """An uncompressed TIFF of (H, W) or (H, W, C) numbers, in one strip.

    Args:
        pixels: of any type; written in the order of bytes that is asked for.
        order: ``<`` or ``>``.
        bits: of a channel, where it is not the type's.
        photometric: TIFF's tag 262.
        sample_format: 1 unsigned, 2 signed, 3 float; the type's by default.
        more: further tags, (tag, type, values).
    """
    pixels = np.asarray(pixels)
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    form = sample_format or {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    return tiff_of(
        data,
        (height, width),
        order=order,
        tags=[
            (258, 3, [bits or pixels.dtype.itemsize * 8] * channels),
            (262, 3, [photometric]),
            (277, 3, [channels]),
            (339, 3, [form] * channels),
            *more,
        ],
    )


def tiff_of(data, size, *, order="<", tags=()):
    """A TIFF of one strip of bytes, with these tags beside those of its layout."""
    height, width = size
    layout = [(256, 3, [width]), (257, 3, [height]), (259, 3, [1]), (273, 4, [8]), (278, 4, [height])]
    tags = sorted([*layout, (279, 4, [len(data)]), *tags])
    start = 8 + len(data) + len(data) % 2
    beyond = start + 2 + 12 * len(tags) + 4
    entries, far = b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(packed) > 4:
            where, far = struct.pack(f"{order}I", beyond + len(far)), far + packed + b"\0" * (len(packed) % 2)
        else:
            where = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + where
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(tags)) + entries + b"\0\0\0\0"
    return head + data + b"\0" * (len(data) % 2) + directory + far


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows, size, *, bits, colour, before=b"", after=b""):
    """A PNG of packed rows of bytes, without filters.

    Args:
        rows: bytes of each row.
        size: (height, width).
        bits: of a channel.
        colour: PNG's colour type: 0 gray, 2 RGB, 4 gray and alpha, 6 RGBA.
        before: chunks before the pixels.
        after: chunks after them.
    """
    height, width = size
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")


def deep_png(pixels, colour, **chunks):
    """A PNG of 16 bits a channel."""
    rows = [row.astype(">u2").tobytes() for row in pixels]
    return png(rows, pixels.shape[:2], bits=16, colour=colour, **chunks)


def exif(orientation, *, order="<", kind=3, damage=None):
    """A block of EXIF with an orientation.

    Args:
        orientation: the value of tag 274.
        order: of its bytes.
        kind: of the value: 1 byte, 3 short, 4 long.
        damage: ``rational``: a resolution of denominator 0; ``cut``: the directory says more entries than
            there are; ``pointer``: a resolution far outside.
    """
    form = {1: "B", 3: "H", 4: "I"}[kind]
    entries = [
        struct.pack(f"{order}HHI", 274, kind, 1) + struct.pack(order + form, orientation).ljust(4, b"\0")
    ]
    count, far = 1, b""
    if damage == "rational":
        entries.append(struct.pack(f"{order}HHII", 282, 5, 1, 8 + 2 + 24 + 4))
        count, far = 2, struct.pack(f"{order}II", 72, 0)
    elif damage == "pointer":
        entries.append(struct.pack(f"{order}HHII", 282, 5, 1, 2**31))
        count = 2
    elif damage == "cut":
        count = 40
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    next_one = b"" if damage == "cut" else b"\0\0\0\0"
    return head + struct.pack(f"{order}H", count) + b"".join(entries) + next_one + far


def jpeg_with(content, block):
    """A JPEG with a block of EXIF after its first two bytes."""
    data = b"Exif\0\0" + block
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + content[2:]


def encoded(image, form, **options):
    """What Pillow writes of an image."""
    to = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(to, form, **options)
    return to.getvalue()

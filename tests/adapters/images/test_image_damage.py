"""Damaged files of every kind: an image comes out, or an error that a user can read; nothing else."""

import re

import image_bytes as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sambench.adapters.images import decode_image
from sambench.evsam.errors import SambenchError

HEIGHT, WIDTH = 12, 17
_RNG = np.random.default_rng(0)
RGB = _RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
DEEP = _RNG.integers(0, 4096, (HEIGHT, WIDTH, 3)).astype(np.uint16)

WHOLE = {
    "JPEG": files.jpeg_with(files.encoded(RGB, "JPEG"), files.exif(6, damage="rational")),
    "PNG": files.encoded(RGB, "PNG", exif=files.exif(5)),
    "PNG, palette": files.encoded(Image.fromarray(RGB).convert("P"), "PNG"),
    "PNG, deep": files.deep_png(DEEP, 2),
    "TIFF, deep": files.tiff(DEEP, photometric=2, more=[(274, 3, [6])]),
    "TIFF, float": files.tiff((DEEP[..., 0] / 4095).astype(np.float32)),
    "TIFF, compressed": files.encoded(RGB, "TIFF", compression="tiff_deflate"),
    "GIF": files.encoded(RGB, "GIF"),
    "WebP": files.encoded(RGB, "WEBP", exif=files.exif(8)),
    "BMP": files.encoded(RGB, "BMP"),
}
PYTHONS_WORDS = re.compile(r"Errno|NoneType|object at|Traceback|struct\.|\bint\b|KeyError|tuple")


def read(content, size):
    """The pixels, or why there are none."""
    try:
        return decode_image(content, "image", size), None
    except SambenchError as error:
        return None, str(error)


changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=40)
@given(
    changes=changes,
    near=st.booleans(),
    share=st.sampled_from([1, 1, 0.99, 0.9, 0.5, 0.1]),
    stated=st.booleans(),
)
def test_damaged_bytes_are_read_or_refused_in_words(kind, changes, near, share, stated):
    content = bytearray(WHOLE[kind])
    for place, value in changes:  # headers break in more ways than pixels
        content[int(place * min(len(content), 150 if near else len(content)))] = value
    content, size = bytes(content[: int(len(content) * share)]), (HEIGHT, WIDTH) if stated else None
    pixels, message = read(content, size)
    if message is not None:
        assert message.startswith("image: ")
        assert not PYTHONS_WORDS.search(message)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape == (*(size or pixels.shape[:2]), 3)


@given(block=st.binary(max_size=120), order=st.sampled_from([b"II*\0", b"MM\0*", b""]))
@settings(max_examples=100)
def test_no_block_of_exif_stops_a_jpeg(block, order):
    content = files.jpeg_with(files.encoded(RGB, "JPEG"), order + block)
    assert decode_image(content, "image").shape in {(HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)}

"""Very large images, bombs, and Pillow's limit, which stays everybody else's."""

import io
import struct
import subprocess
import sys
import threading
import time

import image_bytes as files
import numpy as np
import pytest
from PIL import Image

from sambench.adapters.images import LARGEST, decode_image, look, read_image
from sambench.adapters.images.opening import opened
from sambench.evsam.errors import SambenchError

PILLOWS_LIMIT = 2 * Image.MAX_IMAGE_PIXELS


def bomb(height, width):
    """A small file that says it is large."""
    row = bytes(-(-width // 8))
    return files.png([row] * 3, (height, width), bits=1, colour=0)


def refused(content, size=None):
    with pytest.raises(SambenchError) as caught:
        decode_image(content, "image.png", size)
    return str(caught.value)


def test_the_limit_without_a_stated_size_is_pillows():
    assert LARGEST == PILLOWS_LIMIT


def test_a_large_image_without_a_stated_size_is_refused_as_large_with_its_cost():
    message = refused(bomb(13_000, 14_000))
    assert message.startswith(
        "image.png: is 14000 x 13000 pixels, 182 megapixels, and takes 0.5 GB of memory"
    )
    assert "State them" in message
    assert "damaged" not in message


def test_a_bomb_of_another_size_than_stated_is_refused_by_its_header():
    began = time.monotonic()
    message = refused(bomb(60_000, 60_000), (480, 640))
    assert "is 60000 x 60000 pixels, but its annotations are for 640 x 480" in message
    assert time.monotonic() - began < 1


def test_a_look_takes_any_size(tmp_path):
    (tmp_path / "image.png").write_bytes(bomb(60_000, 60_000))
    found = look(tmp_path / "image.png")
    assert found.stored == (60_000, 60_000)
    assert found.megapixels == 3600
    assert found.memory == "10.8 GB of memory, and up to 36.0 GB while read"


@pytest.mark.slow
def test_an_image_above_pillows_limit_is_read_where_its_size_is_stated(tmp_path):
    height, width = 13_000, 14_000
    rows = [bytes([y % 256]) * (width // 8) for y in range(height)]
    (tmp_path / "image.png").write_bytes(files.png(rows, (height, width), bits=1, colour=0))
    pixels = read_image(tmp_path / "image.png", (height, width))
    assert pixels.shape == (height, width, 3)
    for y in (0, 1, 170, 255, height - 1):
        expected = np.unpackbits(np.frombuffer(rows[y], np.uint8)) * 255
        np.testing.assert_array_equal(pixels[y], np.repeat(expected[:, None], 3, 1))


def test_a_large_tiff_passes_pillows_second_check(monkeypatch):
    """It asks again when it decodes a TIFF."""
    content = files.tiff(np.zeros((40, 50), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    assert decode_image(content, "image.tif", (40, 50)).shape == (40, 50, 3)


def test_other_threads_and_what_comes_after_keep_pillows_limit():
    content, outcome = bomb(20_000, 20_000), []

    def others():
        try:
            Image.open(io.BytesIO(content))
        except Image.DecompressionBombError:
            outcome.append("refused")

    with opened(io.BytesIO(content), "image.png"):
        thread = threading.Thread(target=others)
        thread.start()
        thread.join()
    others()
    refused(b"no image")
    others()
    assert outcome == ["refused"] * 3
    assert 2 * Image.MAX_IMAGE_PIXELS == PILLOWS_LIMIT


def test_no_warning_of_pillow_reaches_a_user(tmp_path):
    """Neither of size nor of odd tags, even where all warnings are asked for."""
    (tmp_path / "large.png").write_bytes(bomb(10_000, 9_500))
    (tmp_path / "odd.jpg").write_bytes(
        files.jpeg_with(files.encoded(Image.new("RGB", (8, 8)), "JPEG"), files.exif(6, damage="cut"))
    )
    code = (
        "import sys; from pathlib import Path; from sambench.adapters.images import look, read_image\n"
        "look(Path(sys.argv[1])); read_image(Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, tmp_path / "large.png", tmp_path / "odd.jpg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_a_look_is_told_of_files_as_reading_is(tmp_path):
    for content in (None, b"", b"text", files.encoded(Image.new("RGB", (8, 8)), "PNG")[:20]):
        path = tmp_path / "image.png"
        if content is not None:
            path.write_bytes(content)
        messages = []
        for way in (look, read_image):
            with pytest.raises(SambenchError) as caught:
                way(path)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert messages[0].startswith(f"{path}: ")


def test_an_image_that_is_larger_inside_than_it_says_is_refused():
    """An icon's directory says 16 x 16; the PNG within it is of another size."""
    inner = files.encoded(Image.new("RGB", (64, 64)), "PNG")
    head = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22)
    refused(head + inner, (16, 16))

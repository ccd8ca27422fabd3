"""Image files of every kind that data sets hold, and what must be refused."""

import re

import numpy as np
import pytest
from PIL import Image

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError

HEIGHT, WIDTH = 6, 9
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GRAY = RGB[:, :, 0]


def refused(path, size=None):
    with pytest.raises(SambenchError) as caught:
        read_image(path, size)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.fixture
def saved(tmp_path):
    """Write an image and return its path."""

    def saved(image, name="image.png", **options):
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return saved


def same(path, expected, size=None):
    pixels = read_image(path, size)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, expected)


def gray_as_rgb(gray):
    return np.stack([gray] * 3, axis=2)


def test_rgb_is_as_it_was(saved):
    same(saved(RGB), RGB)
    same(saved(RGB), RGB, (HEIGHT, WIDTH))


def test_gray_is_three_times_the_same(saved):
    same(saved(GRAY), gray_as_rgb(GRAY))


def test_transparency_is_dropped_not_blended(saved):
    alpha = np.random.default_rng(1).integers(0, 256, GRAY.shape, np.uint8)
    same(saved(np.dstack([RGB, alpha])), RGB)
    same(saved(Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha)])), gray_as_rgb(GRAY))


def test_a_palette_is_looked_up(saved):
    index = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    colours = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    image = Image.fromarray(index)
    image.putpalette(colours.tobytes())
    path = saved(image)
    assert Image.open(path).mode == "P"
    same(path, colours[index])


def test_a_palette_with_a_transparent_colour_keeps_that_colour(saved):
    colours = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    image = Image.fromarray(np.full((HEIGHT, WIDTH), 7, np.uint8))
    image.putpalette(colours.tobytes())
    same(saved(image, transparency=7), np.broadcast_to(colours[7], RGB.shape))


def test_one_bit_is_black_and_white(saved):
    bits = GRAY > 128
    path = saved(Image.fromarray(bits))
    assert Image.open(path).mode == "1"
    same(path, gray_as_rgb(np.where(bits, 255, 0)))


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 255, 0, 0), (0, 0, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_printing_inks_of_a_cmyk_jpeg_become_light(saved, ink, colour):
    path = saved(Image.new("CMYK", (WIDTH, HEIGHT), ink), "image.jpg", quality=100)
    assert Image.open(path).mode == "CMYK"
    pixels = read_image(path)
    assert pixels.shape == RGB.shape
    np.testing.assert_allclose(pixels, np.broadcast_to(colour, RGB.shape), atol=3)


@pytest.mark.parametrize("name", ["image.jpg", "image.png", "image.webp", "image.gif"])
def test_an_image_that_was_cut_off_is_refused(saved, name):
    path = saved(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8), name)
    whole = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "damaged or cut off" in refused(path)


def test_an_image_with_other_bytes_in_its_middle_is_refused(saved):
    path = saved(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("content", [b"", b"this is text\n" * 20, b"\x00" * 1000])
def test_a_file_that_is_no_image_is_refused_as_such(tmp_path, content):
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    assert "not an image that Pillow can read" in refused(path)


def test_a_missing_image_is_named(tmp_path):
    assert "no such image" in refused(tmp_path / "none.jpg")


def test_a_folder_is_no_image(tmp_path):
    refused(tmp_path)


def test_another_size_is_refused_with_both_sizes_as_width_by_height(saved):
    message = refused(saved(RGB), (HEIGHT, WIDTH + 1))
    assert re.search(r"is 9 x 6 pixels, but its annotations are for 10 x 6\.", message)


def test_the_turned_size_is_refused_where_the_file_says_nothing_of_turning(saved):
    assert "is 9 x 6 pixels, but its annotations are for 6 x 9." in refused(saved(RGB), (WIDTH, HEIGHT))

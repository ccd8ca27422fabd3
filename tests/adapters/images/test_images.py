"""Image files of every kind that data sets hold, and what must be refused."""

import re

import cv2
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


@pytest.mark.parametrize("highest", [65535, 4095, 200])
def test_sixteen_bits_are_scaled_to_eight_whatever_the_brightest_is(tmp_path, highest):
    deep = np.linspace(0, highest, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), deep)
    expected = np.round(deep.astype(np.float64) * 255 / 65535).astype(np.uint8)
    same(path, gray_as_rgb(expected))


@pytest.mark.parametrize("highest", [65535, 200])
def test_sixteen_bits_of_big_endian_tiff_are_scaled_too(tmp_path, highest):
    deep = np.linspace(0, highest, HEIGHT * WIDTH).astype(">u2").reshape(HEIGHT, WIDTH)
    path = tmp_path / "deep.tif"
    Image.frombytes("I;16B", (WIDTH, HEIGHT), deep.tobytes()).save(path)
    expected = np.round(deep.astype(np.float64) * 255 / 65535).astype(np.uint8)
    same(path, gray_as_rgb(expected))


# What EXIF's orientation says must be done to the stored pixels to see them upright.
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_image_is_taken_in_the_orientation_of_the_stated_size(saved, orientation):
    path = saved(RGB, exif=oriented(orientation))
    same(path, RGB, (HEIGHT, WIDTH))
    same(path, TURNED[orientation](RGB), (WIDTH, HEIGHT))
    same(path, RGB)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_an_image_upside_down_or_mirrored_is_taken_as_stored(saved, orientation):
    path = saved(RGB, exif=oriented(orientation))
    same(path, RGB, (HEIGHT, WIDTH))
    assert "is 9 x 6 pixels" in refused(path, (WIDTH, HEIGHT))


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 7, 8])
def test_a_square_image_is_taken_as_stored(saved, orientation):
    square = np.ascontiguousarray(RGB[:, :HEIGHT])
    same(saved(square, exif=oriented(orientation)), square, (HEIGHT, HEIGHT))


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_turned_jpeg_of_a_telephone_is_turned_to_the_stated_size(saved, orientation):
    halves = np.zeros((32, 64, 3), np.uint8)
    halves[:, 32:] = 255
    path = saved(halves, "image.jpg", quality=95, exif=oriented(orientation))
    pixels = read_image(path, (64, 32))
    bright_on_top = orientation == 8
    assert (pixels[:28] > 200).all() == bright_on_top
    assert (pixels[-28:] > 200).all() != bright_on_top


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


def test_the_size_of_a_turned_image_that_fits_neither_way_is_refused(saved):
    refused(saved(RGB, exif=oriented(6)), (HEIGHT, HEIGHT))

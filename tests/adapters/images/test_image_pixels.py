"""The pixels of deep images and of unusual colours, against files that were written byte by byte."""

import image_bytes as files
import numpy as np
import pytest
from PIL import Image

from sambench.adapters.images import decode_image, look, low_contrast
from sambench.evsam.errors import SambenchError
from tests.conftest import missing

HEIGHT, WIDTH = 6, 9
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
"""From 0 to 1, both included."""
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
EIGHT_BITS = np.round(RAMP * 255).astype(np.uint8)


def gray(content):
    pixels = decode_image(content, "image")
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    return pixels[..., 0]


def refused(content):
    with pytest.raises(SambenchError, match=r"^image: ") as caught:
        decode_image(content, "image")
    return str(caught.value)


def whole(top):
    return np.round(RAMP * top).astype(np.uint16)


WRITERS = {
    "TIFF": files.tiff,
    "TIFF, big-endian": lambda values: files.tiff(values, order=">"),
    "PNG": lambda values: files.deep_png(values, 0),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("writer", WRITERS)
def test_bits_in_sixteen_are_those_that_hold_the_largest_value(writer, bits):
    top = 2**bits - 1
    for highest in (top, top * 3 // 4, top // 2 + 1 if bits == 8 else top // 4 + 2):
        values = whole(highest)
        expected = np.floor(values * 255.0 / top + 0.5).astype(int)
        assert abs(gray(WRITERS[writer](values)) - expected).max() == 0


def test_twelve_bits_packed_into_three_bytes_for_two():
    values = whole(4095).ravel().tolist()
    packed = bytearray()
    for row in range(HEIGHT):
        line = [*values[row * WIDTH : (row + 1) * WIDTH], 0]  # rows end on a byte
        bits = "".join(f"{value:012b}" for value in line)[: (WIDTH * 12 + 7) // 8 * 8]
        packed += int(bits, 2).to_bytes(len(bits) // 8, "big")
    content = files.tiff_of(
        bytes(packed), (HEIGHT, WIDTH), tags=[(258, 3, [12]), (262, 3, [1]), (277, 3, [1]), (339, 3, [1])]
    )
    np.testing.assert_array_equal(gray(content), np.round(whole(4095) * 255.0 / 4095))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("top", [1, 255, 1023, 4095, 65535])
def test_fractions_are_of_one_or_of_the_usual_ranges(top, order):
    got = gray(files.tiff((RAMP * top).astype(np.float32), order=order)).astype(int)
    np.testing.assert_array_equal(got, EIGHT_BITS)


def test_fractions_of_one_that_are_dark_stay_dark():
    np.testing.assert_array_equal(gray(files.tiff((RAMP / 4).astype(np.float32))), np.round(RAMP / 4 * 255))
    assert not gray(files.tiff(np.zeros((HEIGHT, WIDTH), np.float32))).any()


def test_what_float32_rounds_beyond_one_is_one():
    values = RAMP.astype(np.float32)
    values[-1, -1] = np.nextafter(np.float32(1), np.float32(2))
    np.testing.assert_array_equal(gray(files.tiff(values)), EIGHT_BITS)


@pytest.mark.parametrize(
    ("kind", "order"),
    [(np.int16, "<"), (np.int16, ">"), (np.int32, "<"), (np.int32, ">"), (np.uint32, "<")],
)
def test_signed_and_long_numbers_that_fit(kind, order):
    content = files.tiff((RAMP * 4095).round().astype(kind), order=order)
    np.testing.assert_array_equal(gray(content), np.round(whole(4095) * 255.0 / 4095))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "1 of 54 values are NaN or infinite"),
        (np.inf, "1 of 54 values are NaN or infinite"),
        (-np.inf, "1 of 54 values are NaN or infinite"),
        (-0.5, "from -0.5 to 1"),
        (70000, "to 70000"),
        (1.5, "up to 1.5: a little more than 1, or hardly any of 255"),
    ],
)
def test_fractions_that_no_image_has_are_refused(value, said):
    values = RAMP.astype(np.float32)
    values[2, 3] = value
    message = refused(files.tiff(values))
    assert said in message
    assert "PNG" in message


@pytest.mark.parametrize(
    ("kind", "value"), [(np.int16, -1), (np.int32, -7), (np.int32, 65536), (np.int8, -1)]
)
def test_whole_numbers_that_no_image_has_are_refused(kind, value):
    values = (RAMP * 100).astype(kind)
    values[0, 0] = value
    assert f"{value}" in refused(files.tiff(values))


def test_signed_bytes_that_are_not_negative_are_as_they_are():
    np.testing.assert_array_equal(gray(files.tiff((RAMP * 100).astype(np.int8))), (RAMP * 100).astype(int))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiff_where_zero_is_white(kind):
    values = {np.uint8: EIGHT_BITS, np.uint16: whole(65535), np.float32: RAMP}[kind].astype(kind)
    np.testing.assert_array_equal(gray(files.tiff(values, photometric=0)), 255 - EIGHT_BITS)


COLOURS = {
    "PNG": lambda rgb: files.deep_png(rgb, 2),
    "PNG with alpha": lambda rgb: files.deep_png(np.dstack([rgb, 65535 - rgb[..., 0]]), 6),
    "TIFF": lambda rgb: files.tiff(rgb, photometric=2),
    "TIFF, big-endian": lambda rgb: files.tiff(rgb, photometric=2, order=">"),
    "TIFF with alpha": lambda rgb: files.tiff(
        np.dstack([rgb, 65535 - rgb[..., 0]]), photometric=2, more=[(338, 3, [2])]
    ),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", COLOURS)
def test_deep_colours_share_one_range_and_transparency_has_no_say(kind, bits):
    top = 2**bits - 1
    rgb = np.random.default_rng(2).integers(0, top + 1, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    rgb[0, 0] = top, 0, top // 2
    expected = np.floor(rgb * 255.0 / top + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(COLOURS[kind](rgb), "image"), expected)


def test_deep_gray_with_alpha():
    values = np.dstack([whole(4095), 65535 - whole(65535)])
    np.testing.assert_array_equal(gray(files.deep_png(values, 4)), np.round(whole(4095) * 255.0 / 4095))


def test_deep_colours_of_inks_are_refused():
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint16)
    assert "16 bits a colour cannot be read" in refused(files.tiff(inks, photometric=5))


def test_colours_as_fractions_are_refused_with_a_remedy():
    message = refused(files.tiff(np.zeros((HEIGHT, WIDTH, 3), np.float32), photometric=2))
    assert "several channels of float" in message
    assert "convert it to 8 or 16 bits" in message


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_bits_than_eight_reach_white(bits):
    top = 2**bits - 1
    values = np.round(RAMP * top).astype(int)
    rows = []
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text = text.ljust(-(-len(text) // 8) * 8, "0")
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    content = files.png(rows, (HEIGHT, WIDTH), bits=bits, colour=0)
    np.testing.assert_array_equal(gray(content), values * 255 // top)


def test_inks_of_tiff_become_light():
    inks = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    light = 255.0 - inks
    expected = light[..., :3] * light[..., 3:] / 255
    got = decode_image(files.tiff(inks, photometric=5), "image")
    np.testing.assert_allclose(got, expected, atol=1)


def test_lab_becomes_srgb():
    """By CIE's formulas from white D50, Bradford's matrix to sRGB's (Lindbloom), and sRGB's curve."""
    lab = np.array([[[255, 0, 0], [0, 0, 0], [135, 80, 67], [135, 0, 0], [170, -50, 30]]], float)
    light = (lab[..., 0] * 100 / 255 + 16) / 116
    fx, fz = light + lab[..., 1] / 500, light - lab[..., 2] / 200
    white = np.array([0.9642, 1, 0.8249])
    f = np.stack([fx, light, fz], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * white
    to_linear = np.array(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    linear = (xyz @ to_linear.T).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    got = decode_image(files.tiff((lab.astype(int) % 256).astype(np.uint8), photometric=8), "image")
    np.testing.assert_allclose(got, srgb, atol=4)


def test_a_palette_with_a_share_of_transparency_each_keeps_its_colours():
    index = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    colours = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    image = Image.fromarray(index)
    image.putpalette(colours.tobytes())
    content = files.encoded(image, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode_image(content, "image"), colours[index])


def test_premultiplied_alpha_of_tiff_is_undone():
    alpha = np.random.default_rng(4).integers(128, 256, (HEIGHT, WIDTH, 1))
    stored = np.concatenate([np.round(RGB * (alpha / 255)), alpha], 2).astype(np.uint8)
    got = decode_image(files.tiff(stored, photometric=2, more=[(338, 3, [1])]), "image")
    np.testing.assert_allclose(got, RGB, atol=2)
    stored = stored[:, :, [0, 3]]
    got = decode_image(files.tiff(stored, more=[(338, 3, [1])]), "image")
    np.testing.assert_allclose(got[..., 0], RGB[..., 0], atol=2)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_read_and_all_are_counted(form, tmp_path):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    path = tmp_path / "frames"
    path.write_bytes(files.encoded(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert look(path).frames == 3
    np.testing.assert_array_equal(decode_image(path.read_bytes(), "x"), np.asarray(frames[0]))


def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path):
    """An aerial picture has them for viewers that zoom."""
    path = tmp_path / "pyramid.tif"
    large, small = (Image.new("L", size) for size in ((WIDTH, HEIGHT), (4, 3)))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    large.save(path, save_all=True, append_images=[small])
    with Image.open(path) as image:
        assert image.n_frames == 2
        image.seek(1)
        assert image.tag_v2.get(254) == 1
    assert look(path).frames == 1


@pytest.mark.parametrize(
    ("content", "bits"),
    [
        (files.tiff(whole(65535)), 16),
        (files.deep_png(np.zeros((2, 2, 3), np.uint16), 2), 16),
        (files.deep_png(np.zeros((2, 2), np.uint16), 0), 16),
        (files.tiff(RAMP.astype(np.float32)), 32),
        (files.encoded(RGB, "JPEG"), 8),
        (files.encoded(RGB, "PNG"), 8),
        (files.encoded(Image.new("1", (3, 3)), "PNG"), 1),
    ],
)
def test_a_look_says_how_deep_an_image_is(content, bits, tmp_path):
    (tmp_path / "image").write_bytes(content)
    found = look(tmp_path / "image")
    assert (found.bits, found.deep) == (bits, bits > 8)


@pytest.mark.parametrize("name", ["f01", "f255", "u12"])
def test_deep_images_are_their_twin_of_eight_bits(name, data_root):
    odd = data_root / "odd-files"
    if not odd.is_dir():
        missing(f"{odd}: not here")
    twin = np.asarray(Image.open(odd / "base_images" / "img1.jpg").convert("L")).astype(int)
    got = gray((odd / "16-deep-tiff" / "images" / f"{name}.tif").read_bytes())
    assert abs(got - twin).max() <= (1 if name == "u12" else 0)


def test_hardly_any_contrast(data_root):
    """Twelve bits that are taken for sixteen have 16 levels; no photograph of COCO comes near."""
    photographs = sorted((data_root / "coco-mini" / "val2017").glob("*.jpg"))[:20]
    if not photographs:
        missing("coco-mini: not here")
    for file in photographs:
        pixels = decode_image(file.read_bytes(), file.name)
        assert not low_contrast(pixels), file.name
        assert low_contrast(pixels // 16), file.name


def test_contrast_of_one_colour_alone_is_contrast():
    pixels = np.zeros((20, 20, 3), np.uint8)
    assert low_contrast(pixels)
    pixels[:10, :, 0] = 200
    assert not low_contrast(pixels)
    pixels[:] = 128
    pixels[0, 0] = 0  # a speck is none
    assert low_contrast(pixels)

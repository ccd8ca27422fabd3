"""Which way up images are read: by the stated size, by their tag, or as stored, in every kind of file."""

import io
import json

import cv2
import image_bytes as files
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from sambench.adapters.images import decode_image, look, read_image
from sambench.evsam.errors import SambenchError
from tests.conftest import missing

HEIGHT, WIDTH = 6, 9
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SQUARE = np.ascontiguousarray(RGB[:, :HEIGHT])
TAGS = range(1, 9)


def upright(pixels, tag):
    """What Pillow makes of an image and its tag."""
    exif = Image.Exif()
    exif[0x0112] = tag
    return np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(files.encoded(pixels, "PNG", exif=exif))))
    )


def png(pixels, tag):
    return files.encoded(pixels, "PNG", exif=files.exif(tag))


def same(content, expected, size=None, orientation="stated_size"):
    np.testing.assert_array_equal(decode_image(content, "image", size, orientation), expected)


def refused(content, size, orientation):
    with pytest.raises(SambenchError) as caught:
        decode_image(content, "image", size, orientation)
    return str(caught.value)


@pytest.mark.parametrize("tag", TAGS)
def test_exif_turns_as_pillow_and_opencv_do_whatever_is_stated(tag, tmp_path):
    expected = upright(RGB, tag)
    for size in (None, expected.shape[:2], RGB.shape[:2]):
        same(png(RGB, tag), expected, size, "exif")
    smooth = np.repeat(np.repeat(RGB, 16, 0), 16, 1)  # whole blocks of a JPEG
    jpeg = files.jpeg_with(files.encoded(smooth, "JPEG", quality=100, subsampling=0), files.exif(tag))
    (tmp_path / "turned.jpg").write_bytes(jpeg)
    theirs = cv2.imread(str(tmp_path / "turned.jpg"))[:, :, ::-1].astype(int)
    ours = read_image(tmp_path / "turned.jpg", orientation="exif")
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() <= 3


@pytest.mark.parametrize("tag", TAGS)
def test_stored_turns_nothing(tag):
    same(png(RGB, tag), RGB, None, "stored")
    same(png(RGB, tag), RGB, (HEIGHT, WIDTH), "stored")
    same(png(SQUARE, tag), SQUARE, (HEIGHT, HEIGHT), "stored")


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
def test_a_size_that_fits_one_way_alone_decides(tag):
    same(png(RGB, tag), RGB, (HEIGHT, WIDTH))
    same(png(RGB, tag), upright(RGB, tag), (WIDTH, HEIGHT))


@pytest.mark.parametrize("tag", [2, 3, 4])
def test_where_both_ways_fit_it_is_as_annotation_tools_show_it(tag):
    same(png(RGB, tag), upright(RGB, tag), (HEIGHT, WIDTH))
    same(png(RGB, tag), upright(RGB, tag))


@pytest.mark.parametrize("tag", TAGS)
def test_a_square_image_and_one_without_a_stated_size_are_as_the_tag_says(tag):
    same(png(SQUARE, tag), upright(SQUARE, tag), (HEIGHT, HEIGHT))
    same(png(RGB, tag), upright(RGB, tag))


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
def test_a_size_that_fits_only_turned_is_refused_as_stored_and_names_the_axis(tag):
    message = refused(png(RGB, tag), (WIDTH, HEIGHT), "stored")
    assert f"stored as 9 x 6 pixels and turned by its EXIF orientation {tag}" in message
    assert "axis orientation to stated_size or exif" in message


@pytest.mark.parametrize("orientation", ["stated_size", "exif", "stored"])
@pytest.mark.parametrize("tag", TAGS)
def test_a_size_that_fits_neither_way_is_refused(tag, orientation):
    assert "its annotations are for 7 x 6" in refused(png(RGB, tag), (HEIGHT, 7), orientation)


def test_without_a_tag_no_axis_turns_anything():
    for orientation in ("stated_size", "exif", "stored"):
        same(files.encoded(RGB, "PNG"), RGB, (HEIGHT, WIDTH), orientation)
        message = refused(files.encoded(RGB, "PNG"), (WIDTH, HEIGHT), orientation)
        assert "is 9 x 6 pixels, but its annotations are for 6 x 9." in message


def test_the_authors_jpeg_reader_is_stored(tmp_path):
    """The paper's script reads with ``Image.open(...).convert("RGB")``."""
    path = tmp_path / "image.jpg"
    path.write_bytes(files.jpeg_with(files.encoded(RGB, "JPEG"), files.exif(3)))
    np.testing.assert_array_equal(
        read_image(path, orientation="stored"), np.array(Image.open(path).convert("RGB"))
    )


def _tiff(tag, order="<"):
    return files.tiff(RGB, order=order, photometric=2, more=[(274, 3, [tag])])


CONTAINERS = {
    "JPEG": lambda tag: files.jpeg_with(
        files.encoded(RGB, "JPEG", quality=100, subsampling=0), files.exif(tag)
    ),
    "JPEG, big-endian": lambda tag: files.jpeg_with(files.encoded(RGB, "JPEG"), files.exif(tag, order=">")),
    "JPEG, long": lambda tag: files.jpeg_with(files.encoded(RGB, "JPEG"), files.exif(tag, kind=4)),
    "PNG": lambda tag: png(RGB, tag),
    "PNG, after the pixels": lambda tag: files.png(
        [row.tobytes() for row in RGB],
        (HEIGHT, WIDTH),
        bits=8,
        colour=2,
        after=files.chunk(b"eXIf", files.exif(tag)),
    ),
    "WebP": lambda tag: files.encoded(RGB, "WEBP", lossless=True, exif=files.exif(tag)),
    "TIFF": _tiff,
    "TIFF, big-endian": lambda tag: _tiff(tag, ">"),
    "TIFF, compressed": lambda tag: files.encoded(RGB, "TIFF", compression="tiff_lzw", tiffinfo={274: tag}),
    "BigTIFF": lambda tag: files.encoded(RGB, "TIFF", big_tiff=True, tiffinfo={274: tag}),
    "XMP": lambda tag: files.encoded(
        RGB, "WEBP", lossless=True, xmp=f'<rdf:Description tiff:Orientation="{tag}"/>'.encode()
    ),
}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_tag_is_found_in_every_kind_of_file(container, tag, tmp_path):
    content = CONTAINERS[container](tag)
    (tmp_path / "image").write_bytes(content)
    found = look(tmp_path / "image")
    assert (found.tag, found.stored) == (tag, (HEIGHT, WIDTH))
    stored = decode_image(content, "image", None, "stored")
    assert abs(stored.astype(int) - RGB).mean() < 50  # a JPEG's; it is not turned
    if not container.startswith("JPEG"):
        np.testing.assert_array_equal(stored, RGB)
    same(content, upright(stored, tag), None, "exif")
    assert found.turned == upright(stored, tag).shape[:2]


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@pytest.mark.parametrize("tag", TAGS)
def test_the_turn_of_an_avif_is_treated_alike(tag):
    blocks = np.repeat(np.repeat(RGB, 32, 0), 32, 1)
    content = files.encoded(blocks, "AVIF", quality=100, exif=files.exif(tag))
    stored = decode_image(content, "image", blocks.shape[:2], "stored")
    assert abs(stored.astype(int) - blocks).mean() < 20
    same(content, upright(stored, tag), None, "exif")


@pytest.mark.parametrize("damage", ["rational", "pointer", "cut"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_damaged_entry_beside_the_tag_neither_stops_nor_hides_it(damage, order):
    whole = files.encoded(RGB, "JPEG")
    good = decode_image(files.jpeg_with(whole, files.exif(6)), "image")
    content = files.jpeg_with(whole, files.exif(6, order=order, damage=damage))
    same(content, good)
    same(content, good, (WIDTH, HEIGHT))


@pytest.mark.parametrize("value", [0, 9, 255])
def test_a_value_that_is_none_of_the_eight_is_no_tag(value, tmp_path):
    (tmp_path / "image.png").write_bytes(png(RGB, value))
    assert look(tmp_path / "image.png").tag == 1
    same(png(RGB, value), RGB)


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0", b"MM\0*\0\0\0\x08", b"no exif", b"II*\0\xff\xff\xff\xff"]
)
def test_exif_that_says_nothing_is_passed_over(block):
    whole = files.encoded(RGB, "JPEG")
    same(files.jpeg_with(whole, block), decode_image(whole, "image"))


def test_deep_colours_are_turned_too():
    deep = np.random.default_rng(1).integers(0, 65536, RGB.shape).astype(np.uint16)
    content = files.tiff(deep, photometric=2, more=[(274, 3, [6])])
    same(content, np.rot90(np.round(deep / 257).astype(np.uint8), -1), (WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def odd(data_root):
    folder = data_root / "odd-files"
    if not folder.is_dir():
        missing(f"{folder}: not here")
    return folder


@pytest.mark.parametrize(
    ("folder", "orientation"),
    [
        ("01-exif-90-labelstudio", "exif"),
        ("02-exif-180-square", "stated_size"),
        ("02-exif-180-square", "exif"),
        ("03-exif-broken", "stated_size"),
        ("03-exif-broken", "exif"),
    ],
)
def test_what_tools_wrote_is_the_upright_image_again(odd, folder, orientation):
    for image in json.loads((odd / folder / "ann.json").read_text())["images"]:
        want = np.asarray(Image.open(odd / "base_images" / image["file_name"]).convert("RGB")).astype(int)
        size = (image["height"], image["width"])
        got = read_image(odd / folder / "images" / image["file_name"], size, orientation=orientation)
        assert got.shape == want.shape
        assert abs(got - want).mean() < 4  # compressed once more


def test_a_look_says_which_images_are_ambiguous(tmp_path):
    def looked(pixels, tag):
        (tmp_path / "image.png").write_bytes(png(pixels, tag))
        return look(tmp_path / "image.png")

    assert not looked(RGB, 1).ambiguous((HEIGHT, WIDTH))
    assert looked(RGB, 3).ambiguous((HEIGHT, WIDTH))
    assert looked(SQUARE, 6).ambiguous((HEIGHT, HEIGHT))
    assert not looked(RGB, 6).ambiguous((HEIGHT, WIDTH))
    assert not looked(RGB, 6).ambiguous((WIDTH, HEIGHT))
    assert looked(RGB, 6).ambiguous(None)


@pytest.mark.parametrize("orientation", ["stated_size", "exif", "stored"])
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("stated", [None, (HEIGHT, WIDTH), (WIDTH, HEIGHT)])
def test_a_look_says_the_size_that_is_read_or_why_nothing_is(tmp_path, tag, stated, orientation):
    path = tmp_path / "image.png"
    path.write_bytes(png(RGB, tag))
    found = look(path)
    if refusal := found.refusal(stated, orientation):
        assert refused(path.read_bytes(), stated, orientation) == f"image: {refusal}"
    else:
        assert read_image(path, stated, orientation=orientation).shape[:2] == found.size(stated, orientation)

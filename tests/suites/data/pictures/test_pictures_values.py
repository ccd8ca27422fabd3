"""The values that mask pictures store, judged by what was written into them."""

import hashlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from mask_pictures import SIZE, ids, palette, save
from PIL import Image

from sambench.evsam.errors import SambenchError
from sambench.suites.data.pictures.values import MaskError, look_at_mask, read_values

IDS = ids()


def png(file, rows, depth, colour=0, interlaced=0):
    """Write a PNG chunk by chunk, rows (H, bytes a row) as the format packs them, without Pillow."""
    width = rows.shape[1] * 8 // depth if colour == 0 else rows.shape[1]

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, interlaced)
    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(packed))
        + chunk(b"IEND", b"")
    )
    return file


def pack(values, depth):
    """Pack values (H, W) of few bits, the first in the highest bits."""
    each = 8 // depth
    parts = values.reshape(len(values), -1, each).astype(np.uint8)
    return sum(parts[..., i] << (8 - depth * (i + 1)) for i in range(each)).astype(np.uint8)


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_of_few_bits_is_as_stored(tmp_path, depth):
    file = png(tmp_path / "m.png", pack(IDS, depth), depth)
    assert np.asarray(Image.open(file)).max() > 3  # Pillow stretches it
    np.testing.assert_array_equal(read_values(file).grey, IDS)


def test_one_bit(tmp_path):
    file = png(tmp_path / "m.png", pack(IDS > 0, 1), 1)
    np.testing.assert_array_equal(read_values(file).grey, IDS > 0)
    np.testing.assert_array_equal(read_values(save(tmp_path / "n.png", IDS > 0)).grey, IDS > 0)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".gif", ".webp", ".pgm"])
def test_kinds_of_files_keep_grey_values(tmp_path, ending):
    options = {".webp": {"lossless": True}}.get(ending, {})
    image = Image.fromarray(IDS).convert("RGB") if ending == ".webp" else Image.fromarray(IDS)
    found = read_values(save(tmp_path / f"m{ending}", image, **options))
    np.testing.assert_array_equal(found.grey, IDS)
    assert found.remarks == ()


def test_palettes_give_indices_and_not_colours(tmp_path):
    shuffled = [0, 0, 0, 9, 200, 3, 1, 1, 1, 255, 255, 255]
    for file in (save(tmp_path / "m.png", palette(IDS, shuffled)), save(tmp_path / "m.gif", palette(IDS))):
        found = read_values(file)
        assert found.is_palette
        np.testing.assert_array_equal(found.grey, IDS)


def test_deep_grey(tmp_path):
    deep = IDS.astype(np.uint16) * 24_001
    cv2.imwrite(str(tmp_path / "m.png"), deep)
    cv2.imwrite(str(tmp_path / "m.tif"), deep)
    Image.fromarray(deep.astype(np.int32)).save(tmp_path / "i.tif")
    Image.fromarray(IDS.astype(np.float32)).save(tmp_path / "f.tif")
    for name, expected in (("m.png", deep), ("m.tif", deep), ("i.tif", deep), ("f.tif", IDS)):
        np.testing.assert_array_equal(read_values(tmp_path / name).grey, expected, err_msg=name)


def test_three_equal_channels_are_one_also_of_16_bits(tmp_path):
    np.testing.assert_array_equal(
        read_values(save(tmp_path / "m.png", np.stack([IDS] * 3, axis=2))).grey, IDS
    )
    deep = np.stack([IDS.astype(np.uint16) * 300] * 3, axis=2)
    cv2.imwrite(str(tmp_path / "d.png"), deep)
    assert np.asarray(Image.open(tmp_path / "d.png")).max() < 256  # Pillow has lost the lower halves
    np.testing.assert_array_equal(read_values(tmp_path / "d.png").grey, deep[..., 0])


def test_colours_are_kept_apart_from_values(tmp_path):
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[3:5, 3:5] = (1, 2, 3)
    found = read_values(save(tmp_path / "m.png", colours))
    assert found.grey is None
    np.testing.assert_array_equal(found.colours, colours)


def test_interlaced(tmp_path):
    cv2.imwrite(str(tmp_path / "plain.png"), IDS)
    # Adam7 by hand: seven passes, each a smaller picture.
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    lines = b"".join(
        b"\0" + row.tobytes() for y, x, dy, dx in passes for row in IDS[y::dy, x::dx] if row.size
    )
    content = (tmp_path / "plain.png").read_bytes()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 8, 0, 0, 0, 1)
    file = tmp_path / "m.png"
    file.write_bytes(
        content[:8] + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_values(file).grey, IDS)


@pytest.mark.parametrize("grey", [False, True])
def test_transparency_is_dropped_with_a_word(tmp_path, grey):
    colours = IDS if grey else np.stack([IDS] * 3, axis=2)
    channels = (IDS[..., None] if grey else colours, np.where(IDS, 255, 0).astype(np.uint8)[..., None])
    image = np.concatenate(channels, axis=2)
    found = read_values(save(tmp_path / "m.png", image))
    np.testing.assert_array_equal(found.grey, IDS)
    assert found.remarks == ("alpha_dropped",)
    image[..., -1] = 255
    assert read_values(save(tmp_path / "n.png", image)).remarks == ()


def test_transparency_that_says_everything_is_refused(tmp_path):
    image = np.full((*SIZE, 4), 255, np.uint8)
    image[..., 3] = np.where(IDS, 255, 0)
    with pytest.raises(MaskError) as caught:
        read_values(save(tmp_path / "m.png", image))
    assert caught.value.finding[0] == "mask_alpha"


def test_a_palette_of_greys_out_of_order_is_refused(tmp_path):
    reversed_ = palette(IDS == 0, [255, 255, 255, 0, 0, 0])
    reversed_.putpalette([255, 255, 255, 0, 0, 0])
    with pytest.raises(MaskError, match="index 0 is grey 255"):
        read_values(save(tmp_path / "m.png", reversed_))
    right = palette(IDS > 0)
    right.putpalette([0, 0, 0, 255, 255, 255])
    np.testing.assert_array_equal(read_values(save(tmp_path / "n.png", right)).grey, IDS > 0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: save(file.with_suffix(".jpg"), Image.new("CMYK", (8, 8))), "CMYK has no values"),
        (lambda file: save(file.with_suffix(".tif"), np.full((4, 4), 0.5, np.float32)), "not whole numbers"),
        (lambda file: save(file.with_suffix(".tif"), np.full((4, 4), np.nan, np.float32)), "not whole"),
        (lambda file: save(file.with_suffix(".tif"), np.full((4, 4), -3, np.int32)), "below 0"),
    ],
)
def test_kinds_without_values_are_refused(tmp_path, make, said):
    with pytest.raises(MaskError) as caught:
        read_values(make(tmp_path / "m.png"))
    assert said in str(caught.value)


def test_damage_and_change_are_named(tmp_path):
    file = save(tmp_path / "m.png", IDS)
    whole = file.read_bytes()
    assert look_at_mask(file).stored == SIZE
    read_values(file, hashlib.sha256(whole).hexdigest())
    with pytest.raises(SambenchError, match=r"m\.png: changed since this run was planned"):
        read_values(file, "0" * 64)
    for content, said in (
        (whole[:60], "damaged or cut off"),
        (b"no picture", "not an image"),
        (b"", "empty"),
    ):
        file.write_bytes(content)
        with pytest.raises(MaskError, match=said):
            read_values(file)
    with pytest.raises(SambenchError, match="cannot be read"):
        read_values(tmp_path / "none.png")


def test_a_jpeg_is_lossy_and_a_lossless_webp_is_not(tmp_path):
    assert read_values(save(tmp_path / "m.jpg", IDS)).is_lossy
    grey = Image.fromarray(IDS * 80).convert("RGB")
    assert read_values(save(tmp_path / "m.webp", grey, quality=50)).is_lossy
    assert not read_values(save(tmp_path / "n.webp", grey, lossless=True)).is_lossy


def test_several_frames_are_refused_by_the_header(tmp_path):
    pages = [Image.fromarray(IDS)]
    for ending in (".tif", ".gif"):
        file = save(tmp_path / f"m{ending}", IDS * 80, save_all=True, append_images=pages)
        with pytest.raises(MaskError, match="has 2 frames or pages"):
            look_at_mask(file)

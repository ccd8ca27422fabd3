"""One mask picture of each kind, as objects and void: all kinds say the same of the same masks."""

import contextlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_pictures import SIZE, ids, palette, save
from PIL import Image

from sambench.evsam.errors import SambenchError
from sambench.suites.data.masks import decode_segmentation
from sambench.suites.data.pictures.picture import MaskPicture

IDS = ids()
VOID = np.zeros(SIZE, bool)
VOID[0:3, 0:30] = True
VOID[5:8, 10:17] = True  # over parts of two objects


def masks(found):
    return [decode_segmentation(one.segmentation, SIZE, "x") for one in found]


def read(file, ids_="values", **more):
    return MaskPicture(file, 1, ids_, **more).decode(SIZE)


def rgb(values):
    """Colours whose R + 256 G + 65536 B is the value."""
    return np.stack([values % 256, values // 256 % 256, values // 65536], axis=2).astype(np.uint8)


KINDS = {
    "grey.png": lambda file: save(file, IDS),
    "palette.png": lambda file: save(file, palette(IDS)),
    "palette.gif": lambda file: save(file, palette(IDS)),
    "deep.png": lambda file: save(file, IDS.astype(np.uint16) * 20_000),
    "equal.png": lambda file: save(file, np.stack([IDS] * 3, axis=2)),
    "grey.tif": lambda file: save(file, IDS),
    "grey.bmp": lambda file: save(file, IDS),
    "alpha.png": lambda file: save(file, np.stack([IDS] * 3 + [np.full_like(IDS, 255)], axis=2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_kind_are_the_same_objects(tmp_path, kind):
    found = read(KINDS[kind](tmp_path / kind))
    assert found.void is None
    assert found.remarks == ()
    for mask, value in zip(masks(found.annotations), (1, 2, 3), strict=True):
        np.testing.assert_array_equal(mask, value == IDS)


@pytest.mark.parametrize("kind", KINDS)
def test_binary_is_what_is_not_0(tmp_path, kind):
    found = read(KINDS[kind](tmp_path / kind), "binary")
    (mask,) = masks(found.annotations)
    np.testing.assert_array_equal(mask, IDS > 0)
    assert found.remarks == ("smooth_mask",)


def test_rgb_ids(tmp_path):
    values = np.where(IDS, IDS.astype(np.int64) * 70_000 + 5, 0)
    for name, options in (("m.png", {}), ("m.webp", {"lossless": True})):
        found = read(save(tmp_path / name, rgb(values), **options), "rgb")
        for mask, value in zip(masks(found.annotations), (70_005, 140_005, 210_005), strict=True):
            np.testing.assert_array_equal(mask, values == value)
    packed = Image.fromarray(rgb(values)).quantize(8, dither=Image.Dither.NONE)  # as optimisers of PNGs do
    assert packed.mode == "P"
    again = read(save(tmp_path / "p.png", packed), "rgb")
    assert [bytes(a.segmentation) for a in again.annotations] == [
        bytes(a.segmentation) for a in found.annotations
    ]


def test_values_keep_their_order_and_ids_are_places(tmp_path):
    found = read(save(tmp_path / "m.png", IDS.astype(np.uint16) * 24_001))
    assert [one.id for one in found.annotations] == [1_000_001, 1_000_002, 1_000_003]


@pytest.mark.parametrize("ids_", ["binary", "values", "rgb"])
def test_void_is_no_object_and_no_background(tmp_path, ids_):
    values = np.where(VOID, 255, IDS.astype(np.int64))
    file = save(tmp_path / "m.png", rgb(values) if ids_ == "rgb" else values.astype(np.uint8))
    found = read(file, ids_, void=(255,))
    np.testing.assert_array_equal(found.void.full(), VOID)
    union = np.any(masks(found.annotations), axis=0)
    np.testing.assert_array_equal(union, (IDS > 0) & ~VOID)
    background = read(file, ids_, void=(255,), void_counts=True)
    assert background.void is None
    assert [bytes(a.segmentation) for a in background.annotations] == [
        bytes(a.segmentation) for a in found.annotations
    ]
    assert read(file, ids_, void=(254,)).void is None


def test_parts_of_an_id(tmp_path):
    file = save(tmp_path / "m.png", (IDS > 0).astype(np.uint8) * 255)
    assert len(read(file, "binary").annotations) == 1
    found = read(file, "binary", components=True)
    for mask, value in zip(masks(found.annotations), (1, 2, 3), strict=True):
        np.testing.assert_array_equal(mask, value == IDS)


def test_an_index_of_255_must_be_called_void_or_not(tmp_path):
    file = save(tmp_path / "m.png", palette(np.where(VOID, 255, IDS)))
    for ids_ in ("values", "binary"):
        with pytest.raises(SambenchError, match=r"indices 1, 2, 3, 255.*void: \[255\]"):
            read(file, ids_)
    assert len(read(file, void=(255,)).annotations) == 3
    assert len(read(file, void=()).annotations) == 4
    alone = save(tmp_path / "n.png", palette(np.where(IDS, 255, 0)))
    (mask,) = masks(read(alone, "binary").annotations)  # nothing else that could be the object
    np.testing.assert_array_equal(mask, IDS > 0)
    with pytest.raises(SambenchError, match="void"):
        read(alone, "values")


def test_smoothed_masks_are_the_object_and_are_remarked(tmp_path):
    large = cv2.resize((IDS > 0).astype(np.uint8) * 255, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(large, (3, 3), 1)
    found = read(save(tmp_path / "m.png", smooth), "binary")
    np.testing.assert_array_equal(masks(found.annotations)[0], smooth > 0)
    assert found.remarks == ("smooth_mask",)
    assert read(save(tmp_path / "n.png", large), "binary").remarks == ()


def test_a_binary_jpeg_is_cut_in_the_middle_and_ids_of_one_are_refused(tmp_path):
    file = save(tmp_path / "m.jpg", (IDS > 0).astype(np.uint8) * 255, quality=90)
    assert len(np.unique(np.asarray(Image.open(file)))) > 2
    found = read(file, "binary")
    np.testing.assert_array_equal(masks(found.annotations)[0], IDS > 0)
    assert found.remarks == ("lossy_mask",)
    with pytest.raises(SambenchError, match="changes values"):
        read(file, "values")


def test_colours_are_one_object_or_ids_but_no_values(tmp_path):
    painted = np.zeros((*SIZE, 3), np.uint8)
    painted[IDS > 0] = (255, 0, 0)
    file = save(tmp_path / "m.png", painted)
    np.testing.assert_array_equal(masks(read(file, "binary", void=(255,)).annotations)[0], IDS > 0)
    with pytest.raises(SambenchError, match=r"m\.png: RGB under mask_ids: values.*rgb"):
        read(file, "values")
    deep = save(tmp_path / "d.png", IDS.astype(np.uint16) * 300)
    with pytest.raises(SambenchError, match="no colours for mask_ids: rgb"):
        read(deep, "rgb")


def test_nothing_set_is_no_object(tmp_path):
    found = read(save(tmp_path / "m.png", np.zeros(SIZE, np.uint8)))
    assert (found.annotations, found.remarks) == ((), ("no_object",))
    assert read(save(tmp_path / "m.png", IDS), void=(1, 2, 3)).annotations == ()


def test_another_size_or_another_file_is_refused(tmp_path):
    file = save(tmp_path / "m.png", IDS)
    with pytest.raises(SambenchError, match=r"is 32 x 24, the image is 24 x 32"):
        MaskPicture(file, 1, "values").read((32, 24))
    assert len(MaskPicture(file, 1, "values").decode().annotations) == 3
    with pytest.raises(SambenchError, match="changed since"):
        MaskPicture(file, 1, "values", sha256="0" * 64).read(SIZE)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    ids_=st.sampled_from(["binary", "values", "rgb"]),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 5000) | st.none(),
)
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path_factory, kind, ids_, changes, cut):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    content = bytearray(KINDS[kind](folder / kind).read_bytes())
    for at, value in changes:
        content[at % len(content)] = value
    file = folder / f"damaged_{kind}"
    file.write_bytes(content[:cut])
    with contextlib.suppress(SambenchError):
        found = read(file, ids_)
        assert all(mask.any() for mask in masks(found.annotations))

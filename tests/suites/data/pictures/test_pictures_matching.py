"""Which mask belongs to which image, in the layouts that data sets unpack to."""

import unicodedata

import numpy as np
import pytest
from mask_pictures import ids, photo, save

from sambench.evsam.errors import SambenchError
from sambench.suites.data.pictures.matching import match


def tree(root, images, masks):
    """Write images and masks by their names."""
    for name in images:
        photo(root / "images" / name)
    for name in masks:
        save(root / "masks" / name, ids())
    return root / "images", root / "masks"


def pairs(found):
    return [(pair.name, pair.mask_name) for pair in found.pairs]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["b.jpg", "a.jpg"], ["b.png", "a.png"]),
        (["a.jpg", "b.PNG"], ["a.BMP", "b.tif"]),
        (["a.jpg", "b.jpg"], ["a_mask.png", "b_mask.png"]),
        (["a.jpg", "ab.jpg"], ["a_mask.png", "ab_mask.png"]),
        (["1.jpg", "10.jpg", "100.jpg"], ["1.png", "10_mask.png", "100mask.png"]),
        (["a.jpg", "a_mask.jpg"], ["a.png", "a_mask.png"]),
        (["a.jpg"], ["a.jpg.png"]),
        (["480p/bear/00000.jpg", "480p/goat/00000.jpg"], ["480p/bear/00000.png", "480p/goat/00000.png"]),
        (
            ["f/f_0_19_leftImg8bit.png", "f/f_1_19_leftImg8bit.png", "m/m_0_19_leftImg8bit.png"],
            [f"{n}_19_gtFine_instanceIds.png" for n in ("f/f_0", "f/f_1", "m/m_0")],
        ),
        (["ulm_000000_000019_leftImg8bit.png"], ["ulm_000000_000019_gtFine_instanceIds.png"]),
        (["1_sat.jpg", "2_sat.jpg"], ["1_mask.png", "2_mask.png"]),
        (["1_sat.jpg", "2_sat.jpg"], ["1.png", "2.png"]),
        (["g_1_rgb_anon.png"], ["g_1_gt_labelIds.png"]),
        (["top_2_10_RGB.tif", "top_2_11_RGB.tif"], ["top_2_10_label.tif", "top_2_11_label.tif"]),
        (["21_training.tif", "22_training.tif"], ["21_manual1.gif", "22_manual1.gif"]),
        (["a-image.png", "b-image.png"], ["a-seg.png", "b-seg.png"]),
    ],
)
def test_layouts_of_the_field(tmp_path, images, masks):
    found = match(*tree(tmp_path, images, masks))
    assert not found.findings
    assert dict(pairs(found)) == dict(zip(images, masks, strict=True))
    assert [pair.name for pair in found.pairs] == sorted(images)
    assert all(pair.image.is_file() and pair.mask.is_file() for pair in found.pairs)


def test_composed_and_decomposed_names_are_one(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Gr\u00fcn_\u00e9") for form in ("NFC", "NFD"))
    assert composed != decomposed
    found = match(*tree(tmp_path, [f"{composed}.jpg"], [f"{decomposed}_mask.png"]))
    assert len(found.pairs) == 1


def test_what_has_no_partner_or_several_is_named_and_not_guessed(tmp_path):
    images = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "d.png", "img_1.jpg"]
    masks = ["a.png", "a_mask.png", "b_labelIds.png", "b_color.png", "d.png", "img_2.png", "z.png"]
    found = match(*tree(tmp_path, images, masks))
    assert pairs(found) == [("d.jpg", "d.png"), ("d.png", "d.png")]
    assert set(found.findings) == {
        ("ambiguous_mask", "a.jpg: a.png, a_mask.png"),
        ("ambiguous_mask", "b.jpg: b_color.png, b_labelIds.png"),
        ("missing_mask", "c.jpg"),
        ("missing_mask", "img_1.jpg"),
        ("ambiguous_mask", "d.png is the mask of d.jpg, d.png"),
        ("unused_mask", "img_2.png"),
        ("unused_mask", "z.png"),
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["cat_black.jpg"], ["cat_white.png"]),
        (["img_a.jpg"], ["img_b.png"]),
        (["cat_left.jpg", "dog_left.jpg"], ["cat_right.png", "dog_right.png"]),
        (["1_left.png", "2_left.png"], ["1_mask.png", "2_mask.png"]),
        (["1_image.png"], ["1_right.png"]),  # known of images, and no word of masks
        (["x_image_1.png"], ["x_mask_1.png"]),
    ],
)
def test_another_name_is_another_image(tmp_path, images, masks):
    found = match(*tree(tmp_path, images, masks))
    assert pairs(found) == []
    expected = {("missing_mask", name) for name in images} | {("unused_mask", name) for name in masks}
    assert set(found.findings) == expected


def test_links_lead_to_folders_once(tmp_path):
    images, masks = tree(tmp_path, ["a.jpg", "c/d.jpg"], ["a.png", "c/d.png", "far/e.png"])
    photo(tmp_path / "elsewhere" / "e.jpg")
    for link, to in (("loop", "."), ("c/up", ".."), ("above", ".."), ("b", "c"), ("gone", "nowhere")):
        (images / link).symlink_to(to)
    (images / "far").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(images)
    (masks / "loop").symlink_to(".")
    found = match(images, masks)
    assert (pairs(found), found.findings) == (
        [(f"{name}.jpg", f"{name}.png") for name in ("a", "c/d", "far/e")],
        (),
    )


def test_another_folder_is_another_image(tmp_path):
    found = match(*tree(tmp_path, ["x/1.jpg"], ["y/1.png"]))
    assert set(found.findings) == {("missing_mask", "x/1.jpg"), ("unused_mask", "y/1.png")}


def test_a_pattern_chooses_among_masks(tmp_path):
    kinds = ("color", "instanceIds", "labelIds")
    images, masks = tree(tmp_path, ["u/a.jpg"], [f"u/a_{kind}.png" for kind in kinds])
    assert pairs(match(images, masks / "*_instanceIds.png")) == [("u/a.jpg", "u/a_instanceIds.png")]
    assert [kind for kind, _ in match(images, masks).findings] == ["ambiguous_mask"]


def test_folders_within_each_other_and_one_for_both(tmp_path):
    photo(tmp_path / "a.jpg")
    save(tmp_path / "masks" / "a.png", ids())
    assert pairs(match(tmp_path, tmp_path / "masks")) == [("a.jpg", "a.png")]
    photo(tmp_path / "both" / "b.jpg")
    save(tmp_path / "both" / "b.png", ids())
    assert pairs(match(tmp_path / "both", tmp_path / "both")) == [("b.jpg", "b.png")]


def test_hidden_files_and_what_is_no_picture_are_passed_over(tmp_path):
    images, masks = tree(tmp_path, ["a.jpg"], ["a.png", "._a.png", "__MACOSX/a.png"])
    (masks / "a.json").write_text("{}")
    (masks / "Thumbs.db").write_bytes(b"x")
    found = match(images, masks)
    assert (pairs(found), found.findings) == ([("a.jpg", "a.png")], ())


def test_folders_that_are_missing_or_empty_are_named(tmp_path):
    with pytest.raises(SambenchError, match=r"images: no such folder.*masks: no such folder"):
        match(tmp_path / "images", tmp_path / "masks" / "*_x.png")
    images, masks = tree(tmp_path, ["a.jpg"], [])
    masks.mkdir()
    with pytest.raises(SambenchError, match="masks: holds no mask that Pillow could read"):
        match(images, masks)


def test_thousands_are_matched_at_once(tmp_path, monkeypatch):
    names = [f"{n:05d}" for n in range(3000)]
    rng = np.random.default_rng(0)
    from sambench.suites.data.pictures import matching

    masks = {f"{names[i]}_mask.png": tmp_path / names[i] for i in rng.permutation(3000)}
    found = matching._matched({f"{name}.jpg": tmp_path / name for name in names}, masks)
    assert len(found.pairs) == 3000
    assert all(pair.mask_name == f"{pair.name[:5]}_mask.png" for pair in found.pairs)

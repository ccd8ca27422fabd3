"""A folder of masks as a data set: what is read when, what is refused at once, and what the digest covers."""

import shutil

import cv2
import numpy as np
import pytest
from mask_pictures import SIZE, ids, opened, pair, palette, photo, save
from PIL import Image
from PIL.ExifTags import Base as Tag

from sambench.evsam.errors import SambenchError
from sambench.suites.data.pictures import folder as folder_module
from sambench.suites.data.pictures import picture as picture_module
from sambench.suites.data.pictures.values import read_values
from sambench.suites.data.reading import Reading
from sambench.suites.data.sample import load_sample

IDS = ids()


@pytest.fixture
def root(tmp_path):
    for name in ("b", "a", "c/d"):
        pair(tmp_path, name, IDS)
    return tmp_path


def checked(data, which=slice(None)):
    """Look at some images and their masks, as a plan does."""
    data.checked(data.entries[which])
    data.refuse()


def test_images_are_numbered_by_name_and_read_one_by_one(root):
    data = opened(root, ids="values")
    assert [(e.record.id, e.file_name) for e in data.entries] == [(1, "a.jpg"), (2, "b.jpg"), (3, "c/d.jpg")]
    assert (len(data), data.style, data.categories) == (3, "coco", {1: "object"})
    assert all(entry.annotations == () and entry.stated == SIZE for entry in data.entries)
    sample = load_sample(data.entries[1])
    assert [t.ann_id for t in sample.targets] == [2_000_001, 2_000_002, 2_000_003]
    for target, value in zip(sample.targets, (1, 2, 3), strict=True):
        rows, columns = np.nonzero(value == IDS)
        assert target.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_array_equal(target.mask.full(), value == IDS)
        assert target.area == (value == IDS).sum()
    assert (sample.categories, sample.void, sample.unscored) == ({1: "object"}, None, ())


def test_masks_of_the_images_looked_at_are_decoded_and_no_others(root, monkeypatch):
    read = []

    def decoded(file, *more):
        read.append(file.name)
        return read_values(file, *more)

    monkeypatch.setattr(picture_module, "read_values", decoded)
    data = opened(root, ids="values")
    assert read == []
    checked(data, slice(1, None))
    assert sorted(read) == ["b.png", "d.png"]


def test_what_is_worth_knowing_is_known_before_a_model_is_made(root):
    save(root / "masks" / "a.png", IDS * 0)
    save(root / "masks" / "b.png", np.dstack([IDS] * 3 + [np.where(IDS, 255, 9).astype(np.uint8)]))
    data = opened(root, ids="binary")
    checked(data)
    assert data.problems.counts() == {"alpha_dropped": 1, "smooth_mask": 2, "no_object": 1}
    assert "a mask without an object (1; " in " ".join(data.problems.sentences())


@pytest.mark.parametrize(("void", "values"), [(None, IDS * 0), ((1, 2, 3), IDS)])
def test_masks_without_any_object_are_said_to_have_none(root, void, values):
    for name in ("a", "b", "c/d"):
        save(root / "masks" / f"{name}.png", values)
    data = opened(root, ids="values", void=void)
    checked(data)
    assert data.problems.counts() == {"nothing_annotated": 1, "no_object": 3}


def test_the_meaning_of_masks_in_transparency_is_refused_for_what_it_is(root):
    white = np.full_like(IDS, 255)
    for name in ("a", "b", "c/d"):
        save(root / "masks" / f"{name}.png", np.dstack([white, (IDS > 0) * white]))
    with pytest.raises(SambenchError, match=r"transparency alone \(3\)") as caught:
        opened(root)
    assert "Seen" not in str(caught.value)


def test_all_that_lacks_a_mask_is_named_at_once(root):
    for n in range(25):
        photo(root / "images" / f"lone{n:02d}.jpg")
    save(root / "masks" / "a_mask.png", IDS)
    with pytest.raises(SambenchError) as caught:
        opened(root, ids="values")
    message = str(caught.value)
    assert "an image without a mask (25)" in message
    assert "one to one (1)" in message
    assert "    and 5 more" in message
    assert "a.jpg: a.png, a_mask.png" in message
    assert sum(f"lone{n:02d}.jpg" in message for n in range(25)) == 20


def test_a_mask_without_image_is_a_warning(root):
    save(root / "masks" / "z.png", IDS)
    (problem,) = opened(root, ids="values").problems.listed()
    assert (problem.name, problem.kind.severity, problem.examples) == ("unused_mask", "warning", ["z.png"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: save(f, IDS.T), "a.png is 24 x 32"),
        (lambda f: save(f, cv2.resize(IDS, (64, 48), interpolation=cv2.INTER_NEAREST)), "is 64 x 48"),
        (lambda f: f.write_bytes(b"<html>"), "a.png: "),
        (lambda f: f.write_bytes(f.read_bytes()[:-30]), "a.png: "),
        (lambda f: save(f, palette(np.where(IDS == 2, 255, IDS))), "index 255, which VOC calls void"),
        (lambda f: save(f, np.dstack([IDS, IDS, IDS * 9])), "a mask in colours"),
        (lambda f: save(f.with_suffix(".jpg"), IDS) and f.unlink(), "a JPEG or another kind"),
        (lambda f: save(f.with_suffix(".webp"), IDS, quality=9) and f.unlink(), "another kind that changes"),
        (lambda f: save(f.with_suffix(".tif"), IDS / np.float32(2)) and f.unlink(), "not whole numbers"),
        (lambda f: save(f.with_suffix(".tif"), -IDS.astype(np.int32)) and f.unlink(), "values below 0"),
        (lambda f: save(f.with_suffix(".jpeg"), Image.new("CMYK", (32, 24))) and f.unlink(), "CMYK has no"),
        (lambda f: save(f, np.dstack([IDS * 0 + 255] * 3 + [IDS])), "transparency alone"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_computed(root, spoil, said):
    spoil(root / "masks" / "a.png")
    (root / "masks" / "b.png").write_bytes(b"")
    data = opened(root, ids="values")
    with pytest.raises(SambenchError) as caught:
        checked(data)
    assert said in str(caught.value)
    assert "b.png: " in str(caught.value)  # all at once
    checked(opened(root, ids="values"), slice(2, None))  # others are none of its business


@pytest.mark.parametrize(("orientation", "fits"), [("stated_size", True), ("exif", True), ("stored", False)])
def test_a_turned_image_fits_its_mask_where_it_is_read_so(tmp_path, orientation, fits):
    exif = Image.Exif()
    exif[Tag.Orientation] = 6
    save(tmp_path / "masks" / "a.png", IDS)
    photo(tmp_path / "images" / "a.jpg", SIZE[::-1], exif=exif)
    data = opened(tmp_path, ids="values", reading=Reading(orientation=orientation))
    assert data.entries[0].orientation == orientation
    if not fits:
        with pytest.raises(SambenchError, match="a mask of another size than its image"):
            checked(data)
        return
    checked(data)
    assert load_sample(data.entries[0]).image.shape == (*SIZE, 3)


def test_a_damaged_image_is_not_blamed_on_its_mask(root):
    (root / "images" / "a.jpg").write_bytes(b"x")
    data = opened(root, ids="values")
    with pytest.raises(SambenchError, match=r"an image file cannot be read.*\n.*image 1: .*a\.jpg"):
        checked(data)


def test_the_digest_changes_with_what_masks_say_and_with_nothing_else(root, tmp_path_factory):
    first = opened(root, ids="values").annotations_sha256
    assert opened(root).annotations_sha256 == first  # told, the same
    elsewhere = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(root, elsewhere)
    assert opened(elsewhere, ids="values").annotations_sha256 == first
    photo(elsewhere / "images" / "a.jpg")  # images have a digest of their own
    assert opened(elsewhere, ids="values").annotations_sha256 == first
    found = {
        first,
        opened(root, ids="binary").annotations_sha256,
        opened(root, ids="values", components=True).annotations_sha256,
        opened(root, ids="values", void=()).annotations_sha256,
        opened(root, ids="values", void=(3,)).annotations_sha256,
        opened(root, ids="values", void=(3,), reading=Reading(void="background")).annotations_sha256,
    }
    assert len(found) == 6
    (elsewhere / "masks" / "a.png").rename(elsewhere / "masks" / "a_mask.png")
    found.add(opened(elsewhere, ids="values").annotations_sha256)
    changed = IDS.copy()
    changed[0, 0] = 3
    save(root / "masks" / "a.png", changed)
    found.add(opened(root, ids="values").annotations_sha256)
    assert len(found) == 8


def test_a_mask_that_was_replaced_is_refused(root):
    data = opened(root, ids="values")
    save(root / "masks" / "a.png", IDS * 2)
    with pytest.raises(SambenchError, match=r"a\.png: changed since this run was planned"):
        load_sample(data.entries[0])


def test_what_is_worth_knowing_is_counted_with_the_sample(root):
    save(root / "masks" / "a.png", IDS * 0)
    save(root / "masks" / "b.png", np.dstack([IDS] * 3 + [np.where(IDS, 255, 9).astype(np.uint8)]))
    data = opened(root, ids="binary", void=(1,))
    samples = [load_sample(entry) for entry in data.entries]
    assert [sample.unscored for sample in samples] == [
        ("no_object",),
        ("alpha_dropped", "smooth_mask"),
        ("smooth_mask",),
    ]
    assert samples[0].targets == ()
    np.testing.assert_array_equal(samples[2].void.full(), IDS == 1)


def test_a_folder_with_a_pattern(tmp_path):
    pair(tmp_path, "a", IDS).rename(tmp_path / "masks" / "a_ids.png")
    save(tmp_path / "masks" / "a_drawing.png", IDS)
    masks = folder_module.Masks(tmp_path / "masks" / "*_ids.png", "values")
    data = folder_module.MaskFolder(tmp_path / "images", masks)
    assert (len(data), data.folder) == (1, tmp_path / "masks")

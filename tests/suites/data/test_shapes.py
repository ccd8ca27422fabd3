"""The drawn data set, judged by pycocotools, lvis and OpenCV."""

import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data import shapes
from sambench.suites.data.shapes import make_shapes

IMAGES = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", IMAGES, seed=0)


@pytest.fixture(scope="module")
def coco(made):
    return COCO(made.out / "annotations" / "instances.json")


def masks(coco, image_id, iscrowd=None):
    return [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds(image_id, iscrowd=iscrowd))]


def contents(folder: Path):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_same_seed_gives_same_bytes(made, tmp_path):
    again = make_shapes(tmp_path / "again", IMAGES, seed=0)
    assert contents(again.out) == contents(made.out)


def test_an_image_depends_on_the_seed_but_not_on_the_number_of_images(made, tmp_path):
    first = "images/000000000001.jpg"
    fewer = make_shapes(tmp_path / "fewer", 1, seed=0)
    other = make_shapes(tmp_path / "other", 1, seed=1)
    assert (fewer.out / first).read_bytes() == (made.out / first).read_bytes()
    assert (other.out / first).read_bytes() != (made.out / first).read_bytes()


def test_pictures_are_as_large_as_the_annotations_say(made, coco):
    for image in coco.loadImgs(coco.getImgIds()):
        pixels = cv2.imread(str(made.out / "images" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)


def test_area_and_box_are_those_of_the_mask(coco):
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        assert annotation["area"] == np.count_nonzero(mask)
        assert annotation["bbox"] == list(cv2.boundingRect(mask))


def test_no_two_masks_of_an_image_overlap(coco):
    for image_id in coco.getImgIds():
        layers = masks(coco, image_id)
        assert not layers or np.sum(layers, axis=0).max() == 1


def test_masks_are_the_pixels_that_own_the_drawing(coco):
    scene = shapes.draw_scene(0, 1)
    for annotation in coco.loadAnns(coco.getAnnIds(2)):
        owners = np.unique(scene.owner[coco.annToMask(annotation) > 0])
        assert len(owners) == 1
        assert scene.things[owners[0] - 1].category.id == annotation["category_id"]


def test_all_sizes_forms_and_an_empty_image_are_there(made, coco):
    annotations = coco.loadAnns(coco.getAnnIds())
    areas = np.array([a["area"] for a in annotations if not a["iscrowd"]])
    assert (made.small, made.large) == (np.sum(areas < 32**2), np.sum(areas > 96**2))
    assert min(made.small, made.medium, made.large) >= IMAGES
    assert made.annotations == len(annotations) == made.small + made.medium + made.large + made.crowds
    assert not coco.getAnnIds(8)
    kinds = [type(a["segmentation"]) for a in annotations if not a["iscrowd"]]
    assert kinds.count(dict) > kinds.count(list) > 0
    crowds = [a["segmentation"]["counts"] for a in annotations if a["iscrowd"]]
    assert len(crowds) == made.crowds > 0
    assert all(isinstance(counts, list) for counts in crowds)


def test_some_objects_have_holes_and_some_are_cut_in_pieces(coco):
    holes = pieces = 0
    for image_id in coco.getImgIds():
        for mask in masks(coco, image_id, iscrowd=False):
            _, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            holes += any(parent >= 0 for parent in hierarchy[0, :, 3])
            pieces += cv2.connectedComponents(mask)[0] > 2
    assert min(holes, pieces) >= 5


def test_lvis_loads_the_same_objects(made, coco, monkeypatch):
    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 is older than numpy 1.24
    from lvis import LVIS

    lvis = LVIS(str(made.out / "annotations" / "lvis_v1.json"))
    assert sorted(lvis.anns) == sorted(coco.getAnnIds(iscrowd=False))
    for key, annotation in lvis.anns.items():
        assert np.array_equal(lvis.ann_to_mask(annotation), coco.annToMask(coco.anns[key]))
    for key, image in lvis.imgs.items():
        shown = {a["category_id"] for a in lvis.img_ann_map[key]}
        crowds = {a["category_id"] for a in coco.imgToAnns[key] if a["iscrowd"]}
        assert image["coco_url"].endswith(f"/images/{coco.imgs[key]['file_name']}")
        assert set(image["not_exhaustive_category_ids"]) == crowds
        assert not set(image["neg_category_ids"]) & (shown | crowds)
    assert {c["frequency"] for c in lvis.cats.values()} == set("rcf")
    assert sum(c["instance_count"] for c in lvis.cats.values()) == len(lvis.anns)


def test_a_second_call_writes_nothing(made):
    before = {path: path.stat().st_mtime_ns for path in made.out.rglob("*")}
    again = make_shapes(made.out, IMAGES, seed=0)
    assert again.reused
    assert (again.small, again.crowds) == (made.small, made.crowds)
    assert {path: path.stat().st_mtime_ns for path in made.out.rglob("*")} == before


@pytest.mark.parametrize("name", ["notes.txt", "shapes.json"])
@pytest.mark.parametrize("text", ["mine", "[]", '{"version": 1, "seed": 0, "images": 1}'])
def test_a_folder_with_anything_else_is_refused(tmp_path, name, text):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / name).write_text(text)
    with pytest.raises(SambenchError, match=r"full exists.*remove it, or choose"):
        make_shapes(tmp_path / "full", 1)
    assert [path.name for path in (tmp_path / "full").iterdir()] == [name]


def test_two_may_draw_at_once(tmp_path):
    """The second to finish finds the first's drawings, and leaves them."""
    first = []

    def draw_too(done):
        if not first:
            first.append(None)
            first[0] = make_shapes(tmp_path / "shapes", 1)

    second = make_shapes(tmp_path / "shapes", 1, on_image=draw_too)
    assert (first[0].reused, second.reused) == (False, True)
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


def test_other_arguments_or_a_missing_picture_are_refused(tmp_path):
    out = make_shapes(tmp_path / "shapes", 1).out
    with pytest.raises(SambenchError, match="seed 5"):
        make_shapes(out, 1, seed=5)
    (out / "images" / "000000000001.jpg").unlink()
    with pytest.raises(SambenchError, match="exists"):
        make_shapes(out, 1)


def test_an_empty_folder_is_filled_and_progress_told(tmp_path):
    (tmp_path / "empty").mkdir()
    told: list[int] = []
    assert not make_shapes(tmp_path / "empty", 2, on_image=told.append).reused
    assert told == [1, 2]
    assert json.loads((tmp_path / "empty" / "shapes.json").read_text())["images"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    def full(done: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SambenchError, match="No space left"):
        make_shapes(tmp_path / "shapes", 2, on_image=full)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("images", "seed"), [(0, 0), (100_001, 0), (1, -1)])
def test_bad_arguments_are_refused(tmp_path, images, seed):
    with pytest.raises(SambenchError, match="choose another"):
        make_shapes(tmp_path / "shapes", images, seed)

"""The reader of annotation files, judged by pycocotools and by what must be refused."""

import json
import re

import pytest
from PIL import Image
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset

IMAGE = {"id": 1, "file_name": "1.jpg", "height": 4, "width": 6}
ANNOTATION = {
    "id": 10,
    "image_id": 1,
    "category_id": 3,
    "bbox": [1, 2, 3, 1.5],
    "area": 4.5,
    "iscrowd": 0,
    "segmentation": [[1, 2, 4, 2, 4, 3.5]],
}


def image(**changes):
    return IMAGE | changes


def annotation(**changes):
    return ANNOTATION | changes


@pytest.fixture
def read(tmp_path):
    """Write a file of images and annotations, and read it."""

    def read(images, annotations, **more):
        file = tmp_path / "instances.json"
        file.write_text(json.dumps({"images": images, "annotations": annotations} | more))
        return CocoDataset(tmp_path, file, masks=bool(annotations))

    return read


@pytest.fixture
def refused(tmp_path):
    """Return the message with which a file of these bytes is refused."""

    def refused(content):
        file = tmp_path / "instances.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        with pytest.raises(SambenchError) as caught:
            CocoDataset(tmp_path, file)
        assert str(file) in str(caught.value)
        return str(caught.value)

    return refused


def test_an_entry_names_its_file_as_annotated_and_its_categories(read):
    address = "http://images.cocodataset.org/train2017/000000123456.jpg"
    content = {"id": 1, "coco_url": address}, image(id=2, file_name="a/b\\2.jpg", coco_url=address)
    names = {"categories": [{"id": 3, "name": "cat"}]}
    lvis, coco = read(content, [annotation()], **names).entries
    assert (lvis.file_name, coco.file_name) == ("train2017/000000123456.jpg", "a/b\\2.jpg")
    assert lvis.categories == coco.categories == {3: "cat"}
    assert read(content, [annotation()]).entries[0].categories == {}


def test_images_come_by_rising_id_whatever_their_order_in_the_file(read):
    data = read([image(id=i, file_name=f"{i}.jpg") for i in (30, 4, 100, 7)], [])
    assert [e.record.id for e in data.entries] == [4, 7, 30, 100]
    assert [e.file.name for e in data.entries] == ["4.jpg", "7.jpg", "30.jpg", "100.jpg"]
    assert len(data) == 4


def test_annotations_keep_the_order_of_the_file_within_their_image(read):
    data = read(
        [image(id=2), image(id=1)],
        [annotation(id=i, image_id=1 + i % 2) for i in (9, 4, 7, 1, 8, 2)],
    )
    assert [a.id for a in data.entries[0].annotations] == [4, 8, 2]
    assert [a.id for a in data.entries[1].annotations] == [9, 7, 1]


def test_an_annotation_keeps_every_field(read):
    (entry,) = read([image()], [annotation()]).entries
    (found,) = entry.annotations
    assert (found.id, found.image_id, found.category_id, found.iscrowd) == (10, 1, 3, 0)
    assert found.bbox == (1.0, 2.0, 3.0, 1.5)
    assert found.area == 4.5
    assert json.loads(bytes(found.segmentation)) == ANNOTATION["segmentation"]
    assert (entry.record.height, entry.record.width) == (4, 6)


def test_annotation_id_zero_is_an_annotation_like_others(read):
    (entry,) = read([image(id=0)], [annotation(id=0, image_id=0), annotation(id=1, image_id=0)]).entries
    assert [a.id for a in entry.annotations] == [0, 1]


def test_an_image_without_annotations_stays_in_the_data_set(read):
    data = read([image(id=1), image(id=2)], [annotation(image_id=2)])
    assert [len(e.annotations) for e in data.entries] == [0, 1]


def test_a_crowd_is_marked_and_a_missing_mark_means_no_crowd(read):
    unmarked = {k: v for k, v in ANNOTATION.items() if k != "iscrowd"}
    crowd = annotation(id=11, iscrowd=1, segmentation={"size": [4, 6], "counts": [3, 2, 19]})
    (entry,) = read([image()], [unmarked, crowd]).entries
    assert [a.iscrowd for a in entry.annotations] == [0, 1]


def test_categories_are_named_by_id(read):
    data = read([image()], [], categories=[{"id": 90, "name": "toothbrush", "supercategory": "indoor"}])
    assert data.categories == {90: "toothbrush"}


def test_fields_that_no_one_knows_are_passed_over(read):
    data = read([image(license=3, mine={"a": 1})], [annotation(note="x")], info={"year": 2017}, licenses=[])
    assert len(data.entries[0].annotations) == 1


def test_a_missing_image_folder_is_named(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"images": [IMAGE], "annotations": [ANNOTATION]}))
    with pytest.raises(SambenchError, match=re.escape(f"{tmp_path / 'none'}: no such image folder")):
        CocoDataset(tmp_path / "none", tmp_path / "a.json")
    with pytest.raises(SambenchError, match="no such image folder"):
        CocoDataset(tmp_path / "a.json", tmp_path / "a.json")


def test_a_missing_annotation_file_is_named(tmp_path):
    with pytest.raises(SambenchError, match=re.escape(f"{tmp_path / 'a.json'}: no such annotation file")):
        CocoDataset(tmp_path, tmp_path / "a.json")


def test_a_folder_in_place_of_the_annotation_file_is_refused(tmp_path):
    with pytest.raises(SambenchError, match="cannot be read"):
        CocoDataset(tmp_path, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_off_is_refused_as_such(refused, share):
    whole = json.dumps({"images": [IMAGE], "annotations": [ANNOTATION]}).encode()
    assert re.search("cut off|is empty", refused(whole[: int(len(whole) * share)]))


@pytest.mark.parametrize(
    ("images", "annotations", "words"),
    [
        ([image(), image(id=2.5)], [], "images[1]: id is 2.5, neither a whole number nor a text"),
        ([image(), image(id=None)], [], "images[1]: id is null"),
        ([image(), {"file_name": "2.jpg"}], [], "images[1]: id is null"),
        ([image(), image(id="1")], [], "image 1 (the second is images[1])"),
        ([image(height="tall")], [], 'image 1: height is "tall"'),
        ([image(height=-4)], [], "image 1: height is -4"),
        ([image(width=float("nan"))], [], "image 1: width is NaN"),
        ([image(width=6.5)], [], "image 1: width is 6.5"),
        ([image(file_name=3)], [], "image 1: file_name is 3"),
        ([{"id": 1}], [], "image 1: file_name is null"),
        ([image(), 5], [], "images[1] is 5, not an entry"),
        ([image()], [annotation(bbox=[1, 2, 3])], "annotation 10 of image 1: bbox is [1, 2, 3]"),
        ([image()], [annotation(bbox=[1, float("inf"), 3, 4])], "bbox is [1, Infinity, 3, 4]"),
        ([image()], [annotation(bbox="none")], 'annotation 10 of image 1: bbox is "none"'),
        ([image()], [annotation(category_id=1.5)], "annotation 10 of image 1: category_id is 1.5"),
        ([image()], [annotation(iscrowd=2)], "annotation 10 of image 1: iscrowd is 2, not 0 or 1"),
        ([image()], [annotation(id=None)], "annotations[0]: id is null"),
        ([image()], [annotation(id=True)], "annotations[0]: id is true"),
        ([image()], [annotation(image_id=99)], "annotation 10: image_id is 99"),
        ([image()], [annotation(image_id=None)], "annotation 10: image_id is null"),
        (
            [image()],
            [annotation(), annotation(bbox=[0, 0, 1, 1])],
            "annotation 10 (the second is annotations[1])",
        ),
        ([image()], [annotation(), annotation(id="10")], "annotation 10 (the second is annotations[1])"),
        ([image()], [annotation(id=10**400)] * 2, "(the second is annotations[1])"),
        ([image()], [annotation(segmentation=None)], "1 annotations, and no segmentation"),
    ],
)
def test_what_cannot_be_right_is_refused_with_id_field_and_value(refused, images, annotations, words):
    message = refused({"images": images, "annotations": annotations or [ANNOTATION]})
    assert words in message
    assert "data verify" in message


def test_all_faults_are_listed_at_once_by_kind_and_the_first_twenty(refused):
    bad = [annotation(id=i, bbox=[1]) for i in range(100, 130)] + [annotation(id=1, image_id=7)]
    message = refused({"images": [IMAGE], "annotations": bad})
    assert "31 faults; nothing was computed" in message
    assert "a bbox is not four finite numbers (30):" in message
    assert "and 11 more" in message
    assert "an image_id that the file does not list (1):" in message
    assert message.count("\n    annotation ") == 20
    assert "--fix" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "a list, such as a detector's results"),
        (3, "not in COCO's format but 3"),
        ({"images": []}, "it has no annotations (but images)"),
        ({"annotations": []}, "it has no images (but annotations)"),
        ({"images": "x", "annotations": []}, 'images is "x", not a list'),
        ({"info": {}}, "none of the three lists"),
    ],
)
def test_json_of_another_kind_is_refused(refused, content, words):
    message = refused(content)
    assert "not in COCO's format" in message or "not annotations in COCO's format" in message
    assert words in message


def test_no_image_is_refused_and_no_annotation_is_said_where_masks_are_needed(refused, read, tmp_path):
    assert "images is empty" in refused({"images": [], "annotations": []})
    assert read([IMAGE], []).problems.counts() == {"no_categories": 1}
    data = CocoDataset(tmp_path, tmp_path / "instances.json")
    assert data.problems.counts() == {"nothing_annotated": 1, "no_categories": 1}


def test_missing_image_files_are_counted_and_named(read, tmp_path):
    data = read([image(id=i, file_name=f"{i}.png") for i in range(5)], [])
    for i in (0, 3):
        Image.new("RGB", (6, 4)).save(tmp_path / f"{i}.png")
    data.checked([data.entries[0], data.entries[3]])
    data.refuse()
    data.checked(data.entries)
    with pytest.raises(SambenchError, match=r"(?s)an image file is missing \(3\).*1\.png"):
        data.refuse()


def test_a_coco_url_names_the_file_in_the_folder_of_its_split_or_in_the_image_folder_itself(read, tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "1.jpg").write_bytes(b"1")
    (tmp_path / "2.jpg").write_bytes(b"22")
    images = [{"id": i, "coco_url": f"http://images.cocodataset.org/train2017/{i}.jpg"} for i in (1, 2)]
    data = read(images, [])
    assert [e.file for e in data.entries] == [tmp_path / "train2017" / "1.jpg", tmp_path / "2.jpg"]
    found = data.checked(data.entries, files=False)
    assert [e.file for e in found] == [e.file for e in data.entries]


def test_file_name_goes_before_coco_url(read, tmp_path):
    (entry,) = read([image(coco_url="http://x/val2017/2.jpg")], []).entries
    assert entry.file == tmp_path / "1.jpg"


def test_a_coco_url_without_a_folder_is_the_files_name(read, tmp_path):
    (entry,) = read([{"id": 1, "coco_url": "2.jpg"}], []).entries
    assert entry.file == tmp_path / "2.jpg"


def test_lvis_names_its_files_by_url_alone_and_all_are_found(lvis_mini):
    data = CocoDataset(*lvis_mini)
    assert all(e.record.file_name is None for e in data.entries)
    assert len(data.entries) == 52
    data.checked(data.entries)
    data.refuse()
    assert {e.file.parent.name for e in data.entries} == {"val2017", "train2017"}
    assert len(data.categories) == 1203


def test_the_lvis_file_of_coco_mini_needs_the_folder_above_both_splits(coco_mini):
    annotations = coco_mini.annotations.parent / "lvis_v1_val.json"
    above = CocoDataset(coco_mini.images.parent, annotations)
    assert len(above.entries) == 47
    above.checked(above.entries)
    above.refuse()
    inside = CocoDataset(coco_mini.images, annotations)
    inside.checked(inside.entries)
    with pytest.raises(SambenchError, match=r"an image file is missing \(15\)"):
        inside.refuse()


@pytest.mark.parametrize("files", ["coco_mini", "coco_mini_train", "lvis_mini"])
def test_the_index_is_that_of_pycocotools(files, request):
    files = request.getfixturevalue(files)
    data, oracle = CocoDataset(*files), COCO(files.annotations)
    assert [e.record.id for e in data.entries] == sorted(oracle.imgs)
    for entry in data.entries:
        expected = oracle.imgToAnns.get(entry.record.id, [])
        assert [a.id for a in entry.annotations] == [a["id"] for a in expected]
        assert [a.area for a in entry.annotations] == [a["area"] for a in expected]
        assert [list(a.bbox) for a in entry.annotations] == [a["bbox"] for a in expected]
        assert [a.iscrowd for a in entry.annotations] == [a.get("iscrowd", 0) for a in expected]
    assert data.categories == {k: c["name"] for k, c in oracle.cats.items()}


def test_coco_mini_has_what_its_readme_counts(coco_mini):
    data = CocoDataset(*coco_mini)
    assert len(data) == 117
    assert sum(len(e.annotations) for e in data.entries) == 1175
    assert sum(a.iscrowd for e in data.entries for a in e.annotations) == 16
    assert [e.record.id for e in data.entries if not e.annotations] == [226111]

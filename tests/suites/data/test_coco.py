"""The reader of annotation files, judged by pycocotools and by what must be refused."""

import json
import re

import pytest
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
        return CocoDataset(tmp_path, file)

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
    (tmp_path / "a.json").write_text('{"images": [], "annotations": []}')
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
    assert "not valid JSON, perhaps cut off" in refused(whole[: int(len(whole) * share)])


def test_text_that_is_not_utf_8_is_refused(refused):
    refused(b'{"images": [{"id": 1, "file_name": "caf\xe9.jpg"}], "annotations": []}')


@pytest.mark.parametrize(
    ("images", "annotations", "place"),
    [
        ([image(), image(id="2")], [], "$.images[1].id"),
        ([image(height="4")], [], "$.images[0].height"),
        ([image(file_name=3)], [], "$.images[0].file_name"),
        ([image()], [annotation(bbox=[1, 2, 3])], "$.annotations[0].bbox"),
        ([image()], [annotation(), annotation(id=11, bbox=None)], "$.annotations[1].bbox"),
        ([image()], [annotation(area="4")], "$.annotations[0].area"),
        ([image()], [annotation(category_id=1.5)], "$.annotations[0].category_id"),
        ({"1": IMAGE}, [], "$.images"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(refused, images, annotations, place):
    message = refused({"images": images, "annotations": annotations})
    assert "not in COCO's format" in message
    assert f"`{place}`" in message


@pytest.mark.parametrize("field", ["id", "image_id", "category_id", "bbox", "area", "segmentation"])
def test_an_annotation_without_a_field_is_refused_by_the_fields_name(refused, field):
    lacking = {k: v for k, v in ANNOTATION.items() if k != field}
    message = refused({"images": [IMAGE], "annotations": [lacking]})
    assert f"`{field}`" in message
    assert "$.annotations[0]" in message


@pytest.mark.parametrize("content", [[], 3, {"images": []}, {"annotations": []}])
def test_json_of_another_kind_is_refused(refused, content):
    assert "not in COCO's format" in refused(content)


def test_an_image_id_that_is_there_twice_is_named(refused):
    message = refused({"images": [image(id=1), image(id=5), image(id=5)], "annotations": []})
    assert "image id 5 is there twice" in message


def test_an_annotation_id_that_is_there_twice_is_named_though_the_images_differ(refused):
    message = refused(
        {"images": [image(id=1), image(id=2)], "annotations": [annotation(), annotation(image_id=2)]}
    )
    assert "annotation id 10 is there twice" in message


def test_an_annotation_of_an_image_that_is_not_listed_is_named_with_it(refused):
    message = refused({"images": [IMAGE], "annotations": [annotation(image_id=99)]})
    assert "annotation 10 belongs to image 99" in message


def test_an_image_that_names_no_file_is_refused(refused):
    assert "image 1 has neither file_name nor coco_url" in refused({"images": [{"id": 1}], "annotations": []})


def test_missing_image_files_are_counted_and_the_first_is_named(read, tmp_path):
    data = read([image(id=i, file_name=f"{i}.jpg") for i in range(5)], [])
    for i in (0, 3):
        (tmp_path / f"{i}.jpg").write_bytes(b"x" * (i + 1))
    with pytest.raises(SambenchError, match=r"1\.jpg: no such image; 3 of 5 images of instances\.json"):
        data.check_files(data.entries)
    data.check_files([data.entries[0], data.entries[3]])


def test_a_coco_url_names_the_file_in_the_folder_of_its_split_or_in_the_image_folder_itself(read, tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "1.jpg").write_bytes(b"1")
    (tmp_path / "2.jpg").write_bytes(b"22")
    images = [{"id": i, "coco_url": f"http://images.cocodataset.org/train2017/{i}.jpg"} for i in (1, 2)]
    data = read(images, [])
    assert [e.file for e in data.entries] == [tmp_path / "train2017" / "1.jpg", tmp_path / "2.jpg"]
    data.check_files(data.entries)


def test_file_name_goes_before_coco_url(read, tmp_path):
    (entry,) = read([image(coco_url="http://x/val2017/2.jpg")], []).entries
    assert entry.file == tmp_path / "1.jpg"


def test_a_coco_url_without_a_folder_is_the_files_name_or_refused(read, tmp_path):
    try:
        (entry,) = read([{"id": 1, "coco_url": "2.jpg"}], []).entries
    except SambenchError as error:
        assert "coco_url" in str(error)  # noqa: PT017 - either answer is right, a stack trace is not
    else:
        assert entry.file == tmp_path / "2.jpg"


def test_lvis_names_its_files_by_url_alone_and_all_are_found(lvis_mini):
    data = CocoDataset(*lvis_mini)
    assert all(e.record.file_name is None for e in data.entries)
    assert len(data.entries) == 52
    data.check_files(data.entries)
    assert {e.file.parent.name for e in data.entries} == {"val2017", "train2017"}
    assert len(data.categories) == 1203


def test_the_lvis_file_of_coco_mini_needs_the_folder_above_both_splits(coco_mini):
    annotations = coco_mini.annotations.parent / "lvis_v1_val.json"
    above = CocoDataset(coco_mini.images.parent, annotations)
    assert len(above.entries) == 47
    above.check_files(above.entries)
    inside = CocoDataset(coco_mini.images, annotations)
    with pytest.raises(SambenchError, match="15 of 47 images"):
        inside.check_files(inside.entries)


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

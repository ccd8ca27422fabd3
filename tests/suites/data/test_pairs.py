"""SA-Co's files of pairs: images with phrases as categories, boxes in pixels."""

import json

import pytest
from drawn_pairs import HEIGHT, WIDTH, coded, disc, drawn

from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import read_annotations
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample


def written(folder, images, annotations=(), **further):
    file = folder / "pairs.json"
    file.write_text(json.dumps({"images": images, "annotations": list(annotations), **further}))
    return file


def pair(id_, phrase="cup", name="a.png", **changes):
    size = {"height": HEIGHT, "width": WIDTH}
    return {"id": id_, "file_name": name, "text_input": phrase, "is_instance_exhaustive": 1, **size} | changes


def thing(id_, image_id, **changes):
    box = [0.1, 0.2, 0.15, 0.25]
    mask = {"segmentation": coded(disc(10, 12, 4))}
    return {"id": id_, "image_id": image_id, "category_id": 1, "bbox": box, "area": 0.05, **mask} | changes


def test_pairs_of_one_file_are_one_image_with_its_phrases(tmp_path):
    images = [pair(9), pair(4, "dog", "b.png"), pair(7, "dog"), pair(2, "cup", "./b.png")]
    found = read_annotations(written(tmp_path, images, [thing(1, 7), thing(2, 2, iscrowd=1)]))
    assert [(image.id, image.file_name) for image in found.images] == [(9, "a.png"), (4, "b.png")]
    assert [(c.id, c.name) for c in found.categories] == [(1, "cup"), (2, "dog")]
    places = {p.id: (p.image_id, p.category_id) for p in found.pairs.values()}
    assert places == {9: (9, 1), 4: (4, 2), 7: (9, 2), 2: (4, 1)}
    assert [(a.image_id, a.category_id, a.iscrowd) for a in found.annotations] == [(9, 2, 0), (4, 1, 1)]
    assert not [problem for problem in found.problems.listed() if problem.severity == "error"]
    assert "duplicate_file" not in found.problems


def test_fractions_become_pixels_and_pixels_stay(tmp_path):
    file = written(tmp_path, [pair(1)], [thing(1, 1)])
    (one,) = read_annotations(file).annotations
    assert one.bbox == pytest.approx((0.1 * WIDTH, 0.2 * HEIGHT, 0.15 * WIDTH, 0.25 * HEIGHT))
    assert one.area == pytest.approx(0.05 * WIDTH * HEIGHT)
    file = written(tmp_path, [pair(1)], [thing(1, 1), thing(2, 1, bbox=[6, 8, 9, 9], area=50)])
    found = read_annotations(file)
    assert [a.bbox for a in found.annotations] == [(0.1, 0.2, 0.15, 0.25), (6, 8, 9, 9)]
    assert "fractions" not in found.problems


@pytest.mark.parametrize("given", [1, 0, True, False, "1", "0"])
def test_what_exhaustive_says(tmp_path, given):
    found = read_annotations(written(tmp_path, [pair(1, is_instance_exhaustive=given)]))
    assert found.pairs[1].exhaustive is bool(int(given))


def test_a_file_may_say_one_of_the_two_alone(tmp_path):
    first, second = pair(1), pair(2, name="b.png")
    del first["is_instance_exhaustive"], second["is_instance_exhaustive"]
    found = read_annotations(written(tmp_path, [first, second])).pairs
    assert [p.exhaustive for p in found.values()] == [True, True]
    plain = pair(1)
    del plain["text_input"], plain["is_instance_exhaustive"]
    assert read_annotations(written(tmp_path, [plain], categories=[{"id": 1, "name": "x"}])).pairs is None


def test_a_phrase_asked_twice_of_an_image_is_two(tmp_path):
    found = read_annotations(written(tmp_path, [pair(1), pair(2)], [thing(1, 1), thing(2, 2)]))
    assert [a.category_id for a in found.annotations] == [1, 2]
    assert "pair_twice" in found.problems


def test_each_image_is_asked_its_own_phrases_in_a_data_set(tmp_path):
    pairs = drawn(tmp_path)
    content = json.loads(pairs.annotators[0].read_text())
    dataset = CocoDataset(pairs.images, pairs.annotators[0])
    entries = dataset.checked(dataset.entries)
    dataset.refuse()
    by_name = {}
    for image in content["images"]:
        by_name.setdefault(image["file_name"], []).append(image["text_input"])
    assert {e.file_name: list(e.categories.values()) for e in entries} == by_name
    for entry in entries:
        for target in load_sample(entry).targets:
            x0, y0, _, y1 = target.box
            assert abs(x0 - target.mask.left) < 1e-6
            assert abs(y1 - y0 - target.mask.pixels.shape[0]) < 1e-6


@pytest.mark.parametrize("phrase", ["", "  ", 7, None])
def test_a_pair_without_a_phrase_cannot_be_asked(tmp_path, phrase):
    file = written(tmp_path, [pair(1), pair(2, phrase)], [thing(1, 1)])
    with pytest.raises(SambenchError, match="a pair without a phrase"):
        CocoDataset(None, file)


def test_pairs_of_a_file_have_one_size(tmp_path):
    file = written(tmp_path, [pair(1), pair(2, "dog", width=WIDTH + 1)], [thing(1, 1)])
    with pytest.raises(SambenchError, match="pairs of one file state two sizes"):
        CocoDataset(None, file)

"""Data in COCO's format as a source of training: judged by pycocotools' reader."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from tiny_coco import TinyCoco

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Data
from sambench.harness.train.sources import open_source


def settings(files: Any) -> Data:
    return Data(format="coco", images=files.images, annotations=files.annotations)


def refusal(data: Data) -> str:
    with pytest.raises(SambenchError) as caught:
        open_source(data)
    return str(caught.value)


@pytest.mark.parametrize("pack", ["coco_mini", "lvis_mini"])
def test_images_and_objects_are_those_of_pycocotools(pack: str, request: pytest.FixtureRequest) -> None:
    files = request.getfixturevalue(pack)
    source, oracle = open_source(settings(files)), COCO(str(files.annotations))
    assert len(source) == len(oracle.imgs)
    for index, image_id in enumerate(sorted(oracle.imgs)[:12]):
        found = source.load(index)
        expected = [a for a in oracle.imgToAnns[image_id] if not a.get("iscrowd")]
        assert found.image_id == image_id
        assert [one.id for one in found.annotations] == [a["id"] for a in expected]
        for i, annotation in enumerate(expected):
            x, y, w, h = annotation["bbox"]
            assert found.box(i) == (x, y, x + w, y + h)
            np.testing.assert_array_equal(found.mask(i), oracle.annToMask(annotation).astype(bool))
        assert found.categories == {c["id"]: c["name"] for c in oracle.dataset["categories"]}
        np.testing.assert_array_equal(found.image, read_image(Path(found.name)))


def test_crowds_are_left_out_and_images_without_objects_are_not(tiny: TinyCoco) -> None:
    tiny.content["annotations"][1]["iscrowd"] = 1
    tiny.save()
    source = open_source(settings(tiny))
    assert [len(source.load(i).annotations) for i in range(len(source))] == [1, 0, 1, 1]


def test_a_limit_takes_the_first(tiny: TinyCoco) -> None:
    source = open_source(replace(settings(tiny), limit=3))
    assert [source.load(i).image_id for i in range(len(source))] == [1, 2, 3]
    assert len(open_source(replace(settings(tiny), limit=99))) == 4


def test_identity_changes_with_what_decides_the_images(tiny: TinyCoco) -> None:
    first = open_source(settings(tiny)).identity()
    assert open_source(settings(tiny)).identity() == first
    assert open_source(replace(settings(tiny), limit=3)).identity() != first
    tiny.content["annotations"][0]["area"] += 1
    tiny.save()
    assert open_source(settings(tiny)).identity() != first
    json.dumps(first)


def test_an_image_of_another_size_or_none_is_named_when_it_is_read(tiny: TinyCoco) -> None:
    tiny.content["images"][0]["height"] += 1
    tiny.save()
    tiny.file(2).unlink()
    tiny.file(3).write_bytes(tiny.file(3).read_bytes()[:400])
    source = open_source(settings(tiny))
    for index, image in enumerate((tiny.file(1), tiny.file(2), tiny.file(3))):
        with pytest.raises(SambenchError, match=re.escape(str(image))):
            source.load(index)
    source.load(3)


def test_a_folder_of_other_images_is_refused_at_once(tiny: TinyCoco, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    message = refusal(replace(settings(tiny), images=tmp_path / "other"))
    assert "an image file is missing (4)" in message
    assert str(tmp_path / "other") in message


def test_settings_that_lack_a_path_are_refused(tiny: TinyCoco) -> None:
    whole = settings(tiny)
    assert "needs images" in refusal(replace(whole, images=None))
    assert "needs annotations" in refusal(replace(whole, annotations=None))
    assert str(tiny.annotations) in refusal(replace(whole, images=tiny.annotations))
    assert str(tiny.images) in refusal(replace(whole, annotations=tiny.images))


def test_it_travels_as_bytes_without_an_object_for_each_annotation(tiny: TinyCoco) -> None:
    (image, *_), (annotation, *_) = tiny.content["images"], tiny.content["annotations"]
    tiny.content["images"] = [image | {"id": i} for i in range(1000)]
    tiny.content["annotations"] = [annotation | {"id": i, "image_id": i // 10} for i in range(10_000)]
    tiny.save()
    content = pickle.dumps(open_source(settings(tiny)))
    assert b"AnnotationRecord" not in content
    assert len(content) < 1.2 * tiny.annotations.stat().st_size
    last = pickle.loads(content).load(999)
    assert [one.id for one in last.annotations] == list(range(9_990, 10_000))
    assert last.mask(0).sum() == annotation["area"]

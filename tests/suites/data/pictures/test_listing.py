"""What is wrong with masks, listed; and the COCO file of them, judged by pycocotools."""

import json

import numpy as np
import pytest
from mask_pictures import ids, opened, pair, save
from pycocotools.coco import COCO

from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.pictures.listing import as_coco, verify_pictures
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.data.sample import load_sample

IDS = ids()


def test_every_mask_is_decoded_and_all_findings_come_at_once(tmp_path):
    for name in "abcde":
        pair(tmp_path, name, IDS)
    masks = tmp_path / "masks"
    save(masks / "a.png", IDS * 0)
    save(masks / "b.png", IDS.T)
    (masks / "c.png").write_bytes((masks / "c.png").read_bytes()[:70])
    save(masks / "z.png", IDS)
    done = []
    given = Masks(masks, "binary")
    found = verify_pictures(tmp_path / "images", given, on_image=lambda *of: done.append(of))
    assert {p.name: p.count for p in found.problems} == {
        **{"bad_mask": 1, "mask_size": 1},
        **{"no_object": 1, "smooth_mask": 2, "unused_mask": 1},
    }
    assert [p.name for p in found.errors] == ["bad_mask", "mask_size"]
    assert (found.images, found.annotations, found.categories, found.looked_at) == (5, 5, 1, 5)
    assert done == [(n, 5) for n in range(1, 6)]
    some = verify_pictures(tmp_path / "images", given, limit=2)
    assert (some.images, some.looked_at) == (5, 2)


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (lambda root: (root / "masks" / "a.png").unlink(), {"missing_mask"}),
        (lambda root: save(root / "masks" / "a.png", IDS * 9), {"mask_ids"}),
        (lambda root: (root / "masks").rename(root / "other"), {"unreadable"}),
    ],
)
def test_what_cannot_be_opened_is_a_finding_too(tmp_path, spoil, kinds):
    pair(tmp_path, "a", IDS)
    pair(tmp_path, "b", IDS)
    spoil(tmp_path)
    found = verify_pictures(tmp_path / "images", Masks(tmp_path / "masks"))
    assert {problem.name for problem in found.errors} == kinds
    assert found.normalised is None


def test_the_coco_file_says_what_the_masks_say(tmp_path):
    for name, mask in (("x/a", IDS), ("b", IDS[::-1].copy()), ("none", IDS * 0)):
        pair(tmp_path, name, mask)
    data = opened(tmp_path, ids="values", void=(2,))
    file = tmp_path / "masks.json"
    file.write_text(json.dumps(as_coco(data.entries)))
    official = COCO(str(file))
    assert [official.imgs[i]["file_name"] for i in (1, 2, 3)] == ["b.jpg", "none.jpg", "x/a.jpg"]
    for entry in data.entries:
        annotations = official.imgToAnns[entry.record.id]
        targets = load_sample(entry).targets
        assert [a["id"] for a in annotations] == [t.ann_id for t in targets]
        for annotation, target in zip(annotations, targets, strict=True):
            np.testing.assert_array_equal(official.annToMask(annotation), target.mask.full())
    again = CocoDataset(tmp_path / "images", file)
    for one, other in zip(again.entries, data.entries, strict=True):
        assert [t.box for t in load_sample(one).targets] == [t.box for t in load_sample(other).targets]

"""The same settings give the same bytes; others move numbers by less than is stated, and do move them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from benchmarks.determinism import RESULTS, How, Images, moved
from sambench.adapters.registry import create
from sambench.harness.shards import encode_shard
from sambench.suites.base import Record, Setting
from sambench.suites.data.coco import CocoDataset
from sambench.suites.determinism import BOUNDS, FURTHER, SHIFT, WHOLE, at_most, bound
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult

MODEL = "efficientvit_sam_nano"
SUITES = ("gt_box", "click")
OTHER = How(threads=2, images=2, prompts=3)
Found = dict[str, list[Record]]


@pytest.fixture(scope="module")
def images(shapes_root: Path) -> Images:
    """Two drawn images, for the model that comes along with weights."""
    file, folder = shapes_root / "annotations" / "instances.json", shapes_root / "images"
    ids = tuple(entry.record.id for entry in CocoDataset(folder, file).entries[:2])
    return Images.load(create(MODEL), folder, Setting(file, ids), SUITES)


@pytest.fixture(scope="module")
def base(images: Images) -> Found:
    return images.records(How())


@pytest.fixture(scope="module")
def other(images: Images) -> Found:
    return images.records(OTHER)


def cell(suite: str, metrics: dict[str, float | None], objects: int, **changes: object) -> CellResult:
    plain = CellResult(MODEL, "eager", "fp32", "cpu", suite, "shapes", {}, metrics, n_instances=objects)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_same_settings_twice_give_the_same_bytes(images: Images, base: Found) -> None:
    again = images.records(How())
    for name in SUITES:
        files = [encode_shard(records, {}, suite_class(name).schema) for records in (base[name], again[name])]
        assert files[0] == files[1]


@pytest.mark.slow
def test_other_settings_do_move_records(base: Found, other: Found) -> None:
    """Else the next test would hold of any bound."""
    for name in SUITES:
        assert moved(base[name], other[name]).pred_iou > 0


@pytest.mark.slow
def test_no_number_moves_by_more_than_is_stated(images: Images, base: Found, other: Found) -> None:
    numbers, its = images.numbers(base), images.numbers(other)
    for name in SUITES:
        objects, found = len(base[name]), moved(base[name], other[name])
        assert found.further <= at_most(BOUNDS[name].further * objects)
        assert found.anywhere <= at_most(BOUNDS[name].anywhere * objects)
        this = cell(name, numbers[name], objects)
        stated = {metric: limit for metric in numbers[name] if (limit := bound(this, metric)) is not None}
        assert stated
        for metric, limit in stated.items():
            own, theirs = numbers[name][metric], its[name][metric]
            assert own is not None
            assert theirs is not None
            assert abs(own - theirs) <= limit


@pytest.mark.slow
def test_what_moves_is_found(base: Found) -> None:
    """Two objects of which one has another click and an IoU that is 0.3 points higher in the third round."""
    two = base["click"][:2]
    iou, points = [*two[0]["iou"]], [*two[0]["points"]]
    iou[2] += 0.003
    points[1] = [points[1][0] + 1, points[1][1]]
    found = moved(two, [{**two[0], "iou": iou, "points": points}, two[1]])
    assert (found.objects, found.masks, found.choices, found.clicks) == (2, 0, 0, 1)
    assert found.iou == pytest.approx(0.3)
    assert (found.further, found.anywhere) == (int(SHIFT < 0.3), int(FURTHER < 0.3))


@pytest.mark.parametrize("expected", [0.0, 0.001, 0.02, 0.5, 3.6, 40.0, 250.0])
def test_the_count_of_rare_things_is_poissons(expected: float) -> None:
    def beyond(count: int) -> float:
        return 1 - sum(
            math.exp(-expected + (k * math.log(expected) if expected else 0) - math.lgamma(k + 1))
            for k in range(count + 1)
            if expected or k == 0
        )

    count = at_most(expected)
    spare = 3 if expected > 100 else 1  # from there on by the normal distribution
    assert beyond(count) <= 0.01 + 1e-12
    assert count == 0 or beyond(count - spare) > 0.01


def test_a_bound_is_that_of_an_object_and_of_the_few_that_do_not_keep_to_it() -> None:
    stated = BOUNDS["gt_box"]
    very_many = cell("gt_box", {"miou": 70.0}, 100_000_000)
    limit = SHIFT + FURTHER * stated.further + WHOLE * stated.anywhere
    assert bound(very_many, "miou") == pytest.approx(limit, rel=0.05)
    one = cell("gt_box", {"miou": 70.0}, 1)
    assert bound(one, "miou") == pytest.approx(SHIFT)  # 99 of 100 such objects keep to it
    few = cell("gt_box", {"miou": 70.0}, round(0.05 / stated.anywhere))  # one of them may go anywhere
    assert bound(few, "miou") == pytest.approx(
        SHIFT + (at_most(0.05 * stated.further / stated.anywhere) + 100) / few.n_instances
    )


def test_average_precision_has_a_bound_where_its_objects_were_counted() -> None:
    found = cell("det_box", {"ap": 45.0}, 40_000, provenance={"annotations": {"count": 36_781}})
    alone = cell("gt_box", {"miou": 45.0}, 36_781)
    limit, mean = bound(found, "ap"), bound(alone, "miou")
    assert limit is not None
    assert mean is not None
    assert limit == pytest.approx(BOUNDS["det_box"].weight * mean, rel=0.1)
    sample = dataclasses.replace(found, partial={"limit": 3, "of": 5000, "seed": 0})
    assert bound(sample, "ap") is None
    assert bound(dataclasses.replace(found, metrics={"ap50": 1.0}), "ap50") is None


def test_a_size_has_the_bound_of_its_own_objects() -> None:
    counts = {"small": 3, "large": 40}
    both = cell("gt_box", {"miou_small": 50.0, "miou_large": 60.0}, 43, counts=counts)
    for size, objects in counts.items():
        alone = cell("gt_box", {"miou": 50.0}, objects)
        assert bound(both, f"miou_{size}") == bound(alone, "miou")


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "cuda"},
        {"precision": "bf16"},
        {"engine": "onnxruntime"},
        {"model": "hf:facebook/sam2-hiera-tiny"},
        {"provenance": {"adapter": {"class": "mine:Mine"}}},
        {"suite": "everything"},
        {"metrics": {"miou": None}},
        {"n_instances": 0},
    ],
)
def test_nothing_is_stated_of_what_was_not_measured(changes: dict[str, object]) -> None:
    plain = cell("gt_box", {"miou": 70.0, "miou_per_image": 70.0}, 100)
    assert bound(plain, "miou") is not None
    assert bound(dataclasses.replace(plain, **changes), "miou") is None  # type: ignore[arg-type]
    assert bound(plain, "miou_per_image") is None


def test_what_was_measured_is_within_what_is_stated() -> None:
    """The constants have their source in the repository: of all settings together."""
    content = json.loads((RESULTS / "determinism-cpu.json").read_text())
    found: dict[str, list[dict[str, float]]] = {}
    for measured in content.values():
        assert (measured["shift"], measured["further"]) == (SHIFT, FURTHER)
        for setting in measured["settings"]:
            for suite, records in setting["records"].items():
                found.setdefault(suite, []).append(records)
    assert set(found) == set(BOUNDS)
    for suite, settings in found.items():
        objects = sum(one["objects"] for one in settings)
        assert objects > 500
        assert sum(one["further"] for one in settings) <= BOUNDS[suite].further * objects
        assert not any(one["anywhere"] for one in settings)
    rare = json.loads((RESULTS / "determinism-rare.json").read_text())
    assert rare["near_ties"]["swap"] < BOUNDS["gt_box"].anywhere
    assert max(one["most"] for one in rare["weights_of_boxes"]) < BOUNDS["det_box"].weight

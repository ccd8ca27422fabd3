"""Average precision of images drawn anew, judged by data sets that were really drawn, and by hotcoco."""

import json

import hotcoco
import numpy as np
import pytest
from toy_annotations import OFFICIAL, annotation, annotations, as_table, assert_same, results

from sambench.suites.scoring.average_precision import evaluate, evaluate_and_match
from sambench.suites.scoring.batches import Batch, batches
from sambench.suites.scoring.bootstrap import draws, percentile_interval
from sambench.suites.scoring.evaluators import LVIS_STATS, matched_by_hotcoco
from sambench.suites.scoring.evidence import Paired, encode, load
from sambench.suites.scoring.ground_truth import GroundTruth
from sambench.suites.scoring.matches import Matches

IMAGES = 24
CATEGORIES = (2, 5, 9)


@pytest.fixture(scope="module")
def truth_of(tmp_path_factory):
    """Write annotations, get the truth."""
    folder = tmp_path_factory.mktemp("matches")

    def make(content, **choices):
        file = folder / "a.json"
        file.write_text(json.dumps(content))
        return GroundTruth.open(file, **choices)

    return make


def box_near(box, rng, by=6):
    x, y, w, h = (int(v) for v in np.array(box) + rng.integers(-by, by + 1, 4))
    return max(x, 0), max(y, 0), max(w, 2), max(h, 2)


def world(seed, images=IMAGES, by=6, crowds=0.15):
    """Annotations that are COCO's and LVIS's at once, of all sizes, and results near them, no two as sure."""
    rng = np.random.default_rng(seed)
    made, rows = [], []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, 6)):
            category, side = int(rng.choice(CATEGORIES)), int(rng.choice([8, 24, 40, 100]))
            box = (*rng.integers(0, 120 - side, 2).tolist(), side, side)
            crowd = int(rng.random() < crowds)
            made.append(annotation(len(made) + 1, box, image=image, category=category, crowd=crowd))
            rows += [(image, category, box_near(box, rng, by)) for _ in range(rng.integers(0, 3))]
        rows += [
            (image, int(rng.choice(CATEGORIES)), box_near((50, 50, 30, 30), rng, 40))
            for _ in range(rng.integers(0, 4))
        ]
    content = annotations(made, images=range(1, images + 1), categories=CATEGORIES)
    for i in content["images"]:
        i["neg_category_ids"] = [c for c in CATEGORIES if rng.random() < 0.7]
        i["not_exhaustive_category_ids"] = [c for c in CATEGORIES if rng.random() < 0.2]
    for category, frequency in zip(content["categories"], "rcf", strict=True):
        category["frequency"] = frequency
    scores = rng.permutation(len(rows)) / len(rows)
    return content, [(i, c, s, b) for (i, c, b), s in zip(rows, scores.tolist(), strict=True)]


def drawn_anew(content, rows, times):
    """Return the same of images each of which is there so often, under ids of its own."""
    images, made, found = [], [], []
    for old, k in zip(content["images"], times, strict=True):
        for _ in range(k):
            new = len(images) + 1
            images.append(old | {"id": new})
            for a in content["annotations"]:
                if a["image_id"] == old["id"]:
                    made.append(a | {"id": len(made) + 1, "image_id": new})
            found += [(new, *row[1:]) for row in rows if row[0] == old["id"]]
    return content | {"images": images, "annotations": made}, found


def evidence_of(truth, rows, iou_type="bbox"):
    return evaluate_and_match(truth, results(rows), iou_type=iou_type)[1]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("style", ["coco", "lvis"])
def test_resampled_numbers_are_those_of_data_sets_really_drawn(truth_of, style, iou_type):
    content, rows = world(1)
    evidence = evidence_of(truth_of(content, style=style), rows, iou_type)
    drawn = next(draws(evidence.strata, 60))
    found = evidence.resampled(drawn)
    for r in range(3):
        anew, again = drawn_anew(content, rows, drawn[r].astype(int).tolist())
        want = evaluate(
            truth_of(anew, style=style), results(again), iou_type=iou_type, evaluator=OFFICIAL[style]
        )
        assert found[r] == pytest.approx([want[name] for name in evidence.names], rel=0, abs=1e-9)
    one_by_one = np.concatenate([evidence.resampled(drawn[r : r + 1]) for r in range(len(drawn))])
    np.testing.assert_allclose(one_by_one, found, rtol=0, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("style", ["coco", "lvis"])
def test_recalls_that_are_met_exactly_are_the_official_ones(truth_of, style):
    """Of 20 and 100 objects, recalls such as 0.35 lie on the edge, and as floats beyond it."""
    rng = np.random.default_rng(3)
    for objects in (20, 100):
        made = [annotation(i + 1, (0, 0, 50, 50), image=i + 1) for i in range(objects)]
        hit = rng.random(objects) < 0.97
        scores = rng.permutation(2 * objects) / 1000
        rows = [(i + 1, 1, scores[i], (0, 0, 50, 50)) for i in range(objects) if hit[i]]
        rows += [(i + 1, 1, scores[objects + i], (60, 60, 9, 9)) for i in range(objects)]
        truth = truth_of(annotations(made, images=range(1, objects + 1)), style=style)
        numbers, evidence = evaluate_and_match(
            truth, results(rows), iou_type="bbox", evaluator=OFFICIAL[style]
        )
        assert numbers["ap"] < 97
        assert_same(evidence.numbers(), {name: numbers[name] for name in evidence.names})


@pytest.mark.parametrize("style", ["coco", "lvis"])
def test_each_image_once_intervals_are_about_those_of_hotcocos_bootstrap(truth_of, style):
    """hotcoco 1.3 counts an image that is drawn twice as one, which makes its own intervals too narrow."""
    content, rows = world(2, images=40)
    truth, resamples = truth_of(content, style=style), 400
    nothing = matched_by_hotcoco(truth, [Batch(list(range(1, 1 + len(truth.sizes))), [])], "bbox")
    job = matched_by_hotcoco(truth, batches(truth, results(rows), "bbox"), "bbox")
    spread = hotcoco.compare(nothing, job, n_bootstrap=resamples, seed=1, confidence=0.95)["ci"]
    evidence = evidence_of(truth, rows)
    drawn = np.concatenate(list(draws(evidence.strata)))
    once, whole = evidence.resampled(np.minimum(drawn, 1)), evidence.resampled(drawn)
    for k, name in enumerate(evidence.names):
        (theirs,) = (spread[key] for key, ours in LVIS_STATS.items() if ours == name)
        want = [100 * theirs["lower"], 100 * theirs["upper"]]
        # An end of 400 draws has a standard error of about a twelfth of the width
        ours = percentile_interval(once[:, k])
        assert ours == pytest.approx(want, rel=0, abs=0.25 * (want[1] - want[0])), name
        assert np.ptp(percentile_interval(whole[:, k])) > np.ptp(want), name


def test_an_interval_is_turned_about_its_number_and_stays_within_a_percentage(truth_of):
    """Resamples of few objects lie above the number, as the number itself lies above that of all images."""
    content, rows = world(2, images=40)
    evidence = evidence_of(truth_of(content), rows)
    numbers, intervals = evidence.numbers(), evidence.intervals()
    samples = evidence.resampled(np.concatenate(list(draws(evidence.strata))))
    for k, name in enumerate(evidence.names):
        low, high = np.percentile(samples[:, k], [2.5, 97.5])
        want = [max(2 * numbers[name] - high, 0), 2 * numbers[name] - low]
        assert intervals[name] == pytest.approx(want, rel=0, abs=1e-10)
    assert samples[:, 0].mean() > numbers["ap"]
    assert intervals["ap_small"][0] == 0


def test_an_interval_does_not_depend_on_how_many_draws_are_made_at_once(truth_of, monkeypatch):
    evidence = evidence_of(truth_of(world(4)[0]), world(4)[1])
    at_first = evidence.intervals()
    monkeypatch.setattr(Matches, "resamples_at_once", 1999)  # the last of them is alone
    for name, ends in evidence.intervals().items():
        assert ends == pytest.approx(at_first[name], rel=0, abs=1e-10)


def test_a_difference_that_an_unpaired_test_misses_is_found(truth_of):
    """One model is a little nearer on every image; how good both are differs much more between images."""
    rng = np.random.default_rng(5)
    n = 60
    made = [annotation(i + 1, (10, 10, 60, 60), image=i + 1) for i in range(n)]
    truth = truth_of(annotations(made, images=range(1, n + 1)))
    width, scores = rng.integers(34, 56, n), rng.permutation(n) / n
    a, b = (
        evidence_of(truth, [(i + 1, 1, scores[i], (10, 10, int(width[i]) + more, 60)) for i in range(n)])
        for more in (0, 2)
    )
    low, high = a.intervals()["ap"], b.intervals()["ap"]
    assert low[1] > high[0]  # they overlap
    pair = Paired.of(a, b)
    assert pair.intervals()["ap"][0] > 0
    assert pair.p_values()["ap"] < 0.001
    assert Paired.of(a, a).intervals()["ap"] == [0, 0]


def test_what_is_compared_are_the_images_that_both_have(truth_of):
    (content, rows), ours, theirs = world(6), list(range(1, 17)), list(range(9, 25))
    a, b = (evidence_of(truth_of(content, image_ids=ids), rows) for ids in (ours, theirs))
    both = Paired.of(a, b)
    want = evidence_of(truth_of(content, image_ids=[i for i in ours if i in theirs]), rows)
    for found in (both.a, both.b):
        assert found.image_ids.tolist() == want.image_ids.tolist()
        assert found.instances == want.instances
        assert_same(found.numbers(), want.numbers())


def test_evidence_lies_in_a_file_of_the_same_bytes_whatever_the_order_of_results(truth_of, tmp_path):
    content, rows = world(7)
    rows = [(i, c, round(s, 1), b) for i, c, s, b in rows]  # with ties
    truth, found = truth_of(content, style="lvis"), results(rows)
    shuffled = found.take(np.random.default_rng(0).permutation(len(rows)))
    masks, again = (evaluate_and_match(truth, f, iou_type="segm")[1] for f in (found, shuffled))
    boxes = evidence_of(truth, rows)
    evidence = masks.beside(boxes)
    assert encode(evidence) == encode(again.beside(boxes))
    (tmp_path / "e.npz").write_bytes(encode(evidence))
    read = load(tmp_path / "e.npz")
    assert read.names == (*masks.names, "box_ap")
    assert read.numbers() == masks.numbers() | {"box_ap": boxes.numbers()["ap"]}
    assert read.intervals() == masks.intervals() | {"box_ap": boxes.intervals()["ap"]}
    assert read.instances == masks.instances == len(content["annotations"])


def test_some_metrics_alone_are_what_they_were(truth_of):
    content, rows = world(8)
    evidence = evidence_of(truth_of(content, style="lvis"), rows)
    drawn = next(draws(evidence.strata, 5))
    for names in (("ap",), ("ap_small", "ap_r")):
        want = evidence.resampled(drawn)[:, [evidence.names.index(name) for name in names]]
        np.testing.assert_array_equal(evidence.only(*names).resampled(drawn), want)
    assert len(encode(evidence.only("ap"))) < len(encode(evidence))


@pytest.mark.parametrize("style", ["coco", "lvis"])
def test_an_object_of_the_id_0_is_not_found_where_ids_are_kept(truth_of, style):
    content, rows = world(9)
    for a in content["annotations"]:
        a["id"] -= 1
    for ids in ("as_given", "from_one"):
        truth = truth_of(content, style=style, ids=ids)
        numbers, evidence = evaluate_and_match(
            truth, results(rows), iou_type="bbox", evaluator=OFFICIAL[style]
        )
        assert_same(evidence.numbers(), {name: numbers[name] for name in evidence.names})
    first = content["annotations"][0]
    alone = content | {"annotations": [first | {"iscrowd": 0}]}
    sure = [(first["image_id"], first["category_id"], 0.9, first["bbox"])]
    kept, anew = (evidence_of(truth_of(alone, ids=ids), sure) for ids in ("as_given", "from_one"))
    assert (kept.numbers()["ap"], anew.numbers()["ap"]) == (0, pytest.approx(100))


class TestNothing:
    """Nothing to average is no number, nothing found is zero."""

    def test_a_single_image_has_numbers_and_no_interval(self, truth_of):
        evidence = evidence_of(
            truth_of(annotations([annotation(1, (0, 0, 50, 50))])), [(1, 1, 0.9, (0, 0, 50, 50))]
        )
        assert evidence.numbers()["ap"] == pytest.approx(100)
        assert evidence.intervals() == {}
        assert evidence.instances == 1

    def test_without_results_all_is_zero_in_every_draw(self, truth_of):
        made = [annotation(i, (0, 0, 20, 20), image=i) for i in (1, 2)]
        evidence = evidence_of(truth_of(annotations(made, images=(1, 2))), [])
        assert evidence.numbers() == dict.fromkeys(("ap", "ap50", "ap75", "ap_small"), 0.0) | dict.fromkeys(
            ("ap_medium", "ap_large")
        )
        assert evidence.intervals() == {name: [0, 0] for name in ("ap", "ap50", "ap75", "ap_small")}

    def test_a_category_without_an_object_is_none_of_the_mean(self, truth_of):
        made = [annotation(i, (0, 0, 20, 20), image=i) for i in (1, 2)]
        rows = [(i, c, 0.9, (0, 0, 20, 20)) for i in (1, 2) for c in (1, 2)]
        evidence = evidence_of(truth_of(annotations(made, images=(1, 2), categories=(1, 2))), rows)
        assert evidence.intervals()["ap"] == pytest.approx([100, 100])

    def test_where_all_is_ignored_there_is_no_number(self, truth_of):
        made = [annotation(i, (0, 0, 20, 20), image=i, crowd=1) for i in (1, 2)]
        evidence = evidence_of(truth_of(annotations(made, images=(1, 2))), [(1, 1, 0.9, (0, 0, 20, 20))])
        assert set(evidence.numbers().values()) == {None}
        assert evidence.intervals() == {}
        assert evidence.instances == 0

    @pytest.mark.parametrize("content", [annotations([], images=()), annotations([], categories=())])
    def test_without_images_or_categories_there_is_no_evidence(self, truth_of, content):
        assert evidence_of(truth_of(content), []) is None


def test_a_draw_without_an_object_is_left_out_of_the_interval(truth_of):
    made = [annotation(1, (0, 0, 50, 50), image=1)]
    evidence = evidence_of(truth_of(annotations(made, images=(1, 2, 3))), [(1, 1, 0.9, (0, 0, 50, 50))])
    drawn = np.array([[0, 2, 1], [1, 1, 1.0]])
    assert np.isnan(evidence.resampled(drawn)[0, 0])
    assert evidence.resampled(drawn)[1, 0] == pytest.approx(100)
    assert percentile_interval(evidence.resampled(drawn)[:, 0]) == pytest.approx([100, 100])


def test_what_cannot_matter_is_not_kept(truth_of):
    made = [annotation(1, (0, 0, 50, 50))]
    rows = [(1, 1, 0.9, (0, 0, 50, 50)), *[(1, 1, s / 1000, (70, 70, 9, 9)) for s in range(90)]]
    evidence = evidence_of(truth_of(annotations(made)), rows)
    assert evidence.curve.tolist() == [0, 1]  # of all and of medium objects the one that finds it
    boxes = as_table([1] * 91, [1] * 91, [r[2] for r in rows], boxes=[r[3] for r in rows])
    assert evidence.numbers()["ap"] == pytest.approx(
        evaluate(truth_of(annotations(made)), boxes, iou_type="bbox")["ap"]
    )

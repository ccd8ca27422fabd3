"""What all suites promise: the metrics they declare, and the evidence that their scores are made of."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from fakes import Fake, evaluate, in_shards, table
from test_det_box import boxes_of, filled_box

from sambench.adapters import create
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.rle import as_json, encode
from sambench.suites.data.sample import load_sample
from sambench.suites.det_box import DetBox
from sambench.suites.everything import suite as everything
from sambench.suites.everything.generator import GeneratedMask
from sambench.suites.gt_box import GtBox
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.protocol import make_protocol
from sambench.suites.registry import SUITES, suite_class
from sambench.suites.scoring.scores import Scores
from sambench.suites.sginw.data import SginwData
from sambench.suites.sginw.suite import Sginw

STRICT, PAPER = make_protocol("strict"), make_protocol("paper")
MEANS = ("gt_box", "click", "everything")


def halves(samples):
    """A generator that finds every object of the images, one after the other, from less than half on."""
    rest = iter(samples)

    def generate(*_, **__):
        found = []
        for k, one in enumerate(t for t in next(rest).targets if t.mask.area):
            mask = one.mask.full()
            rows = one.mask.pixels.shape[0]
            mask[one.mask.top + max(1, rows * (4 + k % 6) // 10) :] = False
            code = as_json(encode(mask[None])[0])
            found.append(
                GeneratedMask(code, int(mask.sum()), (0, 0, 1, 1), 0.9, 1.0, (0.5, 0.5), (0, 0, 9, 9))
            )
        return found

    return generate


@pytest.fixture(scope="module")
def records(coco_mini):
    """Records by suite of some images, by a model that fills boxes and draws discs."""
    segmenter = create("box")
    samples = [load_sample(entry) for entry in CocoDataset(*coco_mini).entries[:36:4]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everything, "generate", halves(samples))
        return {
            suite.name: table(suite, [row for s in samples for row in evaluate(suite, segmenter, s, PAPER)])
            for suite in (suite_class(name)() for name in MEANS)
        }


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_says_what_its_metrics_are(name):
    suite = suite_class(name)
    names = [metric.name for metric in suite.metrics]
    assert suite.title
    assert len(set(names)) == len(names)
    assert any(metric.brief for metric in suite.metrics)
    headings = [(metric.part, metric.group, metric.title) for metric in suite.metrics]
    assert len(set(headings)) == len(headings)


@pytest.mark.parametrize("name", MEANS)
def test_all_metrics_of_a_score_are_declared_and_all_that_are_declared_are_there(name, records):
    suite = suite_class(name)()
    found = suite.score(records[name], PAPER).metrics
    assert set(found) == {metric.name for metric in suite.metrics}
    assert found.keys() == suite.score(table(suite, []), PAPER).metrics.keys()


@pytest.mark.parametrize(("files", "style"), [("coco_mini", "coco"), ("lvis_mini", "lvis")])
def test_of_average_precision_too_but_for_those_that_lvis_alone_has(files, style, request, tmp_path):
    dataset = CocoDataset(*request.getfixturevalue(files))
    entries = dataset.entries[:2]
    boxes = [msgspec.structs.asdict(a) for a in entries[0].annotations]
    ids = tuple(e.record.id for e in entries)
    suite = DetBox.on(Setting(dataset.annotations, ids, boxes_of(boxes, tmp_path / "d.json"), style))
    rows = [row for e in entries for row in evaluate(suite, Fake(filled_box), load_sample(e), STRICT)]
    found = suite.score(table(suite, rows), STRICT).metrics
    assert set(found) == {m.name for m in suite.metrics if style == "lvis" or not m.optional}


def test_of_segmentation_in_the_wild_too(data_root, tmp_path):
    data = SginwData(data_root / "sginw-mini" / "seginw")
    for name in data.parts:
        (tmp_path / f"seginw_{name}_val.json").write_text("[]")
    suite = Sginw.on(Setting(data.annotations, tuple(e.record.id for e in data.entries), tmp_path))
    found = suite.score(pa.Table.from_pylist([], schema=suite.schema), STRICT).metrics
    assert list(found) == [metric.name for metric in suite.metrics]


@pytest.mark.parametrize("protocol", [STRICT, PAPER], ids=lambda p: p.preset)
@pytest.mark.parametrize("name", MEANS)
def test_scores_are_what_their_evidence_says(name, protocol, records):
    suite = suite_class(name)()
    scores = suite.score(records[name], protocol)
    evidence = scores.evidence
    assert set(evidence.names) == {m.name for m in suite.metrics}
    assert scores.metrics == evidence.numbers()
    assert scores.intervals == evidence.intervals()
    assert (np.diff(evidence.image_ids) > 0).all()
    assert set(evidence.image_ids.tolist()) <= set(records[name]["image_id"].to_pylist())
    counted = evidence.counts()
    for column in evidence.columns:
        values, members = evidence.of(column.name)
        mean = values[members].sum() / members.sum() if members.any() else None
        assert scores.metrics[column.name] == (mean and pytest.approx(column.scale * mean, abs=1e-9))
        assert counted[column.name] == members.sum()
    first = evidence.names[0]
    assert scores.counts == {size: counted[sized(first, size)] for size in SIZES}
    assert evidence.instances == scores.counts["all"]
    assert 0 < scores.metrics[first] < 100


@pytest.mark.parametrize("images", [1, 2, 4])
@pytest.mark.parametrize("name", MEANS)
def test_shards_score_as_one_table_to_the_last_bit(name, images, records):
    suite = suite_class(name)()
    whole, parts = suite.score(records[name], PAPER), in_shards(records[name], images)
    assert len(parts.shards) > 2
    found = suite.score_all(parts, PAPER)
    assert found == whole  # but for the evidence
    for key, array in whole.evidence.arrays().items():
        np.testing.assert_array_equal(found.evidence.arrays()[key], array, strict=True)


class Harsh(GtBox):
    """Reads more of the records, and makes less of it."""

    scored = (*GtBox.scored, "segmentation")

    def score(self, records, protocol):
        assert records["segmentation"].null_count == 0
        return Scores({"miou": 0.0}, {}, {"rows": len(records)})


def test_a_suite_with_a_score_of_its_own_is_given_all_records(records):
    found = Harsh().score_all(in_shards(records["gt_box"], 2), PAPER)
    assert found.counts == {"rows": len(records["gt_box"])}


def test_a_suite_without_a_check_of_its_own_takes_any_data(tmp_path):
    setting = Setting(tmp_path / "none.json", ())
    for name in MEANS:
        suite = suite_class(name).on(setting)
        suite.check()
        assert suite.name == name


def test_opening_a_suite_reads_no_annotations_and_checking_it_does(tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    (tmp_path / "seginw_Elephants_val.json").write_text("[]")
    for name, boxes in (("det_box", tmp_path / "boxes.json"), ("sginw", tmp_path)):
        setting = Setting(tmp_path / "none", (1,), boxes)
        suite = suite_class(name).on(setting)
        with pytest.raises(SambenchError, match="no such annotation file"):
            suite.check()

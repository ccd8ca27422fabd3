"""IoUs out of records, those of runs from before records kept masks too."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_runs import PAPER, cell, write_run

from sambench.harness.shards import encode_shard
from sambench.reports.cells import read_runs
from sambench.reports.records import read_scored
from sambench.suites.registry import suite_class

BEFORE = {  # the columns of records that kept no masks
    "image_id": pa.int64(),
    "ann_id": pa.int64(),
    "category_id": pa.int64(),
    "area": pa.float64(),
    "mask_area": pa.int64(),
    "iscrowd": pa.bool_(),
}
OLD = {
    "gt_box": {"iou": pa.float64(), "pred_iou": pa.float32(), "choice": pa.int8()},
    "click": {
        "points": pa.list_(pa.list_(pa.int32(), 2)),
        "labels": pa.list_(pa.int8()),
        "iou": pa.list_(pa.float64()),
    },
}


def filled(kind):
    """A value of an Arrow type, whatever it is."""
    if pa.types.is_fixed_size_list(kind):
        return [filled(kind.value_type)] * kind.list_size
    if pa.types.is_list(kind):
        return [filled(kind.value_type)] * 5
    return "text" if pa.types.is_string(kind) else pa.scalar(0).cast(kind).as_py()


@pytest.mark.parametrize("suite", ["gt_box", "click"])
def test_records_of_before_they_kept_masks_are_read_as_those_of_today(tmp_path, suite):
    today = suite_class(suite).schema
    before = pa.schema([pa.field(n, kind, nullable=False) for n, kind in (BEFORE | OLD[suite]).items()])
    assert set(before.names) < set(today.names)
    iou = [0.25, 0.5] if suite == "gt_box" else [[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.6, 0.7, 0.8, 0.9]]
    found = []
    for name, schema, labels in (("old", before, None), ("new", today, {"model": "box"})):
        run = write_run(tmp_path / name, [cell(suite=suite, records="records")])
        rows = [{field.name: filled(field.type) for field in schema} | {"iou": one} for one in iou]
        (run / "records").mkdir()
        (run / "records" / "00000-of-00001.parquet").write_bytes(encode_shard(rows, {}, schema, labels))
        (entry,) = read_runs([run])
        found.append(read_scored(entry).iou.tolist())
    assert found == [iou, iou]


def test_sizes_go_by_the_area_of_the_protocol_and_objects_without_an_iou_are_passed_over(tmp_path):
    rows = {
        "image_id": [7, 7, 8],
        "area": [16.0, 25.0, 36.0],
        "mask_area": [9, 25, 4],
        "iou": [0.5, None, 0.75],
        "pred_iou": [0.25, 0.5, None],
    }
    sizes = {"ann": [4, 6], "mask": [3, 2]}
    for source, expected in sizes.items():
        protocol = {**PAPER, "area_source": source}
        run = write_run(tmp_path / source, [cell(records="records", protocol=protocol)])
        (run / "records").mkdir()
        pq.write_table(pa.table(rows), run / "records" / "00000-of-00001.parquet")
        found = read_scored(read_runs([run])[0])
        assert (found.size.tolist(), found.image.tolist()) == (expected, [7, 8])
        assert found.iou.tolist() == [0.5, 0.75]
        assert found.predicted[0] == 0.25
        assert math.isnan(found.predicted[1])


def test_a_click_that_ended_early_keeps_its_last_answers(tmp_path):
    run = write_run(tmp_path, [cell(suite="click", records="records")])
    (run / "records").mkdir()
    rows = {"iou": [[0.5], [0.25, 0.5, 0.75], []], "pred_iou": [[0.9], [0.1, 0.2, 0.3], [0.5]]}
    pq.write_table(pa.table(rows), run / "records" / "00000-of-00001.parquet")
    found = read_scored(read_runs([run])[0])
    assert found.iou.tolist() == [[0.5, 0.5, 0.5], [0.25, 0.5, 0.75]]
    assert found.predicted.tolist() == [[0.9, 0.9, 0.9], [0.1, 0.2, 0.3]]
    assert found.image.tolist() == [0, 0]
    assert all(math.isnan(size) for size in found.size)

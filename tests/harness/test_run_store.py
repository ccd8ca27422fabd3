"""Files of a run: whole or not at all, and the same for the same records."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import assert_nothing_half_written

from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.results import write_results
from sambench.harness.shards import encode_shard
from sambench.harness.store import CellStore, DamagedError
from sambench.suites.prompted import SCHEMA
from sambench.suites.results import CellResult, load_results

CELL = CellResult("box", "eager", "fp32", "cpu", "gt_box", "coco", {"preset": "paper"}, {"miou": 50.0})


def record(number: int) -> dict[str, Any]:
    """A record of gt_box."""
    ids = {"image_id": number, "file_name": f"{number}.jpg", "ann_id": 10 + number}
    ids |= {"category_id": 1, "category": None}
    sizes = {"area": 3.5 * number, "size": "small", "mask_area": 4 * number, "iscrowd": False}
    prompt = {"box": [0.0, 0.0, 2.0, 3.5], "points": None, "labels": None}
    answer = {"segmentation": "{}", "iou": 1 / (number + 1), "boundary_iou": 0.25}
    answer |= {"pred_iou": 0.5, "choice": 0}
    return ids | sizes | prompt | answer


RECORDS = [record(i) for i in range(20)]


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    shards = []
    for name in ("a", "b"):
        store = CellStore(tmp_path / name, 1)
        store.write(0, encode_shard(RECORDS, {"empty_dropped": 2, "crowd_dropped": 1}, SCHEMA))
        shards.append(store.path(0).read_bytes())
    again = CellStore(tmp_path / "c", 1)
    again.write(0, encode_shard(RECORDS, {"crowd_dropped": 1, "empty_dropped": 2}, SCHEMA))
    assert shards[0] == shards[1] == again.path(0).read_bytes()


def test_one_other_value_gives_other_bytes(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 2)
    store.write(0, encode_shard(RECORDS, {}, SCHEMA))
    store.write(1, encode_shard([*RECORDS[:-1], RECORDS[-1] | {"iou": 0.25}], {}, SCHEMA))
    assert store.path(0).read_bytes() != store.path(1).read_bytes()


LABELS = {"model": "box", "weights": "none", "protocol": "crowd=keep"}


def test_labels_are_columns_behind_the_records_in_every_shard_the_empty_one_too() -> None:
    shards = [encode_shard(rows, {}, SCHEMA, LABELS) for rows in (RECORDS, [])]
    full, empty = (pq.read_table(io.BytesIO(content)) for content in shards)
    assert full.to_pylist() == [record | LABELS for record in RECORDS]
    assert full.column_names == [*SCHEMA.names, *LABELS]
    assert not any(full.schema.field(name).nullable for name in LABELS)
    assert empty.schema == full.schema


def test_labels_compress_to_nothing() -> None:
    long = dict.fromkeys(LABELS, "of some length " * 10)
    plain, labelled = (encode_shard(RECORDS * 500, {}, SCHEMA, labels) for labels in (None, long))
    assert len(labelled) - len(plain) < 3 * 1000  # 1,500,000 characters in 10,000 rows


def test_a_suites_column_that_has_the_name_of_a_label_is_refused() -> None:
    with pytest.raises(SambenchError, match=r"column 'iou'.* Name that of the suite otherwise"):
        encode_shard(RECORDS, {}, SCHEMA, {"iou": "mine"})


def test_records_come_back_as_they_were_in_the_order_of_shards(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 3)
    store.write(2, encode_shard(RECORDS[15:], {"crowd_dropped": 1}, SCHEMA))
    store.write(0, encode_shard(RECORDS[:15], {"crowd_dropped": 2, "empty_dropped": 1}, SCHEMA))
    store.write(1, encode_shard([], {}, SCHEMA))
    checked, records = store.check(), store.records()
    assert records.table().to_pylist() == RECORDS
    assert [len(table) for table in records.each()] == [15, 0, 5]
    assert records.table(["iou"]).column_names == ["iou"]
    assert (checked.rows, checked.left_out) == (20, {"crowd_dropped": 3, "empty_dropped": 1})
    assert checked.failed == []


def test_images_that_a_model_failed_on_are_kept_with_their_shard(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 2)
    failed = {"image_id": 3, "file_name": "3.jpg", "reason": "NaN"}
    store.write(0, encode_shard(RECORDS, {}, SCHEMA, failed=[failed]))
    store.write(1, encode_shard([], {}, SCHEMA))
    assert store.check().failed == [failed]


def test_the_checksum_that_a_reader_sees_is_that_of_the_file_with_zeros_in_its_place(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 1)
    store.write(0, encode_shard(RECORDS, {"crowd_dropped": 1}, SCHEMA))
    content = store.path(0).read_bytes()
    seal = pq.read_metadata(store.path(0)).metadata[b"sambench.sha256"]
    assert content.count(seal) == 1
    assert hashlib.sha256(content.replace(seal, b"0" * 64)).hexdigest().encode() == seal
    assert b"sambench.sha256" not in pq.read_schema(store.path(0)).metadata  # which would be another copy


def test_shards_that_are_not_there_are_no_damaged_ones(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 4)
    for shard in (0, 1, 3):
        store.write(shard, encode_shard(RECORDS, {}, SCHEMA))
    store.path(1).write_bytes(store.path(1).read_bytes()[:-1])
    store.path(3).write_bytes(b"")
    assert store.damaged() == [1, 3]
    with pytest.raises(DamagedError) as caught:
        store.check()
    assert caught.value.shards == (1, 2, 3)


def test_finished_shards_are_counted_and_a_temporary_file_is_none(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 3)
    assert (store.finished(), store.has(0)) == (0, False)
    store.write(1, encode_shard(RECORDS, {}, SCHEMA))
    (tmp_path / f".{store.path(0).name}.123.tmp").write_bytes(b"half")
    assert (store.finished(), store.has(0), store.has(1)) == (1, False, True)


@pytest.mark.parametrize(
    "harm",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b"no" + b,
        *(lambda b, at=at: b[:at] + bytes([b[at] ^ 1]) + b[at + 1 :] for at in range(4, 4000, 250)),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    store = CellStore(tmp_path, 1)
    store.write(0, encode_shard(RECORDS, {}, SCHEMA))
    store.path(0).write_bytes(harm(store.path(0).read_bytes()))
    with pytest.raises(DamagedError, match=r"damaged.*computes it again") as caught:
        store.check()
    assert caught.value.shards == (0,)
    assert str(store.path(0)) in str(caught.value)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(os, call, no_space)
    if call == "replace":
        monkeypatch.setattr(Path, "replace", no_space)
    target = tmp_path / "new" / "file.bin"
    with pytest.raises(SambenchError, match="No space left on device") as caught:
        write_atomic(target, b"content")
    assert str(target) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file.bin"
    write_atomic(target, b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SambenchError):
        write_atomic(target, b"after")
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_a_file_is_an_error_a_user_can_read(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")
    with pytest.raises(SambenchError, match="cannot be written"):
        write_atomic(tmp_path / "out" / "records" / "file.bin", b"content")
    assert (tmp_path / "out").read_text() == "not a folder"


def test_a_full_disk_within_a_shard_leaves_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CellStore(tmp_path, 2)
    store.write(0, encode_shard(RECORDS, {}, SCHEMA))
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SambenchError):
        store.write(1, encode_shard(RECORDS, {}, SCHEMA))
    assert [file.name for file in tmp_path.iterdir()] == [store.path(0).name]
    assert_nothing_half_written(tmp_path)


def test_a_shard_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    store = CellStore(tmp_path, 1)
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(store.has(0)))
    store.write(0, encode_shard(RECORDS, {}, SCHEMA))
    assert seen == [False]
    assert store.has(0)


def test_results_keep_other_cells_and_replace_the_same_question(tmp_path: Path) -> None:
    other = dataclasses.replace(CELL, model="ellipse")
    write_results(tmp_path, [CELL, other])
    write_results(tmp_path, [dataclasses.replace(CELL, metrics={"miou": 60.0})])
    cells = load_results(tmp_path)
    assert [(c.model, c.metrics["miou"]) for c in cells] == [("ellipse", 50.0), ("box", 60.0)]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "ellipse"},
        {"engine": "compile"},
        {"precision": "fp16"},
        {"device": "cuda"},
        {"suite": "click"},
        {"dataset": "lvis"},
        {"protocol": {"preset": "strict"}},
        {"partial": {"limit": 5, "of": 10, "seed": 0}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_another_question_replaces_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    write_results(tmp_path, [CELL])
    write_results(tmp_path, [dataclasses.replace(CELL, **change)])
    assert load_results(tmp_path) == [CELL, dataclasses.replace(CELL, **change)]


def test_a_result_answers_the_same_question_whatever_its_status(tmp_path: Path) -> None:
    write_results(tmp_path, [dataclasses.replace(CELL, status="failed", reason="no", metrics={})])
    write_results(tmp_path, [CELL])
    assert load_results(tmp_path) == [CELL]


def test_results_are_plain_json_of_schema_1(tmp_path: Path) -> None:
    write_results(tmp_path, [CELL])
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema"] == 1
    assert content["cells"] == [CELL.to_json()]


def test_results_of_another_schema_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"schema": 99, "cells": []}')
    with pytest.raises(SambenchError, match="schema"):
        write_results(tmp_path, [CELL])
    assert json.loads(file.read_text())["schema"] == 99


def test_parquet_rows_are_the_records(tmp_path: Path) -> None:
    store = CellStore(tmp_path, 1)
    store.write(0, encode_shard(RECORDS, {}, SCHEMA))
    table = pq.ParquetFile(store.path(0)).read()
    assert table.column_names == SCHEMA.names
    assert table.num_rows == len(RECORDS)

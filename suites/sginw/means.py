"""Average precision on each of several data sets of Segmentation in the Wild, and its means over them."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.files import refuse_changed, write_atomic
from sambench.suites.base import Setting
from sambench.suites.data.fingerprints import combined_sha256
from sambench.suites.records import Records, Shard
from sambench.suites.scoring.ground_truth import GroundTruth, read_whole
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.scores import Scores
from sambench.suites.scoring.sets import Sets
from sambench.suites.sginw.data import STRIDE, annotation_file, global_id, split_id
from sambench.suites.sginw.registry import registry

RESULT = ("image_id", "category_id", "segmentation", "score")
"""Columns of a submission."""


def truths_of(setting: Setting, names: Iterable[str]) -> dict[str, GroundTruth]:
    """Return the annotations of some data sets, as the run has read them, or read now.

    Raises:
        SambenchError: one cannot be scored against, or is another than was planned with.
    """
    ids: dict[str, list[int]] = {name: [] for name in names}
    for name, own in map(split_id, setting.image_ids):
        ids[name].append(own)
    contents = {
        name: setting.contents.get(name) or read_whole(annotation_file(setting.annotations, name))
        for name in ids
    }
    read = combined_sha256({name: content.sha256 for name, content in contents.items()})
    refuse_changed(setting.annotations, read, setting.annotations_sha256)
    return {
        name: GroundTruth(contents[name], style=setting.style, image_ids=own, ids="from_one")
        for name, own in ids.items()
    }


def means_over_sets(
    records: Records,
    truths: Mapping[str, GroundTruth],
    score: Callable[[Records, GroundTruth], Scores],
) -> Scores:
    """Score each data set by itself; the plain mean is of all that the registry has, or of none.

    Args:
        records: of all.
        truths: by data set.
        score: gives ``ap``, and what it is made of, of one's records under the images' own ids.
    """
    own = _by_set(records, truths)
    each: dict[str, float | None] = dict.fromkeys(registry())
    counts, evaluators, notes, parts = {}, set(), [], {}
    for name, truth in truths.items():
        scores = score(own[name], truth)
        each[name] = scores.metrics["ap"]
        counts[f"images_{name}"] = len(truth.sizes)
        evaluators.add(scores.evaluator)
        notes += [scores.note] if scores.note else []
        if each[name] is not None and isinstance(scores.evidence, Matches):
            parts[name] = scores.evidence.only("ap").numbered_from(global_id(name, 0))
    there = [ap for ap in each.values() if ap is not None]
    whole = len(there) == len(each)
    overall = {
        "ap": fmean(there) if whole else None,
        "ap_median": median(there) if whole else None,
        "ap_of_those_there": fmean(there) if there else None,
    }
    evidence = Sets(parts, len(each)) if parts else None
    return Scores(
        overall | {f"ap_{name}": ap for name, ap in each.items()},
        evidence.intervals() if evidence else {},
        {"data_sets": len(there)} | counts,
        ", ".join(sorted(filter(None, evaluators))),
        " ".join(notes) or None,
        evidence,
    )


def write_submission(records: Records, names: Iterable[str], folder: Path) -> None:
    """Write ``_submission.zip``, one result file a data set in the naming of the official scorer.

    Its own name begins so for those who open the folder as one table, and skip such files.
    """
    names = list(names)
    buffer, own = io.BytesIO(), _by_set(records, names)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            rows = own[name].table(RESULT)
            rows = rows.filter(pc.is_valid(rows["segmentation"]))  # another row is an image's, not a result's
            results = [row | {"segmentation": json.loads(row["segmentation"])} for row in rows.to_pylist()]
            entry = zipfile.ZipInfo(f"seginw_{name}_val.json")  # without a date: same records, same bytes
            archive.writestr(entry, json.dumps(results), zipfile.ZIP_DEFLATED)
    write_atomic(folder / "_submission.zip", buffer.getvalue())


def _by_set(records: Records, names: Iterable[str]) -> dict[str, Records]:
    """Return the records of each of some data sets, under images' own ids: of the shards that have some."""
    shards: dict[str, list[Shard]] = {name: [] for name in names}
    for shard, table in zip(records.shards, records.each(["image_id"]), strict=True):
        for name in dict.fromkeys(split_id(i)[0] for i in table["image_id"].unique().to_pylist()):
            shards[name].append(shard)
    return {
        name: Records([functools.partial(_own, shard, name) for shard in its], records.columns)
        for name, its in ((name, its or records.shards[:1]) for name, its in shards.items())
    }


def _own(shard: Shard, name: str, columns: Sequence[str]) -> pa.Table:
    """Read the records of one data set, under the images' own ids; their columns begin with those."""
    first, table = global_id(name, 0), shard(columns)
    ids = table["image_id"]
    mine = table.filter(pc.and_(pc.greater_equal(ids, first), pc.less(ids, first + STRIDE)))
    place = mine.column_names.index("image_id")
    return mine.set_column(place, "image_id", pc.subtract(mine["image_id"], first))

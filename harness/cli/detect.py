"""``sambench detect``: boxes for the suites that are prompted by a detector's.

A result is COCO result JSON, and has its provenance beside it. The same command again finds both and computes
nothing; a file that another command made is never overwritten.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console, options

if TYPE_CHECKING:
    from sambench.adapters.detectors.base import Detector, ImageBoxes
    from sambench.suites.data.coco import CocoDataset, Entry


SCHEMA = 1

MADE_BY = ("schema", "detector", "weights", "settings", "versions", "code", "device", "data")
"""What of a provenance decides the boxes; the rest tells where and how they came."""


def detect(
    detector: Annotated[str, typer.Argument(help="Which; see 'sambench detectors'.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    annotations: Annotated[
        Path, typer.Option(help="JSON in COCO's format: which images, and which categories.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="File to write, COCO result JSON.")],
    weights: Annotated[
        str | None, typer.Option(metavar="PATH|random", help="Of the detector, or random ones.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the detector; repeatable. 'sambench detectors' has them."
        ),
    ] = None,
    device: options.OneDevice = "cpu",
    limit: Annotated[int | None, typer.Option(min=1, help="Take a seeded sample of so many images.")] = None,
    seed: Annotated[int, typer.Option(help="Of that sample.")] = 0,
) -> None:
    """Detect the annotations' categories in their images, and write the boxes with their provenance.

    The provenance is in FILE.provenance.json. The same command again finds both, and computes nothing.

    **Example**: sambench detect yolov8x --images val2017 --annotations instances_val2017.json
    --out boxes/yolov8x.json
    """
    from sambench.adapters.detectors.base import Category
    from sambench.adapters.detectors.registry import create, parse_options
    from sambench.suites.data.coco import CocoDataset
    from sambench.suites.data.sample import draw

    beside = _provenance_file(out)
    options = parse_options(detector, option or [])
    dataset = CocoDataset(images, annotations)
    entries = draw(dataset.entries, limit, seed)
    if not entries:
        raise SambenchError(f"{annotations}: lists no image.")
    dataset.check_files(entries)
    categories = [Category(id_, name) for id_, name in dataset.categories.items()]
    with console.err.status(f"Loading {detector}"):
        its = create(detector, categories=categories, weights=weights, device=device, **options)
    provenance = _provenance(its, dataset, entries, device)
    if _is_there(out, beside, provenance):
        console.out.print(f"{out}: is there already, {_count(out)} boxes", soft_wrap=True)
        return
    try:
        rows = _rows(its, entries)
    except KeyboardInterrupt:
        console.err.print("Stopped; nothing was written.")
        raise typer.Exit(130) from None
    _write(out, beside, rows, provenance)
    console.out.print(f"{out}: {len(rows)} boxes in {len(entries)} images", soft_wrap=True)


def _provenance_file(out: Path) -> Path:
    if out.suffix != ".json":
        raise SambenchError(f"--out {out}: say FILE.json; results are written as COCO result JSON.")
    return out.with_suffix(".provenance.json")


def _rows(detector: Detector, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Detect in all images; rows by image, falling score, category, box, so that ties do not shuffle."""
    from sambench.adapters.images import read_image
    from sambench.harness.cli.progress import RunProgress

    rows: list[dict[str, Any]] = []
    with RunProgress(console.err) as progress:
        progress.group_started(detector.name, len(entries), 0)
        for entry in entries:
            record = entry.record
            stated = (record.height, record.width) if record.height and record.width else None
            (found,) = detector.detect([read_image(entry.file, stated)])
            rows += _rows_of(record.id, found)
            progress.images_done(1)
    rows.sort(key=lambda row: (row["image_id"], -row["score"], row["category_id"], row["bbox"]))
    return rows


def _rows_of(image_id: int, found: ImageBoxes) -> list[dict[str, Any]]:
    """COCO's result rows of one image: boxes as x, y, width, height; nothing is rounded."""
    return [
        {"image_id": image_id, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), score, category in zip(
            found.boxes.tolist(), found.scores.tolist(), found.category_ids.tolist(), strict=True
        )
    ]


def _provenance(
    detector: Detector, dataset: CocoDataset, entries: Sequence[Entry], device: str
) -> dict[str, Any]:
    """Say what makes the boxes."""
    from sambench.adapters.detectors import registry
    from sambench.harness.provenance import device_name, versions
    from sambench.harness.sources import code_digest
    from sambench.suites.data.fingerprints import images_sha256

    weights = detector.weights
    module = registry.entry(detector.name).target.partition(":")[0]
    return {
        "schema": SCHEMA,
        "detector": detector.name,
        "weights": {"source": weights.source, "sha256": weights.sha256, "seed": weights.seed},
        "weights_path": weights.path,
        "settings": detector.settings,
        "versions": versions(*detector.libraries),
        "code": code_digest(module, "sambench.adapters.images"),
        "device": device_name(device),
        "data": {
            "annotations": dataset.annotations.name,
            "annotations_sha256": dataset.annotations_sha256,
            "images_sha256": images_sha256(entries),
            "images": len(entries),
            "of": len(dataset),
            "image_ids": [e.record.id for e in entries] if len(entries) < len(dataset) else "all",
        },
        "command": shlex.join(["sambench", *sys.argv[1:]]),
    }


def _is_there(out: Path, beside: Path, wanted: Mapping[str, Any]) -> bool:
    """Tell whether the result that this command would make is there, whole.

    Raises:
        SambenchError: something else is.
    """
    from sambench.adapters.weights.resolve import sha256_of

    if not out.exists():
        return False
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
        different = [key for key in MADE_BY if found.get(key) != json.loads(json.dumps(wanted[key]))]
    except (OSError, ValueError, AttributeError):
        raise SambenchError(
            f"{out}: is there, and no {beside.name} says what made it. Give another --out, or remove it."
        ) from None
    if different:
        raise SambenchError(
            f"{out}: is there, made with other {', '.join(different)} ({beside.name} says which). Give "
            "another --out, or remove it."
        )
    if sha256_of(out) != found.get("result_sha256"):
        raise SambenchError(f"{out}: was changed after it was made. Give another --out, or remove it.")
    return True


def _count(out: Path) -> int:
    return len(msgspec.json.decode(out.read_bytes()))


def _write(out: Path, beside: Path, rows: list[dict[str, Any]], provenance: Mapping[str, Any]) -> None:
    """Write both files, the result last: a result is never without its provenance."""
    from sambench.adapters.files import write_atomic

    content = msgspec.json.encode(rows)
    whole = {
        **provenance,
        "boxes": len(rows),
        "result_sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomic(beside, (json.dumps(whole, indent=1) + "\n").encode())
    write_atomic(out, content)

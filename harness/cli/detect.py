"""``sambench detect``: boxes for the suites that are prompted by a detector's.

A result is COCO result JSON, and has its provenance beside it. The same command again finds both and computes
nothing, or goes on where it was interrupted; a file that another command made is never overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import status
from sambench.harness.cli.ending import interruptible

if TYPE_CHECKING:
    from sambench.adapters.detectors.base import Detector
    from sambench.harness.detect.result import Result
    from sambench.suites.data.coco import Entry
    from sambench.suites.data.ids import TextIds


def detect(
    detector: Annotated[
        str,
        typer.Argument(
            autocompletion=complete.one(complete.detectors), help="Which; see 'sambench detectors'."
        ),
    ],
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
    match: options.Match = None,
    device: options.OneDevice = "cpu",
    limit: Annotated[int | None, typer.Option(min=1, help="Take a seeded sample of so many images.")] = None,
    seed: Annotated[int, typer.Option(help="Of that sample.")] = 0,
) -> None:
    """Detect the annotations' categories in their images, and write the boxes with their provenance.

    The provenance is in FILE.provenance.json. Interrupt it anywhere: the same command goes on where it was,
    and computes nothing where all is there.

    **Example**: sambench detect yolov8x --images val2017 --annotations instances_val2017.json
    --out boxes/yolov8x.json
    """
    from sambench.adapters.detectors.base import Category
    from sambench.adapters.detectors.registry import create, parse_options
    from sambench.adapters.files import locked
    from sambench.harness.detect.result import Result, describe, provenance_file
    from sambench.suites.data.coco import CocoDataset
    from sambench.suites.data.fingerprints import with_digests
    from sambench.suites.data.named import read_match
    from sambench.suites.data.sample import draw

    provenance_file(out)  # refused before anything is read
    options = parse_options(detector, option or [])
    dataset = CocoDataset(
        images, annotations, match=read_match(match, "command line"), masks=False, lenient=True
    )
    entries = draw(dataset.entries, limit, seed)
    if not entries:
        raise SambenchError(f"{annotations}: lists no image.")
    entries = dataset.checked(entries)
    dataset.refuse()
    entries = with_digests(entries)
    categories = [Category(id_, name) for id_, name in dataset.categories.items()]
    with status(f"Loading {detector}"):
        its = create(detector, categories=categories, weights=weights, device=device, **options)
    console.warn_untried(device)
    result = Result(out, describe(its, dataset, entries, device))
    boxes = result.boxes()
    if boxes is None:
        with interruptible(), locked(out):
            boxes = result.boxes()  # which another command has made while this one waited
            if boxes is None:
                made = _make(its, entries, result, dataset.texts())
                console.out.print(f"{out}: {made} boxes in {len(entries)} images", soft_wrap=True)
                return
    console.out.print(f"{out}: is there already, {boxes} boxes", soft_wrap=True)


def _make(detector: Detector, entries: Sequence[Entry], result: Result, texts: TextIds) -> int:
    """Detect what no earlier command has, and put the result together; return its number of boxes."""
    from sambench.adapters.files import remove_leftovers
    from sambench.harness.cli.progress import RunProgress
    from sambench.harness.detect.shards import detect_missing

    remove_leftovers(result.out.parent)
    shards = result.shards()
    with RunProgress(console.err) as progress:
        progress.group_started(detector.name, len(entries), shards.images())
        detect_missing(detector, entries, shards, progress.images_done, texts)
    return result.assemble(shards)

"""A million images and ten million objects through plan, store, scoring and report: seconds and memory.

    python -m benchmarks.scale                        # gt_box at 10,000, 100,000 and 1,000,000 images
    python -m benchmarks.scale --suite click --images 10000 100000
    python -m benchmarks.scale --annotations          # what reading a file of annotations takes
    python -m benchmarks.scale --costs                # print the tables of docs/scale.md, and put them there

There are no pixels and no model (`benchmarks.scale_world`): images and records are drawn, by a segmenter that
takes no time. All else is what ``sambench run`` does: its plan, files of records written and checked one by
one, scores with their intervals, ``results.json``, the report; and the same command again, which finds all
done. Each size has a process of its own. Results go to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scale_costs import tables, with_tables
from benchmarks.scale_stages import Stages
from benchmarks.scale_world import OBJECTS, World
from benchmarks.scoring import peak
from benchmarks.suites import RESULTS
from sambench.harness import finish, run
from sambench.harness.events import Events
from sambench.harness.plan import make_plan
from sambench.harness.provenance import device_name, git_state, versions
from sambench.harness.results import ResultsFile
from sambench.harness.store import CellStore
from sambench.reports.report import write_report
from sambench.suites import det_box
from sambench.suites.data.annotations import read_annotations
from sambench.suites.scoring.evidence import Evidence
from sambench.suites.scoring.objects import Objects

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
IMAGES = (10_000, 100_000, 1_000_000)
ANNOTATIONS = (250_000, 500_000, 1_000_000)
SUITES = ("gt_box", "det_box", "click")
CORNERS = 25  # of a polygon, the average of COCO's
WATCHED = (
    (CellStore, "write", "write shards"),
    (CellStore, "keep_session", "keep account"),
    (CellStore, "check", "check shards"),
    (Objects, "together", "read records"),
    (Evidence, "numbers", "means"),
    (Evidence, "intervals", "bootstrap"),
    (det_box, "evaluate_and_match", "average precision"),
    (finish, "encode", "pack evidence"),
)
"""What is charged to which stage; a stage within another is its own."""


def measure(suite: str, images: int, folder: Path) -> dict[str, Any]:
    """Run one size in this process."""
    libraries = peak()
    with Stages() as stages:
        world = World(images, folder, stages)
        for owner, name, stage in WATCHED:
            stages.watch(owner, name, stage)
        config = world.config(suite)
        with stages("draw"):
            if config.datasets[0].detections:
                world.write_boxes()
        with stages("plan"):
            plan = make_plan(config, world.open)
        results = ResultsFile(config.out)
        (cell,) = run.run(plan, Events([results], _refuse), "benchmarks.scale", world.execute)
        if cell.status != "done":
            raise SystemExit(f"{images} images: {cell.reason}")
        with stages("report"):
            write_report([config.out], config.out)
        with stages("again"):
            again = make_plan(config, world.open)
            (same,) = run.run(again, Events([], _refuse), "benchmarks.scale", _nobody)
        if same.metrics != cell.metrics:
            raise SystemExit(f"{images} images: {cell.metrics}, and again {same.metrics}")
    return {
        "images": images,
        "objects": images * OBJECTS,
        "seconds": {stage: round(s, 2) for stage, s in stages.seconds.items()},
        "cpu_s": {stage: round(s, 2) for stage, s in stages.cpu.items()},
        "mb": {stage: round(mb) for stage, mb in stages.peaks.items()},
        "mb_libraries": round(libraries),
        "mb_peak": round(peak()),
        "files": plan.groups[0].cells[0].store.shards,
        "file_system": _file_system(folder),
        "mb_written": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20),
    }


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, such as ext4."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(place), kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(above)[1]


def _refuse(text: str) -> None:
    raise SystemExit(text)


def _nobody(given: Any, tasks: Any) -> Any:
    raise SystemExit(f"{given.model.name}: a second command has {len(list(tasks))} shards to do.")


def measure_annotations(objects: int, folder: Path) -> dict[str, Any]:
    """Write a file of COCO's format and read it."""
    file, corners = folder / "annotations.json", [round(17.25 * k % 480, 2) for k in range(2 * CORNERS)]
    _write_annotations(file, objects, json.dumps([corners]))
    before, start = peak(), time.perf_counter()
    held = read_annotations(file)
    seconds = time.perf_counter() - start
    assert len(held.annotations) == objects
    facts = {"seconds": seconds, "mb_file": file.stat().st_size / 2**20, "mb_before": before}
    return {"objects": objects} | {k: round(v, 1) for k, v in (facts | {"mb_peak": peak()}).items()}


def _write_annotations(file: Path, objects: int, polygon: str) -> None:
    with file.open("w") as out:
        out.write('{"categories": [{"id": 1, "name": "thing"}], "images": [')
        for i in range(objects // OBJECTS):
            image = {"id": i, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640}
            out.write(("," if i else "") + json.dumps(image))
        out.write('], "annotations": [')
        for i in range(objects):
            known = f'"id": {i}, "image_id": {i // OBJECTS}, "category_id": 1, "iscrowd": 0'
            mask = f'"bbox": [1.5, 2.5, 30.0, 40.0], "area": 700.5, "segmentation": {polygon}'
            out.write(("," if i else "") + f"{{{known}, {mask}}}")
        out.write("]}")


def file_of(device: str) -> Path:
    """Name the file of a machine's results after its processor."""
    words = re.findall(r"[a-z0-9]+", device.partition(",")[0].lower().replace("(r)", ""))
    return RESULTS / f"scale-{'-'.join(words)}.json"


def alone(*words: str, folder: Path) -> dict[str, Any]:
    """Measure something in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--alone", str(folder), *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--suite", choices=SUITES, default="gt_box")
    parser.add_argument("--annotations", action="store_true", help="read files of annotations instead")
    parser.add_argument(
        "--costs", action="store_true", help="print the tables of docs/scale.md, and put them there"
    )
    parser.add_argument("--folder", type=Path, help="where the files go meanwhile")
    parser.add_argument("--alone", type=Path, help="do one size in this process, in this folder")
    given = parser.parse_args()
    file = file_of(device_name("cpu"))
    if given.costs:
        measured = json.loads(file.read_text())
        print("\n\n".join(tables(measured)))
        PAGE.write_text(with_tables(PAGE.read_text(), measured))
        return
    if given.alone:
        (n,) = given.images
        found = measure_annotations if given.annotations else lambda *a: measure(given.suite, *a)
        print(json.dumps(found(n, given.alone)))
        return
    what = "annotations" if given.annotations else given.suite
    for n in ANNOTATIONS if given.annotations and given.images == IMAGES else given.images:
        flag = ["--annotations"] if given.annotations else ["--suite", given.suite]
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            found = alone(*flag, "--images", str(n), folder=Path(folder))
        print(json.dumps(found, indent=1), flush=True)
        _keep(file, what, found)


def _keep(file: Path, what: str, found: dict[str, Any]) -> None:
    """Put a result beside those of other suites and sizes."""
    known = json.loads(file.read_text()) if file.exists() else {}
    count = "objects" if what == "annotations" else "images"
    others = [one for one in known.get(what, []) if one[count] != found[count]]
    facts = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
    facts |= {"versions": versions("pyarrow", "hotcoco"), "git": git_state()}
    known = known | facts | {what: sorted([*others, found], key=lambda one: one[count])}
    file.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()

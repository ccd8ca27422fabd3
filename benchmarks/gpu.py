"""One run on a machine with a GPU: tests, parity, ceilings, speeds of all models, suites. See ``gpu.sh``.

    python -m benchmarks.gpu OUT [--dry-run] [--minutes 25] [--steps tests,models] [--models a,b]

It ends by itself within the minutes given, of which tests take at most 3, ceilings 1, suites 3, and each model
at most 4 (a variant of EfficientViT-SAM or SAM-ViT-H) or 1.5; a step without time left is an entry that says
so. Every step is a process of its own, ended when its time is up. ``OUT/gpu.json`` and ``OUT/gpu.md`` are
written anew after each, and a later run into the same folder adds to what is there: where a command may only
last some minutes, run steps and models one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_page import page
from benchmarks.gpu_record import load, merge, note, read_lines, save, say
from evsam.errors import SambenchError

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("tests", "ceilings", "models", "suites")
LIMIT_S = {"tests": 180, "ceilings": 60, "suites": 180}
MODELS = {
    "efficientvit_sam_l0": 240,
    "sam_vit_h": 240,
    "efficientvit_sam_l2": 240,
    "efficientvit_sam_xl1": 240,
    "efficientvit_sam_l1": 200,
    "efficientvit_sam_xl0": 200,
    "sam_vit_b": 90,
    "mobile_sam": 90,
    "edge_sam": 90,
    "efficient_sam_ti": 90,
    "efficient_sam_s": 90,
    "sam_vit_l": 90,
    "edge_sam_3x": 60,
}
"""Seconds by model, the most telling first; all together are more than a run has, few need all of theirs."""
SUITES_RESERVE_S = 120
"""What models leave to the suites."""
GRACE_S = 20
"""What a process has beyond its time to come to an end."""
IMAGES = {"cuda": 80, "cpu": 10}


@dataclass
class Run:
    """Where a run stands."""

    out: Path
    device: str
    until: float
    """In seconds of `time.time`."""
    lines: Path
    scratch: Path
    facts: dict[str, Any]
    places: tuple[Path, Path] | None = None
    """Images and annotations."""

    def left(self) -> float:
        """Seconds to the end."""
        return self.until - time.time()

    def write(self) -> None:
        """Write what there is."""
        entries = merge(load(self.out / "gpu.json"), read_lines(self.lines))
        save(self.out / "gpu.json", self.facts, entries)
        (self.out / "gpu.md").write_text(page(self.facts, entries))


def call(run: Run, limit: float, module: str, *arguments: str) -> tuple[str, int | None]:
    """Run a module as a process; return its last output and its exit status, or ``None`` if it was ended."""
    limit = min(limit, run.left())
    log = run.scratch / "output.txt"
    command = [sys.executable, "-m", module, *arguments]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        relay = subprocess.Popen(["tee", "-a", str(log)], stdin=process.stdout)
        try:
            status = process.wait(max(limit, 1))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the compiler's own processes
                process.wait()
            relay.wait()
        out.flush()
    return log.read_text()[-3000:], status


def attempt(run: Run, name: str, limit: float, work: Callable[[float], tuple[str, int | None]]) -> None:
    """Do a step, note how it ended if not well, and write the page."""
    fields = {"step": name.partition(" ")[0], "model": name.partition(" ")[2] or None, "mode": "process"}
    if run.left() < GRACE_S:
        note(run.lines, **fields, status="left out", reason="no time left")
    else:
        say(f"{name}: at most {min(limit, run.left()):.0f} s; {run.left() / 60:.1f} minutes left in all")
        tail, status = work(limit)
        if status != 0:
            reason = "ended after its time" if status is None else f"exit status {status}"
            note(run.lines, **fields, status="failed", reason=reason, tail=tail)
    run.write()


def tests(run: Run, limit: float) -> tuple[str, int | None]:
    """Run the tests that need a GPU, from the files that have one."""
    files = sorted(
        str(f.relative_to(ROOT)) for f in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in f.read_text()
    )
    arguments = ("-q", "-m", "gpu", "--continue-on-collection-errors", "-p", "no:cacheprovider", *files)
    tail, status = call(run, limit, "pytest", *arguments)
    counts = dict((kind, int(n)) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|errors?)", tail))
    note(run.lines, step="tests", status="done" if status == 0 else "failed", **counts)
    return tail, status


def models(run: Run, chosen: list[str]) -> None:
    """Measure one model after the other."""
    for name in chosen:
        limit = MODELS[name] if run.device == "cuda" else 600

        def work(limit: float, name: str = name) -> tuple[str, int | None]:
            until = time.time() + min(limit, run.left() - SUITES_RESERVE_S) - GRACE_S
            data = (*_data(run), "--until", str(until), "--device", run.device)
            return call(run, limit, "benchmarks.gpu_model", name, *data)

        attempt(run, f"model {name}", limit, work)


def _data(run: Run) -> tuple[str, ...]:
    """Arguments that say where inputs are and where findings go; images are drawn at the first call."""
    if run.places is None:
        data = os.environ.get("SAMBENCH_DATA")
        if data is None:
            from suites.shapes import make_shapes

            made = make_shapes(run.scratch / "shapes", IMAGES[run.device], 0).out
            run.places = (made / "images", made / "annotations/instances.json")
        else:
            mini = Path(data) / "coco-mini"
            run.places = (mini / "val2017", mini / "annotations/instances_val2017.json")
    images, annotations = run.places
    return ("--images", str(images), "--annotations", str(annotations), "--lines", str(run.lines))


def missing() -> dict[str, str]:
    """What the run needs and this machine lacks, with what is lost."""
    from importlib.util import find_spec

    needs = {
        "msgspec": "models and suites",
        "pycocotools": "models and suites",
        "pyarrow": "models and suites",
        "cv2": "models and suites",
        "pytest": "tests",
        "hypothesis": "tests",
        "pynvml": "clocks, power and other processes",
    }
    return {name: lost for name, lost in needs.items() if find_spec(name) is None}


def describe(device: str, dry: bool) -> dict[str, Any]:
    """What the page says of the run as a whole."""
    import torch

    from harness.provenance import git_state, versions

    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, a dry run: its speeds mean nothing"
    data = os.environ.get("SAMBENCH_DATA")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "device": name,
        "dry_run": dry,
        "cuda": torch.version.cuda,
        "versions": versions("triton"),
        "git": git_state(),
        "inputs": "COCO images" if data else "drawn images (suites.shapes); no photographs were there",
        "missing": missing(),
    }


def go(given: argparse.Namespace, run: Run) -> None:
    """Do the steps."""
    run.write()
    lost = {what for parts in run.facts["missing"].values() for what in re.split(", | and ", parts)}
    for step in given.steps:
        if step in lost:
            note(run.lines, step=step, status="left out", reason="packages are missing: gpu.sh --wheels")
        elif step == "tests":
            attempt(run, "tests", LIMIT_S[step], lambda limit: tests(run, limit))
        elif step == "models":
            models(run, given.models)
        else:
            more = ("--device", run.device) + (
                _data(run) if step == "suites" else ("--lines", str(run.lines))
            )
            attempt(
                run, step, LIMIT_S[step] if run.device == "cuda" else 300,
                lambda limit, step=step, more=more: call(run, limit, "benchmarks.gpu_steps", step, *more),
            )  # fmt: skip
    run.write()
    say(f"{run.out / 'gpu.json'} and {run.out / 'gpu.md'}")


def arguments() -> argparse.Namespace:
    """Read the command line.

    Raises:
        SambenchError: a step or a model is not known.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="one small model on the CPU")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--models", help="comma-separated")
    given = parser.parse_args()
    given.steps = given.steps.split(",")
    default = "efficientvit_sam_l0" if given.dry_run else ",".join(MODELS)
    given.models = (given.models or default).split(",")
    for kind, values, known in (("step", given.steps, STEPS), ("model", given.models, MODELS)):
        for value in values:
            if value not in known:
                raise SambenchError(f"no {kind} {value!r}; there is {', '.join(known)}.")
    return given


def main() -> None:
    began = time.time()
    try:
        given = arguments()
        import torch

        if not given.dry_run and not torch.cuda.is_available():
            raise SambenchError("this machine has no CUDA device; say --dry-run to try the code on the CPU.")
    except SambenchError as error:
        sys.exit(f"gpu.sh: {error}")
    device = "cpu" if given.dry_run else "cuda"
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(
            scratch / "inductor"
        )  # compiled decoders serve all models
        until = began + 60 * given.minutes - GRACE_S
        facts = describe(device, given.dry_run)
        go(given, Run(given.out, device, until, scratch / "lines.jsonl", scratch, facts))


if __name__ == "__main__":
    main()

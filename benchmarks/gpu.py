"""One run on a machine with a GPU: tests, parity, ceilings, speeds of all models, suites. See ``gpu.sh``.

    python -m benchmarks.gpu OUT [--dry-run] [--minutes 25] [--steps tests,models] [--models a,b]

It ends by itself within the minutes given. Of 25, tests have at most 2.5, ceilings 1, the six models of the
paper's headline 14 together, the other seven 7; suites have 3 and training 4, of which models leave them 5.
A step without time left is an entry that says so. Every step is a process of its own, ended when its time
is up.
``OUT/gpu.json`` and ``OUT/gpu.md`` are written anew after each, and a later run into the same folder adds to
what is there: where a command may only last some minutes, run steps and models one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu_page import page
from benchmarks.gpu_record import load, merge, note, read_lines, save, say
from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("tests", "ceilings", "models", "suites", "train")
LIMIT_S = {"tests": 150, "ceilings": 60, "suites": 180, "train": 240}
MODELS = {
    "efficientvit_sam_l0": 180,
    "sam_vit_h": 180,
    "efficientvit_sam_l2": 140,
    "efficientvit_sam_xl1": 130,
    "efficientvit_sam_l1": 105,
    "efficientvit_sam_xl0": 105,
    "sam_vit_b": 60,
    "mobile_sam": 60,
    "edge_sam": 60,
    "efficient_sam_ti": 60,
    "efficient_sam_s": 60,
    "sam_vit_l": 60,
    "edge_sam_3x": 60,
}
"""Seconds by model, the most telling first."""
DRY_LIMIT_S = 600
"""Of a model on the CPU."""
RESERVE_S = {"suites": 120, "train": 180}
"""What models leave to the steps after them, where those are asked for."""
GRACE_S = 20
"""What a process has beyond its time to come to an end."""
IMAGES = {"cuda": 80, "cpu": 10}
"""How many are drawn."""

NEEDS = {
    "msgspec": ("tests", "models", "suites", "train"),
    "pycocotools": ("tests", "models", "suites", "train"),
    "hotcoco": ("average precision",),
    "pytest": ("tests",),
    "hypothesis": ("tests",),
    "pynvml": ("clocks, power and other processes",),
}
"""Packages that a machine may lack, and what is lost without them."""


@dataclass
class Run:
    """Where a run stands."""

    out: Path
    device: str
    until: float
    """In seconds of `time.time`."""
    reserve_s: float
    """What models leave of the time."""
    scratch: Path
    facts: dict[str, Any]
    places: tuple[Path, Path] | None = None
    """Images and annotations."""

    @property
    def lines(self) -> Path:
        """Where processes note what they find."""
        return self.scratch / "lines.jsonl"

    def left(self) -> float:
        """Seconds to the end."""
        return self.until - time.time()

    def write(self) -> None:
        """Write what there is."""
        entries = merge(load(self.out / "gpu.json"), read_lines(self.lines))
        save(self.out / "gpu.json", self.facts, entries)
        write_atomic(self.out / "gpu.md", page(self.facts, entries).encode())


def call(run: Run, limit: float, module: str, *arguments: str) -> tuple[str, int | None]:
    """Run a module as a process; return its last output and its exit status, or ``None`` if it was ended."""
    log = run.scratch / "output.txt"
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    relay = subprocess.Popen(["tee", str(log)], stdin=process.stdout)
    status = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(max(1, min(limit, run.left())))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it started, and itself where its time is up
    process.wait()
    try:
        relay.wait(5)
    except subprocess.TimeoutExpired:  # a process that left the group holds the other end
        relay.kill()
    return log.read_text(errors="replace")[-3000:], status


def tests(run: Run) -> None:
    """Run the tests that need a GPU, from the files that have some."""
    files = sorted(f for f in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in f.read_text())
    options = ("-q", "-m", "gpu", "--continue-on-collection-errors", "-p", "no:cacheprovider")
    say(f"tests: at most {LIMIT_S['tests']} s")
    tail, status = call(run, LIMIT_S["tests"], "pytest", *options, *map(str, files))
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", tail)}
    reason = {0: None, None: "ended after its time"}.get(status, f"pytest's exit status {status}")
    note(run.lines, step="tests", status="failed" if reason else "done", reason=reason, **counts, tail=tail)


def measure(
    run: Run, step: str, limit: float, module: str, *arguments: str, model: str | None = None
) -> None:
    """Let a process measure and note; note how it ended if not well."""
    known = {"step": step, "model": model, "mode": "process"}
    limit = min(limit, run.left())
    if limit < 2 * GRACE_S:
        note(run.lines, **known, status="left out", reason="no time left")
        return
    say(f"{step} {model or ''}: at most {limit:.0f} s; {run.left() / 60:.1f} minutes left in all")
    more = ("--device", run.device, "--lines", str(run.lines))
    tail, status = call(run, limit, module, *arguments, *more)
    if status != 0:
        reason = "ended after its time" if status is None else f"exit status {status}"
        note(run.lines, **known, status="failed", reason=reason, tail=tail)


def models(run: Run, chosen: list[str]) -> None:
    """Measure one model after the other."""
    inputs = data(run)
    for name in chosen:
        limit = MODELS[name] if run.device == "cuda" else DRY_LIMIT_S
        limit = min(limit, run.left() - run.reserve_s)
        until = ("--until", str(time.time() + limit - GRACE_S))
        measure(run, "models", limit, "benchmarks.gpu_model", name, *inputs, *until, model=name)
        run.write()


def data(run: Run) -> tuple[str, ...]:
    """Say where inputs are; images are drawn at the first call."""
    if run.places is None and (given := os.environ.get("SAMBENCH_DATA")):
        mini = Path(given) / "coco-mini"
        run.places = (mini / "val2017", mini / "annotations/instances_val2017.json")
    elif run.places is None:
        from sambench.suites.data.shapes import make_shapes

        made = make_shapes(run.scratch / "shapes", IMAGES[run.device], 0).out
        run.places = (made / "images", made / "annotations/instances.json")
    images, annotations = run.places
    return ("--images", str(images), "--annotations", str(annotations))


def go(run: Run, steps: list[str], chosen: list[str]) -> None:
    """Do the steps."""
    for step in steps:
        lacking = [name for name in run.facts["missing"] if step in NEEDS[name]]
        if lacking:
            reason = f"no {', '.join(lacking)}: see gpu.sh --wheels"
            note(run.lines, step=step, status="left out", reason=reason)
        elif step == "tests":
            tests(run)
        elif step == "ceilings":
            measure(run, step, LIMIT_S[step], "benchmarks.gpu_ceilings")
        elif step == "models":
            models(run, chosen)
        elif step == "train":
            limit = min(LIMIT_S[step], run.left())
            measure(run, step, limit, "benchmarks.train", "--minutes", str((limit - 2 * GRACE_S) / 60))
        else:
            measure(run, step, LIMIT_S[step], "benchmarks.gpu_suites", *data(run))
        run.write()
    say(f"{run.out / 'gpu.json'} and {run.out / 'gpu.md'}")


def describe(device: str) -> dict[str, Any]:
    """What the page says of the run as a whole."""
    import torch

    from sambench.harness.provenance import git_state, versions

    photographs = os.environ.get("SAMBENCH_DATA")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "none, a dry run on the CPU",
        "cuda": torch.version.cuda,
        "versions": versions("triton"),
        "git": git_state(),
        "inputs": "photographs of COCO" if photographs else "drawn images ('shapes'), no photographs",
        "missing": {name: ", ".join(lost) for name, lost in NEEDS.items() if find_spec(name) is None},
    }


def arguments() -> argparse.Namespace:
    """Read the command line.

    Raises:
        SambenchError: a step or a model is not known, or there is no GPU to measure.
    """
    import torch

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
    if not given.dry_run and not torch.cuda.is_available():
        raise SambenchError("this machine has no CUDA device; --dry-run tries the code on the CPU.")
    return given


def same_device(file: Path, device: str) -> None:
    """Refuse a folder with findings of another device: a page is of one.

    Raises:
        SambenchError: it has such.
    """
    if file.exists() and (before := json.loads(file.read_text())["facts"]["device"]) != device:
        raise SambenchError(f"{file}: has findings of {before!r}, this is {device!r}. Take another folder.")


def main() -> None:
    began = time.time()
    given = arguments()
    facts = describe("cpu" if given.dry_run else "cuda")
    same_device(given.out / "gpu.json", facts["device"])
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/inductor"  # one decoder serves many models
        os.environ["PYTHONUNBUFFERED"] = "1"
        run = Run(
            given.out,
            "cpu" if given.dry_run else "cuda",
            until=began + 60 * given.minutes - GRACE_S,
            reserve_s=sum(RESERVE_S.get(step, 0) for step in given.steps),
            scratch=Path(folder),
            facts=facts,
        )
        go(run, given.steps, given.models)


if __name__ == "__main__":
    try:
        main()
    except SambenchError as error:
        print(f"gpu.sh: {error}", file=sys.stderr)
        sys.exit(2)

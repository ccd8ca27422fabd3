"""Run all faults, print a table, and write what became of each."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import re
import signal
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.faults.disks import disks
from benchmarks.faults.kills import kills
from benchmarks.faults.others import others
from benchmarks.faults.trial import Bench, Trial
from benchmarks.faults.world import World
from sambench.harness.provenance import device_name, versions

RESULTS = Path(__file__).parents[1] / "results" / "faults-cpu.json"
FOLDERS = re.compile(r"(?<![\w.])/(?:[\w.-]+/)+")
"""Of a path: a machine's own, which concern nobody else."""
KILLS = int(os.environ.get("SAMBENCH_FAULTS", "50"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["kills", "others", "disks"], help="some of them")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--add", action="store_true", help="to what is in that file")
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # commands hear it, also in a shell's background
    print(f"seed {asked.seed}, {KILLS} kills", flush=True)
    before = json.loads(asked.out.read_text()) if asked.add else {"seeds": [], "trials": []}
    about = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu"), "versions": versions()}
    about["seeds"] = [*before["seeds"], asked.seed]
    trials = [Trial(**one) for one in before["trials"]]

    def tell(trial: Trial) -> None:
        trials.append(trial)
        show(trial)
        write(asked.out, about, trials)

    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        bench = Bench(World(Path(name) / "world").make())
        if asked.only in (None, "kills"):
            kills(bench, KILLS, random.Random(asked.seed), executors(), tell)
        if asked.only in (None, "others"):
            others(bench, tell)
        if asked.only in (None, "disks"):
            disks(bench, tell)
    wrong = [trial for trial in trials if trial.wrong]
    print(f"{len(trials)} faults, {len(wrong)} of them with something wrong")
    raise SystemExit(bool(wrong))


def executors() -> list[str]:
    """Return those that are there; ray, which takes longest to start, is drawn half as often as others."""
    ray = all(map(importlib.util.find_spec, ("ray", "sambench.harness.executors.on_ray")))
    return ["inline", "processes", "torchrun"] * 2 + ["ray"] * ray


def show(trial: Trial) -> None:
    """Print a row."""
    lost = f"{trial.lost} images again"
    print(
        f"{trial.fault:32} {trial.executor:13} {trial.when:10} exit {trial.code:4} in {trial.seconds:6.2f} s "
        f"{lost:16} {trial.wrong or 'ok'}  {trial.suites}  | {trial.said}",
        flush=True,
    )


def write(path: Path, about: dict[str, Any], trials: list[Trial]) -> None:
    """Write all that is known by now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(one) | {"said": FOLDERS.sub("…/", one.said)} for one in trials]
    path.write_text(json.dumps(about | {"trials": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a device can do at best: a large matrix product in each precision, and a large copy.

python -m benchmarks.gpu_ceilings --device cuda --lines FILE
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from benchmarks.gpu_record import note
from sambench.adapters.engines import ENGINES
from sambench.suites.throughput.ceilings import measure_ceilings


def ceilings(lines: Path, device: torch.device) -> None:
    """Measure and note; a precision that fails leaves the others their turn."""
    for precision in ENGINES["eager"].precisions[device.type]:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        known = {"step": "ceiling", "precision": precision}
        try:
            found = dataclasses.asdict(measure_ceilings(device, precision))
            note(lines, **known, status="done", **found)
        except RuntimeError as error:
            note(lines, **known, status="failed", reason=str(error)[:300])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lines", type=Path, required=True)
    given = parser.parse_args()
    ceilings(given.lines, torch.device(given.device))


if __name__ == "__main__":
    main()

"""Commands of the pages that do not run here as they stand, each with the reason; what is not here runs.

A pattern is looked for from the beginning of a command's text; the first that fits counts, and each must fit
one. Whatever becomes of a command, the flags that it gives to `sambench` are checked by the real parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

NOT_RUN = {
    r"make (?:demo|test|wheel|docs)\b": "installs everything anew; the target is looked for",
    r"(?:python -m )?pip install|pipx install|uv tool install": "installs; the extra is looked for",
    r"\. \.venv/bin/activate": "the tests run in the environment",
    r"export ": "the tests set what it sets",
    r"docker ": "needs a container engine",
    r"MODELS=|HOST=": "of a script for Slurm",
    r"srun ": "needs Slurm",
    r"torchrun ": "needs several processes or machines; test_ranks.py and test_same_bytes.py run two",
    r"sambench run .*--track|sambench push|mlflow |tensorboard ": "needs a server",
    r"sambench run .*--workers": "wants cards or a cluster; tests/harness/executors has them in small",
    r"sambench (?:run|report|runs list) .*s3://": "tests/harness/remote/ has a store",
    r"sambench --install-completion": "changes the files of a user's shell",
    r"sambench weights fetch": "downloads",
    r"sambench detect ": "needs a detector's checkpoint; tests/adapters/detectors goes without",
    r"sambench train ": "takes minutes to days; tests/harness/train has the commands in small",
    r"sambench report runs/paper runs/table1": "wants a GPU's speeds; see test_report_cli.py",
    r"sambench compare runs/before ": "tests/harness/cli/test_compare_cli.py compares two runs",
    r"sambench export ": "tests/harness/cli/test_export_cli.py runs it and the page's code",
    r"sambench profile$": "half a minute; tests/adapters/test_profile.py has the numbers",
    r"sambench run --adapter colour\.py:Colour|sambench run colours\.yaml": (
        "tests/harness/test_add_a_model.py runs the page's model and file"
    ),
    r"sambench run .*grounding_dino_t\+": "needs a detector; tests/harness/test_run_parts.py has a small one",
    r"sambench run (?:gold\.yaml|.*--dataset saco_gold)": (
        "SA-Co is not here; tests/harness/test_concept_run.py runs drawn pairs"
    ),
    r"sambench score ": "tests/harness/test_score.py has files of predictions",
    r"sambench run .*--suites middle": "tests/harness/test_add_a_suite.py runs the page's suite",
}

CHANGED: dict[str, tuple[list[str], str]] = {
    r"sambench run (?:configs/paper|table4)\.yaml|sambench run .*everything": (
        ["--device", "cpu", "--dry-run"],
        "nine models without checkpoints, or a thousand clicks: data, boxes and plan will do",
    ),
    r"sambench run .*--suites sginw": (["--dry-run"], "one of its 25 data sets is here, for its plan"),
    r"sambench run ": (["--limit", "1"], "one image will do"),
    r"sambench throughput ": (["--device", "cpu", "--explain"], "a speed is not what is tested"),
    r"sambench show ": (["--points-per-side", "4"], "sixteen clicks will do"),
}
"""Flags that are added, and why."""

CODES = {r"sambench weights verify": 2, r"sambench weights list": 0}
"""Exit codes: a checkpoint is there that is not the official one."""

STAND_INS = {
    "sam_vit_h": "ellipse",
    "sam_vit_b": "ellipse",
    "mobile_sam": "efficientvit_sam_pico",
    "efficientvit_sam_l0": "efficientvit_sam_nano",
    "efficientvit_sam_xl1": "efficientvit_sam_nano",
}
"""Models whose checkpoints do not come along, and those that stand in for them where a command runs."""

Value = TypeVar("Value")


def entry(table: Mapping[str, Value], text: str) -> Value | None:
    """Return what a table has for a command."""
    return next((value for pattern, value in table.items() if re.match(pattern, text)), None)

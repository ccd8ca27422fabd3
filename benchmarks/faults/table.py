"""The table of docs/reliability.md: fault, how often, what was lost, what the user saw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HEAD = ("fault", "executor", "times", "ended after", "images computed again, at most", "what the user saw")
RULE = ("-",) * len(HEAD)
KILLED = "the shell's word for a killed process; the same command goes on"
SAW: Sequence[tuple[str, str]] = (
    ("It is replaced", "that the worker is replaced and its shard done again; the run goes on"),
    ("failed (exitcode", "torchrun's word on the rank that failed; it begins anew by itself"),
    ("cannot be written", "which file cannot be written and why, and to run the same command again"),
    ("Stopped; what is finished is kept", "that what is finished is kept, and the command to go on with"),
    ("damaged", "which shard is damaged; it is computed again"),
)
"""What a last line has in it, and what that tells."""
OTHERWISE = {0: "nothing; the run goes on", 1: "the cell's reason with the name of the image; exit code 1"}


def markdown(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((trial["fault"], trial["executor"].split(",")[0]), []).append(trial)
    rows = [HEAD, RULE, *(_row(*key, groups[key]) for key in sorted(groups))]
    return ["|" + "|".join("-" if row == RULE else f" {cell} " for cell in row) + "|" for row in rows]


def _row(fault: str, executor: str, trials: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    seen = sorted({_saw(trial) for trial in trials})
    ended = max(trial["seconds"] + trial["left_s"] for trial in trials)
    goes_on = any(trial["code"] in (0, 1, 2) for trial in trials)  # to its end, or to the write that failed
    lost = max(trial["lost"] for trial in trials)
    after = "-" if goes_on else f"{ended:.1f} s"
    return fault, f"`{executor}`", str(len(trials)), after, str(lost or "none"), "; or ".join(seen)


def _saw(trial: Mapping[str, Any]) -> str:
    if trial["code"] < 0:
        return KILLED
    told = next((meaning for words, meaning in SAW if words in trial["said"]), None)
    return told or OTHERWISE[trial["code"]]


def read(path: Path) -> list[dict[str, Any]]:
    """Return the trials of a results file."""
    trials: list[dict[str, Any]] = json.loads(path.read_text())["trials"]
    return trials

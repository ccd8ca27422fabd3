"""Which trackers there are. Another one is a file with a `Tracker`, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sambench.adapters.extras import missing
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.tracking.tracker import Tracker


@dataclass(frozen=True)
class Kind:
    """A tracker before anything of its library is imported."""

    target: str
    """``module:class``"""
    package: str
    """The package that it needs, which the extra of the tracker's name installs."""


TRACKERS = {
    "mlflow": Kind("sambench.harness.tracking.mlflow:MlflowTracker", "mlflow"),
    "tensorboard": Kind("sambench.harness.tracking.tensorboard:TensorboardTracker", "tensorboard"),
}
DEFAULT = "mlflow"
"""What ``--track`` alone means."""


def check_trackers(names: Sequence[str], where: str) -> None:
    """See that trackers are known and can be had, before any work is done.

    Args:
        names: of them.
        where: what names them, for the error.

    Raises:
        SambenchError: one is not.
    """
    for name in names:
        if name not in TRACKERS:
            near = did_you_mean(name, TRACKERS)
            raise SambenchError(f"{where}: no tracker {name!r}; there are {', '.join(TRACKERS)}.{near}")
        if find_spec(TRACKERS[name].package) is None:
            raise missing(f"{where}: tracker {name}", TRACKERS[name].package, extra=name)


def make_tracker(name: str, out: Path) -> Tracker:
    """Make a tracker for a folder.

    Raises:
        SambenchError: it is not set up.
    """
    module, _, attribute = TRACKERS[name].target.partition(":")
    made: Tracker = getattr(importlib.import_module(module), attribute)(out)
    return made

"""Which suites there are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sambench.evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    from sambench.suites.base import Suite

SUITES: dict[str, tuple[str, str]] = {
    "gt_box": (
        "sambench.suites.gt_box:GtBox",
        "mIoU by ground-truth boxes (the paper's Table 3)",
    ),
    "click": (
        "sambench.suites.click.suite:Click",
        "mIoU after 1, 3 and 5 simulated clicks (the paper's Table 2)",
    ),
    "det_box": (
        "sambench.suites.det_box:DetBox",
        "mask AP by a detector's boxes (the paper's Tables 4 and 5)",
    ),
    "everything": (
        "sambench.suites.everything.suite:Everything",
        "recall of objects by automatic masks, and their number",
    ),
    "concept": (
        "sambench.suites.concept.suite:Concept",
        "all instances of a phrase: cgF1 on SA-Co, mask and box AP by categories' names (SAM 3's task)",
    ),
    "sginw": (
        "sambench.suites.sginw.suite:Sginw",
        "Segmentation in the Wild, mean AP of 25 data sets (section 4.4)",
    ),
}
"""Name to class and description."""


def suite_class(name: str) -> type[Suite]:
    """Return a suite's class by name.

    Raises:
        SambenchError: there is none of that name.
    """
    if name not in SUITES:
        raise SambenchError(f"no suite {name!r}; there are {', '.join(SUITES)}.{did_you_mean(name, SUITES)}")
    module, _, attribute = SUITES[name][0].partition(":")
    found: type[Suite] = getattr(importlib.import_module(module), attribute)
    return found

"""The words of the registry: a claim that uses another one is refused."""

from __future__ import annotations

import dataclasses
import re

from sambench.suites.protocol import Protocol
from sambench.suites.registry import SUITES as MEASURED

SUITES = (*MEASURED, "throughput")

GOLD = {
    "metaclip_nps": "MetaCLIP",
    "sa1b_nps": "SA-1B",
    "crowded": "Crowded",
    "fg_food": "Food",
    "fg_sports_equipment": "Sports",
    "attributes": "Attributes",
    "wiki_common": "Wiki",
}
"""The subsets of SA-Co/Gold, in the order of its own table; a title for the head of a column."""

SILVER = {
    "bdd100k": "BDD100K",
    "droid": "DROID",
    "ego4d": "Ego4D",
    "food_rec": "Food",
    "geode": "GeoDE",
    "inaturalist": "iNat",
    "nga_art": "Art",
    "sav": "SA-V",
    "yt1b": "YT-1B",
    "fathomnet": "Fathom",
}
"""The domains of SA-Co/Silver, likewise."""

DATASETS = {
    "coco": "COCO val2017",
    "lvis": "LVIS v1 val",
    "sginw": "Segmentation in the Wild, 25 data sets",
    "sa1b": "images of SA-1B",
    "sa1k": "1,000 images of SA-1B (EdgeSAM)",
    "sa23": "the 23 data sets of the SAM paper",
    "sa37": "those 23 and the 14 that the SAM 2 paper added",
    "sa23_image": "those of the 23 that are images",
    "four_hq": "DIS, ThinObject-5K, COIFT and HR-SOD",
    "saco_gold": "SA-Co/Gold, the mean over its seven subsets",
    **{f"saco_gold_{subset}": f"SA-Co/Gold: {title}" for subset, title in GOLD.items()},
    "saco_silver": "SA-Co/Silver, the mean over its ten domains",
    **{f"saco_silver_{domain}": f"SA-Co/Silver: {title}" for domain, title in SILVER.items()},
}
"""Name to what it is. A detector may follow after a slash."""

DETECTORS = ("vitdet", "yolov8", "gdino", "detic", "focalnet_dino")

AXES = frozenset(
    {axis.name for axis in dataclasses.fields(Protocol)}
    | {"first_click", "later_clicks", "box", "detector", "images", "masks", "points_per_side"}
    | {"scope", "input_size", "transfers", "counts", "statistic", "annotators"}
)
"""What a protocol may state: the axes of ours, and what others do differently."""

MACHINE = frozenset({"hardware", "engine", "precision", "batch"})

_SIZE = "(?:_small|_medium|_large)?"
_UNITS = {
    rf"miou{_SIZE}|miou_\d{_SIZE}|miou_plus_\d|boundary_iou": "%",
    rf"ap{_SIZE}|ap_50|ap_75|ap_boundary|ap_[A-Z][\w-]*": "%",
    rf"ar_1000{_SIZE}": "%",
    r"(?:cgf1|pmf1|macro_f1)(?:_50|_75)?|box_cgf1|box_ap": "%",
    "il_mcc": "mcc",
    r"noc_\d\d": "clicks",
    r"reached_\d\d": "%",
    "img_s": "images/s",
    "latency_ms": "ms",
    "params_m": "M",
    "macs_g": "G",
}


def unit(metric: str) -> str | None:
    """Return a metric's unit, or ``None`` for one that is unknown."""
    return next((unit for pattern, unit in _UNITS.items() if re.fullmatch(pattern, metric)), None)

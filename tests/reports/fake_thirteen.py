"""A report as large as they come: thirteen models on all suites, made up, with objects and differences."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator

import numpy as np
from fake_runs import COCO_SHA, cell, provenance
from PIL import Image

from sambench.reports import published
from sambench.reports.differences import Difference
from sambench.reports.gallery import Answer, Shown
from sambench.suites import naming
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult
from sambench.suites.scoring.scores import Metric

MODELS = (
    *("sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam", "edge_sam", "edge_sam_3x"),
    *("efficient_sam_ti", "efficient_sam_s", "efficientvit_sam_l0", "efficientvit_sam_l1"),
    *("efficientvit_sam_l2", "efficientvit_sam_xl0", "efficientvit_sam_xl1"),
)
PLACES = {
    **{(suite, "coco"): (5000, 36781) for suite in ("gt_box", "click", "everything")},
    ("det_box", "coco/vitdet"): (5000, 36781),
    ("sginw", "sginw/gdino"): (2000, 9000),
}
"""Suite and data set to images and objects."""

SCOPES = ("E", "E2E", "D16")


def cells(records: dict[str, str] | None = None, models: tuple[str, ...] = MODELS) -> list[CellResult]:
    """Return the cells of all suites and of three ways of measuring a speed.

    Args:
        records: of suites that have some, the folder.
        models: by registered name.
    """
    return [
        found
        for rank, model in enumerate(models)
        for found in (
            *(_accuracy(model, rank, *place, (records or {}).get(place[0])) for place in PLACES),
            *(_speed(model, rank, scope) for scope in SCOPES),
        )
    ]


def _accuracy(model: str, rank: int, suite: str, dataset: str, records: str | None) -> CellResult:
    images, objects = PLACES[suite, dataset]
    about = suite_class(suite).about()
    paper = published.lookup(suite, dataset, model)
    metrics: dict[str, float | None] = {
        metric.name: _number(metric, rank, place, paper.values.get(metric.name) if paper else None)
        for place, metric in enumerate(about.metrics)
    }
    annotations = {"path": "/data/annotations.json", "sha256": COCO_SHA, "count": objects}
    return cell(
        model,
        suite,
        dataset=dataset,
        protocol=for_suite(PRESETS["paper"], suite).to_json(),
        metrics=metrics,
        intervals={name: [value - 0.4, value + 0.5] for name, value in metrics.items() if value is not None},
        n_images=images,
        n_instances=objects,
        provenance={**provenance(model=model), "annotations": annotations},
        records=records,
        counts={"data_sets": 25} if suite == "sginw" else {"small": 15000, "medium": 12000, "large": 9781},
        about=about,
    )


def _number(metric: Metric, rank: int, place: int, printed: float | None) -> float | None:
    """Return a number with many digits; every third published one is hit."""
    if printed is not None and (rank + place) % 3 == 0:
        return printed + 0.0123456
    unit = 1.0 if metric.unit != "percent" else 10.0
    return unit * (6.0 + (rank * 7 + place * 3) % 29 / 10) + 0.0123456


def _speed(model: str, rank: int, scope: str) -> CellResult:
    img_s = 11.0 + 53.7 * rank
    metrics: dict[str, float | None] = {
        "img_s": img_s,
        "ratio_vit_h": img_s / 11,
        "ratio_vit_h_released": img_s / 9,
        "ratio_vit_h_best": img_s / 11,
        **{f"latency_ms_p{p}": 1000 * (1 + p / 1000) * 16 / img_s for p in (50, 90, 95, 99)},
        "params_m": 34.8 + rank,
        "encoder_macs_g": 34.8 + 10 * rank,
        "tflop_s": 1.5 + rank,
        "ceiling_tflop_s": 600.0,
        "ceiling_share": 31.0,
        "peak_memory_mb": 1234.0,
    }
    protocol = {
        "preset": "paper",
        "scope": scope,
        "mode": "pipelined",
        "batch": 16,
        "gate": "masks are right",
    }
    monitor = {"sm_mhz": [1980.0, 1980.0, 1980.0], "absent": ""}
    return CellResult(
        model=model,
        engine="tensorrt",
        precision="fp16",
        device="cuda",
        suite="throughput",
        dataset="coco",
        protocol=protocol,
        metrics=metrics,
        intervals={"img_s": [img_s - 1, img_s + 2], "ratio_vit_h": [img_s / 12, img_s / 10]},
        n_images=64,
        provenance={**provenance(model=model), "marks": [], "monitor": monitor},
    )


def differences(found: list[CellResult]) -> tuple[Difference, ...]:
    """Return the paired differences of all pairs of models in the main numbers of all suites."""
    groups: dict[tuple[str, str, str], list[CellResult]] = {}
    for one in found:
        protocol = f"{one.protocol['scope']}, pipelined, batch 16" if one.suite == "throughput" else "paper"
        groups.setdefault((one.suite, one.dataset, protocol), []).append(one)
    return tuple(
        row
        for place, alike in groups.items()
        for a, b in itertools.combinations(alike, 2)
        for row in _differences(a, b, place)
    )


def _differences(a: CellResult, b: CellResult, place: tuple[str, str, str]) -> Iterator[Difference]:
    suite, dataset, protocol = place
    made_up = np.random.default_rng([len(a.model), len(b.model), len(suite)])
    names = {m.name: m for m in a.about.metrics if not m.part} if a.about else {}
    for metric in names or a.metrics:
        own, its = a.metrics[metric], b.metrics[metric]
        if own is None or its is None:
            continue
        about = names.get(metric)
        counted = suite in ("gt_box", "click")
        better, worse = map(int, made_up.integers(1000, 9000, 2))
        width, p = made_up.random(2)
        yield Difference(
            model_a=a.model,
            model_b=b.model,
            label_a=naming.with_departures(naming.title(a.model), a),
            label_b=naming.with_departures(naming.title(b.model), b),
            run_a="run",
            run_b="run",
            suite=suite,
            dataset=dataset,
            protocol=protocol,
            metric=metric,
            title=about.title if about else metric,
            unit=about.unit if about else "",
            higher_is_better=True,
            a=own,
            b=its,
            difference=its - own,
            n_images=a.n_images,
            n_instances=a.n_instances,
            interval=[its - own - width, its - own + 0.9 * width],
            p=p / 10,
            p_holm=p,
            better=better if counted else None,
            worse=worse if counted else None,
            within=a.n_instances - better - worse if counted else None,
        )


def objects(models: tuple[str, ...] = MODELS) -> list[Shown]:
    """Return an object of each kind, over an image made here."""
    return [_object(kind, models) for kind in ("worst", "best", "disagreement")]


def _object(kind: str, models: tuple[str, ...]) -> Shown:
    answers = tuple(
        Answer(
            naming.title(model),
            model,
            0.3 + 0.05 * rank,
            f"M{40 - rank} 30H{90 + rank}V80H{40 - rank}ZM55 45H75V65H55Z",
            ((60.0, 40.0, True), (100.0, 85.0, False)),
            (38.0, 28.0, 94.0, 82.0),
        )
        for rank, model in enumerate(models)
    )
    return Shown(
        kind, "click", "coco", "000000000139.jpg", 17, "dog", "small", 160, 120, _picture(),
        (20.0, 10.0, 100.0, 100.0), answers,
    )  # fmt: skip


def _picture() -> str:
    colours = np.stack(np.meshgrid(np.linspace(90, 200, 160), np.linspace(60, 180, 120)), axis=-1)
    image = np.dstack([colours, np.full((120, 160), 120.0)]).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()

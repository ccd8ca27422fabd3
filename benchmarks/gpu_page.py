"""The GPU run's findings as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.gpu_record import Entry

PAPER_SHARE = {
    "efficientvit_sam_l0": 17,
    "efficientvit_sam_l1": 20,
    "efficientvit_sam_l2": 24,
    "efficientvit_sam_xl0": 33,
    "efficientvit_sam_xl1": 38,
}
"""Percent of an A100's 312 TFLOP/s (its data sheet, fp16) that table 1 of arXiv 2402.05008 comes to."""

PAPER_RATIO = 48.9
"""EfficientViT-SAM-L2 to SAM-ViT-H, the same table."""

L2, LARGEST = "efficientvit_sam_l2", "sam_vit_h"


def page(facts: Entry, entries: Sequence[Entry]) -> str:
    """Return the page.

    Args:
        facts: of the run as a whole (`benchmarks.gpu.describe`).
        entries: its findings (`benchmarks.gpu_record`).
    """
    parts = [
        _head(facts),
        _ceilings(entries),
        _speeds(entries),
        _ratios(entries),
        _prompts(entries),
        _parity(entries),
        _suites(entries),
        _training(entries),
        _gaps(facts, entries),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: Entry) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"# GPU run: {facts['device']}\n\n{facts['date']}; CUDA {facts['cuda']}; {versions}; "
        f"commit {facts['git'].get('commit')}{', changed' if facts['git'].get('dirty') else ''}.\n\n"
        f"Inputs: {facts['inputs']}, prepared once, in distinct batches. Weights: deterministic ones in the "
        "official layouts. One process a model, half a second a number: shorter than the protocol asks, so "
        "these numbers guide and `sambench throughput` decides."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["-"] * len(head), *rows)]
    return "\n".join(lines)


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _done(entries: Iterable[Entry], step: str) -> list[Entry]:
    return [e for e in entries if e["step"] == step and e["status"] == "done"]


def _ceilings(entries: Sequence[Entry]) -> str:
    rows = [
        (e["precision"], _number(e["tflop_s"], 2), _number(e["gb_s"], 0)) for e in _done(entries, "ceiling")
    ]
    if not rows:
        return ""
    return "## Ceilings\n\n" + _table(
        ("precision", "large products, TFLOP/s", "copy, GB/s read and written"), rows
    )


def _ways(entries: Sequence[Entry], step: str) -> list[tuple[str, str, str]]:
    """Models, engines and precisions that a step has findings of, in the order of measuring."""
    found = [(e["model"], e["engine"], e["precision"]) for e in _done(entries, step)]
    order = list(dict.fromkeys(model for model, *_ in found))
    return sorted(dict.fromkeys(found), key=lambda way: order.index(way[0]))


def speed(entries: Iterable[Entry], way: tuple[str, str, str], scope: str, batch: int, mode: str) -> Entry:
    """Return the finding of one measurement, or an empty one."""
    wanted = (*way, scope, batch, mode)
    fields = ("model", "engine", "precision", "scope", "batch", "mode")
    return next((e for e in _done(entries, "speed") if tuple(e[f] for f in fields) == wanted), {})


def shares(entries: Sequence[Entry], way: tuple[str, str, str], batch: int) -> dict[str, float]:
    """Achieved rate of an encoder, TFLOP/s, and its percentage of the matrix product's, where both are known.

    By mode; the rate is of the encoder's matrix products and convolutions alone.
    """
    product = {e["precision"]: e["tflop_s"] for e in _done(entries, "ceiling")}.get(way[2])
    gflop = {e["model"]: e["encoder_gflop"] for e in _done(entries, "cost")}.get(way[0])
    found: dict[str, float] = {}
    for mode in ("compute", "pipelined"):
        images_s = speed(entries, way, "E", batch, mode).get("images_s")
        if images_s and gflop:
            found[f"{mode} rate"] = images_s * gflop / 1000
            if product:
                found[f"{mode} share"] = 100 * found[f"{mode} rate"] / product
    return found


def _speeds(entries: Sequence[Entry]) -> str:
    batches = sorted({e["batch"] for e in _done(entries, "speed") if e["scope"] == "E"})
    if not batches:
        return ""
    middle = 16 if 16 in batches else batches[-1]
    head = ["model", "engine", "precision"]
    head += [f"E batch {b}, {mode}" for b in batches for mode in ("compute", "pipelined")]
    head += [f"TFLOP/s at {middle}", "% of product", "pipelined %", "aim %", f"E2E batch {middle}"]
    rows = []
    for way in _ways(entries, "speed"):
        cells = [
            _number(speed(entries, way, "E", b, mode).get("images_s"))
            for b in batches
            for mode in ("compute", "pipelined")
        ]
        rate = shares(entries, way, middle)
        aim = 2 * PAPER_SHARE[way[0]] if way[0] in PAPER_SHARE and way[2] == "fp16" else None
        cells += [_number(rate.get(k)) for k in ("compute rate", "compute share", "pipelined share")]
        cells += [_number(aim, 0), _number(speed(entries, way, "E2E", middle, "pipelined").get("images_s"))]
        rows.append((*way, *cells))
    return (
        "## Table 1: images a second\n\nE is the image encoder, E2E encoder and one box an image. `compute` "
        "is between CUDA events; `pipelined` is wall time with transfers to and from pinned memory. "
        "The aim is twice the share of an A100's nominal rate that the paper's numbers come to.\n\n"
        + _table(head, rows)
    )


def _ratios(entries: Sequence[Entry]) -> str:
    best: dict[tuple[str, str], float] = {}
    for e in _done(entries, "speed"):
        if (e["scope"], e["mode"]) == ("E", "pipelined") and e["model"] in (L2, LARGEST):
            which = "all" if (e["engine"], e["precision"]) != ("released", "fp32") else "released"
            for kind in {which, "all"}:
                key = (e["model"], kind)
                best[key] = max(best.get(key, 0), e["images_s"])
    if (L2, "all") not in best:
        return ""
    lines = [
        f"{name}: {best[L2, 'all'] / best[LARGEST, kind]:.1f} times"
        for name, kind in (
            ("SAM-ViT-H as released (fp32, eager, attention as its authors wrote it)", "released"),
            ("SAM-ViT-H at its best here", "all"),
        )
        if (LARGEST, kind) in best
    ]
    body = "\n".join(f"- against {line}" for line in lines)
    return (
        "## EfficientViT-SAM-L2 to SAM-ViT-H\n\n"
        f"Encoder, transfers included, each at its best batch; the paper says {PAPER_RATIO}.\n\n{body}"
        if lines
        else ""
    )


def _prompts(entries: Sequence[Entry]) -> str:
    found = [e for e in _done(entries, "speed") if e["scope"].startswith("D")]
    counts = sorted({e["prompts"] for e in found})
    if not counts:
        return ""
    rows = []
    for way in _ways(found, "speed"):
        cost = {
            e["prompts"]: e["batch_ms"] / e["prompts"]
            for e in found
            if (e["model"], e["engine"], e["precision"]) == way
        }
        least, most = cost.get(counts[0]), cost.get(counts[-1])
        share = _number(most / least, 2) if least and most else ""
        rows.append((*way, *(_number(cost.get(n), 3) for n in counts), share))
    head = ("model", "engine", "precision", *(f"{n} prompts" for n in counts), f"{counts[-1]} to {counts[0]}")
    return "## Decoder: milliseconds a prompt\n\nThe aim is at most 0.2 for the last column.\n\n" + _table(
        head, rows
    )


def _parity(entries: Sequence[Entry]) -> str:
    gold = {(e["model"], e["engine"], e["precision"]): e for e in _done(entries, "golden")}
    gates = {(e["model"], e["engine"], e["precision"]): e for e in entries if e["step"] == "gate"}
    rows = []
    for way in dict.fromkeys((*gates, *gold)):
        g, gate = gold.get(way, {}), gates.get(way, {})
        rows.append(
            (
                *way,
                *("" if g.get(k) is None else f"{g[k]:.1e}" for k in ("embedding", "logits")),
                _number(gate.get("mean_iou"), 5),
                _number(gate.get("least_iou"), 5),
                gate.get("reason") or ("passed" if gate else ""),
            )
        )
    if not rows:
        return ""
    head = ("model", "engine", "precision", "embedding", "logits", "mean IoU", "least IoU", "gate")
    return (
        "## Parity\n\nEmbedding and logits: largest difference from the official implementation's outputs, "
        "in their root mean square. IoU: masks of boxes with those of fp32 eager on this device.\n\n"
        + _table(head, rows)
    )


def _suites(entries: Sequence[Entry]) -> str:
    rows = [
        (e["engine"], _number(e["object_ms"], 2), _number(e["times_faster"], 2), _number(e["miou"], 2))
        for e in _done(entries, "suites")
    ]
    if not rows:
        return ""
    return "## Ground-truth boxes, whole images: suite and plain loop\n\n" + _table(
        ("way", "ms an object", "times the plain loop", "mIoU"), rows
    )


def _training(entries: Sequence[Entry]) -> str:
    rows = [
        (
            *(e["model"], e["engine"], e["precision"], str(e["batch"])),
            *(
                _number(e["img_s"]),
                _share(e["share_of_product"]),
                _share(e["waiting"]),
                _number(e["peak_gb"]),
            ),
        )
        for e in _done(entries, "train")
    ]
    if not rows:
        return ""
    head = ("model", "engine", "precision", "batch", "img/s", "of the product rate", "waiting", "peak GB")
    return (
        "## Training: a step of phase 2\n\nForward and back with 64 masks an image (nano: 12), the paper's "
        "loss; waiting is for data.\n\n" + _table(head, rows)
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _gaps(facts: Entry, entries: Sequence[Entry]) -> str:
    lines = [f"- {name} is not installed: no {lost}" for name, lost in facts["missing"].items()]
    for e in entries:
        if e["step"] == "tests" and e["status"] != "left out":
            counts = ", ".join(f"{e[k]} {k}" for k in ("passed", "failed", "skipped", "error") if e.get(k))
            lines.append(f"- GPU tests: {e.get('reason') or 'done'}; {counts}")
        elif e["status"] != "done":
            what = " ".join(str(e[k]) for k in ("step", *_WHERE) if e.get(k) is not None)
            lines.append(f"- {what}: {e['status']}: {e.get('reason') or ''}")
    return "## Tests, and what is missing or failed\n\n" + "\n".join(lines) if lines else ""


_WHERE = ("model", "engine", "precision", "scope", "batch", "mode")

"""Doubts about a measurement, beside its number: a word, a colon, and what would make a reviewer ask."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sambench.suites.throughput.statistics import UNSTEADY

AUDIT_LIMIT = 3.0
"""Percent gained by repeating one batch above which something may remember its input (protocol 4.3.3)."""

HOST_BOUND = 0.8
"""Share of the computation's time that starting it takes on the host, above which the GPU waits (4.3.9)."""

SLACK = 0.02
"""Two speeds closer than this are not told apart."""

Place = tuple[str, str, int]
"""Scope, mode and batch size."""

Metrics = Mapping[str, float | None]


def marks_of(
    metrics: Metrics,
    modes: Sequence[Mapping[str, Any]],
    samples: Sequence[tuple[list[float], list[float]]],
    facts: Mapping[str, Any],
    failed: int,
) -> Iterator[str]:
    """Say what is doubtful in one cell by itself.

    Args:
        metrics: of the cell.
        modes: what each round says of it.
        samples: of each round, seconds and host seconds.
        facts: of its first round.
        failed: rounds without a result.
    """
    if facts["note"]:
        yield f"note: {facts['note']}"
    if failed:
        yield f"incomplete: {failed} rounds failed"
    if (metrics["cov"] or 0.0) > UNSTEADY:
        yield f"unsteady: batches vary by {metrics['cov']:.1f}%"
    disturbed = [d for mode in modes for d in mode["monitor"]["disturbances"]]
    if disturbed:
        rounds = sum(bool(mode["monitor"]["disturbances"]) for mode in modes)
        yield f"disturbed: in {rounds} of {len(modes)} rounds, {disturbed[0]}"
    if any(mode["monitor"]["power_capped"] for mode in modes):
        yield "power cap: reached"
    if absent := modes[0]["monitor"]["absent"]:
        yield f"unwatched: {absent}"
    unstable = sum(not mode["warmup"]["stable"] for mode in modes)
    if unstable:
        yield f"warm-up: ended by its limit, before times settled, in {unstable} of {len(modes)} rounds"
    if "cuda" in facts["settings"]:
        host = statistics.median(
            h / s for seconds, hosts in samples for s, h in zip(seconds, hosts, strict=True)
        )
        if host > HOST_BOUND:
            yield f"host-bound: starting a batch takes {100 * host:.0f}% of its time"
    share = metrics.get("ceiling_share")
    if share is not None and share > 100:
        yield "ceiling: the model reached more than the products that it is held against"
    gain = metrics.get("audit_gain")
    if gain is not None and gain > AUDIT_LIMIT:
        yield f"audit: {gain:.1f}% faster on one batch over and over"


def marks_among(own: Place, metrics: Metrics, peers: Sequence[tuple[Place, Metrics]]) -> Iterator[str]:
    """Say what does not fit with the same variant's other cells.

    Args:
        own: the cell's place.
        metrics: of the cell.
        peers: all finished cells of the variant.
    """
    scope, mode, batch = own
    mine = metrics["img_s"] or 0.0
    for (its_scope, its_mode, its_batch), theirs in peers:
        speed = theirs["img_s"] or 0.0
        if its_scope != scope or mine >= (1 - SLACK) * speed:
            continue
        if (mode, its_mode) == ("pipelined", "serial") and its_batch == batch:
            yield "order: pipelined is slower than serial"
        if its_mode == mode and its_batch < batch:
            yield f"order: slower than at batch {its_batch}"

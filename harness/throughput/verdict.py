"""Why there is no speed: before anything runs, after the gate, and after a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sambench.adapters.base import Weights
from sambench.adapters.registry import has_parameters
from sambench.harness.variants import Variant
from sambench.suites.results import Status
from sambench.suites.throughput.job import Scope

Result = Mapping[str, Any]
"""What a process left."""

Verdict = tuple[Status, str]
"""What a cell is instead of measured, and why."""


def refusal(variant: Variant, scope: Scope) -> str | None:
    """Say why a scope of a variant cannot be measured, as far as that is known without creating it."""
    if scope.kind == "encoder" and not has_parameters(variant.model):
        return (
            f"{variant.model} has no parameters, and so no encoder to time. Time it end to end: --scopes E2E."
        )
    return None


def before(variant: Variant, scope: Scope) -> Verdict | None:
    """Return what the plan knows to stand against a scope of a variant."""
    if variant.reason:
        return ("not_applicable" if variant.not_applicable else "failed"), variant.reason
    reason = refusal(variant, scope)
    return ("not_applicable", reason) if reason else None


def of_gate(variant: Variant, batch: int, gate: Result) -> Verdict | None:
    """Return what the gate's process found to stand against a batch size of a variant."""
    if gate["status"] == "failed":
        return _failed(gate, f"before the parity gate: {gate['reason']}")
    if reason := other_weights(variant, gate) or gate["refusal"]:
        return "invalid", reason
    reason = gate["batch_refusals"].get(str(batch))
    return ("not_applicable", reason) if reason else None


def of_rounds(variant: Variant, results: Sequence[Result]) -> Verdict | None:
    """Return why no further round is of use: the process of one failed, or loaded other weights."""
    for result in results:
        if result["status"] == "failed":
            return _failed(result, result["reason"])
        if reason := other_weights(variant, result):
            return "invalid", reason
    return None


def _failed(result: Result, reason: str) -> Verdict:
    return ("not_applicable" if result.get("kind") == "not_applicable" else "failed"), reason


def other_weights(variant: Variant, result: Result) -> str | None:
    """Say which other weights than the plan's a process loaded, or return ``None``.

    The plan's stand in the key of the gate and of every round, so all of them must have had these.
    """
    planned, found = variant.weights, Weights.from_json(result.get("facts", result)["weights"])
    if planned is None or planned.identity == found.identity:
        return None
    return (
        f"{variant.model}: its weights changed since this was planned, from {planned.identity} to "
        f"{found.identity} ({found.path}). Run the same command again."
    )

"""Which cells of one run or of two stand against each other, and which of them may not be subtracted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sambench.reports import words
from sambench.reports.cells import Entry, provenance
from sambench.suites import naming
from sambench.suites.results import CellResult

SPEED = "throughput"

Groups = dict[Hashable, list[Entry]]

OBJECTS = ("crowd", "leave_out", "bins", "area_source", "threshold")
SUITE_AXES: dict[str, tuple[str, ...]] = {
    "gt_box": (*OBJECTS, "select", "average"),
    "click": (*OBJECTS, "select", "average", "perfect", "mask_feedback", "click_rule"),
    "everything": OBJECTS,
    "det_box": ("select", "threshold", "score", "gt_ids"),
    "sginw": ("select", "threshold", "score"),
    "concept": ("names", "phrases", "instances", "threshold", "gt_ids"),
}
"""The axes of a protocol that a suite's numbers depend on; of a suite that is not here, all."""

SPEED_OWN = ("preset", "scope", "mode", "batch", "gate")
"""What may differ between the protocols of two speeds: four tell their tables, a gate is a precision's."""


@dataclass(frozen=True)
class Pairs:
    """What is compared with what."""

    pairs: list[tuple[Entry, Entry]]
    unpaired: list[str]
    """What found no partner, a sentence each."""


def table(entry: Entry) -> tuple[str, ...]:
    """Return what the numbers of two cells must have in common to stand in one table."""
    cell = entry.cell
    return (cell.suite, cell.dataset, speed_protocol(cell) if cell.suite == SPEED else "")


def speed_protocol(cell: CellResult) -> str:
    """Say which speed a cell of a throughput is."""
    protocol = cell.protocol
    return f"{protocol.get('scope')}, {protocol.get('mode')}, batch {protocol.get('batch')}"


def pairs_within(entries: Sequence[Entry]) -> Pairs:
    """Pair all cells of a table that have one protocol, in their order."""
    found = Pairs([], [])
    for mine in _grouped(_with_numbers(entries, found), table).values():
        alike = list(_grouped(mine, _protocol).values())
        for some in alike:
            found.pairs.extend(itertools.combinations(some, 2))
            if len(some) == 1:
                found.unpaired.append(f"{_named(some[0])}: nothing to compare it with.")
        for some, others in itertools.combinations(alike, 2):
            found.unpaired.append(_apart(some[0], others[0]))
    return found


def pairs_between(entries_a: Sequence[Entry], entries_b: Sequence[Entry]) -> Pairs:
    """Pair what is in both runs with itself, and what only one of them has with what only the other has.

    That goes for models first, then for how they are run, protocols, weights and samples.
    """
    found = Pairs([], [])
    a, b = (_grouped(_with_numbers(entries, found), table) for entries in (entries_a, entries_b))
    for place, mine in a.items():
        found.pairs.extend(_partners(mine, b.get(place, []), LEVELS))
    paired = {id(entry) for pair in found.pairs for entry in pair}
    for entry in itertools.chain(*a.values(), *b.values()):
        if id(entry) not in paired:
            found.unpaired.append(f"{_named(entry)}: only in {entry.run}, without a partner.")
    return found


def refusal(a: CellResult, b: CellResult) -> str | None:
    """Say why the numbers of two cells of a table may not be subtracted, or return ``None``."""
    for cell in (a, b):
        if cell.status != "done":
            return f"{cell.model} is {cell.status}: {cell.reason}"
    if axes := other_axes(a, b):
        return f"protocols differ. {'; '.join(axes)}"
    if a.suite == SPEED:
        return None
    for part, name in (("annotations", "annotations"), ("detections", "a detector's boxes")):
        own, its = (provenance(cell, part).get("sha256") for cell in (a, b))
        if own != its:
            return f"{name} differ: SHA-256 {own or 'not recorded'} and {its or 'not recorded'}"
    return None


def other_axes(a: CellResult, b: CellResult) -> list[str]:
    """Return in what two protocols differ that a suite's numbers depend on: the axis, a's choice and b's."""
    return [
        f"{_title(axis)}: {_choice(a, axis)} / {_choice(b, axis)}"
        for axis in _axes(a, b)
        if a.protocol.get(axis) != b.protocol.get(axis)
    ]


def _axes(a: CellResult, b: CellResult) -> list[str]:
    there = dict.fromkeys([*a.protocol, *b.protocol])
    if a.suite == SPEED:
        return [axis for axis in there if axis not in SPEED_OWN]
    known = SUITE_AXES.get(a.suite)
    return [axis for axis in there if axis != "preset" and (known is None or axis in known)]


def _title(axis: str) -> str:
    return words.AXES[axis].title if axis in words.AXES else axis


def _choice(cell: CellResult, axis: str) -> str:
    if axis not in cell.protocol:
        return "not recorded"
    value = cell.protocol[axis]
    return words.axis_value(axis, value) if axis in words.AXES else str(value)


def _with_numbers(entries: Sequence[Entry], found: Pairs) -> Iterator[Entry]:
    """Leave out, and say so, what has no number because the question does not apply to the model."""
    for entry in entries:
        if entry.cell.status == "not_applicable":
            found.unpaired.append(f"{_named(entry)}: not applicable ({entry.cell.reason}).")
        else:
            yield entry


def _named(entry: Entry) -> str:
    cell = entry.cell
    where = ", ".join(filter(None, (f"{cell.suite} on {cell.dataset}", table(entry)[2])))
    return f"{where}: {naming.with_departures(cell.model, cell)}"


def _apart(a: Entry, b: Entry) -> str:
    differ = "; ".join(other_axes(a.cell, b.cell))
    names = f"{a.protocol} and {b.protocol}"
    return f"{a.cell.suite} on {a.cell.dataset}: protocols {names} are not subtracted. {differ}."


def _protocol(entry: Entry) -> str:
    cell = entry.cell
    return json.dumps({axis: cell.protocol.get(axis) for axis in _axes(cell, cell)}, sort_keys=True)


def _weights(entry: Entry) -> tuple[object, ...]:
    weights = provenance(entry.cell, "weights")
    return tuple(weights.get(part) for part in ("source", "sha256", "seed"))


LEVELS: tuple[Callable[[Entry], Hashable], ...] = (
    lambda entry: entry.cell.model,
    lambda entry: naming.run_by(entry.cell),
    lambda entry: entry.cell.device,
    _protocol,
    _weights,
    lambda entry: naming.sample(entry.cell),
)
"""By what cells of a table are told apart, the weightiest first."""


def _partners(
    a: Sequence[Entry], b: Sequence[Entry], levels: Sequence[Callable[[Entry], Hashable]]
) -> Iterator[tuple[Entry, Entry]]:
    """Pair what is alike in the first level, then what is left of both, each by the further levels."""
    if not levels or not a or not b:
        yield from itertools.product(a, b)
        return
    own, its = (_grouped(some, levels[0]) for some in (a, b))
    for key in own:
        if key in its:
            yield from _partners(own[key], its[key], levels[1:])
    left_a, left_b = _rest(own, its), _rest(its, own)
    yield from _partners(left_a, left_b, levels[1:])


def _rest(groups: Groups, others: Groups) -> list[Entry]:
    return [entry for key, some in groups.items() if key not in others for entry in some]


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> Groups:
    groups: Groups = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return groups

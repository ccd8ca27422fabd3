"""How the numbers were made: protocols, weights, data, environment and time, as plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from sambench.reports import words
from sambench.reports.cells import Entry, provenance
from sambench.suites import naming
from sambench.suites.results import CellResult

UNKNOWN = "not recorded"


STAGES = (
    *("images", "images_per_s", "seconds", "wait_s", "encode_s", "decode_s", "upsample_s", "score_s"),
    *("click_s", "write_s"),
)
"""Columns of the time table, in the order in which an image passes through."""


@dataclass(frozen=True)
class Text:
    """One field of a plain table."""

    text: str
    full: str = ""
    """A longer form, shown on demand: the whole checksum."""
    code: bool = False
    number: bool = False
    marked: bool = False
    """Set apart: an axis that differs from the paper's protocol, a commit with changes."""
    about: str = ""
    """A line of explanation beneath."""


@dataclass(frozen=True)
class Grid:
    """A plain table; rows are distinct."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    caption: str = ""


def describe(entries: Sequence[Entry]) -> list[Grid]:
    """Return every table that says how the numbers were made, those without rows left out."""
    scored = [entry for entry in entries if entry.cell.suite != "throughput"]  # speeds: `reports.speed_made`
    grids = [_protocols(scored), _weights(entries), _adapters(entries), _data(scored), _failed(scored)]
    grids += [_environment(entries), _timing(entries)]
    return [grid for grid in grids if grid.rows]


def commands(entries: Sequence[Entry]) -> list[str]:
    """Return the commands that make the numbers again."""
    found = (entry.cell.provenance.get("command") for entry in entries)
    return list(dict.fromkeys(str(command) for command in found if command))


def _protocols(entries: Sequence[Entry]) -> Grid:
    protocols: dict[str, list[CellResult]] = {}
    for entry in entries:
        protocols.setdefault(entry.protocol, []).append(entry.cell)
    recorded = dict.fromkeys(axis for e in entries for axis in e.cell.protocol if axis != "preset")
    rows = []
    for axis in [*(a for a in words.AXES if a in recorded), *(a for a in recorded if a not in words.AXES)]:
        known = words.AXES.get(axis)
        row = [Text(known.title if known else axis, about=known.about if known else "")]
        row += [_choice(axis, cells) for cells in protocols.values()]
        rows.append(tuple(row))
    caption = "Every choice that moves a number. In bold: other than in the paper's protocol."
    return Grid("Protocol", ("Choice", *protocols), tuple(rows), caption)


def _choice(axis: str, cells: Sequence[CellResult]) -> Text:
    """Say what a protocol chooses; all of it where a preset means several things for its suites and data."""
    there = [cell for cell in cells if axis in cell.protocol]
    values = dict.fromkeys(words.axis_value(axis, cell.protocol[axis]) for cell in there)
    off = any(axis in words.off_paper(cell.protocol, cell.suite) for cell in there)
    return Text("; or ".join(values) or UNKNOWN, marked=off)


def _weights(entries: Sequence[Entry]) -> Grid:
    rows = []
    for entry in entries:
        weights = provenance(entry.cell, "weights")
        source = {"random": f"random, seed {weights.get('seed', '?')}", "none": "has none"}
        files = [own["path"] for own in (weights.get("parts") or {"": weights}).values() if own.get("path")]
        name = " + ".join(PurePath(str(file)).name for file in files) or weights.get("source")
        if weights.get("taken"):
            name = f"{name}: {weights['taken']}"
        cell = entry.cell
        rows.append(
            (
                Text(entry.name),
                Text(source.get(str(entry.weights), str(name or UNKNOWN)) + _whose(entry)),
                _checksum(weights.get("sha256")),
                Text(cell.engine),
                Text(cell.precision),
                Text(_device(entry)),
            )
        )
    return Grid("Models", ("Model", "Weights", "SHA-256", "Engine", "Precision", "Device"), _distinct(rows))


def _whose(entry: Entry) -> str:
    """Say of a checkpoint whether its checksum is that of the model's authors."""
    if entry.weights != "file" or provenance(entry.cell, "adapter"):  # one's own has no other authors
        return ""
    official = naming.is_official(entry.cell.model, provenance(entry.cell, "weights"))
    return {True: ", official", False: ", not the official file", None: ", official checksum not known"}[
        official
    ]


def _adapters(entries: Sequence[Entry]) -> Grid:
    """What models of the user's own were made of."""
    own = ((entry, provenance(entry.cell, "adapter")) for entry in entries)
    rows = [
        (
            Text(entry.name),
            Text(
                PurePath(str(adapter.get("class", UNKNOWN))).name,
                full=str(adapter.get("class", "")),
                code=True,
            ),
            Text(", ".join(f"{key}: {value}" for key, value in adapter.get("options", {}).items()) or "none"),
        )
        for entry, adapter in own
        if adapter
    ]
    return Grid("Models of one's own", ("Model", "Class", "Options"), _distinct(rows))


def _data(entries: Sequence[Entry]) -> Grid:
    rows = []
    for entry in entries:
        cell = entry.cell
        if cell.status != "done":
            continue
        annotations = provenance(cell, "annotations")
        files = [annotations, *annotations.get("annotators", ())]
        rows.append(
            (
                Text(cell.dataset),
                Text(cell.suite),
                Text(entry.protocol),
                Text(", ".join(PurePath(str(file.get("path", UNKNOWN))).name for file in files)),
                _checksum(annotations.get("sha256")),
                Text(f"{cell.n_images:,}", number=True),
                Text(f"{cell.n_instances:,}", number=True),
                _counted(cell.counts),
                _counted(annotations.get("read") or {}),
            )
        )
    head = (
        "Dataset",
        "Suite",
        "Protocol",
        "Annotations",
        "SHA-256",
        "Images",
        "Objects",
        "Of these, or left out",
        "Odd, and read as data verify says",
    )
    return Grid("Data", head, _distinct(rows))


def _failed(entries: Sequence[Entry]) -> Grid:
    """Name the images that are in no number because a model failed on them, as far as results do."""
    rows = [
        (
            Text(entry.label),
            Text(entry.cell.suite),
            Text(entry.cell.dataset),
            Text(str(image.get("file_name", UNKNOWN))),
            Text(str(image.get("reason", UNKNOWN))),
        )
        for entry in entries
        for image in entry.cell.failed_images
    ]
    caption = "The first images of each cell that the model failed on; their objects are in no number."
    return Grid("Failed images", ("Model", "Suite", "Dataset", "Image", "Reason"), _distinct(rows), caption)


def _counted(counts: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items()))


def _environment(entries: Sequence[Entry]) -> Grid:
    rows = []
    for entry in entries:
        git = provenance(entry.cell, "git")
        commit = str(git["commit"]) if git.get("commit") else ""
        state = ", with uncommitted changes" if git.get("dirty") else ""
        versions = provenance(entry.cell, "versions")
        rows.append(
            (
                Text(entry.run),
                Text((commit[:12] or UNKNOWN) + state, marked=bool(git.get("dirty"))),
                Text(", ".join(f"{name} {version}" for name, version in versions.items()) or UNKNOWN),
            )
        )
    return Grid("Environment", ("Run", "Git commit", "Versions"), _distinct(rows))


def _timing(entries: Sequence[Entry]) -> Grid:
    timed = [entry for entry in entries if entry.cell.timing]
    found = dict.fromkeys(stage for entry in timed for stage in entry.cell.timing)
    stages = sorted(found, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))
    rows = [
        (
            Text(entry.label),
            Text(entry.cell.suite),
            Text(entry.cell.dataset),
            *(Text(_amount(entry.cell.timing.get(stage)), number=True) for stage in stages),
        )
        for entry in timed
    ]
    head = ("Model", "Suite", "Dataset", *map(_stage, stages))
    caption = (
        "The time of this run, not a throughput benchmark: seconds by stage, of the last command. Waiting, "
        "encoding and writing serve all suites of a model at once and stand in each of its rows."
    )
    return Grid("Time", head, tuple(rows), caption)


def _stage(key: str) -> str:
    known = {"seconds": "total, s", "images_per_s": "images/s"}
    return known.get(key, f"{key.removesuffix('_s')}, s" if key.endswith("_s") else key)


def _amount(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _device(entry: Entry) -> str:
    named = entry.cell.provenance.get("device")
    return f"{entry.cell.device} ({named})" if named and named != entry.cell.device else entry.cell.device


def _checksum(sha256: object) -> Text:
    return Text(str(sha256)[:12], full=str(sha256), code=True) if sha256 else Text("")


def _distinct(rows: Iterable[tuple[Text, ...]]) -> tuple[tuple[Text, ...], ...]:
    return tuple(dict.fromkeys(rows))

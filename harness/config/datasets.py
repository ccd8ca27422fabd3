"""The data sets of a configuration: by name, by paths, or by a file with some of it changed by flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.config.keys import split
from sambench.suites.data.locate import Match
from sambench.suites.data.named import FORMATS, find, is_known, read_match
from sambench.suites.data.pictures.settings import KEYS, Masks, read_masks
from sambench.suites.files import expanded

BESIDE = ("images", "annotations", "annotators", "match", "detections")
"""Keys of a configuration that belong to its one data set."""


@dataclass(frozen=True)
class DatasetConfig:
    """Where a data set in COCO's format lies. The fields are the keys of an entry of ``datasets``."""

    name: str
    """``coco`` and ``lvis`` have published numbers to compare with; any other name will do."""
    images: Path
    annotations: Path
    """The JSON file; or the masks' folder, where the data set has ``masks``."""
    detections: dict[str, Path] = field(default_factory=dict)
    """Detector's name to its result file; ``vitdet``, ``yolov8`` and ``gdino`` have published numbers."""
    format: str | None = None
    """``coco`` or ``lvis``, whose rules AP follows, or ``saco`` for pairs of an image and a phrase; ``None``
    to see it from the annotations."""
    match: Match = "name"
    """By what image files are found: their names, which may have folders, or the last part alone."""
    annotators: tuple[Path, ...] = ()
    """Further annotation files of the same pairs, by other people; who agrees most with a model counts."""
    masks: Masks | None = None
    """Pictures in place of annotations; the keys ``mask_ids``, ``void`` and ``components`` beside it."""


def join(below: Mapping[str, Any], above: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Join a file's data sets with what flags say of them: parts of one, or others in their place."""
    given, changed = _entries(below, where), _entries(above, "command line")
    match given, changed:
        case [only], [change] if not _is_another(only, change):
            return [only | change]
        case [_, _, *_], [change] if "name" not in change:
            raise SambenchError(
                f"command line: {', '.join(change)} of which data set of {where}? Name it too."
            )
    return changed or given


def _entries(values: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Return data sets as mappings, with the keys beside them in their one."""
    given = values.get("dataset", [])
    if isinstance(given, str):
        given = split(given)
    entries = []
    for one in given if isinstance(given, Sequence) else [given]:
        if not isinstance(one, str | Mapping):
            raise SambenchError(f"{where}: a data set has name, images and annotations; {one!r} has not.")
        entries.append({"name": one} if isinstance(one, str) else dict(one))
    beside = {key: values[key] for key in BESIDE if key in values}
    if not beside:
        return entries
    if len(entries) > 1:
        raise SambenchError(f"{where}: {', '.join(beside)} of which data set? Write them into its entry.")
    return [(entries[0] if entries else {}) | beside]


def _is_another(dataset: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    """Tell whether a name alone names a data set of a YAML file, and not the one at hand anew."""
    name = str(changed.get("name", ""))
    return (
        not {"images", "annotations", "masks"} & set(changed)
        and is_known(name)
        and name != dataset.get("name")
    )


def read_datasets(entries: Sequence[dict[str, Any]], where: str) -> tuple[DatasetConfig, ...]:
    """Read data sets, each under a name of its own.

    Raises:
        SambenchError: one lacks something or has a key too many, or two have one name.
    """
    found = tuple(_dataset(one, where) for one in entries)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise SambenchError(
            f"{where}: two data sets of one name, {', '.join(names)}; results need them apart."
        )
    return found


def _dataset(value: dict[str, Any], where: str) -> DatasetConfig:
    known = [*(f.name for f in fields(DatasetConfig)), *KEYS[1:]]
    for key in value:
        if key not in known:
            near = did_you_mean(str(key), known)
            raise SambenchError(f"{where}, datasets: no key {key!r}.{near} There are {', '.join(known)}.")
    masks = read_masks(value, where)
    if value.get("name") and not any(value.get(key) for key in ("images", "annotations", "masks")):
        file = find(str(value["name"]))
        images, annotations = file.paths()
        masks = file.pictures()
        value = {
            **{"format": file.format, "match": file.match, "annotators": list(file.annotators)},
            **value,
        }
        value |= {"name": file.name, "images": images, "annotations": annotations}
    elif masks is not None:
        value = {**value, "annotations": masks.folder}
    if value.get("name") == "sginw" and value.get("images"):
        value = {"annotations": value["images"], **value}  # its 25 data sets have them beside their images
    for key in ("name", "images", "annotations"):
        if not value.get(key):
            flag = "--dataset" if key == "name" else f"--{key}"
            raise SambenchError(f"{where}: the data set has no {key}. Give it with {flag}.")
    name, rules = str(value["name"]), value.get("format")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise SambenchError(f"{where}: data set name {name!r}: use letters, digits, - and _.")
    if rules and rules not in FORMATS:
        near = did_you_mean(str(rules), FORMATS)
        raise SambenchError(f"{where}: format {rules!r}; there is {', '.join(FORMATS)}.{near}")
    return DatasetConfig(
        name,
        expanded(value["images"], "images", where),
        expanded(value["annotations"], "annotations", where),
        _detections(value.get("detections") or {}, where),
        rules or None,
        read_match(value.get("match"), where),
        tuple(expanded(one, "annotators", where) for one in _annotators(value.get("annotators"), where)),
        masks,
    )


def _annotators(given: Any, where: str) -> Sequence[str]:
    """Read further annotation files: one, or a list."""
    files = [given] if isinstance(given, str | Path) else list(given or ())
    if not all(isinstance(one, str | Path) and str(one) for one in files):
        raise SambenchError(f"{where}: annotators are annotation files, not {given!r}.")
    return [str(one) for one in files]


def _detections(given: Any, where: str) -> dict[str, Path]:
    """Read detections: a mapping of detectors to files, or ``[NAME=]FILE`` once or more."""
    if not isinstance(given, Mapping):
        if not isinstance(given, str | Sequence):
            raise SambenchError(
                f"{where}: detections map a detector's name to its result file, not {given!r}."
            )
        named: dict[str, str] = {}
        for one in [given] if isinstance(given, str) else given:
            detector, file = _detector(str(one))
            if detector in named:
                raise SambenchError(f"detections {one}: there are two files of {detector!r}; say NAME=FILE.")
            named[detector] = file
        given = named
    for name in given:
        if not str(name).replace("_", "").replace("-", "").replace(".", "").isalnum():
            raise SambenchError(f"{where}: detector name {name!r}: use letters, digits, -, . and _.")
    return {str(name): expanded(file, "detections", where) for name, file in given.items()}


def _detector(given: str) -> tuple[str, str]:
    """Split NAME=FILE; without a name it is the file's own, but none that the paper's boxes have."""
    name, equals, file = given.partition("=")
    if equals:
        return name, file
    from sambench.reports.published import detectors

    stem = Path(given).stem
    if stem in detectors():
        raise SambenchError(
            f"detections {given}: {stem!r} is compared with the paper's numbers. Say {stem}={given} if "
            "these are its boxes, or give another name."
        )
    return stem, given

"""Data sets by name: YAML files that say where one lies, so that a command can say ``coco`` for two paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.suites.data.locate import Match
from sambench.suites.data.pictures.settings import KEYS, Masks, read_masks, refuse_wrong
from sambench.suites.files import expanded, read_mapping

FOLDER = Path(__file__).with_name("sets")
"""Of the files that come with sambench; a data set of one's own is named by its file's path."""
FORMATS = ("coco", "lvis", "saco")
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class DatasetFile:
    """Where a data set lies. The fields but the first are the keys of the YAML file."""

    source: Path
    """The YAML file."""
    name: str
    images: str
    """Folder of the images; ``${VAR}`` and ``~`` are not expanded yet."""
    annotations: str = ""
    """JSON file, likewise; or, in its place, ..."""
    masks: str = ""
    """... the folder of mask pictures, likewise (`suites.data.pictures`), and how they are read:"""
    mask_ids: str | None = None
    void: int | Sequence[int] | None = None
    components: bool = False
    title: str = ""
    annotators: Sequence[str] = ()
    """Further annotation files of the same pairs of image and phrase, likewise."""
    format: str | None = None
    """``saco`` has such pairs; ``lvis`` expects LVIS's own fields too; ``None`` if the file has some."""
    match: str | None = None
    """``basename`` finds image files by the last part of their names."""
    note: str = ""
    """Where to get it, and its licence."""

    def paths(self) -> tuple[Path, Path]:
        """Return images and annotations, or the masks' folder.

        Raises:
            SambenchError: a variable is not set.
        """
        where = str(self.source)
        try:
            images, masks = expanded(self.images, "images", where), self.pictures()
            return images, masks.folder if masks else expanded(self.annotations, "annotations", where)
        except SambenchError as error:
            raise SambenchError(f"{error} Set it, or give --images DIR and --annotations FILE.") from None

    def pictures(self) -> Masks | None:
        """Return where mask pictures lie and how they are read; ``None`` where there are annotations.

        Raises:
            SambenchError: a value is wrong, or a variable is not set.
        """
        return read_masks({key: getattr(self, key) for key in ("annotations", *KEYS)}, str(self.source))


def is_texts(value: object) -> bool:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def read_match(value: object, where: str) -> Match:
    """Read by what image files are found.

    Raises:
        SambenchError: there is no such way.
    """
    if value is None:
        return "name"
    ways = get_args(Match)
    if value not in ways:
        near = did_you_mean(str(value), ways)
        raise SambenchError(f"{where}: match is {value!r}; it can be {', '.join(ways)}.{near}")
    return cast(Match, value)


def known() -> dict[str, Path]:
    """Return the data sets that come with sambench: name to YAML file."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}


def is_known(word: str) -> bool:
    """Tell whether a word is such a name, or the path of a YAML file."""
    return word.endswith(ENDINGS) or word in known()


def find(word: str) -> DatasetFile:
    """Read the data set of a name, or of a YAML file's path.

    Raises:
        SambenchError: there is none, or the file is wrong.
    """
    if word.endswith(ENDINGS):  # a path, whether the file is there or not
        return read(Path(word).expanduser())
    files = known()
    if word not in files:
        raise SambenchError(
            f"no data set {word!r}; there are {', '.join(files)}.{did_you_mean(word, files)} "
            "Name one of these, a YAML file (docs/data.md), or give --images DIR and --annotations FILE."
        )
    return read(files[word])


def read(file: Path) -> DatasetFile:
    """Read a YAML file, strictly.

    Raises:
        SambenchError: it is not there or not YAML, has an unknown key, lacks one, or a value is wrong.
    """
    content = read_mapping(file, "file for a data set", "a data set", "docs/data.md")
    keys = [f.name for f in dataclasses.fields(DatasetFile) if f.name != "source"]
    for key, value in content.items():
        if key not in keys:
            near = did_you_mean(str(key), keys)
            raise SambenchError(f"{file}: no key {key!r}.{near} There are {', '.join(keys)}.")
        if key == "annotators" and is_texts(value):
            continue
        if key not in KEYS[1:] and not isinstance(value, str):
            raise SambenchError(f"{file}: {key} must be text, not {value!r}.")
    for key in ("name", "images", "masks" if content.get("masks") else "annotations"):
        if not content.get(key):
            other = ", nor masks" if key == "annotations" else ""
            raise SambenchError(f"{file}: the data set has no {key}{other}. Write it into the file.")
    if content.get("format", FORMATS[0]) not in FORMATS:
        near = did_you_mean(content["format"], FORMATS)
        raise SambenchError(f"{file}: format {content['format']!r}; there is {', '.join(FORMATS)}.{near}")
    refuse_wrong(content, str(file))
    return DatasetFile(source=file, **content)

"""Which mask belongs to which image: by the path below each folder, without its ending.

A mask may have a suffix of its own behind the image's name (``_mask``, ``_gtFine_instanceIds``), and all
images one that the masks lack, where it is known that data sets call their photographs so (``_leftImg8bit``).
What has no mask, or several, is named, and never guessed.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.endings import image_endings
from sambench.suites.data.ids import nfc

LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe")
"""Endings that photographs have and masks should not."""
SEPARATORS = "_-. "
"""Where a suffix begins; after a digit it may begin with a letter too."""
PHOTO = frozenset(
    (
        *("leftimg8bit", "blurred"),  # Cityscapes, IDD
        *("rgb", "anon"),  # ACDC, Potsdam, CVPPP
        *("sat", "satellite"),  # DeepGlobe
        *("training", "test"),  # DRIVE
        *("image", "images", "img", "photo", "orig", "original", "raw", "input"),  # labelling by hand
    )
)
"""What follows the names of photographs, in small letters. Any other word there names one picture: the mask
of cat_left.jpg is not cat_right.png."""
MASK = re.compile(
    r"mask|label|(?:^|[_\-. ])"
    r"(?:gt|ground_?truth|inst|seg|semantic|panoptic|anno|manual|target|object|ids?\b)",
    re.IGNORECASE,
)
"""What follows the name of a mask whose photograph has a word of its own in its place."""
SHOWN = 3
"""Of several masks of one image."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask."""

    name: str
    """Of the image below its folder, with slashes."""
    image: Path
    mask: Path
    mask_name: str
    """Below the masks' folder, likewise."""


@dataclass(frozen=True)
class Matched:
    """What two folders have in common."""

    pairs: tuple[Pair, ...]
    """By rising name."""
    findings: tuple[Finding, ...]
    """What has no partner, or more than one."""


def match(images: Path, masks: Path) -> Matched:
    """Find the mask of each image.

    Args:
        images: their folder, of any depth.
        masks: theirs; its last part may be a pattern of their names. It may lie in the images' folder, or
            the other way round, or be the same where the images are JPEGs and the masks are not.

    Raises:
        SambenchError: a folder is missing, or holds no picture.
    """
    folder, pattern = split_pattern(masks)
    missing = [
        f"{path}: no such folder of {what}."
        for path, what in ((images, "images"), (folder, "masks"))
        if not path.is_dir()
    ]
    if missing:
        raise SambenchError(" ".join(missing) + " Name the folders that belong together.")
    pictures = _pictures(images, but=None if _same(images, folder) else folder)
    found = _pictures(folder, but=None if _same(images, folder) else images)
    if pattern:
        found = {name: path for name, path in found.items() if fnmatch.fnmatchcase(path.name, pattern)}
    if _same(images, folder):
        pictures = {name: path for name, path in pictures.items() if path.suffix.lower() in LOSSY}
        found = {name: path for name, path in found.items() if path.suffix.lower() not in LOSSY}
    for path, what, there in ((images, "image", pictures), (masks, "mask", found)):
        if not there:
            raise SambenchError(
                f"{path}: holds no {what} that Pillow could read. Name the folder that has the {what}s; "
                "where one folder has both, images must be JPEGs and masks must not."
            )
    return _matched(pictures, found)


def split_pattern(masks: Path) -> tuple[Path, str]:
    """Return the masks' folder, and the pattern of their names or an empty string."""
    return (masks.parent, masks.name) if any(sign in masks.name for sign in "*?[") else (masks, "")


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _pictures(folder: Path, but: Path | None) -> dict[str, Path]:
    """Return the pictures below a folder by name, without hidden files and what is below another folder."""
    root, apart = folder.resolve(), None if but is None else but.resolve()
    if apart is not None and root.is_relative_to(apart):
        apart = None  # the other folder is around this one
    found: dict[str, Path] = {}
    for where, names in _folders(folder, {root, *([] if apart is None else [apart])}):
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in image_endings():
                path = where / name
                found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _folders(folder: Path, known: set[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it with the files of each, also those that links lead to.

    Each is there once, by its own name before that of a link, so that no link leads round in a circle.

    Args:
        folder: where to begin.
        known: resolved folders not to go into, and those that were; it is added to.
    """
    root, starts = folder.resolve(), deque([folder])
    while starts:
        for at, folders, names in os.walk(starts.popleft()):
            where, inner = Path(at), []
            for name in sorted(folders):
                if name.startswith((".", "__MACOSX")):
                    continue
                if (where / name).is_symlink():
                    starts.append(where / name)
                elif _is_new(where / name, root, known):
                    inner.append(name)
            folders[:] = inner
            yield where, names
        while starts and not _is_new(starts[0], root, known):
            starts.popleft()


def _is_new(folder: Path, root: Path, known: set[Path]) -> bool:
    """Tell whether a folder was not gone into yet, and note it; one around the first is never new."""
    its = folder.resolve()
    is_new = its not in known and not root.is_relative_to(its)
    known.add(its)
    return is_new


def _stem(name: str) -> str:
    """Return what names a picture: its path without the ending, in Unicode's composed form."""
    return nfc(str(PurePosixPath(name).with_suffix("")))


def _matched(pictures: Mapping[str, Path], masks: Mapping[str, Path]) -> Matched:
    stems = {name: _stem(name) for name in pictures}
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in masks:
        by_stem[_stem(name)].append(name)
    least: dict[str, list[str]] | None = None
    for suffix in ("", *_common_suffixes(list(stems.values()))):
        wanted = {name: stem.removesuffix(suffix) for name, stem in stems.items()}
        candidates = _candidates(wanted, by_stem, is_stripped=bool(suffix))
        if least is None or _lacking(candidates) < _lacking(least):
            least = candidates
        if not _lacking(least):
            break
    assert least is not None
    return _judged(least, pictures, masks)


def _lacking(candidates: Mapping[str, Sequence[str]]) -> int:
    return sum(not found for found in candidates.values())


def _common_suffixes(stems: Sequence[str]) -> list[str]:
    """Return ends of all names that say that these are photographs, the shortest first."""
    first = stems[0].rpartition("/")[2]
    starts = [at for at, sign in enumerate(first) if at and sign in SEPARATORS]
    ends = [first[at:] for at in reversed(starts) if _is_of_photos(first[at:])]
    return [end for end in ends if all(s.endswith(end) and s.rpartition("/")[2] != end for s in stems)]


def _is_of_photos(end: str) -> bool:
    """Tell whether each part of an end is a word for photographs."""
    return PHOTO.issuperset(re.split(f"[{re.escape(SEPARATORS)}]", end[1:].lower()))


def _candidates(
    wanted: Mapping[str, str], by_stem: Mapping[str, Sequence[str]], *, is_stripped: bool
) -> dict[str, list[str]]:
    """Return the masks that an image could have: a mask goes to the longest name that begins its own.

    Args:
        wanted: what a mask's name begins with, by images' names.
        by_stem: masks by what names them.
        is_stripped: whether images have a suffix, without which they are wanted here: then a mask's must
            be one that masks have, for the two have no more in common than how they begin.
    """
    images: dict[str, list[str]] = defaultdict(list)
    for name, stem in wanted.items():
        images[stem].append(name)
    found: dict[str, list[str]] = {name: [] for name in wanted}
    for stem, masks in by_stem.items():
        owner = _owner(stem, images)
        if is_stripped and stem != owner and not MASK.search(stem[len(owner) :]):
            continue
        for name in images.get(owner, ()):
            found[name] += masks
    return found


def _owner(stem: str, images: Mapping[str, Sequence[str]]) -> str:
    """Return the longest image's name of which a mask's name is made with a suffix; empty where none is."""
    if stem in images:
        return stem
    for end in range(len(stem) - 1, stem.rfind("/") + 1, -1):
        if stem[:end] in images and _is_suffix(stem[:end], stem[end:]):
            return stem[:end]
    return ""


def _is_suffix(name: str, rest: str) -> bool:
    """Tell whether what follows a name says what the picture is, such as ``_mask``, and is no other name."""
    begins = rest[0] in SEPARATORS or (rest[0].isalpha() and not name[-1].isalpha())
    return begins and any(sign.isalpha() for sign in rest)


def _judged(
    candidates: Mapping[str, Sequence[str]], pictures: Mapping[str, Path], masks: Mapping[str, Path]
) -> Matched:
    pairs = []
    findings: list[Finding] = []
    owners: dict[str, list[str]] = defaultdict(list)
    for name, found in candidates.items():
        for mask in found:
            owners[mask].append(name)
        if len(found) == 1:
            pairs.append(Pair(name, pictures[name], masks[found[0]], found[0]))
        else:
            findings.append(("ambiguous_mask" if found else "missing_mask", _told(name, found)))
    findings += _shared(owners)
    findings += [("unused_mask", name) for name in masks if name not in owners]
    return Matched(tuple(pairs), tuple(findings))


def _told(name: str, found: Sequence[str]) -> str:
    if not found:
        return name
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{name}: {', '.join(sorted(found)[:SHOWN])}{more}"


def _shared(owners: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield masks that belong to several images, such as a.jpg and a.png."""
    for mask, names in owners.items():
        if len(names) > 1:
            yield "ambiguous_mask", f"{mask} is the mask of {', '.join(sorted(names)[:SHOWN])}"

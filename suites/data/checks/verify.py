"""Everything that is odd about a data set, found before a run and not during it.

A run asks the same questions of the images that it evaluates (`suites.data.coco`), and refuses what is an
error here; that files are whole and masks have pixels is seen here alone, for it takes the time of reading
all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.lvis import lacking, looks_like_lvis
from sambench.suites.data.checks.problems import Problem, Problems
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.fix import normalised
from sambench.suites.data.locate import Match
from sambench.suites.data.sample import draw


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found."""

    images: int
    annotations: int
    categories: int
    """Entries of the file that could be read."""
    looked_at: int
    """Images whose masks, and whose file if there is a folder, were checked."""
    problems: tuple[Problem, ...]
    """One a kind, errors first."""
    normalised: Callable[[], bytes] | None = None
    """Makes the JSON of `suites.data.fix`, where all images were looked at and only boxes are wrong."""
    renumbered: tuple[str, ...] = ()
    """Columns of records whose ids are numbered anew there."""
    has_pairs: bool = False
    """Whether entries are pairs of an image and a phrase, which COCO's format has not."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems with which a run would fail or be false."""
        return tuple(p for p in self.problems if p.severity == "error")


def verify(
    annotations: Path,
    images: Path | None = None,
    *,
    match: Match = "name",
    lvis: bool | None = None,
    limit: int | None = None,
    seed: int = 0,
    thorough: bool = True,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check a data set; nothing found is raised, all of it is in the report.

    Args:
        annotations: the JSON file.
        images: folder of the images; ``None`` checks the annotations alone.
        match: by what image files are found.
        lvis: expect LVIS's own fields; ``None`` does if the file has some of them.
        limit: check the files and masks of a seeded sample of so many images, the one that a run takes. Ids
            and fields are checked in the whole file.
        seed: of that sample.
        thorough: read the image files to their end, which finds those cut off, and not just their headers.
        on_image: called with images done and their total.
    """
    folder = images if images is not None and images.is_dir() else None
    try:
        dataset = CocoDataset(folder, annotations, match=match, lenient=True)
    except SambenchError as error:
        problems = Problems()
        problems.add("unreadable", str(error))
        return Report(0, 0, 0, 0, problems.listed())
    if images is not None and folder is None:
        dataset.problems.add("missing_image", f"{images}: no such folder")
    content = dataset.content
    if looks_like_lvis(content) if lvis is None else lvis:
        dataset.problems.extend(lacking(content))
    chosen = draw(dataset.entries, limit, seed)
    entries = dataset.checked(chosen, thorough=thorough, on_image=on_image)
    counts = len(content.images), len(content.annotations), len(content.categories or ())
    fixed = partial(normalised, dataset, entries)
    texts, has_pairs = tuple(dataset.texts()), content.pairs is not None
    return Report(*counts, len(chosen), dataset.problems.listed(), fixed, texts, has_pairs)

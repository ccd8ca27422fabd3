"""Which code decides a record, and which a score: a copy of the sources, changed here and there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sambench.harness import sources
from sambench.harness.plan import WORKER

L0_CLICK = ("sambench.adapters.families.efficientvit_sam", "sambench.suites.click.suite")
BOX_GT = ("sambench.adapters.families.baselines", "sambench.suites.gt_box")
BOX_WORKER = ("sambench.adapters.families.baselines", WORKER)
BOX_AP = ("sambench.adapters.families.baselines", "sambench.suites.det_box", WORKER)
EFFECT = "changed = True\n"

Changes = Callable[..., bool]


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Changes]:
    """Whether a digest changes with a file: another line in it, or ``old`` replaced by ``new``."""
    for package in ("evsam", "adapters", "suites", "harness"):
        shutil.copytree(sources.ROOT / package, tmp_path / package)
    monkeypatch.setattr(sources, "ROOT", tmp_path)

    def digest(modules: tuple[str, ...], scoring: bool) -> str:
        sources.code_digest.cache_clear()
        return sources.code_digest(*modules, scoring=scoring)

    def change(
        file: str, modules: tuple[str, ...], *, old: str = "", new: str = EFFECT, scoring: bool = False
    ) -> bool:
        before, text = digest(modules, scoring), (tmp_path / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1) if old else text + new)
        return digest(modules, scoring) != before

    yield change
    sources.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("file", "l0_click", "box_gt"),
    [
        ("evsam/attention.py", True, False),
        ("suites/click/clicker.py", True, False),
        ("adapters/families/baselines.py", False, True),
        ("suites/data/masks.py", True, True),
        ("suites/metrics/iou.py", True, True),
        ("adapters/base.py", True, True),
        ("adapters/registry.py", False, False),  # which the worker imports
        ("adapters/models.py", False, False),
        ("suites/data/shapes.py", False, False),
    ],
)
def test_a_digest_follows_what_is_imported_and_nothing_else(
    changes: Changes, file: str, l0_click: bool, box_gt: bool
) -> None:
    assert (changes(file, L0_CLICK), changes(file, BOX_GT)) == (l0_click, box_gt)


def test_the_worker_and_what_creates_models_decide_every_cell(changes: Changes) -> None:
    """What only plans, tells and shows decides nothing."""
    for file in ("harness/worker.py", "adapters/registry.py", "adapters/engines/__init__.py"):
        assert changes(file, BOX_WORKER), file
    for file in ("adapters/models.py", "suites/registry.py", "harness/run.py", "harness/finish.py"):
        assert not changes(file, BOX_WORKER), file


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("suites/metrics/iou.py", "", "# a comment\n"),
        ("suites/metrics/iou.py", "IoU of masks", "The IoU of masks"),
        ("suites/predict.py", "its logits are not finite", "its logits are wrong"),
        ("suites/det_box.py", "Compute AP of the masks", "Find AP of the masks"),
    ],
    ids=["comment", "docstring", "error", "docstring of a method"],
)
def test_words_decide_nothing(changes: Changes, file: str, old: str, new: str) -> None:
    assert not changes(file, BOX_AP, old=old, new=new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("suites/scoring/bootstrap.py", "RESAMPLES = 2000", "RESAMPLES = 2001"),
        ("suites/scoring/evaluators.py", "LVIS_MAX_DETS = 300", "LVIS_MAX_DETS = 301"),
        ("suites/det_box.py", "counts=self._counts()", "counts={}"),
    ],
    ids=["bootstrap", "evaluators", "score"],
)
def test_scoring_decides_scores_and_no_record(changes: Changes, file: str, old: str, new: str) -> None:
    assert not changes(file, BOX_AP, old=old, new=new)
    assert changes(file, ("sambench.suites.det_box",), old=new, new=old, scoring=True)


def test_a_number_in_what_makes_records_decides_them(changes: Changes) -> None:
    assert changes("suites/predict.py", BOX_AP, old="size)) > 0", new="size)) > 1")


def test_no_record_is_made_by_what_is_called_scoring() -> None:
    """What a suite calls while it evaluates lies nowhere in `suites/scoring`: seen by tracing it."""
    import sys

    import numpy as np

    from sambench.adapters.registry import create
    from sambench.suites.base import Setting, Stopwatch
    from sambench.suites.data.masks import to_window
    from sambench.suites.data.sample import Sample, Target
    from sambench.suites.protocol import make_protocol
    from sambench.suites.registry import suite_class

    image, mask = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), bool)
    mask[8:24, 10:30] = True
    target = Target(1, 1, (10.0, 8.0, 30.0, 24.0), 320.0, False, to_window(mask))
    sample, box = Sample(1, image, (target,), "1.jpg", {}), create("box")
    (embedding,) = box.encode([image])
    called: set[str] = set()
    for name in ("gt_box", "click", "everything"):
        suite = suite_class(name).on(Setting(Path("none"), (1,)))
        sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_filename))
        try:
            suite.evaluate(box, embedding, sample, make_protocol("strict"), Stopwatch())
        finally:
            sys.setprofile(None)
    assert any("/suites/metrics/" in file for file in called)
    assert not [file for file in called if "/suites/scoring/" in file]

"""Whoever does the work, and whoever dies meanwhile: the records of one process, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import call, cell_of, cells_of, ended, flags, shards_of, started
from PIL import Image
from tiny_coco import HEIGHT, TinyCoco, make_tiny, noise

from sambench.harness.executors.queue import TRIES

IMAGES = 40  # three shards
ODD = 77
"""The width of the last image."""

DIES = '''
import os, signal
from pathlib import Path
from sambench.adapters.families.baselines import Ellipse

class Dies(Ellipse):
    """Is killed at an image, so often."""
    def __init__(self, name, *, weights, device, marks, times, width):
        super().__init__(name, weights=weights, device=device)
        self.marks, self.times, self.width = Path(marks), times, width
    def embed(self, prepared):
        before = len(list(self.marks.iterdir()))
        if before < self.times and any(p.size[1] == self.width for p in prepared):
            (self.marks / f"{before}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(prepared)
'''


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TinyCoco:
    """Forty tiny images, and the boxes of a detector."""
    return make_world(tmp_path_factory.mktemp("world"))


def make_world(folder: Path) -> TinyCoco:
    tiny = make_tiny(folder, IMAGES - 1)
    Image.fromarray(noise((HEIGHT, ODD))).save(tiny.file(IMAGES))
    tiny.add(IMAGES, tiny.file(IMAGES).name, (HEIGHT, ODD))
    tiny.save()
    found = [
        {key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5}
        for a in tiny.content["annotations"]
    ]
    detections(tiny).write_text(json.dumps(found))
    return tiny


def detections(tiny: TinyCoco) -> Path:
    return tiny.annotations.with_name("detections.json")


def command(tiny: TinyCoco, out: Path, *more: object, models: str = "box,ellipse") -> list[object]:
    suites = "gt_box,click,det_box"
    return [*flags(tiny, out, models, suites), "--detections", f"d={detections(tiny)}", *more]


@pytest.fixture(scope="module")
def alone(world: TinyCoco, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process gives."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert call(*command(world, out)).code == 0
    return out


def plain(out: Path) -> list[dict[str, Any]]:
    """The results of a run without times, and without what was typed."""
    cells = cells_of(out)
    for cell in cells:
        del cell["timing"], cell["provenance"]["command"], cell["provenance"]["hardware"]["host"]
    return cells


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "workers"), [("processes", 2), ("torchrun", 2)])
def test_records_and_results_are_those_of_one_process(
    world: TinyCoco, alone: Path, tmp_path: Path, executor: str, workers: int
) -> None:
    out = tmp_path / "out"
    done = ended(started(*command(world, out, "--executor", executor, "--workers", workers)))
    assert done.code == 0, done.err
    assert shards_of(out) == shards_of(alone)
    assert plain(out) == plain(alone)
    sessions = [json.loads(f.read_text()) for f in out.glob("records/box-gt*/_session-*.json")]
    assert sum(session["images"] for session in sessions) == IMAGES  # each by one of them


def dying(world: TinyCoco, folder: Path, times: int) -> Path:
    """A configuration whose model is killed at one image, so often; the marks of it lie beside it."""
    (folder / "marks").mkdir()
    (folder / "dies.py").write_text(DIES)
    options = {"marks": str(folder / "marks"), "times": times, "width": ODD}
    model = {"class": f"{folder / 'dies.py'}:Dies", "name": "dies", "options": options}
    data = {"name": "tiny", "images": str(world.images), "annotations": str(world.annotations)}
    content = {"adapters": [model], "suites": ["gt_box"], "datasets": [data]}
    (folder / "run.yaml").write_text(json.dumps(content))
    return folder / "run.yaml"


def killed_once(world: TinyCoco, folder: Path, *executor: object) -> str:
    """Let a worker be killed once, hold what came of it against a run undisturbed; return what was said."""
    config = dying(world, folder, times=1)
    killed = call("run", config, *executor, "--out", folder / "killed")
    assert killed.code == 0, killed.err
    assert len(list((folder / "marks").iterdir())) == 1
    undisturbed = call("run", config, "--out", folder / "undisturbed")  # the mark keeps it alive
    assert undisturbed.code == 0
    assert shards_of(folder / "killed") == shards_of(folder / "undisturbed")
    assert plain(folder / "killed") == plain(folder / "undisturbed")
    return killed.err


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(world: TinyCoco, tmp_path: Path) -> None:
    said = killed_once(world, tmp_path, "--executor", "processes", "--workers", 2)
    assert "It is replaced, and its shard is done again" in said


@pytest.mark.slow
def test_what_kills_every_worker_fails_with_its_image_and_takes_nothing_else(
    world: TinyCoco, tmp_path: Path
) -> None:
    config, out = dying(world, tmp_path, times=99), tmp_path / "out"
    done = call("run", config, "--executor", "processes", "--workers", 1, "--out", out)
    assert done.code == 1
    assert len(list((tmp_path / "marks").iterdir())) == TRIES
    cell = cell_of(out, model="dies")
    assert cell["status"] == "failed"
    assert cell["reason"].startswith(f"image {IMAGES:03d}.jpg: out of memory? Its process was killed")
    assert len(shards_of(out)) == 2  # of three


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (["--executor", "inline", "--workers", "2"], "has one worker, not 2. Say --executor processes"),
        (["--executor", "dask"], "no executor 'dask'; there is inline, processes, torchrun, ray"),
        (["--workers", "0"], "workers must be a whole number from 1"),
        (["--address", "here:6379"], "address is of a Ray cluster, and the executor is inline"),
        (["--max-failures", "-1"], "max_failures must be a whole number from 0"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_read(
    world: TinyCoco, tmp_path: Path, flag: list[str], said: str
) -> None:
    done = call(*command(world, tmp_path / "out", *flag))
    assert done.code == 2
    assert said in done.err

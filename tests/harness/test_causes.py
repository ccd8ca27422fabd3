"""What decides a number, and nothing else: what is computed again, and what is recorded."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from command import call, cell_of, cells_of, ended, flags, rows_of, shards_of, started, times
from tiny_coco import TinyCoco, noise

from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
from sambench.adapters.spec import ModelSpec
from sambench.harness import state, worker
from sambench.suites.gt_box import GtBox
from sambench.suites.scoring.evidence import load

RESTLESS = '''
import os
import cv2, numpy as np, torch
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box

class Restless(Box):
    """Sets what it should leave alone."""
    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=weights, device=device)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.benchmark = True
        os.environ["RESTLESS"] = "1"
        Box.from_box = lambda self, image, box: np.zeros(image.shape[:2], bool)  # nobody puts that back
'''

DICE = '''
import random
import cv2, numpy as np, torch
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box

class Dice(Box):
    """Shifts the mask by what it draws from all that one draws from."""
    def from_box(self, image, box):
        drawn = [random.random(), np.random.rand(), torch.rand(()).item(), cv2.randu(np.zeros(1), 0, 1)[0]]
        return super().from_box(image, box - sum(drawn))
'''


@pytest.fixture
def never_again(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and from there on whatever creates a model or scores records is a mistake."""

    def forbid() -> None:
        def fail(*_: object, **__: object) -> None:
            pytest.fail("was done again")

        monkeypatch.setattr("sambench.adapters.spec.create", fail)
        monkeypatch.setattr("sambench.suites.data.sample.read_image", fail)
        monkeypatch.setattr(GtBox, "score", fail)
        for suite in ("gt_box.GtBox", "det_box.DetBox", "click.suite.Click"):
            monkeypatch.setattr(f"sambench.suites.{suite}.score", fail)
            monkeypatch.setattr(f"sambench.suites.{suite}.check", fail)

    return forbid


@pytest.fixture
def boxes(tiny: TinyCoco) -> list[str]:
    """Flags that name detections of the tiny images: their own boxes."""
    rows = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.5}
        for a in tiny.content["annotations"]
    ]
    file = tiny.annotations.with_name("boxes.json")
    file.write_text(json.dumps(rows))
    return ["--detections", f"own={file}"]


def test_a_finished_run_costs_nothing(
    tiny: TinyCoco, boxes: list[str], fresh: Path, never_again: Callable[[], None]
) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box,click,det_box", *tiny.flags, *boxes]
    assert call(*command, "--out", fresh).code == 0
    before = cells_of(fresh)
    never_again()
    assert call(*command, "--out", fresh).code == 0
    assert cells_of(fresh) == before


def test_a_model_that_cannot_take_part_is_asked_once(
    tiny: TinyCoco,
    fresh: Path,
    tmp_path: Path,
    never_again: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Box, "capabilities", Capabilities(points=False))
    command = ["run", "--models", "box", "--suites", "gt_box,click", *tiny.flags, "--out", fresh]
    assert call(*command).code == 0
    assert cell_of(fresh, suite="click")["status"] == "not_applicable"
    never_again()
    assert call(*command).code == 0
    assert cell_of(fresh, suite="click")["reason"] == "box: it takes no points"
    assert cell_of(fresh, suite="gt_box")["status"] == "done"


def test_what_only_scoring_reads_computes_no_record_again(
    tiny: TinyCoco, boxes: list[str], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(suites: str, protocol: str) -> list[dict[str, Any]]:
        file = fresh.parent / "protocol.yaml"
        file.write_text(f"protocol: {protocol}\n")
        flags = ["--models", "box", "--suites", suites, *tiny.flags, *boxes, "--out", fresh]
        done = call("run", file, *flags)
        assert done.code == 0, done.err
        return cells_of(fresh)

    run("gt_box,det_box", "strict")
    records = shards_of(fresh)
    monkeypatch.setattr("sambench.adapters.spec.create", lambda *_, **__: pytest.fail("a model was created"))
    cells = run("gt_box", "{bins: closed, area_source: mask}") + run("det_box", "paper")
    assert shards_of(fresh) == records
    assert {c["protocol"]["preset"] for c in cells} == {"strict", "custom", "paper"}
    assert len({c["records"] for c in cells if c["suite"] == "det_box"}) == 1


def test_other_scores_of_the_same_records_stand_side_by_side(tiny: TinyCoco, fresh: Path) -> None:
    """Areas of exactly 32^2 count twice in closed bins."""
    for annotation in tiny.content["annotations"]:
        annotation["area"] = 1024.0
    tiny.save()
    counts = []
    for bins in ("half_open", "closed", "half_open"):
        file = fresh.parent / "protocol.yaml"
        file.write_text(f"protocol: {{crowd: keep, bins: {bins}}}\n")
        assert (
            call("run", file, "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", fresh).code == 0
        )
        (cell,) = (c for c in cells_of(fresh) if c["protocol"]["bins"] == bins)
        counts.append((cell["counts"]["small"], cell["counts"]["medium"]))
    assert counts == [(0, 4), (4, 4), (0, 4)]


def test_scores_are_made_anew_where_a_shard_is_another(tiny: TinyCoco, fresh: Path) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", fresh]
    assert call(*command).code == 0
    (shard,) = (fresh / "records").rglob("*.parquet")
    (scores,) = (fresh / "records").rglob("_scores-*.json")
    before = scores.read_bytes()
    shard.write_bytes(shard.read_bytes()[:-20])
    assert call(*command).code == 0
    assert pq.read_table(shard).num_rows == 4
    assert scores.read_bytes() != before  # they say which files they are of


def test_what_a_suite_reads_of_a_protocol_is_what_it_declares(coco_mini: Any) -> None:
    """A spy in the protocol's place, on real images with crowds."""
    from sambench.adapters.registry import create
    from sambench.suites.base import Setting, Stopwatch
    from sambench.suites.data.coco import CocoDataset
    from sambench.suites.data.sample import load_sample
    from sambench.suites.protocol import Protocol
    from sambench.suites.registry import suite_class

    class Spy:
        def __init__(self) -> None:
            self.read: set[str] = set()

        def __getattr__(self, axis: str) -> Any:
            self.read.add(axis)
            return getattr(Protocol(), axis)

    data = CocoDataset(*coco_mini)
    sample = load_sample(next(e for e in data.entries if any(a.iscrowd for a in e.annotations)))
    box = create("box")
    (embedding,) = box.encode([sample.image])
    for name in ("gt_box", "click", "everything"):
        suite, spy = suite_class(name).on(Setting(coco_mini.annotations, (sample.image_id,))), Spy()
        suite.evaluate(box, embedding, sample, spy, Stopwatch())  # type: ignore[arg-type]
        suite.left_out(sample, spy)  # type: ignore[arg-type]
        assert spy.read <= set(suite.record_axes), name


def outside(tmp_path: Path, source: str, name: str) -> list[str]:
    file = tmp_path / f"{name.lower()}.py"
    file.write_text(source)
    return ["--adapter", f"{name.lower()}={file}:{name}"]


def test_a_file_that_a_model_reads_while_it_is_created_decides_its_records(
    tiny: TinyCoco, fresh: Path, tmp_path: Path
) -> None:
    table = tmp_path / "shrink.txt"
    source = f"""
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
class Shrunk(Box):
    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=weights, device=device)
        self.by = float(open({str(table)!r}).read())
    def from_box(self, image, box):
        return super().from_box(image, box + [self.by, self.by, -self.by, -self.by])
"""
    found = []
    for by in (0, 6):
        table.write_text(str(by))
        command = ["run", *outside(tmp_path, source, "Shrunk"), "--suites", "gt_box", *tiny.flags]
        assert call(*command, "--out", fresh).code == 0
        found.append(cell_of(fresh, model="shrunk"))
    assert found[0]["metrics"]["miou"] > found[1]["metrics"]["miou"] + 20
    names = [name for name, _ in found[1]["provenance"]["loaded"]["files"]]
    assert names == ["shrink.txt", "shrunk.py"]


@pytest.mark.slow
def test_a_helper_from_elsewhere_decides_the_records_of_a_model_that_imports_it(
    tiny: TinyCoco, fresh: Path, tmp_path: Path
) -> None:
    """By name alone, at run time, from a folder that the adapter puts on the path itself."""
    (tmp_path / "elsewhere").mkdir()
    source = f"""
import importlib, sys
sys.path.insert(0, {str(tmp_path / "elsewhere")!r})
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
class Shrunk(Box):
    def from_box(self, image, box):
        by = self.helper.BY
        return super().from_box(image, box + [by, by, -by, -by])
    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=weights, device=device)
        self.helper = importlib.import_module("a_helper" + "_of_mine")
"""
    flags = [*outside(tmp_path, source, "Shrunk"), "--suites", "gt_box", *tiny.flags, "--out", fresh]
    found = []
    for by in (0, 6):
        (tmp_path / "elsewhere" / "a_helper_of_mine.py").write_text(f"BY = {by}\n")
        done = ended(started("run", *flags, env={"PYTHONDONTWRITEBYTECODE": "1"}))
        assert done.code == 0, done.err
        found.append(cell_of(fresh, model="shrunk")["metrics"]["miou"])
    assert found[0] > found[1] + 20


def test_what_a_model_names_itself_decides_too(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    other = tmp_path / "engine.bin"
    source = f"""
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
class Named(Box):
    files = [{str(other)!r}]
"""
    folders = []
    for content in (b"one", b"two"):
        other.write_bytes(content)
        command = ["run", *outside(tmp_path, source, "Named"), "--suites", "gt_box", *tiny.flags]
        assert call(*command, "--out", fresh).code == 0
        folders.append(cell_of(fresh, model="named")["records"])
    assert folders[0] != folders[1]


def test_weights_that_are_replaced_after_the_plan_are_no_number(
    tiny: TinyCoco, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")
    source = """
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
from sambench.adapters.weights.resolve import resolve
class Weighty(Box):
    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=None, device=device)
        self.weights = resolve(name, weights)
"""
    monkeypatch.setattr(
        "sambench.harness.worker._create",
        lambda given, create=worker._create: (weights.write_bytes(b"two"), create(given))[1],
    )
    command = ["run", *outside(tmp_path, source, "Weighty"), "--weights", f"weighty={weights}"]
    done = call(*command, "--suites", "gt_box", *tiny.flags, "--out", fresh)
    assert done.code == 1
    assert "changed since this run was planned" in cell_of(fresh)["reason"]
    assert shards_of(fresh) == {}


def test_an_image_that_is_replaced_after_the_plan_ends_the_run(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    create = ModelSpec.create

    def replace_and_create(spec: ModelSpec) -> Any:
        Image.fromarray(noise((48, 64), seed=99)).save(tiny.file(3))
        return create(spec)

    monkeypatch.setattr(ModelSpec, "create", replace_and_create)
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", fresh)
    assert done.code == 2
    assert f"{tiny.file(3)}: changed since this run was planned" in done.err


def test_another_environment_is_another_cell(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    for isa in ("AVX2", "AVX512_CORE"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
        assert call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", fresh).code == 0
        cell = cell_of(fresh)
        assert cell["provenance"]["environment"]["ONEDNN_MAX_CPU_ISA"] == isa
        folders.append(cell["records"])
    assert folders[0] != folders[1]


def test_two_checkpoints_of_a_model_are_two_rows(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    source = """
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
from sambench.adapters.weights.resolve import resolve
class Epochs(Box):
    def __init__(self, name, *, weights, device):
        super().__init__(name, weights=None, device=device)
        self.weights = resolve(name, weights)
        self.by = float(open(weights).read())
    def from_box(self, image, box):
        return super().from_box(image, box + [self.by, self.by, -self.by, -self.by])
"""
    for epoch in (1, 2, 1):
        (tmp_path / f"epoch-{epoch}.txt").write_text(str(2 * epoch))
        command = ["run", *outside(tmp_path, source, "Epochs"), "--suites", "gt_box", *tiny.flags]
        weights = f"epochs={tmp_path / f'epoch-{epoch}.txt'}"
        assert call(*command, "--weights", weights, "--out", fresh).code == 0
    found = {Path(c["provenance"]["weights"]["path"]).stem: c["metrics"]["miou"] for c in cells_of(fresh)}
    assert len(cells_of(fresh)) == 2
    assert found["epoch-1"] > found["epoch-2"]


def test_a_row_whose_weights_were_not_there_gives_way(tiny: TinyCoco, fresh: Path, l0: None) -> None:
    command = ["run", "--models", "efficientvit_sam_l0", "--suites", "gt_box", *tiny.flags, "--out", fresh]
    assert call(*command).code == 1
    assert cell_of(fresh)["status"] == "failed"
    assert call(*command, "--weights", "efficientvit_sam_l0=random").code == 0
    assert cell_of(fresh)["status"] == "done"


@pytest.fixture
def l0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights at all."""
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "none"))


def test_settings_are_put_back_and_read_back(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    patched = Box.from_box
    try:
        command = ["run", *outside(tmp_path, RESTLESS, "Restless"), "--suites", "gt_box", *tiny.flags]
        assert call(*command, "--out", fresh).code == 0
    finally:
        Box.from_box = patched  # type: ignore[method-assign]
    settings = cell_of(fresh)["provenance"]["settings"]
    assert (settings["threads"], settings["default_dtype"]) == (threads + 1, "float64")
    assert cell_of(fresh)["provenance"]["inputs"] == {"shapes": ["uint8 [3, 48, 64]"]}
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert not torch.backends.cudnn.benchmark
    assert "RESTLESS" not in os.environ


@pytest.mark.slow
def test_a_model_from_outside_leaves_nothing_to_the_next(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    """It patches a class of ours, so nothing but a process of its own will do."""
    command = ["run", *outside(tmp_path, RESTLESS, "Restless"), "--suites", "gt_box", *tiny.flags]
    assert call(*command, "--models", "restless,box", "--out", fresh).code == 0
    assert cell_of(fresh, model="restless")["metrics"]["miou"] == 0
    assert cell_of(fresh, model="box")["metrics"]["miou"] > 50
    default = cell_of(fresh, model="box")["provenance"]["settings"]
    assert (default["threads"], default["default_dtype"]) == (torch.get_num_threads(), "float32")


@pytest.mark.slow
def test_a_process_that_dies_fails_its_cells_alone(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    source = """
import os, signal
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box
class Dies(Box):
    def embed(self, prepared):
        os.kill(os.getpid(), signal.SIGKILL)
"""
    command = ["run", *outside(tmp_path, source, "Dies"), "--suites", "gt_box", *tiny.flags]
    assert call(*command, "--models", "dies,box", "--out", fresh).code == 1
    assert "was killed" in cell_of(fresh, model="dies")["reason"]
    assert cell_of(fresh, model="box")["status"] == "done"


def test_a_model_that_draws_at_random_gives_the_same_bytes_after_an_interruption(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 2)
    adapter = outside(tmp_path, DICE, "Dice")
    found = []
    for name, suites in (("whole", "gt_box,click"), ("torn", "gt_box,click"), ("apart", "click,gt_box")):
        out = tmp_path / name
        command = ["run", *adapter, *tiny.flags, "--out", out]
        assert call(*command, "--suites", suites).code == 0
        if name == "torn":
            for shard in sorted((out / "records").rglob("00001-*.parquet")):
                shard.unlink()
            assert call(*command, "--suites", suites).code == 0
        found.append({Path(k).parent.name + Path(k).name: v for k, v in shards_of(out).items()})
    assert found[0] == found[1] == found[2]
    rows = rows_of(tmp_path / "whole", cell_of(tmp_path / "whole", suite="click"))
    assert len({iou for row in rows for iou in row["iou"]}) > 1  # it does draw


def test_what_there_is_of_a_long_shard_is_kept(
    tiny: TinyCoco, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time stands still in one run; in the other a minute passes at every look, until a key is pressed."""
    command = ["run", "--models", "box", "--suites", "gt_box,click", *tiny.flags]
    assert call(*command, "--out", tmp_path / "whole").code == 0
    clock = itertools.count(step=61)
    monkeypatch.setattr("sambench.harness.worker.time.monotonic", lambda: float(next(clock)))
    evaluated: list[int] = []
    evaluate = GtBox.evaluate

    def stop_at(last: int) -> Callable[..., Any]:
        def evaluate_or_stop(self: GtBox, segmenter: Any, embedding: Any, sample: Any, *rest: Any) -> Any:
            if sample.image_id == last:
                raise KeyboardInterrupt
            evaluated.append(sample.image_id)
            return evaluate(self, segmenter, embedding, sample, *rest)

        return evaluate_or_stop

    monkeypatch.setattr(GtBox, "evaluate", stop_at(3))
    assert call(*command, "--out", fresh).code == 130
    begun = sorted(file.name for file in fresh.rglob("_begun-*"))
    assert begun == ["_begun-00000-of-00001.part"] * 2
    monkeypatch.setattr(GtBox, "evaluate", stop_at(99))
    assert call(*command, "--out", fresh).code == 0
    assert evaluated == [1, 2, 3, 4]
    assert list(fresh.rglob("_begun-*")) == []
    assert shards_of(fresh) == shards_of(tmp_path / "whole")


def test_seeding_reaches_all_that_models_draw_from() -> None:
    import random

    import cv2

    def draw() -> list[float]:
        return [random.random(), np.random.rand(), torch.rand(()).item(), cv2.randu(np.zeros(1), 0, 1)[0]]

    def draws(*words: object) -> Iterator[float]:
        with state.kept():
            state.seed(*words)
            yield from draw()

    one, again, other = (list(draws(*words)) for words in (("a", 1), ("a", 1), ("a", 2)))
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_what_numbers_are_made_of_lies_beside_the_records_and_comes_back_by_scoring_alone(
    tiny: TinyCoco, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert call(*flags(tiny, out, models="box")).code == 0
    files = {cell["suite"]: out / cell["records"] / cell["evidence"] for cell in cells_of(out)}
    before = {suite: file.read_bytes() for suite, file in files.items()}
    for cell in cells_of(out):
        found = load(files[cell["suite"]])
        assert found.numbers() == cell["metrics"]
        assert found.intervals() == cell["intervals"]
    written = times(out)
    files["gt_box"].unlink()
    assert call(*flags(tiny, out, models="box")).code == 0
    assert {suite: file.read_bytes() for suite, file in files.items()} == before
    assert times(out) == written

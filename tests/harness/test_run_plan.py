"""Plans: which images, and a folder for records that is named after all that decides them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from command import assert_nothing_half_written, call, cells_of
from PIL import Image
from tiny_coco import HEIGHT, WIDTH, TinyCoco, make_tiny, noise

from sambench.adapters.base import Weights
from sambench.evsam.errors import SambenchError
from sambench.harness.config.datasets import DatasetConfig
from sambench.harness.config.run import RunConfig
from sambench.harness.plan import Plan, Shards, make_plan
from sambench.suites.data.annotations import ImageRecord
from sambench.suites.data.coco import Entry
from sambench.suites.data.sample import draw
from sambench.suites.protocol import PRESETS, make_protocol

ENTRIES = [Entry(ImageRecord(id=10 * i), Path(f"{i}.jpg"), ()) for i in range(50)]


def config_of(tiny: TinyCoco, **changes: object) -> RunConfig:
    dataset = DatasetConfig("tiny", tiny.images, tiny.annotations)
    out = tiny.images.parent.parent / "out"
    base = RunConfig(models=("box",), suites=("gt_box",), datasets=(dataset,), out=out, batch_size=1)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def folders(plan: Plan) -> dict[tuple[str, str], str]:
    """Model and suite to the name of the folder of the records."""
    return {(g.variant.model, c.suite.name): c.store.folder.name for g in plan.groups for c in g.cells}


def folder(config: RunConfig) -> str:
    (name,) = folders(make_plan(config)).values()
    return name


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with its size and time."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*")}


@pytest.mark.parametrize("limit", [1, 5, 49])
def test_a_sample_is_seeded_and_in_order(limit: int) -> None:
    drawn = draw(ENTRIES, limit, seed=0)
    assert len({e.record.id for e in drawn}) == limit
    assert drawn == draw(ENTRIES, limit, seed=0)
    assert [e.record.id for e in drawn] == sorted(e.record.id for e in drawn)


def test_another_seed_draws_another_sample() -> None:
    assert draw(ENTRIES, 10, seed=0) != draw(ENTRIES, 10, seed=1)


def test_a_sample_is_not_the_first_images() -> None:
    assert draw(ENTRIES, 10, seed=0) != ENTRIES[:10]


def test_a_larger_sample_keeps_the_images_of_a_smaller_one() -> None:
    few, more = draw(ENTRIES, 5, seed=4), draw(ENTRIES, 10, seed=4)
    assert {e.record.id for e in few} < {e.record.id for e in more}


@pytest.mark.parametrize("limit", [None, 50, 51])
def test_no_limit_or_a_large_one_takes_all(limit: int | None) -> None:
    assert draw(ENTRIES, limit, seed=0) == ENTRIES


def test_the_same_configuration_gives_the_same_folder(tiny: TinyCoco) -> None:
    assert folder(config_of(tiny)) == folder(config_of(tiny))


@pytest.mark.parametrize(
    "changes",
    [
        {"models": ("ellipse",)},
        {"suites": ("click",)},
        {"protocol": PRESETS["paper"]},
        {"protocol": make_protocol({"select": "single"})},
        {"batch_size": 2},
        {"limit": 2},
        {"limit": 2, "seed": 1},
    ],
    ids=str,
)
def test_a_choice_that_decides_records_names_another_folder(
    tiny: TinyCoco, changes: dict[str, object]
) -> None:
    def digest(config: RunConfig) -> str:
        return folder(config).rpartition("-")[2]

    assert digest(config_of(tiny, **changes)) != digest(config_of(tiny))


def test_the_seed_of_a_sample_decides_its_folder(tiny: TinyCoco) -> None:
    seeds = {s: config_of(tiny, limit=2, seed=s) for s in range(4)}
    drawn = {s: tuple(e.record.id for e in make_plan(c).groups[0].data.entries) for s, c in seeds.items()}
    assert len(set(drawn.values())) > 1
    named = {s: folder(c) for s, c in seeds.items()}
    assert all((named[a] == named[b]) == (drawn[a] == drawn[b]) for a in seeds for b in seeds)


def _annotations(tiny: TinyCoco) -> None:
    tiny.content["annotations"][0]["area"] += 1
    tiny.save()


def _image_size(tiny: TinyCoco) -> None:
    with tiny.file(2).open("ab") as file:
        file.write(b"\0")


def _image_content(tiny: TinyCoco) -> None:
    """The same name, the same number of bytes."""
    content = bytearray(tiny.file(2).read_bytes())
    content[-3] ^= 1
    tiny.file(2).write_bytes(bytes(content))


def _image_name(tiny: TinyCoco) -> None:
    tiny.file(2).rename(tiny.images / "renamed.jpg")
    tiny.content["images"][1]["file_name"] = "renamed.jpg"
    tiny.save()


@pytest.mark.parametrize("change", [_annotations, _image_size, _image_content, _image_name])
def test_other_data_names_another_folder(tiny: TinyCoco, change: Callable[[TinyCoco], None]) -> None:
    before = folder(config_of(tiny))
    change(tiny)
    assert folder(config_of(tiny)) != before


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("key.code_digest", lambda *modules, **scoring: "other code"),
        ("key.libraries", lambda: {"torch": "0.1"}),
        ("plan.device_name", lambda device: f"another {device}"),
        ("plan.SHARD_IMAGES", 2),
    ],
    ids=["code", "versions", "device", "shards"],
)
def test_another_program_or_machine_names_another_folder(
    tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch, what: str, value: object
) -> None:
    before = folder(config_of(tiny))
    monkeypatch.setattr(f"sambench.harness.{what}", value)
    assert folder(config_of(tiny)) != before


def test_the_bytes_of_a_checkpoint_decide_the_folder_and_its_path_does_not(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tiny, models=("efficientvit_sam_l0",))

    def with_file(where: str, content: bytes) -> str:
        (tmp_path / where).mkdir()
        (tmp_path / where / "efficientvit_sam_l0.pt").write_bytes(content)
        monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / where))
        return folder(config)

    first = with_file("a", b"one")
    assert with_file("b", b"two") != first
    assert with_file("c", b"one") == first
    assert folder(config_of(tiny, models=config.models, weights={config.models[0]: "random"})) != first


def test_the_folder_of_the_run_and_of_the_data_decide_nothing(tiny: TinyCoco, tmp_path: Path) -> None:
    before = folder(config_of(tiny))
    assert folder(config_of(tiny, out=tmp_path / "other")) == before
    tiny.images.parent.rename(tmp_path / "moved")
    moved = TinyCoco(tmp_path / "moved" / "images", tmp_path / "moved" / "instances.json", {})
    assert folder(config_of(moved)) == before


def test_order_and_company_of_models_decide_nothing(tiny: TinyCoco) -> None:
    both = ("gt_box", "click")
    forward = folders(make_plan(config_of(tiny, models=("box", "ellipse"), suites=both)))
    backward = folders(make_plan(config_of(tiny, models=("ellipse", "box"), suites=both[::-1])))
    assert forward == backward
    assert len(set(forward.values())) == 4
    assert folder(config_of(tiny)) == forward["box", "gt_box"]


def test_shards_hold_every_image_once_in_order(tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 3)
    shards = make_plan(config_of(tiny)).groups[0].data.shards()
    assert [[e.record.id for e in shard] for shard in shards] == [[1, 2, 3], [4]]
    assert [shards.images(i) for i in range(len(shards))] == [3, 1]
    assert shards[-1] == shards[1]
    assert list(shards[:1]) == [shards[0]]
    with pytest.raises(IndexError):
        shards[2]


def test_a_shards_images_are_asked_for_when_the_shard_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Many(Sequence[Any]):
        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, i: Any) -> Any:
            asked.append(i)
            return [i.start, i.stop]

    shards = Shards(Many())
    assert len(shards) == 62_500_000
    assert not asked
    assert shards[62_499_999] == (10**9 - 16, 10**9)
    assert len(asked) == 1


def test_what_decides_a_cell_can_be_read_beside_its_records(tiny: TinyCoco, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out).code == 0
    (file,) = out.rglob("_cell.json")
    key = json.loads(file.read_text())
    assert key == make_plan(config_of(tiny, out=out)).groups[0].cells[0].key
    assert (key["model"], key["suite"], key["protocol"]["crowd"]) == ("box", "gt_box", "drop")


def test_a_dry_run_shows_the_plan_and_writes_nothing(tiny: TinyCoco, tmp_path: Path) -> None:
    before = tree(tmp_path)
    flags = ["--models", "box,ellipse", "--suites", "gt_box,click", *tiny.flags, "--out", tmp_path / "out"]
    done = call("run", *flags, "--dry-run")
    assert done.code == 0, done.err
    assert tree(tmp_path) == before
    for model in ("box", "ellipse"):
        for suite in ("gt_box", "click"):
            (row,) = (line for line in done.out.splitlines() if line.split()[:1] == [model] and suite in line)
            assert row.split() == [model, "eager", "fp32", "none", suite, "tiny", "4", "4", "0/1"]


def test_a_dry_run_shows_the_shards_that_are_done(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 2)
    flags = ["--models", "box", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out"]
    assert call("run", *flags).code == 0
    before = tree(tmp_path)
    assert "2/2" in call("run", *flags, "--dry-run").out
    assert tree(tmp_path) == before
    sorted((tmp_path / "out").rglob("*.parquet"))[0].unlink()
    assert "1/2" in call("run", *flags, "--dry-run").out
    assert_nothing_half_written(tmp_path / "out")


def test_a_dry_run_finds_a_wrong_input_too(tiny: TinyCoco, tmp_path: Path) -> None:
    tiny.file(3).unlink()
    flags = ["--models", "box", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out"]
    done = call("run", *flags, "--dry-run")
    assert done.code == 2
    assert str(tiny.file(3)) in done.err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_which_model_lacks_its_weights(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    flags = ["--models", "efficientvit_sam_l1", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out"]
    done = call("run", *flags, "--dry-run")
    assert done.code == 0
    assert "missing" in done.out
    assert str(tmp_path / "efficientvit_sam_l1.pt") in done.out


def test_images_that_no_annotation_file_lists_decide_nothing(tiny: TinyCoco) -> None:
    before = folder(config_of(tiny))
    Image.fromarray(noise((HEIGHT, WIDTH))).save(tiny.images / "stranger.jpg")
    assert folder(config_of(tiny)) == before


def test_a_plan_of_two_data_sets_has_a_group_each(tiny: TinyCoco, tmp_path: Path) -> None:
    other = make_tiny(tmp_path / "other", images=2)
    two = (*config_of(tiny).datasets, DatasetConfig("other", other.images, other.annotations))
    plan = make_plan(config_of(tiny, datasets=two, models=("box", "ellipse")))
    assert [(g.variant.model, g.data.config.name, len(g.data.entries)) for g in plan.groups] == [
        (model, name, n) for model in ("box", "ellipse") for name, n in (("tiny", 4), ("other", 2))
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("cpu_capability", "AVX1024"), ("features", ("avx2", "avx1024f"))]
)
def test_another_instruction_set_names_another_folder(
    tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    before = folder(config_of(tiny))
    monkeypatch.setattr(f"sambench.harness.key.{name}", lambda: value)
    assert folder(config_of(tiny)) != before


def test_another_number_of_threads_names_another_folder(
    tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums are split otherwise: with 1 and 2 threads an encoder's features differ in their last bits."""
    before = folder(config_of(tiny))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert folder(config_of(tiny)) != before


def test_out_that_is_a_file_is_refused_before_anything_else(tiny: TinyCoco, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    with pytest.raises(SambenchError, match="is a file"):
        make_plan(config_of(tiny, out=tmp_path / "here"))


def test_a_named_checkpoint_is_tried_on_the_cpu_whatever_is_to_run_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An engine of a GPU refuses a CPU, where the checkpoint is only looked at."""
    asked: list[dict[str, object]] = []

    def create(name: str, **options: object) -> SimpleNamespace:
        asked.append(options)
        return SimpleNamespace(weights=Weights("file", path="l0.pt", sha256="0"))

    monkeypatch.setattr("sambench.harness.variants.create", create)
    monkeypatch.setattr("sambench.harness.variants.check_device", lambda name: SimpleNamespace(type="cuda"))
    monkeypatch.setattr("sambench.harness.plan.device_name", lambda name: "a GPU")
    config = config_of(make_tiny(tmp_path), models=("efficientvit_sam_l0",), device="cuda")
    weights = {"efficientvit_sam_l0": "l0.pt"}
    plan = make_plan(
        dataclasses.replace(config, engines=("tensorrt",), precisions=("fp16",), weights=weights)
    )
    assert asked == [{"weights": "l0.pt"}]
    assert plan.groups[0].cells[0].key["engine"] == "tensorrt"


def test_engines_and_precisions_are_crossed_and_what_an_engine_does_not_do_is_no_number(
    tiny: TinyCoco, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ["--models", "box,ellipse", "--suites", "gt_box", *tiny.flags, "--out", out]
    done = call("run", *flags, "--precisions", "fp32,int8")
    assert done.code == 0, done.err
    cells = [(c["model"], c["precision"], c["status"]) for c in cells_of(out)]
    assert cells == [
        (model, precision, status)
        for model in ("box", "ellipse")
        for precision, status in (("fp32", "done"), ("int8", "not_applicable"))
    ]
    assert "int8" in cells_of(out)[1]["reason"]
    assert "eager int8" in done.out
    alone = call("run", *flags, "--precision", "int8")
    assert alone.code == 2
    assert "int8" in alone.err

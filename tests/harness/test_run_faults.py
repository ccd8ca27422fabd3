"""Faults of a model, of memory and of the disk, within one process: what is named, tolerated, made again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from command import call, cell_of, flags, metrics, rows_of, shards_of
from tiny_coco import TinyCoco

from sambench.adapters.base import Embedding, Prediction, Prepared, Prompts
from sambench.adapters.families.baselines import Box

BAD = (2, 5, 7)


@pytest.fixture
def bad_images(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Images, by the place in the order of evaluation from 1, on which the model `box` gives NaN."""
    bad, seen = set(BAD), [0]
    decode, embed = Box.decode_batch, Box.embed

    def embedded(self: Box, prepared: Sequence[Prepared]) -> list[Embedding]:
        seen[0] += len(prepared)
        return embed(self, prepared)

    def decoded(self: Box, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        found = decode(self, embedding, prompts, multimask)
        if seen[0] in bad:
            return Prediction(torch.full_like(found.logits, float("nan")), found.iou)
        return found

    monkeypatch.setattr(Box, "embed", embedded)
    monkeypatch.setattr(Box, "decode_batch", decoded)
    return bad


@pytest.mark.usefixtures("bad_images")
def test_images_that_fail_are_left_out_and_named_as_far_as_the_limit_goes(
    shapes: list[str], tmp_path: Path, fresh: Path
) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box", *shapes, "--out", fresh]
    done = call(*command, "--max-failures", "3")
    assert done.code == 0, done.err
    cell = cell_of(fresh)
    assert (cell["status"], cell["n_failed_images"]) == ("done", 3)
    names = [image["file_name"] for image in cell["failed_images"]]
    assert len(set(names)) == 3
    assert all("not finite" in image["reason"] for image in cell["failed_images"])
    for name in names:
        assert f"image {name}: " in done.err
    rows = rows_of(fresh, cell)
    assert not {row["file_name"] for row in rows} & set(names)
    assert len(rows) == cell["n_instances"]
    assert cell["metrics"]["miou"] == pytest.approx(100 * np.mean([row["iou"] for row in rows]))


@pytest.mark.usefixtures("bad_images")
@pytest.mark.parametrize("allowed", [0, 2])
def test_more_than_the_limit_fails_the_cell_with_the_images_name(
    shapes: list[str], fresh: Path, allowed: int
) -> None:
    flag = ["--max-failures", str(allowed)] if allowed else []
    done = call("run", "--models", "box", "--suites", "gt_box", *shapes, "--out", fresh, *flag)
    assert done.code == 1
    cell = cell_of(fresh)
    assert cell["status"] == "failed"
    assert "shapes_" in cell["reason"] or ".png" in cell["reason"] or ".jpg" in cell["reason"]
    assert "not finite" in cell["reason"]
    assert not shards_of(fresh)


def test_a_stricter_command_tries_failed_images_again(
    shapes: list[str], fresh: Path, bad_images: set[int]
) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box", *shapes, "--out", fresh]
    assert call(*command, "--max-failures", "3").code == 0
    assert cell_of(fresh)["n_failed_images"] == 3
    bad_images.clear()
    done = call(*command)
    assert done.code == 0, done.err
    assert "has images that failed; trying them again" in done.err
    cell = cell_of(fresh)
    assert (cell["n_failed_images"], cell["failed_images"]) == (0, [])


def test_a_stricter_command_fails_where_they_fail_again(
    shapes: list[str], fresh: Path, bad_images: set[int]
) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box", *shapes, "--out", fresh]
    assert call(*command, "--max-failures", "3").code == 0
    bad_images |= set(range(1, 30))
    assert call(*command, "--max-failures", "1").code == 1
    assert "not finite" in cell_of(fresh)["reason"]


class Memory:
    """What fits into it at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, images: int, prompts: int) -> None:
        self.calls: list[int] = []
        embed, decode = Box.embed, Box.decode_batch

        def embedded(model: Box, prepared: Sequence[Prepared]) -> list[Embedding]:
            self.calls.append(len(prepared))
            if len(prepared) > images:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return embed(model, prepared)

        def decoded(model: Box, embedding: Embedding, given: Prompts, multimask: bool) -> Prediction:
            if len(given) > prompts:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return decode(model, embedding, given, multimask)

        monkeypatch.setattr(Box, "embed", embedded)
        monkeypatch.setattr(Box, "decode_batch", decoded)


def test_lack_of_memory_halves_the_batches_and_changes_no_number(
    shapes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "--models", "box", "--suites", "gt_box,click", *shapes, "--batch-size", "8", "--out"]
    assert call(*command, tmp_path / "enough").code == 0
    memory = Memory(monkeypatch, images=3, prompts=2)
    done = call(*command, tmp_path / "little")
    assert done.code == 0, done.err
    assert "out of memory with 8 images an encoder call; going on with 4" in done.err
    assert "out of memory with 4 images an encoder call; going on with 2" in done.err
    assert "prompts a decoder call; going on with 2" in done.err
    assert memory.calls == [8, 4, 2, 2, 4, 2, 2]
    assert shards_of(tmp_path / "little") == shards_of(tmp_path / "enough")
    assert metrics(tmp_path / "little") == metrics(tmp_path / "enough")
    cell = cell_of(tmp_path / "little", suite="gt_box")
    assert cell["provenance"]["reduced"] == {"batch_size": 2, "prompt_batch": 2}
    assert "reduced" not in cell_of(tmp_path / "enough", suite="gt_box")["provenance"]


def test_memory_for_not_even_one_image_fails_the_cell(
    shapes: list[str], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Memory(monkeypatch, images=0, prompts=2)
    assert call("run", "--models", "box", "--suites", "gt_box", *shapes, "--out", fresh).code == 1
    assert "out of memory" in cell_of(fresh)["reason"]


@pytest.mark.parametrize("place", [100, -300])
def test_a_damaged_shard_is_named_and_computed_again_without_being_asked(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    command = flags(tiny, fresh, "box", "gt_box")
    assert call(*command).code == 0
    before, results = shards_of(fresh), metrics(fresh)
    victim = fresh / sorted(before)[2]
    content = bytearray(victim.read_bytes())
    content[place] ^= 1
    victim.write_bytes(content)
    done = call(*command)
    assert done.code == 0, done.err
    assert f"{victim}: damaged; computing it again" in done.err
    assert shards_of(fresh) == before
    assert metrics(fresh) == results


def test_a_disk_that_keeps_nothing_right_is_no_endless_loop(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sambench.harness.store.is_whole", lambda content: False)
    done = call(*flags(tiny, fresh, "box", "gt_box"))
    assert done.code == 2
    assert "damaged again as soon as it is written" in done.err

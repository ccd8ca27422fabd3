"""Phase 1 as a training: one view for both, what is scored and kept, and that held-out images gain."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import ROOT, call
from distillations import NANO, OPTIMISER, distillation, file_of, pixels_of, segmenter_of, weights_of
from safetensors.torch import load_file
from tiny_coco import TinyCoco, make_tiny

from sambench.adapters.registry import create, create_module
from sambench.evsam import geometry
from sambench.evsam.errors import SambenchError
from sambench.evsam.train.distill import DistillStep
from sambench.evsam.train.recipe import Distill
from sambench.harness.events import Listener
from sambench.harness.train.config import Data, Distilling, Validation, read_training
from sambench.harness.train.distill import EmbeddingScore, distill
from sambench.harness.train.distill_phase import DistillPhase, Stored, Viewed, Viewing
from sambench.harness.train.embed import embed, views_of
from sambench.harness.train.loader import Item
from sambench.harness.train.loop import Watcher
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.teacher import Teacher, identity
from tests.golden import official

ALONE = Ranks(torch.device("cpu"))
HEAD = ("prompt_encoder.", "mask_decoder.")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_of(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", 3)


@pytest.fixture
def config(tiny: TinyCoco, teacher: Path, tmp_path: Path) -> Distilling:
    return distillation(tiny, teacher, tmp_path / "out")


def student(recipe: Distill) -> DistillStep:
    torch.manual_seed(1)
    return DistillStep(create_module(NANO), recipe)


def stored(config: Distilling, folder: Path) -> Stored:
    embed(replace(config, embeddings=folder), ALONE, Listener(), print)
    return Stored.of(folder, identity(config), open_source(config.data), views_of(config.recipe))


def drawn(viewing: Viewing, config: Distilling, index: int, seed: int) -> Viewed:
    made, prompts = viewing(open_source(config.data).load(index), np.random.default_rng(seed))
    assert prompts is None
    return made


def items(phase: DistillPhase, config: Distilling, seeds: range) -> list[Item]:
    make = phase.make()
    found = [(k, *make(open_source(config.data).load(k % 4), np.random.default_rng(k))) for k in seeds]
    return [Item(k, str(k), sample) for k, sample, _ in found]


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_papers_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SA1B", "/data/sa1b")
    monkeypatch.setenv("SAM_VIT_H", "/weights/sam_vit_h.pth")
    found = read_training(Distilling, ROOT / "configs" / "train" / "distill.yaml", {})
    assert (found.teacher, found.teacher_weights, found.sam) == ("sam_vit_h", *["/weights/sam_vit_h.pth"] * 2)
    assert found.recipe == Distill()
    next_phase = (ROOT / "configs" / "train" / "paper_l0.yaml").read_text()
    assert f"weights: {found.out}/model.safetensors" in next_phase


def test_both_see_the_same_bytes(config: Distilling, tiny: TinyCoco) -> None:
    viewing = Viewing(Distill(flip=0.5, colour=0.4), 256, None)
    mirrored = 0
    for seed in range(8):
        made = drawn(viewing, config, 0, seed)
        assert made.view is not None
        assert made.view.dtype == torch.uint8
        assert torch.allclose(made.image, geometry.preprocess(made.view.numpy(), 256), atol=1e-5)
        assert made.size == (192, 256)
        plain = pixels_of(tiny, 1).astype(int)
        likeness = [np.corrcoef(made.view.numpy().ravel(), p.ravel())[0, 1] for p in (plain, plain[:, ::-1])]
        assert max(likeness) > 0.9
        mirrored += likeness[1] > likeness[0]
    assert 0 < mirrored < 8


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_teacher_sees_what_the_student_sees(
    config: Distilling, tiny: TinyCoco, teacher: Path, flip: float
) -> None:
    recipe = Distill(flip=flip)
    phase = DistillPhase(student(recipe), Teacher(config, ALONE.device))
    (item,) = items(phase, config, range(1))
    cost = phase.cost(phase.step_module, [item], 0, 0)
    image = np.ascontiguousarray(pixels_of(tiny, 1)[:, :: -1 if flip else 1])
    (wanted,) = segmenter_of(teacher).encode([image])
    with torch.no_grad():
        own = phase.model.image_encoder(geometry.preprocess(image, 256)[None])[0]
    assert cost.images.item() == pytest.approx((own - wanted.features).square().mean().item(), rel=1e-4)
    cost.images.sum().backward()  # the teacher's tensors were made for inference


def test_stored_embeddings_are_those_of_the_view_that_is_drawn(
    config: Distilling, tiny: TinyCoco, tmp_path: Path
) -> None:
    step, given = student(config.recipe), Teacher(config, ALONE.device)
    live, read = DistillPhase(step, given), DistillPhase(step, stored(config, tmp_path / "embeddings"))
    mirrored = 0
    for seen, known in zip(items(live, config, range(6)), items(read, config, range(6)), strict=True):
        assert isinstance(seen.sample, Viewed)
        assert isinstance(known.sample, Viewed)
        assert torch.equal(seen.sample.image, known.sample.image)
        assert seen.sample.view is not None
        assert known.sample.embedding is not None
        (wanted,) = given([seen.sample.view.numpy()])
        assert torch.allclose(known.sample.embedding.float(), wanted, rtol=2**-10, atol=1e-4)
        mirrored += not np.array_equal(seen.sample.view.numpy(), pixels_of(tiny, seen.position % 4 + 1))
        costs = [
            phase.cost(step, [item], 0, 0).images.item() for phase, item in ((live, seen), (read, known))
        ]
        assert costs[0] == pytest.approx(costs[1], rel=2e-4)
    assert 0 < mirrored < 6


def test_a_blank_can_stand_for_items(config: Distilling, tmp_path: Path) -> None:
    step = student(config.recipe)
    for given in (Teacher(config, ALONE.device), stored(config, tmp_path / "embeddings")):
        phase = DistillPhase(step, given)
        assert torch.isfinite(phase.cost(step, [phase.blank()], 0, 0).images).all()


def test_the_teacher_computes_in_its_own_precision(config: Distilling, tiny: TinyCoco) -> None:
    given, image = Teacher(config, ALONE.device), pixels_of(tiny, 1)
    plain = given([image])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(given([image]), plain)
    assert plain.dtype == torch.float32


def test_the_error_is_that_of_the_embeddings(config: Distilling, tiny: TinyCoco, teacher: Path) -> None:
    recipe, validation = Distill(area="image"), Validation(data=config.data, metric="embedding")
    phase = DistillPhase(student(recipe), Teacher(config, ALONE.device))
    score = EmbeddingScore(config, validation, phase, prompted=False)
    wanted = []
    for image_id in range(1, 5):
        image = pixels_of(tiny, image_id)
        with torch.no_grad():
            own = phase.model.image_encoder(geometry.preprocess(image, 256)[None])[0]
        (other,) = segmenter_of(teacher).encode([image])
        wanted.append((own - other.features)[:, :48].square().mean().item())  # 48 x 64 pixels: three quarters
    found = score(phase.model.state_dict(), 0)
    assert found == {"embedding": pytest.approx(np.mean(wanted), rel=1e-4)}


@pytest.mark.slow
def test_the_command_from_the_first_step_to_the_weights(
    tiny: TinyCoco, teacher: Path, tmp_path: Path
) -> None:
    embeddings, out = tmp_path / "embeddings", tmp_path / "out"
    file = file_of(tmp_path / "config.yaml", tiny, teacher, embeddings=str(embeddings))
    early = call("train", "distill", file)
    assert early.code == 2
    assert "no embeddings of this teacher" in early.err
    assert call("train", "embed", file).code == 0
    done = call("train", "distill", file)
    assert (done.code, str(out / "model.safetensors") in done.out) == (0, True), done.err
    lines = lines_of(out)
    steps = [line for line in lines if "loss" in line]
    scores = [line["validation"]["embedding"] for line in lines if "validation" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert steps[-1]["loss"] < 0.9 * steps[0]["loss"]
    assert scores[1] < scores[0]
    learnt, begun = load_file(out / "model.safetensors"), load_file(begun_with(tmp_path))
    for name, value in learnt.items():
        if name.startswith(HEAD):
            assert torch.equal(value, begun[name]), name
    assert any(not torch.equal(learnt[name], begun[name]) for name in begun)
    create(NANO, weights=str(out / "model.safetensors"))
    other = weights_of(tmp_path / "other.safetensors", 9)
    file_of(tmp_path / "config.yaml", tiny, other)
    refused = call("train", "distill", file)
    assert refused.code == 2
    assert "another training: teacher_weights was" in refused.err


def begun_with(tmp_path: Path) -> Path:
    """The weights that ``random`` stands for."""
    return weights_of(tmp_path / "begun.safetensors", 0)


def test_a_metric_of_prompts_needs_a_head(config: Distilling) -> None:
    validation = Validation(data=config.data, metric="box")
    with pytest.raises(SambenchError, match=r"metric is box.*Name a SAM checkpoint as sam, or.*embedding"):
        distill(replace(config, validation=validation), ALONE, Watcher())


@pytest.mark.slow
def test_a_student_with_the_teachers_head_is_scored_by_prompts(config: Distilling, teacher: Path) -> None:
    validation = Validation(data=config.data, metric="click_1", every=1)
    config = replace(config, steps=1, validation=validation, sam=str(teacher))
    weights = distill(config, ALONE, Watcher())
    assert weights is not None
    (scores,) = (line["validation"] for line in lines_of(config.out) if "validation" in line)
    assert next(iter(scores)) == "click_1"
    assert set(scores) == {"embedding", "box", "click_1", "click_3", "click_5"}
    head, given = load_file(weights), load_file(teacher)
    assert all(torch.equal(head[name], given[name]) for name in head if name.startswith(HEAD))


def test_colours_and_stored_embeddings_are_refused_before_any_step(
    config: Distilling, tmp_path: Path
) -> None:
    config = replace(config, recipe=Distill(colour=0.2), embeddings=tmp_path / "embeddings")
    with pytest.raises(SambenchError, match=r"recipe\.colour"):
        distill(config, ALONE, Watcher())


def test_a_teacher_of_other_channels_is_refused(config: Distilling) -> None:
    with pytest.raises(SambenchError, match=r"64 x 64 x 64, the teacher's 256 x 64 x 64.*channels"):
        distill(replace(config, teacher="edge_sam", teacher_weights="random"), ALONE, Watcher())


def in_ranks(ranks: int, *arguments: object) -> None:
    """Run the command in several processes, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "sambench.harness", *map(str, arguments)]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    ends = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0] * ranks, ends


@pytest.fixture(scope="module")
def learnt_alone(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyCoco, Path]:
    """Four images, and the weights that one process learns from them in two steps."""
    folder = tmp_path_factory.mktemp("alone")
    tiny = make_tiny(folder / "data")
    file = file_of(folder / "alone.yaml", tiny, teacher, steps=2, out=str(folder))
    assert call("train", "distill", file).code == 0
    return tiny, folder / "model.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_learn_what_one_does(
    learnt_alone: tuple[TinyCoco, Path], teacher: Path, tmp_path: Path, shard: bool
) -> None:
    tiny, alone = learnt_alone
    changes = {"steps": 2, "device_batch": 1, "shard": shard, "out": str(tmp_path / "two")}
    in_ranks(2, "train", "distill", file_of(tmp_path / "two.yaml", tiny, teacher, **changes))
    one, two = load_file(alone), load_file(tmp_path / "two" / "model.safetensors")
    begun = load_file(begun_with(tmp_path))
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=2e-5), name
    assert any((value - begun[name]).abs().max() > 1e-4 for name, value in one.items())


@pytest.mark.slow
def test_distillation_from_sam_vit_b_gains_on_an_image_never_learnt_from(
    coco_mini: Any, coco_mini_train: Any, tmp_path: Path
) -> None:
    """With the golden weights; the student is MobileSAM from nothing, and learns from a single image.

    It shows that the error falls, not that the student is any good: so few steps come about as near as zeros
    would, and the mean of each channel, a constant, is nearer.
    """
    vit_b = official.write_checkpoint("sam_vit_b", tmp_path)
    held_out = Data(format="coco", images=coco_mini.images, annotations=coco_mini.annotations, limit=1)
    config = Distilling(
        model="mobile_sam",
        weights="random",
        teacher="sam_vit_b",
        teacher_weights=str(vit_b),
        data=replace(held_out, images=coco_mini_train.images, annotations=coco_mini_train.annotations),
        validation=Validation(data=held_out, every=3, metric="embedding"),
        recipe=Distill(flip=0.0),
        optimiser=replace(OPTIMISER, norms="batch"),
        embeddings=tmp_path / "embeddings",
        out=tmp_path / "out",
        steps=3,
        batch=1,
        device_batch=1,
        workers=0,
    )
    embed(config, ALONE, Listener(), print)
    begun = load_file(weights_of(tmp_path / "begun.safetensors", 0, "mobile_sam"))  # what random stands for
    phase = DistillPhase(
        DistillStep(create_module("mobile_sam"), config.recipe),
        Stored.of(tmp_path / "embeddings", identity(config), open_source(config.data), ["plain"]),
    )
    assert config.validation is not None
    score = EmbeddingScore(config, config.validation, phase, prompted=False)
    before = score(begun, 0)["embedding"]
    assert distill(config, ALONE, Watcher()) is not None
    (after,) = (line["validation"]["embedding"] for line in lines_of(config.out) if "validation" in line)
    print(f"held-out error of the embedding: {before:.4f} before, {after:.4f} after 3 steps")
    assert after < 0.9 * before

"""A teacher's embeddings on disk: what is in them, how they go on, and when they are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import call
from distillations import distillation, file_of, pixels_of, segmenter_of, weights_of
from safetensors.torch import load_file, save_file
from tiny_coco import TinyCoco, make_tiny

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.recipe import Distill
from sambench.harness.events import Listener
from sambench.harness.train import embed as embed_module
from sambench.harness.train import embeddings as embeddings_module
from sambench.harness.train.config import Data, Distilling, Validation
from sambench.harness.train.distill_phase import Stored
from sambench.harness.train.embed import embed
from sambench.harness.train.embeddings import MIRRORED, PLAIN, digest_of
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.teacher import identity

IMAGES, SHARD = 5, 2
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Unjoined(Ranks):
    """One of several processes, alone here."""

    def wait(self) -> None:
        pass


class Interrupting(Listener):
    """Ends the command after so many images."""

    def __init__(self, images: int) -> None:
        self.left = images

    def images_done(self, images: int) -> None:
        self.left -= images
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_of(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", 3)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyCoco:
    return make_tiny(tmp_path / "data", IMAGES)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(embeddings_module, "SHARD", SHARD)
    return


@pytest.fixture
def config(tiny: TinyCoco, teacher: Path, tmp_path: Path) -> Distilling:
    return distillation(tiny, teacher, tmp_path / "out", embeddings=tmp_path / "embeddings")


def made(config: Distilling, ranks: Ranks = Ranks(CPU), listener: Listener = Listener()) -> list[str]:  # noqa: B008
    """Compute what is missing; return what was warned of."""
    said: list[str] = []
    embed(config, ranks, listener, said.append)
    return said


def opened(config: Distilling, *views: str) -> Stored:
    assert config.embeddings is not None
    return Stored.of(config.embeddings, identity(config), open_source(config.data), views or (PLAIN,))


def files_in(config: Distilling) -> dict[str, int]:
    """All there is, with when it was written."""
    assert config.embeddings is not None
    found = (file for file in config.embeddings.rglob("*") if file.is_file())
    return {str(file.relative_to(config.embeddings)): file.stat().st_mtime_ns for file in found}


def no_teacher(*_: Any) -> None:
    raise AssertionError("the teacher is asked again")


def test_they_are_the_teachers_own_of_both_views(config: Distilling, tiny: TinyCoco, teacher: Path) -> None:
    made(config)
    stored, segmenter = opened(config, PLAIN, MIRRORED), segmenter_of(teacher)
    for index, found in enumerate(map(open_source(config.data).load, range(IMAGES)), 1):
        image = pixels_of(tiny, index)
        plain, mirrored = segmenter.encode([image, np.ascontiguousarray(image[:, ::-1])])
        for view, own in ((PLAIN, plain), (MIRRORED, mirrored)):
            read = stored.read(found, view)
            assert read.dtype == torch.float16
            assert torch.allclose(read.float(), own.features, rtol=2**-10, atol=1e-4)


def test_the_same_command_again_computes_nothing(config: Distilling, monkeypatch: pytest.MonkeyPatch) -> None:
    made(config)
    before = files_in(config)
    assert len(before) == 2 * (3 + 1)  # two views of three shards, and what made them
    monkeypatch.setattr(embed_module, "Teacher", no_teacher)
    made(config)
    assert files_in(config) == before


def test_what_was_interrupted_goes_on(config: Distilling) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(config, listener=Interrupting(3))
    before = files_in(config)
    shards = [name for name in before if name.endswith(".safetensors")]
    assert len(shards) == 2  # the first in both views; nothing half written of the second
    made(config)
    after = files_in(config)
    assert {name: after[name] for name in before} == before
    assert len(opened(config, PLAIN, MIRRORED).shape) == 3


def test_only_what_is_missing_is_computed(config: Distilling) -> None:
    made(config)
    before = files_in(config)
    lost = next(name for name in before if name.endswith("000001.safetensors"))
    assert config.embeddings is not None
    (config.embeddings / lost).unlink()
    made(config)
    after = files_in(config)
    assert {name for name in before if after[name] != before[name]} == {lost}


def test_only_views_that_a_training_has_are_computed(config: Distilling) -> None:
    made(replace(config, recipe=Distill(flip=0)))
    assert sum(name.endswith("safetensors") for name in files_in(config)) == 3
    made(config)
    assert sum(name.endswith("safetensors") for name in files_in(config)) == 6


def test_processes_share_the_work(config: Distilling) -> None:
    made(config, Unjoined(CPU, 1, 2))
    assert sorted(Path(name).stem for name in files_in(config) if "safetensors" in name) == ["000001"] * 2
    with pytest.raises(SambenchError, match="2 of 3 files of embeddings are missing"):
        opened(config)
    made(config, Unjoined(CPU, 0, 2))
    opened(config, PLAIN, MIRRORED)


@pytest.mark.slow
def test_workers_read_the_same(config: Distilling, tmp_path: Path) -> None:
    made(config)
    made(replace(config, workers=1, embeddings=tmp_path / "others"))
    here = sorted((tmp_path / "embeddings").rglob("*.safetensors"))
    there = sorted((tmp_path / "others").rglob("*.safetensors"))
    assert [file.read_bytes() for file in here] == [file.read_bytes() for file in there]


def test_what_made_them_is_beside_them(config: Distilling, teacher: Path) -> None:
    made(config)
    assert config.embeddings is not None
    abouts = [json.loads(file.read_text()) for file in config.embeddings.glob("*/index.json")]
    assert {about["view"] for about in abouts} == {PLAIN, MIRRORED}
    for about in abouts:
        assert about["teacher_weights"] == segmenter_of(teacher).weights.identity
        assert about["images"] == IMAGES
        assert about["data"] == open_source(config.data).identity()
        assert "torch" in about["versions"]


def test_the_validations_images_are_embedded_as_they_are(config: Distilling, tiny: TinyCoco) -> None:
    data = Data(format="coco", images=tiny.images, annotations=tiny.annotations, limit=2)
    config = replace(config, validation=Validation(data=data, metric="embedding"))
    made(config)
    beside = opened(config).beside(open_source(data), [PLAIN])
    beside.read(open_source(data).load(1), PLAIN)
    with pytest.raises(SambenchError, match="no embeddings"):
        opened(config).beside(open_source(data), [MIRRORED])


def test_a_damaged_image_is_said_and_left_out(config: Distilling, tiny: TinyCoco) -> None:
    good = open_source(config.data).load(3)
    whole = tiny.file(3).read_bytes()
    tiny.file(3).write_bytes(whole[:100])
    (said,) = made(config)
    assert said.startswith("skipped: ")
    assert tiny.file(3).name in said
    stored = opened(config)
    stored.read(open_source(config.data).load(3), PLAIN)  # image 4, of the same shard
    tiny.file(3).write_bytes(whole)
    with pytest.raises(SambenchError, match=r"003\.jpg: has no embedding"):
        stored.read(open_source(config.data).load(2), PLAIN)
    assert stored.read(good, PLAIN).shape == (64, 64, 64)


def test_nothing_but_damaged_images_is_an_error(config: Distilling, tiny: TinyCoco) -> None:
    for image_id in range(1, IMAGES + 1):
        tiny.file(image_id).write_bytes(b"")
    assert len(made(config)) == IMAGES
    with pytest.raises(SambenchError, match="no image could be read"):
        opened(config)


def test_an_image_that_changed_has_no_embedding(config: Distilling, tiny: TinyCoco) -> None:
    made(config)
    stored = opened(config)
    tiny.file(2).write_bytes(tiny.file(1).read_bytes())
    stored.read(open_source(config.data).load(1), PLAIN)  # the pixels of another that has one
    changed = replace(open_source(config.data).load(2), image=np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(SambenchError, match=r"has no embedding.*train embed"):
        stored.read(changed, PLAIN)


def test_an_images_shape_is_part_of_what_it_is() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(2, 8, 3)
    turned = image.reshape(8, 2, 3)
    assert digest_of(image) != digest_of(turned)
    assert digest_of(image) == digest_of(np.asfortranarray(image))


def test_those_of_another_teacher_are_refused(config: Distilling, tmp_path: Path) -> None:
    made(config)
    other = weights_of(tmp_path / "other.safetensors", 4)
    with pytest.raises(SambenchError, match=r'teacher_weights is "file \w+", not "file \w+".*train embed'):
        opened(replace(config, teacher_weights=str(other)))
    with pytest.raises(SambenchError, match='teacher_precision is "fp32", not "bf16"'):
        opened(replace(config, teacher_precision="bf16"))


def test_those_of_other_data_are_refused(config: Distilling) -> None:
    made(config)
    with pytest.raises(SambenchError, match=r'data is {.*"limit": null}, not {.*"limit": 3}'):
        opened(replace(config, data=replace(config.data, limit=3)))


def test_none_at_all_are_refused(config: Distilling) -> None:
    with pytest.raises(SambenchError, match=r"no embeddings of this teacher, data and view\. Run"):
        opened(config)


def test_a_torn_file_is_refused(config: Distilling) -> None:
    made(config)
    assert config.embeddings is not None
    for file in config.embeddings.rglob("000001.safetensors"):
        file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(SambenchError, match=r"000001\.safetensors: damaged.*Remove it.*train embed"):
        opened(config)


def test_a_file_that_is_removed_meanwhile_is_said(config: Distilling) -> None:
    made(config)
    stored = opened(config)
    assert config.embeddings is not None
    for file in config.embeddings.rglob("000001.safetensors"):
        file.unlink()
    with pytest.raises(SambenchError, match=r"000001\.safetensors: damaged or gone"):
        stored.read(open_source(config.data).load(2), PLAIN)


def test_colours_cannot_be_changed_with_stored_embeddings(config: Distilling) -> None:
    with pytest.raises(SambenchError, match=r"recipe\.colour is 0\.3.*colour: 0, or leave embeddings out"):
        made(replace(config, recipe=Distill(colour=0.3)))


def test_what_half_precision_cannot_hold_is_refused(
    config: Distilling, teacher: Path, tmp_path: Path
) -> None:
    state = load_file(teacher)
    last = [name for name in state if name.startswith("image_encoder.")][-1]
    state[last] = state[last] * 0 + 1e6
    save_file(state, tmp_path / "loud.safetensors")
    with pytest.raises(SambenchError, match=r"001\.jpg: .*not finite in half precision"):
        made(replace(config, teacher_weights=str(tmp_path / "loud.safetensors")))


@pytest.mark.parametrize("teacher", ["box", "grabcut"])
def test_a_teacher_without_parameters_is_refused(config: Distilling, teacher: str) -> None:
    with pytest.raises(SambenchError, match=teacher):
        made(replace(config, teacher=teacher, teacher_weights=None))


def test_the_command(tiny: TinyCoco, teacher: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path / "config.yaml", tiny, teacher)
    lacking = call("train", "embed", file)
    assert lacking.code == 2
    assert "name a folder" in lacking.err
    first = call("train", "embed", file, "--out", tmp_path / "embeddings")
    again = call("train", "embed", file, "--out", tmp_path / "embeddings")
    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    folders = [Path(line.split(maxsplit=1)[1]) for line in first.out.splitlines()]
    assert len(folders) == 3  # two views to learn from, one to score with
    assert all((folder / "000000.safetensors").is_file() for folder in folders)
    assert "data: 5/5 images" in first.err
    assert "images" not in again.err

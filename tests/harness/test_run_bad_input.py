"""Wrong input: exit code 2, a message with what, where and what to do, and nothing half written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command import assert_nothing_half_written, call, ended, started
from PIL import Image
from tiny_coco import HEIGHT, WIDTH, TinyCoco, noise

L0 = "efficientvit_sam_l0"
State = dict[str, torch.Tensor]


def refused(tiny: TinyCoco, *flags: object, models: str = "box") -> str:
    """Run the command that must be refused before anything is written; its message."""
    out = tiny.images.parent.parent / "out"
    done = call("run", "--models", models, "--suites", "gt_box", *tiny.flags, "--out", out, *flags)
    assert done.code == 2, done.out + done.err
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert not out.exists()
    return done.err


def stopped(tiny: TinyCoco, models: str = "box") -> str:
    """Run the command that must stop at its data; nothing half written is left."""
    out = tiny.images.parent.parent / "out"
    done = call("run", "--models", models, "--suites", "gt_box,click", *tiny.flags, "--out", out)
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    assert_nothing_half_written(out)
    return done.err


# --- the data ------------------------------------------------------------------------------------------


def test_a_missing_image_folder(tiny: TinyCoco, tmp_path: Path) -> None:
    message = refused(tiny, "--images", tmp_path / "nowhere")
    assert f"{tmp_path / 'nowhere'}: no such image folder" in message
    assert "--images" in message


def test_an_image_folder_that_is_a_file(tiny: TinyCoco) -> None:
    assert "--images" in refused(tiny, "--images", tiny.annotations)


def test_a_missing_annotation_file(tiny: TinyCoco, tmp_path: Path) -> None:
    message = refused(tiny, "--annotations", tmp_path / "none.json")
    assert f"{tmp_path / 'none.json'}: no such annotation file" in message
    assert "--annotations" in message


def test_an_annotation_file_that_is_a_folder(tiny: TinyCoco) -> None:
    assert f"{tiny.images}: cannot be read" in refused(tiny, "--annotations", tiny.images)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_annotation_file(tiny: TinyCoco, part: float) -> None:
    content = tiny.annotations.read_bytes()
    tiny.annotations.write_bytes(content[: int(len(content) * part)])
    message = refused(tiny)
    assert str(tiny.annotations) in message
    assert "cut off" in message or (part == 0 and "is empty" in message)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([], "not annotations in COCO's format"),
        ({}, "not in COCO's format"),
        ({"images": [], "annotations": []}, "there is no image"),
        ({"images": [{"id": 1.5}], "annotations": []}, "images[0]: id is 1.5"),
        ({"images": [{"id": 1}], "annotations": []}, "image 1: file_name is null, and coco_url no better"),
    ],
    ids=["list", "empty", "no_image", "id", "no_name"],
)
def test_json_that_is_not_coco(tiny: TinyCoco, content: object, part: str) -> None:
    tiny.annotations.write_text(json.dumps(content))
    message = refused(tiny)
    assert str(tiny.annotations) in message
    assert part in message


def test_an_annotation_without_a_field(tiny: TinyCoco) -> None:
    del tiny.content["annotations"][1]["image_id"]
    tiny.save()
    assert "annotation 102: image_id is null" in refused(tiny)


def test_an_annotation_without_its_image(tiny: TinyCoco) -> None:
    tiny.content["annotations"][2]["image_id"] = 77
    tiny.save()
    message = refused(tiny)
    assert f"{tiny.annotations}, images in {tiny.images}: 1 fault" in message
    assert "annotation 103: image_id is 77" in message
    assert "Add the image, or remove its annotations" in message


@pytest.mark.parametrize(("kind", "number"), [("image", 1), ("annotation", 101)])
def test_an_id_that_is_there_twice(tiny: TinyCoco, kind: str, number: int) -> None:
    tiny.content[f"{kind}s"].append(tiny.content[f"{kind}s"][0])
    tiny.save()
    message = refused(tiny)
    assert f"{kind} id is there twice (1)" in message
    assert f"{kind} {number} (the second is {kind}s[4])" in message


def test_missing_image_files_are_counted_and_named(tiny: TinyCoco) -> None:
    tiny.file(2).unlink()
    tiny.file(4).unlink()
    message = refused(tiny)
    assert "an image file is missing (2)" in message
    assert str(tiny.file(2)) in message
    assert str(tiny.file(4)) in message
    assert "--images" in message


def test_a_jpeg_cut_off_in_the_middle_among_good_ones(tiny: TinyCoco) -> None:
    content = tiny.file(3).read_bytes()
    tiny.file(3).write_bytes(content[: len(content) // 2])
    message = stopped(tiny)
    assert f"{tiny.file(3)}: damaged or cut off" in message
    assert "Get the file again" in message


@pytest.mark.parametrize("content", [b"", b"not an image"], ids=["empty", "text"])
def test_a_file_that_is_no_image(tiny: TinyCoco, content: bytes) -> None:
    tiny.file(1).write_bytes(content)
    assert f"{tiny.file(1)}: not an image" in refused(tiny)


def test_an_image_of_another_size_than_annotated(tiny: TinyCoco) -> None:
    Image.fromarray(noise((HEIGHT + 2, WIDTH))).save(tiny.file(2))
    message = refused(tiny)
    assert str(tiny.file(2)) in message
    assert f"{WIDTH} x {HEIGHT + 2}" in message
    assert f"{WIDTH} x {HEIGHT}." in message
    assert "--images" in message


@pytest.mark.parametrize(
    "segmentation",
    [[[1.0, 2.0]], {"size": [9, 9], "counts": "0"}, {"size": [HEIGHT, WIDTH], "counts": [3]}, 5],
    ids=["two_numbers", "size", "runs", "number"],
)
def test_a_segmentation_that_cannot_be_decoded(tiny: TinyCoco, segmentation: object) -> None:
    tiny.content["annotations"][3]["segmentation"] = segmentation
    tiny.save()
    assert "annotation 104 of image 4: " in refused(tiny)


def test_a_wrong_image_met_late_keeps_the_shards_before_it(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    tiny.file(4).write_bytes(tiny.file(4).read_bytes()[:-200])  # its header is whole
    assert str(tiny.file(4)) in stopped(tiny)
    kept = [file.name for file in (tmp_path / "out").rglob("*.parquet")]
    assert sorted(kept) == sorted([f"{i:05d}-of-00004.parquet" for i in range(3)] * 2)


def test_an_out_that_is_a_file(tiny: TinyCoco, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out")
    assert done.code == 2
    assert str(tmp_path / "out") in done.err
    assert (tmp_path / "out").read_text() == "mine"


def test_results_of_something_else_in_out_are_not_overwritten(tiny: TinyCoco, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text('{"mine": true}')
    message = stopped(tiny)
    assert str(tmp_path / "out" / "results.json") in message
    assert (tmp_path / "out" / "results.json").read_text() == '{"mine": true}'


# --- checkpoints ---------------------------------------------------------------------------------------


def spread(state: State) -> State:
    """The same keys and shapes, in a file of a few kilobytes."""
    return {key: torch.zeros((), dtype=v.dtype).expand(v.shape) for key, v in state.items()}


def checkpoint(tiny: TinyCoco, file: Path) -> str:
    """The message with which a checkpoint is refused; it names the file."""
    message = refused(tiny, "--weights", f"{L0}={file}", models=L0)
    assert str(file) in message
    return message


def test_a_checkpoint_that_is_not_there(tiny: TinyCoco, tmp_path: Path) -> None:
    message = checkpoint(tiny, tmp_path / "none.pt")
    assert "no checkpoint at" in message
    assert f"--weights {L0}=random" in message


def test_a_checkpoint_that_is_not_there_is_looked_for_at_home(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert str(tmp_path / "home" / "l0.pt") in refused(tiny, "--weights", f"{L0}=~/l0.pt", models=L0)


def test_a_checkpoint_of_another_model(tiny: TinyCoco, tmp_path: Path, l0_state: State) -> None:
    torch.save({"some.weight": torch.zeros(3), "some.bias": torch.zeros(3)}, tmp_path / "other.pt")
    message = checkpoint(tiny, tmp_path / "other.pt")
    assert f"{len(l0_state)} missing keys, first {next(iter(l0_state))}" in message
    assert "2 unexpected keys, first some.weight" in message


def test_a_checkpoint_without_one_key(tiny: TinyCoco, tmp_path: Path, l0_state: State) -> None:
    lost = list(l0_state)[40]
    torch.save({k: v for k, v in spread(l0_state).items() if k != lost}, tmp_path / "less.pt")
    message = checkpoint(tiny, tmp_path / "less.pt")
    assert f"1 missing keys, first {lost}" in message
    assert "0 unexpected keys" in message


def test_a_checkpoint_of_right_keys_and_a_wrong_shape(
    tiny: TinyCoco, tmp_path: Path, l0_state: State
) -> None:
    key = next(k for k, v in l0_state.items() if v.ndim == 4)
    torch.save({"state_dict": spread(l0_state) | {key: torch.zeros(1, 2, 3)}}, tmp_path / "shape.pt")
    message = checkpoint(tiny, tmp_path / "shape.pt")
    assert f"{key} is (1, 2, 3), this model has {tuple(l0_state[key].shape)}" in message


@pytest.mark.parametrize(
    "content", [[torch.zeros(3)], torch.zeros(3), {"state_dict": {}}], ids=["list", "tensor", "{}"]
)
def test_a_checkpoint_that_holds_no_parameters(tiny: TinyCoco, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    checkpoint(tiny, tmp_path / "odd.pt")


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str, str], object], tuple[str, str]]:
        return open, (str(self.marker), "w")


def _plain_pickle(content: object, file: Path) -> None:
    file.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, _plain_pickle], ids=["torch", "pickle"])
@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(
    tiny: TinyCoco, tmp_path: Path, save: Callable[[object, Path], None], suffix: str
) -> None:
    marker, file = tmp_path / "marker", tmp_path / f"evil.{suffix}"
    save({"state_dict": {"weight": torch.zeros(2)}, "config": Harmful(marker)}, file)
    message = checkpoint(tiny, file)
    assert not marker.exists()
    assert "refused" in message
    assert "run code when opened" in message
    pickle_runs = pickle.loads(pickle.dumps({"config": Harmful(marker)}))
    pickle_runs["config"].close()
    assert marker.exists()  # the trap was real


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pt", b"this is a text file, not a checkpoint\n"),
        ("empty.pt", b""),
        ("zip.pt", b"PK\3\4 and no more"),
        ("garbage.safetensors", bytes(range(256)) * 4),
        ("empty.safetensors", b""),
        ("text.safetensors", b"this is a text file, not a checkpoint\n"),
    ],
)
def test_a_file_that_is_no_checkpoint(tiny: TinyCoco, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "again" in checkpoint(tiny, tmp_path / name)


def test_a_truncated_checkpoint(tiny: TinyCoco, tmp_path: Path, l0_state: State) -> None:
    torch.save(spread(l0_state), tmp_path / "l0.pt")
    content = (tmp_path / "l0.pt").read_bytes()
    (tmp_path / "l0.pt").write_bytes(content[: len(content) // 2])
    assert "again" in checkpoint(tiny, tmp_path / "l0.pt")


def test_a_truncated_safetensors(tiny: TinyCoco, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1000)}, tmp_path / "l0.safetensors")
    content = (tmp_path / "l0.safetensors").read_bytes()
    (tmp_path / "l0.safetensors").write_bytes(content[: len(content) // 2])
    assert "again" in checkpoint(tiny, tmp_path / "l0.safetensors")


@pytest.mark.parametrize("given", ["random", "some.pt"])
def test_weights_for_a_baseline(tiny: TinyCoco, given: str) -> None:
    message = refused(tiny, "--weights", f"box={given}")
    assert "box has no parameters" in message
    assert "leave its weights" in message


# --- names and machines --------------------------------------------------------------------------------


def test_an_unknown_model_and_the_nearest(tiny: TinyCoco) -> None:
    message = refused(tiny, models="box,efficientvit_sam_xl9")
    assert "no model 'efficientvit_sam_xl9'. Did you mean 'efficientvit_sam_xl" in message
    assert "sambench models" in message


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--suites", "clik"], ["no suite 'clik'", "Did you mean 'click'?"]),
        (["--device", "gpu"], ["device 'gpu'", "cpu, cuda or cuda:1"]),
        (["--device", "cuda:x"], ["device 'cuda:x'", "cpu"]),
        (["--engine", "foo"], ["engine 'foo'", "eager"]),
        (["--precision", "fp8"], ["precision 'fp8'", "fp32"]),
        (["--protocol", "papre"], ["no preset 'papre'", "Did you mean 'paper'?"]),
        (["--limit", "0"], ["limit must be a whole number from 1"]),
        (["--seed", "-1"], ["seed must be a whole number from 0"]),
        (["--batch-size", "0"], ["batch_size must be a whole number from 1"]),
        (["--models", "box,box"], ["names one twice"]),
        (["--models", ","], ["no models"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_a_wrong_flag(tiny: TinyCoco, flags: list[str], parts: list[str]) -> None:
    message = refused(tiny, *flags)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_where_there_is_none(tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused(tiny, "--device", device)
    assert "no CUDA device that torch can use" in message
    assert "--device cpu" in message


def test_a_gpu_beyond_those_there_are(tiny: TinyCoco, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert "this machine has 2 CUDA devices" in refused(tiny, "--device", "cuda:2")


# --- in a process of its own ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shell_sees_the_exit_code_the_message_and_no_stack_trace(tiny: TinyCoco, tmp_path: Path) -> None:
    tiny.file(1).unlink()
    flags = [*tiny.flags, "--out", tmp_path / "out"]
    done = ended(started("run", "--models", "box", "--suites", "gt_box", *flags))
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"error: {tiny.annotations}, images in {tiny.images}: 1 fault")
    assert str(tiny.file(1)) in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_damaged_image_ends_the_process_and_its_reading_threads(tiny: TinyCoco, tmp_path: Path) -> None:
    tiny.file(1).write_bytes(tiny.file(1).read_bytes()[:-200])
    flags = [*tiny.flags, "--out", tmp_path / "out"]
    done = ended(started("run", "--models", "box", "--suites", "gt_box", *flags))
    assert done.code == 2
    assert f"error: {tiny.file(1)}: damaged or cut off" in done.err
    assert "Traceback" not in done.err
    assert_nothing_half_written(tmp_path / "out")

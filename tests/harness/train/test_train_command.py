"""``sambench train finetune`` as a user calls it: what it leaves, and that a run takes it."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from command import call
from safetensors import safe_open

from sambench.adapters.registry import create
from sambench.suites.data.shapes import make_shapes

CONTENT = {
    "model": "efficientvit_sam_nano",
    "weights": "random",
    "tied": True,
    "data": {"format": "shapes", "seed": 555, "images_drawn": 6},
    "validation": {"data": {"format": "shapes", "seed": 556, "images_drawn": 2}, "every": 2},
    "recipe": {"masks_per_image": 3, "mask_loss": "bce", "iou_weight": 1.0, "clicks": 1, "click_share": 1.0},
    "optimiser": {"lr": 1e-3, "average": 0.9},
    "steps": 2,
    "batch": 2,
    "device_batch": 2,
    "workers": 0,
    "picture_every": 2,
}


def write(tmp_path, **changes):
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(CONTENT | {"out": str(tmp_path / "out")} | changes))
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("trained")
    file = write(tmp_path)
    return file, tmp_path / "out", call("train", "finetune", file)


def test_what_a_training_leaves(trained):
    _, out, done = trained
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert set(steps[0]) >= {
        "mask_loss",
        "dice_loss",
        "iou_loss",
        "lr",
        "grad_norm",
        "images_per_s",
        "wait_share",
    }
    (validation,) = (line["validation"] for line in lines if "validation" in line)
    assert list(validation) == ["box", "click_1", "click_3", "click_5"]
    assert [file.name for file in sorted((out / "checkpoints").glob("*.pt"))] == ["step-00000002.pt"]
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    pictures = sorted((out / "pictures").iterdir())
    assert pictures
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in pictures)
    assert str(out / "model.safetensors") in done.out


def test_the_weights_say_what_made_them_and_are_taken_by_a_run(trained):
    _, out, _ = trained
    file = out / "model.safetensors"
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["sambench"])
    assert about["recipe"]["masks_per_image"] == 3
    assert about["data"] == {"format": "shapes", "version": 1, "seed": 555, "images": 6}
    assert about["best"]["metric"] == "box"
    assert "torch" in about["versions"]
    segmenter = create("efficientvit_sam_nano", weights=str(file))
    state = torch.load(out / "checkpoints" / "step-00000002.pt", weights_only=True)
    position = state["average"]["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    own = segmenter.model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    assert torch.equal(own, position)


def test_the_same_command_again_computes_nothing(trained):
    file, out, _ = trained
    before = (out / "metrics.jsonl").read_bytes(), (out / "model.safetensors").read_bytes()
    done = call("train", "finetune", file)
    assert done.code == 0
    assert ((out / "metrics.jsonl").read_bytes(), (out / "model.safetensors").read_bytes()) == before


def test_own_data_in_cocos_format_with_a_frozen_encoder(tmp_path):
    made = make_shapes(tmp_path / "own", images=3, seed=9).out
    data = {
        "format": "coco",
        "images": str(made / "images"),
        "annotations": f"{made}/annotations/instances.json",
    }
    optimiser = {"lr": 1e-3, "frozen": ["image_encoder"], "norms": "frozen"}
    file = write(tmp_path, data=data, validation=None, optimiser=optimiser, picture_every=0, steps=1)
    text = yaml.safe_load(Path(file).read_text())
    del text["validation"]
    Path(file).write_text(yaml.safe_dump(text))
    done = call("train", "finetune", file)
    assert done.code == 0, done.err
    torch.manual_seed(0)
    begun = create("efficientvit_sam_nano", weights="random")
    ended = create("efficientvit_sam_nano", weights=str(tmp_path / "out" / "model.safetensors"))
    pixels = torch.randn(1, 3, 256, 256)
    assert torch.equal(begun.run_encoder(pixels), ended.run_encoder(pixels))
    tokens = begun.model.mask_decoder.mask_tokens.weight, ended.model.mask_decoder.mask_tokens.weight
    assert not torch.equal(*tokens)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "efficient_sam_ti"}, ("efficient_sam_ti cannot be trained here", "mobile_sam")),
        ({"model": "box"}, ("box cannot be trained here",)),
        ({"weights": "nowhere.pt"}, ("nowhere.pt",)),
        ({"batch": 3}, ("batch 3 is not a multiple of device_batch 2",)),
        ({"recipe": {"loss": "bce"}}, ("no key 'loss'", "mask_loss")),
        ({"device": "cuda:7"}, ("device 'cuda:7'",)),
        ({"optimiser": {"norms": "synchronised"}}, ("synchronised batch norms need CUDA",)),
        ({"shard": True}, ("shard", "torchrun")),
        ({"data": {"format": "coco"}}, ("data", "images")),
    ],
)
def test_mistakes_end_with_2_and_a_word(tmp_path, changes, words):
    done = call("train", "finetune", write(tmp_path, **changes))
    assert done.code == 2
    assert all(word in done.err.replace("\n", " ") for word in words), done.err
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_a_file_that_is_not_there():
    done = call("train", "finetune", "no/such.yaml")
    assert done.code == 2
    assert "no/such.yaml: no such configuration file" in done.err


def test_help_teaches():
    done = call("train", "--help")
    assert all(word in done.out for word in ("finetune", "distill", "embed"))

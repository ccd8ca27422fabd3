"""Which model a checkpoint is said to be of: by the official layouts of all of them."""

import time

import pytest

from sambench.adapters.weights.likeness import looks_like
from tests.golden import official

TWINS = {"edge_sam": "edge_sam or edge_sam_3x", "mobile_sam": "mobile_sam or tiny_sam"}
ALONE = [name for name in official.MODELS if name != "edge_sam_3x"]


@pytest.mark.parametrize("name", ALONE)
def test_an_official_checkpoint_is_told(name):
    assert looks_like(official.official_keys(name)) == f"It is {TWINS.get(name, name)}."


@pytest.mark.parametrize("name", ["sam_vit_b", "efficientvit_sam_l0"])
def test_one_that_is_nearly_so_is_told_with_a_word_less_sure(name):
    keys = dict(list(official.official_keys(name).items())[:-3]) | {"head.weight": (10, 3)}
    assert looks_like(keys) == f"It looks like {name}."


@pytest.mark.parametrize("bare", [True, False])
def test_an_encoder_alone_is_told(bare):
    part = "image_encoder."
    keys = {key: shape for key, shape in official.official_keys("efficientvit_sam_l1").items() if part in key}
    keys = {key.removeprefix(part): shape for key, shape in keys.items()} if bare else keys
    assert looks_like(keys) == "It looks like a part of efficientvit_sam_l1: the whole model is needed."


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sam_mask_decoder.iou_token.weight", "SAM 2 of its authors"),
        ("vision_encoder.layers.0.attn.qkv.weight", "hf:FOLDER"),
        ("model.0.conv.weight", "YOLO"),
        ("layer1.0.conv1.weight", "none of the"),
    ],
)
def test_one_of_another_kind_is_told_where_its_names_say_it(key, words):
    assert words in looks_like({key: (1, 2), "a.weight": (3,)})


def test_sam_hq_is_no_sam():
    keys = official.official_keys("sam_vit_b") | {
        f"mask_decoder.hf_{i}.weight": (1,) for i in ("token", *range(30))
    }
    assert "SAM-HQ" in looks_like(keys)


def test_one_without_names_is_told():
    assert looks_like({}) == "It holds no tensors by name."


def test_it_is_told_within_seconds():
    """The models are built without memory, and kept."""
    start = time.process_time()
    looks_like({"a": (1,)})
    assert time.process_time() - start < 10

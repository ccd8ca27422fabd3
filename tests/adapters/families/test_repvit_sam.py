"""RepViT-SAM: the layout of its official source, the numbers of an independent implementation, prompts."""

import numpy as np
import pytest
import torch

from sambench.adapters.base import Prompts
from sambench.adapters.families import repvit_sam
from sambench.evsam import geometry
from sambench.evsam.errors import SambenchError
from tests.golden import golden

OFFICIAL = {
    "features.0.0.c.weight": (40, 3, 3, 3),
    "features.0.2.bn.running_var": (80,),
    "features.1.token_mixer.0.conv.c.weight": (80, 1, 3, 3),
    "features.1.token_mixer.0.conv1.weight": (80, 1, 1, 1),
    "features.1.token_mixer.0.conv1.bias": (80,),
    "features.1.token_mixer.0.bn.weight": (80,),
    "features.1.token_mixer.1.fc1.weight": (24, 80, 1, 1),
    "features.1.channel_mixer.m.0.c.weight": (160, 80, 1, 1),
    "features.1.channel_mixer.m.2.bn.num_batches_tracked": (),
    "features.8.token_mixer.0.c.weight": (80, 1, 3, 3),
    "features.8.token_mixer.2.c.weight": (160, 80, 1, 1),
    "features.16.token_mixer.2.c.weight": (320, 160, 1, 1),
    "features.51.token_mixer.0.conv.bn.bias": (320,),
    "features.52.token_mixer.2.c.weight": (640, 320, 1, 1),
    "features.53.token_mixer.1.fc2.weight": (640, 160, 1, 1),
    "features.54.channel_mixer.m.2.c.weight": (640, 1280, 1, 1),
    "neck.0.weight": (256, 640, 1, 1),
    "neck.2.weight": (256, 256, 3, 3),
    "neck.3.bias": (256,),
}
"""Some keys of the image encoder, by ``sam/repvit_sam/modeling/repvit.py`` of github.com/THU-MIG/RepViT."""

EXCITED = {1, 3, 5, 9, 11, 13, *range(17, 51, 2), 53}
"""Which of ``features`` have squeeze-and-excitation: the fourth column of ``cfgs`` in the same file."""

TIMM_VALUES = 1e-7 * np.array(
    [2840932, 3860435, -416558, -874757, 1200096, 1077585, 1737279, 9355835, -309890, 1441139, 2327575]
)
"""What timm 1.0.31's ``repvit_m2_3`` computes in float64 with the weights and pixels of the test, its last
stride set to 1: ``forward_features(x)[0, ::80, ::6, ::6].flatten()[::7]``."""

RTOL = 3e-5  # numerical noise is 2e-6; a wrong norm epsilon or GELU gives 1e-4


def damped(model):
    """Golden weights; the norm after the sum damped, or the maps grow to 1e5."""
    state = golden.fill_state_dict(model.state_dict())
    return {k: v * 0.8 if k.endswith("token_mixer.0.bn.weight") else v for k, v in state.items()}


@pytest.fixture(scope="module")
def model():
    model = repvit_sam.create_model("repvit_sam")
    model.load_state_dict(damped(model))
    return model


def test_the_parameters_are_as_many_as_in_the_official_source(model):
    """22,404,232 are those of timm's ``repvit_m2_3`` without its two classifiers."""
    encoder = model.image_encoder
    assert sum(p.numel() for p in encoder.features.parameters()) == 22_404_232
    assert sum(p.numel() for p in encoder.neck.parameters()) == 640 * 256 + 9 * 256 * 256 + 4 * 256
    assert sum(p.numel() for p in model.parameters()) == 27_223_480
    assert not model.training


def test_the_keys_are_those_of_the_official_source(model):
    own = {k: tuple(v.shape) for k, v in model.image_encoder.state_dict().items()}
    assert {k: own.get(k) for k in OFFICIAL} == OFFICIAL
    # A norm has 5 entries, a ConvBN 6; blocks of stride 1 and 2, two ConvBN of a stem, a neck.
    plain, step, excite, stem, neck = 6 + 2 + 5 + 12, 12 + 12, 4, 12, 6
    assert len(own) == 51 * plain + 3 * step + 24 * excite + stem + neck
    assert len(EXCITED) == 24
    assert {int(k.split(".")[1]) for k in own if ".fc1.weight" in k} == EXCITED


@torch.inference_mode()
def test_the_network_computes_what_timms_does(model):
    pixels = geometry.preprocess(golden.make_image(), 1024)[None, :, :256, :256]
    maps = model.image_encoder.maps(pixels)
    assert [tuple(m.shape[1:]) for m in maps] == [(80, 64, 64), (160, 32, 32), (320, 16, 16), (640, 16, 16)]
    got = maps[-1][0, ::80, ::6, ::6].flatten()[::7].numpy()
    assert golden.rel_error(TIMM_VALUES, got) < RTOL


@pytest.mark.slow
def test_a_released_checkpoint_gives_masks_for_boxes_points_and_masks(model, tmp_path):
    """A bare state dict (``build_sam_repvit`` loads the file strictly as it is)."""
    path = tmp_path / "repvit_sam.pt"
    torch.save(model.state_dict(), path)
    segmenter = repvit_sam.create("repvit_sam", weights=str(path), device=torch.device("cpu"))
    assert segmenter.weights.source == "file"
    (embedding,) = segmenter.encode([golden.make_image()])
    assert embedding.features.shape == (256, 64, 64)

    boxes = Prompts(boxes=torch.tensor(golden.PROMPTS["boxes3"]["boxes"]))
    three = segmenter.decode(embedding, boxes)
    assert three.logits.shape == (3, 3, 256, 256)
    points = torch.tensor([[[262.0, 201.0], [495.0, 330.0]]]), torch.tensor([[1, 0]])
    single = segmenter.decode(embedding, Prompts(None, *points), multimask=False)
    assert single.logits.shape == (1, 1, 256, 256)
    again = segmenter.decode(embedding, Prompts(None, *points, single.logits), multimask=False)
    assert (again.logits - single.logits).abs().max() > 0.01
    full = segmenter.upsample(three.logits[:, 0], embedding.size)
    assert full.shape == (3, 480, 640)
    assert bool(torch.isfinite(full).all())


def test_a_checkpoint_of_the_other_release_of_repvit_is_refused(model, tmp_path):
    """Its token mixers have a norm of their own on the 1x1 branch, and none after the sum."""
    state = {k.replace("0.conv1.weight", "0.conv1.c.weight"): v for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(SambenchError, match=r"conv1\.weight"):
        repvit_sam.create("repvit_sam", weights=str(tmp_path / "other.pt"), device=torch.device("cpu"))

"""EdgeSAM beyond its common golden entries: stability of the four masks, sizes, the 3x weights."""

import numpy as np
import pytest
import torch

from sambench.adapters.base import Prediction, Prompts, Weights
from sambench.adapters.families import edge_sam
from sambench.adapters.families.sam import SamSegmenter
from sambench.suites.metrics.stability import stability
from sambench.suites.predict import choose
from sambench.suites.protocol import make_protocol
from tests.golden import golden, official


@pytest.fixture(scope="module")
def four():
    """All four mask tokens for the golden point: logits (1, 4, 256, 256)."""
    model = golden.load_filled(edge_sam.create_model("edge_sam"))
    segmenter = SamSegmenter("edge_sam", model, Weights("random"), torch.device("cpu"))
    (embedding,) = segmenter.encode([golden.make_image()])
    point = golden.PROMPTS["point"]
    prompts = Prompts(points=torch.tensor([point["points"]]), labels=torch.tensor([point["labels"]]))
    single, three = (segmenter.decode(embedding, prompts, multimask) for multimask in (False, True))
    return Prediction(torch.cat([single.logits, three.logits], 1), torch.cat([single.iou, three.iou], 1))


def test_the_four_masks_are_as_stable_as_the_official_ones(four):
    """The scores are ratios of pixel counts: but for pixels at a threshold they are equal."""
    want = torch.from_numpy(official.outputs("edge_sam")["point/four/stability"])
    got = stability(four.logits)[0]
    near = sum(((four.logits - offset).abs() < 1e-4).sum(dim=(0, 2, 3)) for offset in (1, -1))
    count = (four.logits > -1).sum(dim=(0, 2, 3))
    print(f"\nlargest difference {(got - want).abs().max():.1e}; pixels at a threshold {near.tolist()}")
    assert got.shape == want.shape == (4,)
    assert near.max() < 10  # of 65,536
    assert bool(((got - want).abs() <= near / count + 1e-6).all())


def test_the_four_masks_have_the_official_means(four):
    want = official.outputs("edge_sam")["point/four/low_mask_mean"]
    assert np.abs(four.logits.mean((0, 2, 3)).numpy() - want).max() < 1e-5


def test_the_protocol_that_its_authors_advise_selects_the_most_stable_mask(four):
    want = official.outputs("edge_sam")["point/four/stability"]
    protocol = make_protocol({"preset": "strict", "select": "stability"})
    assert choose(four, protocol).choice.tolist() == [int(want.argmax())] == [0]


def test_both_models_are_one_network_of_the_official_size():
    base, longer = (edge_sam.create_model(name) for name in ("edge_sam", "edge_sam_3x"))
    keys = {k: tuple(v.shape) for k, v in base.state_dict().items()}
    assert keys == {k: tuple(v.shape) for k, v in longer.state_dict().items()}
    assert keys == official.official_keys("edge_sam")
    assert sum(p.numel() for p in base.parameters()) == 9_582_112
    assert not base.training


@torch.inference_mode()
def test_an_image_of_another_size_has_an_embedding_at_stride_16():
    encoder = edge_sam.FusedRepViT().eval()
    assert encoder(torch.randn(2, 3, 128, 192)).shape == (2, 256, 8, 12)

"""TinySAM: MobileSAM's network, and one mask as its authors take it."""

import pytest
import torch

from sambench.adapters.base import Prompts
from sambench.adapters.families import tiny_sam
from tests.golden import golden, official

BOXES = torch.tensor(golden.PROMPTS["boxes3"]["boxes"])


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    """With deterministic weights from a checkpoint as released: a bare state dict."""
    path = tmp_path_factory.mktemp("weights") / "tinysam.pth"
    torch.save(golden.fill_from_shapes(official.official_keys("mobile_sam")), path)
    return tiny_sam.create("tiny_sam", weights=str(path), device=torch.device("cpu"))


@pytest.fixture(scope="module")
def embedding(segmenter):
    (embedding,) = segmenter.encode([golden.make_image()])
    return embedding


def test_its_keys_are_those_of_mobile_sam():
    """``build_sam_vit_t`` of both repositories builds the same modules, the classifier included."""
    own = {k: tuple(v.shape) for k, v in tiny_sam.create_model("tiny_sam").state_dict().items()}
    assert own == official.official_keys("mobile_sam")


def test_boxes_and_points_give_the_three_masks_of_the_network_with_these_weights(segmenter, embedding):
    """The official outputs of MobileSAM, whose golden weights these are."""
    gold = official.outputs("mobile_sam")
    points = Prompts(points=torch.tensor([[[262.0, 201.0]]]), labels=torch.tensor([[1]]))
    for key, prompts in (("boxes3", Prompts(boxes=BOXES)), ("point", points)):
        prediction = segmenter.decode(embedding, prompts)
        assert prediction.logits.shape == (len(prompts), 3, 256, 256)
        assert golden.rel_error(gold[f"{key}/multi/iou"], prediction.iou.numpy()) < 3e-5


@pytest.mark.parametrize("batch", [2, 8])
def test_a_single_mask_is_the_best_of_three_by_predicted_iou(segmenter, embedding, batch):
    segmenter.prompt_batch = batch
    three = segmenter.decode(embedding, Prompts(boxes=BOXES))
    single = segmenter.decode(embedding, Prompts(boxes=BOXES), multimask=False)
    assert single.logits.shape == (3, 1, 256, 256)
    assert single.iou.shape == (3, 1)
    for i in range(3):
        best = max(range(3), key=lambda m: three.iou[i, m].item())
        assert torch.allclose(single.logits[i, 0], three.logits[i, best], atol=1e-5)
        assert torch.allclose(single.iou[i, 0], three.iou[i, best], atol=1e-5)

"""EfficientViT-SAM by the common interface: the official predictor's IoUs, whatever the batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sambench import adapters, evsam
from sambench.adapters.base import Prompts, Weights
from sambench.adapters.families.sam import SamSegmenter
from sambench.evsam import geometry
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS
from tests.golden import golden

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def segmenter():
    model = evsam.create_model("efficientvit_sam_l0")
    golden.load_filled(model)
    return SamSegmenter("efficientvit_sam_l0", model, Weights("random"), torch.device("cpu"))


@pytest.fixture(scope="module")
def samples(coco_mini):
    dataset = CocoDataset(*coco_mini)
    return lambda n: [load_sample(entry) for entry in dataset.entries[:n]]


def gt_box_ious(segmenter, samples, batch):
    segmenter.prompt_batch = batch
    rows = []
    for sample in samples:
        (embedding,) = segmenter.encode([sample.image])
        rows += GtBox().evaluate(segmenter, embedding, sample, PRESETS["paper"], Stopwatch())
    return {row["ann_id"]: row["iou"] for row in rows}


@pytest.mark.slow
def test_gt_boxes_reproduce_the_official_predictor(segmenter, samples):
    """The objects of 12 images. Random weights make noisy masks, so pixels at the threshold flip."""
    want = {
        r["ann_id"]: r["iou"] / 100
        for r in json.loads((GOLDEN / "gtbox_l0_coco_mini.json").read_text())["rows"]
    }
    got = gt_box_ious(segmenter, samples(12), batch=8)
    assert len(want) == 596
    assert len(got) > 100
    assert got.keys() <= want.keys()
    difference = np.array([abs(got[i] - want[i]) for i in got])
    print(f"\nlargest difference {difference.max():.2e}, mean {difference.mean():.2e}")
    assert difference.max() < 5e-3
    assert difference.mean() < 2e-4


def plain_iou(model, features, sample, target):
    """What the official script does for one box: three masks at full size, IoU of the best in numpy."""
    size = sample.image.shape[:2]
    height, width = geometry.resized(size, 1024)
    box = torch.tensor(target.box, dtype=torch.float32).reshape(1, 2, 2)
    box = box * torch.tensor([width / size[1], height / size[0]])
    sparse, dense = model.prompt_encoder(boxes=box.reshape(1, 4))
    low, iou = model.mask_decoder(
        image_embeddings=features[None],
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    frame = F.interpolate(low, (1024, 1024), mode="bilinear", align_corners=False)
    full = F.interpolate(frame[..., :height, :width], size, mode="bilinear", align_corners=False)
    mask = (full[0] > 0).numpy()[int(iou[0].argmax())]
    truth = target.mask.full()
    return (mask & truth).sum() / max((mask | truth).sum(), 1)


@pytest.mark.slow
def test_no_batch_size_changes_an_iou(segmenter, samples):
    some = samples(2)  # of 20 objects, so that each batch leaves a rest, and of one
    want = {}
    with torch.inference_mode():
        for sample in some:
            (embedding,) = segmenter.encode([sample.image])
            for target in sample.targets:
                want[target.ann_id] = plain_iou(segmenter.model, embedding.features, sample, target)
    assert len(want) == 21
    for batch in (1, 3, 16, 64):
        got = gt_box_ious(segmenter, some, batch)
        assert got.keys() == want.keys()
        assert max(abs(got[i] - want[i]) for i in want) < 1e-4


@pytest.mark.slow
def test_images_of_a_batch_are_encoded_as_alone(segmenter, samples):
    images = [sample.image for sample in samples(2)]
    together = segmenter.encode(images)
    for image, embedding in zip(images, together, strict=True):
        (alone,) = segmenter.encode([image])
        assert embedding.size == image.shape[:2]
        assert (embedding.features - alone.features).abs().max() < 1e-4


def test_a_mask_of_an_earlier_round_changes_the_answer_and_one_prompt_does_not_see_anothers(segmenter):
    (embedding,) = segmenter.encode([golden.make_image()])
    points, labels = torch.tensor([[[262.0, 201.0]], [[495.0, 330.0]]]), torch.tensor([[1], [1]])
    masks = torch.randn(2, 1, 256, 256) * 5
    both = segmenter.decode(embedding, Prompts(points=points, labels=labels, masks=masks))
    plain = segmenter.decode(embedding, Prompts(points=points, labels=labels))
    second = segmenter.decode(embedding, Prompts(points=points[1:], labels=labels[1:], masks=masks[1:]))
    assert (both.logits - plain.logits).abs().max() > 0.01
    assert (both.logits[1:] - second.logits).abs().max() < 1e-4


def test_no_prompts_give_no_masks(segmenter):
    (embedding,) = segmenter.encode([golden.make_image()])
    prediction = segmenter.decode(embedding, Prompts(boxes=torch.zeros(0, 4)))
    assert prediction.logits.shape == (0, 3, 256, 256)
    assert prediction.iou.shape == (0, 3)


def test_random_weights_are_seeded_and_say_so():
    a, b = (adapters.create("efficientvit_sam_l0", weights="random") for _ in range(2))
    assert a.weights == Weights("random", seed=0)
    for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(x, y)


def test_weights_that_are_not_there_are_an_error_that_says_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"efficientvit_sam_l0\.pt") as error:
        adapters.create("efficientvit_sam_l0")
    assert str(tmp_path) in str(error.value)


def test_the_registered_file_of_the_weights_folder_is_taken(tmp_path, monkeypatch, segmenter):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    model = golden.load_filled(evsam.create_model("efficientvit_sam_l0"))
    torch.save(model.state_dict(), tmp_path / "efficientvit_sam_l0.pt")
    found = adapters.create("efficientvit_sam_l0")
    assert found.weights.source == "file"
    assert len(found.weights.sha256) == 64
    name = "mask_decoder.iou_token.weight"
    assert torch.equal(found.model.state_dict()[name], segmenter.model.state_dict()[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_masks_of_the_cpu(segmenter):
    model = golden.load_filled(evsam.create_model("efficientvit_sam_l0"))
    on_gpu = SamSegmenter("efficientvit_sam_l0", model, Weights("random"), torch.device("cuda"))
    prompts = Prompts(boxes=torch.tensor(golden.PROMPTS["boxes3"]["boxes"]))
    a, b = (s.decode(s.encode([golden.make_image()])[0], prompts) for s in (segmenter, on_gpu))
    assert (a.logits - b.logits.cpu()).abs().max() < 1e-2

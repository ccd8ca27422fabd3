"""FastSAM and SAM 2 of ultralytics: its own predictors are the oracle."""

import numpy as np
import pytest
import tiny_ultralytics
import torch
from tiny_ultralytics import SIDE

from sambench import adapters
from sambench.adapters.base import Prompts, Weights
from sambench.adapters.families import ultralytics_models, ultralytics_sam
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.click.suite import Click
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import make_protocol
from tests.golden import golden

HEIGHT, WIDTH = 200, 310
SIZE = (HEIGHT, WIDTH)

BOXES = torch.tensor([[20.5, 30, 200, 150.9], [0, 0, WIDTH, HEIGHT], [250, 20, 330, 90]])
POINTS = torch.tensor([[[60.0, 70], [200, 40]], [[309.5, 199], [0, 0]], [[150, 99.5], [155, 60]]])
LABELS = torch.tensor([[1, 0], [1, 1], [0, 0]])


@pytest.fixture(scope="module")
def library():
    with tiny_ultralytics.imported() as library:
        yield library


@pytest.fixture(scope="module")
def fast_sam_file(library, tmp_path_factory):
    return tiny_ultralytics.save_fast_sam(library, tmp_path_factory.mktemp("fast_sam"))


@pytest.fixture(scope="module")
def image():
    return golden.make_image(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def samples(coco_mini):
    """Three images with few objects."""
    entries = [e for e in CocoDataset(*coco_mini).entries if 2 <= len(e.annotations) <= 4]
    return [load_sample(entry) for entry in entries[:3]]


def same(a, b):
    assert a.shape == b.shape
    return float((a - b).norm() / b.norm()) < 1e-3


# FastSAM


@pytest.fixture(scope="module")
def fast_sam(fast_sam_file):
    return adapters.create(f"ultralytics:{fast_sam_file}")


@pytest.fixture(scope="module")
def instances(fast_sam, image):
    return fast_sam.encode([image])[0]


@pytest.fixture(scope="module")
def found(library, fast_sam_file, image):
    """What ultralytics finds in the image, and the predictor that chooses among it."""
    settings = {"imgsz": SIDE, "conf": 0.4, "iou": 0.9, "retina_masks": True}
    its = tiny_ultralytics.predictor(library, ("fastsam", "FastSAMPredictor"), **settings)
    model = ultralytics_sam.open_checkpoint(library, fast_sam_file)
    (result,) = its(image[..., ::-1], model=model)
    return its, result


def test_fast_sam_finds_what_ultralytics_finds(instances, found):
    masks, confidence = found[1].masks.data.bool(), found[1].boxes.conf
    assert len(masks) > 20
    assert float((instances.confidence - confidence).abs().max()) < 1e-4
    ours, its = instances.features.flatten(1).float(), masks.flatten(1).float()
    overlap = ours @ its.T
    iou = overlap / (ours.sum(dim=1)[:, None] + its.sum(dim=1) - overlap)
    assert len(ours) == len(its)
    assert float(iou.amax(dim=1).min()) > 0.97  # whatever the order: nearly equal confidences change places


@pytest.mark.parametrize("kind", ["boxes", "points", "padded points"])
def test_prompts_choose_what_ultralytics_lets_them_choose(fast_sam, instances, found, kind):
    its, result = found
    chosen = 0
    for i in range(3):
        if kind == "boxes":
            prompts, given = Prompts(BOXES[i : i + 1]), {"bboxes": BOXES[i : i + 1].tolist()}
        else:
            xy, labels = POINTS[i : i + 1], LABELS[i : i + 1]
            given = {"points": xy[0].tolist(), "labels": labels[0].tolist()}
            if kind == "padded points":
                xy, labels = (
                    torch.nn.functional.pad(xy, (0, 0, 0, 2)),
                    torch.cat([labels, -(labels**0)], dim=1),
                )
            prompts = Prompts(points=xy, labels=labels)
        (want,) = its.prompt([result], **given)
        chosen += len(want)
        got = fast_sam.decode(instances, prompts)
        mask = want.masks.data.bool().any(dim=0) if len(want) else torch.zeros(SIZE, dtype=torch.bool)
        assert float(((fast_sam.upsample(got.logits[:, 0], SIZE)[0] > 0) != mask).float().mean()) < 1e-4
        assert float(got.iou) == pytest.approx(float(want.boxes.conf.max()) if len(want) else 0, abs=1e-4)
    assert chosen >= 3


def hand_made(*masks):
    """Instances of 10 x 10 masks given by their windows, the first the most confident."""
    drawn = torch.zeros(len(masks), 10, 10, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(drawn, masks, strict=True):
        mask[y0:y1, x0:x1] = True
    confidence = torch.linspace(0.9, 0.5, max(len(masks), 1))[: len(masks)]
    return ultralytics_models.Instances(drawn, (10, 10), confidence, drawn.sum(dim=(1, 2)))


def choose(fast_sam, instances, prompts):
    prediction = fast_sam.decode(instances, prompts)
    return prediction.logits[:, 0] > 0, prediction.iou[:, 0]


def clicks(*points):
    xy = torch.tensor([[p[:2] for p in points]], dtype=torch.float32)
    return Prompts(points=xy, labels=torch.tensor([[p[2] for p in points]]))


def test_a_box_takes_the_instance_it_fits_best_and_not_the_surest(fast_sam):
    whole, part, other = (0, 0, 8, 8), (1, 1, 4, 4), (6, 6, 10, 10)
    instances = hand_made(whole, part, other)
    masks, iou = choose(
        fast_sam, instances, Prompts(torch.tensor([[1.0, 1, 4, 5], [0, 0, 9, 9], [7, 7, 20, 20]]))
    )
    assert [bool((m == instances.features[k]).all()) for m, k in zip(masks, (1, 0, 2), strict=True)] == [
        True
    ] * 3
    assert iou.tolist() == pytest.approx([0.7, 0.9, 0.5])


def test_points_unite_what_holds_one_and_leave_what_holds_a_background_point(fast_sam):
    left, right, all_ = (0, 0, 5, 10), (5, 0, 10, 10), (0, 0, 10, 10)
    instances = hand_made(left, right, all_)
    two, iou = choose(fast_sam, instances, clicks((2, 2, 1), (7, 7, 1)))
    assert bool(two.all())
    assert float(iou) == pytest.approx(0.9)
    one, iou = choose(fast_sam, instances, clicks((7, 2, 1), (2, 2, 0)))
    assert torch.equal(one[0], instances.features[1])
    assert float(iou) == pytest.approx(0.7)
    none, iou = choose(fast_sam, instances, clicks((2, 2, 1), (3, 3, 0)))
    assert not none.any()
    assert float(iou) == 0


def test_nothing_found_gives_empty_masks(fast_sam):
    for prompts in (Prompts(BOXES), clicks((2, 2, 1)), clicks((2, 2, 0))):
        masks, iou = choose(fast_sam, hand_made(), prompts)
        assert masks.shape == (len(prompts), 10, 10)
        assert not masks.any()
        assert not iou.any()


def test_fast_sam_refuses_what_it_cannot_be_asked(fast_sam, instances):
    for prompts, word in (
        (Prompts(BOXES, POINTS, LABELS), "not both"),
        (Prompts(BOXES, masks=torch.zeros(3, 1, 256, 256)), "no mask"),
    ):
        with pytest.raises(SambenchError, match=word):
            fast_sam.decode(instances, prompts)


def test_images_of_a_batch_are_segmented_as_alone(fast_sam, image, instances):
    other = golden.make_image(100, 80)
    first, second = fast_sam.encode([other, image])
    assert first.size == (100, 80)
    assert torch.equal(second.features, instances.features)


@pytest.mark.slow
@pytest.mark.parametrize("suite", [GtBox(), Click()], ids=lambda suite: suite.name)
def test_suites_score_fast_sam(fast_sam, samples, suite):
    check_suite(fast_sam, samples, suite)
    feedback = make_protocol({"preset": "strict", "mask_feedback": "previous"})
    if suite.name == "click":
        assert "no mask" in suite.refusal(fast_sam.capabilities, feedback)


def check_suite(segmenter, samples, suite):
    protocol = make_protocol("strict")
    assert suite.refusal(segmenter.capabilities, protocol) is None
    rows = []
    for sample in samples:
        (embedding,) = segmenter.encode([sample.image])
        rows += suite.evaluate(segmenter, embedding, sample, protocol, Stopwatch())
    assert len(rows) == sum(not t.iscrowd for s in samples for t in s.targets)
    assert 0 < np.mean([row["iou"] for row in rows]) < 1


# SAM 2


@pytest.fixture(scope="module")
def sam2(library):
    torch.manual_seed(0)
    model = tiny_ultralytics.small_sam2(library)
    return ultralytics_models.Sam2("small", model, Weights("random"), torch.device("cpu"), library)


@pytest.fixture(scope="module")
def embedding(sam2, image):
    return sam2.encode([image])[0]


@pytest.fixture(scope="module")
def its_sam2(library, sam2, image):
    """The predictor of ultralytics with the same model and image, and the input it has made."""
    its = tiny_ultralytics.predictor(library, ("sam", "SAM2Predictor"), imgsz=SIDE, conf=0.0)
    its.setup_model(sam2.model, verbose=False)
    its.set_image(image[..., ::-1])
    its.batch = ([""], [image[..., ::-1]], [""])
    return its, its.preprocess([image[..., ::-1]])


SAM2_PROMPTS = {
    "boxes": Prompts(BOXES),
    "points": Prompts(points=POINTS, labels=LABELS),
    "padded points": Prompts(points=POINTS, labels=torch.tensor([[1, -1], [0, 1], [1, -1]])),
    "boxes with points": Prompts(BOXES, POINTS, LABELS),
}


def test_sam2_pixels_are_those_of_ultralytics(sam2, its_sam2, image):
    assert float((sam2.prepare(image).pixels - its_sam2[1][0]).abs().max()) < 1e-5


@pytest.mark.parametrize("size", [(SIDE, SIDE), (300, 17), (9, 400)])
def test_sam2_pixels_of_odd_sizes_are_those_of_ultralytics(sam2, its_sam2, size):
    image = golden.make_image(*size)
    want = its_sam2[0].preprocess([image[..., ::-1]])[0]
    assert float((sam2.prepare(image).pixels - want).abs().max()) < 1e-5


@pytest.mark.parametrize("multimask", [True, False], ids=["three", "one"])
@pytest.mark.parametrize("prompts", SAM2_PROMPTS.values(), ids=SAM2_PROMPTS)
def test_sam2_masks_are_those_of_ultralytics(sam2, embedding, its_sam2, image, prompts, multimask):
    its, pixels = its_sam2
    given = {"bboxes": prompts.boxes, "points": prompts.points, "labels": prompts.labels}
    with torch.inference_mode():
        logits, iou = its.prompt_inference(pixels, **given, multimask_output=multimask)
        (result,) = its.postprocess((logits, iou), pixels, [image[..., ::-1]])
    got = sam2.decode(embedding, prompts, multimask)
    assert got.logits.shape == (3, 3 if multimask else 1, SIDE // 4, SIDE // 4)
    assert same(got.logits.flatten(0, 1), logits)
    assert same(got.iou.flatten(), iou)
    full = sam2.upsample(got.logits.flatten(0, 1), SIZE) > 0
    assert float((full != result.masks.data.bool()).float().mean()) < 1e-4


def test_sam2_takes_a_mask_as_ultralytics_does(sam2, embedding, its_sam2):
    its, pixels = its_sam2
    masks = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(2)) * 4
    with torch.inference_mode():
        want, _ = its.prompt_inference(pixels, bboxes=BOXES[:1], masks=masks.numpy(), multimask_output=True)
    got = sam2.decode(embedding, Prompts(BOXES[:1], masks=masks[None])).logits[0]
    assert same(got, want)
    assert not same(got, sam2.decode(embedding, Prompts(BOXES[:1])).logits[0])


@pytest.mark.parametrize("prompts", SAM2_PROMPTS.values(), ids=SAM2_PROMPTS)
def test_a_prompt_of_sam2_does_not_see_the_others_of_its_batch(sam2, embedding, prompts):
    masks = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(2)) * 4
    prompts = Prompts(prompts.boxes, prompts.points, prompts.labels, masks)
    together = sam2.decode(embedding, prompts)
    for i in range(3):
        alone = sam2.decode(embedding, prompts[i : i + 1])
        assert same(alone.logits[0], together.logits[i])


def test_no_prompts_give_no_masks(sam2, embedding, fast_sam, instances):
    prediction = sam2.decode(embedding, Prompts(torch.zeros(0, 4)))
    assert prediction.logits.shape == (0, 3, SIDE // 4, SIDE // 4)
    assert fast_sam.decode(instances, Prompts(torch.zeros(0, 4))).logits.shape == (0, 1, *SIZE)


def test_images_of_a_batch_are_encoded_as_alone(sam2, image, embedding):
    first, second = sam2.encode([golden.make_image(100, 80), image])
    assert first.size == (100, 80)
    for a, b in zip((second.features, *second.maps), (embedding.features, *embedding.maps), strict=True):
        assert same(a, b)


@pytest.mark.parametrize("suite", [GtBox(), Click()], ids=lambda suite: suite.name)
def test_suites_score_sam2(sam2, samples, suite):
    check_suite(sam2, samples, suite)

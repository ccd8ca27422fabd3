"""Models of transformers: their own processors and their own ``forward`` are the oracle."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny_hf
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import adapters
from adapters import hf
from adapters.base import Prompts, Weights
from evsam.errors import SambenchError
from suites.base import Stopwatch
from suites.click import Click
from suites.coco import CocoDataset
from suites.gt_box import GtBox
from suites.protocol import make_protocol
from suites.sample import load_sample
from tests.conftest import missing
from tests.golden import golden

HEIGHT, WIDTH = 90, 141  # 128 / 141 * 90 = 81.7, so rounding shows
SIZE = (HEIGHT, WIDTH)

BOXES = torch.tensor([[10.0, 12, 100.5, 70], [0, 0, WIDTH, HEIGHT], [60, 5.25, 90, 88]])
POINTS = torch.tensor([[[30.0, 40], [100, 20]], [[140, 89], [0, 0]], [[70, 45.5], [20, 80]]])
LABELS = torch.tensor([[1, 0], [1, 1], [0, 1]])


@pytest.fixture(scope="module", autouse=True)
def installed():
    for package in ("transformers", "timm", "torchvision"):  # the last two for EdgeTAM and the processors
        if importlib.util.find_spec(package) is None:
            missing(f"{package} is not installed: pip install 'sambench[hf]'")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of a tiny model of each kind, written when it is first asked for."""
    root, written = tmp_path_factory.mktemp("hf"), set()

    def folder(kind):
        path = root / kind
        if kind not in written:
            written.add(kind)
            path.mkdir()
            tiny_hf.save(kind, path)
        return path

    return folder


@pytest.fixture(scope="module", params=tiny_hf.FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def segmenter(folders, family):
    return adapters.create(f"hf:{folders(family)}")


@pytest.fixture(scope="module")
def image():
    return golden.make_image(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def embedding(segmenter, image):
    return segmenter.encode([image])[0]


def processed(family, image, prompts):
    """What transformers' processor makes of an image and prompts, as its model takes it."""
    given = {
        "input_boxes": None if prompts.boxes is None else [prompts.boxes.tolist()],
        "input_points": None if prompts.points is None else [prompts.points.tolist()],
        "input_labels": None if prompts.labels is None else [prompts.labels.tolist()],
    }
    inputs = tiny_hf.processor(family)(images=image, return_tensors="pt", **given)
    return {k: v for k, v in inputs.items() if k not in ("original_sizes", "reshaped_input_sizes")}


def frames(segmenter, embedding, prompts):
    """The prompts as the segmenter hands them to the model."""
    seen = {}
    hook = segmenter.model.register_forward_pre_hook(
        lambda m, a, kwargs: seen.update(kwargs), with_kwargs=True
    )
    segmenter.decode(embedding, prompts)
    hook.remove()
    return seen


def difference(a, b):
    assert a.shape == b.shape
    return float((a - b).abs().max())


def same(a, b):
    """Equal but for rounding, which a network of random weights blows up now and then."""
    assert a.shape == b.shape
    return float((a - b).norm() / b.norm()) < 1e-2


def test_pixels_are_those_of_the_processor(segmenter, family, image):
    want = processed(family, image, Prompts(BOXES))["pixel_values"][0]
    assert difference(segmenter.prepare(image).pixels, want) < 1e-5


@pytest.mark.parametrize("size", [(tiny_hf.SIDE, tiny_hf.SIDE), (300, 17), (9, 400)])
def test_pixels_of_odd_sizes_are_those_of_the_processor(segmenter, family, size):
    image = golden.make_image(*size)
    want = processed(family, image, Prompts(BOXES))["pixel_values"][0]
    assert difference(segmenter.prepare(image).pixels, want) < 1e-5


def test_the_corners_of_the_image_land_where_the_processor_puts_them(segmenter, family, embedding, image):
    prompts = Prompts(
        boxes=torch.tensor([[0.0, 0, WIDTH, HEIGHT]]),
        points=torch.tensor([[[0.0, 0], [WIDTH, HEIGHT]]]),
        labels=torch.tensor([[0, 1]]),
    )
    got, want = frames(segmenter, embedding, prompts), processed(family, image, prompts)
    for key in ("input_boxes", "input_points", "input_labels"):
        assert difference(got[key].double(), want[key].double()) < 1e-4
    bottom = (
        82 if family in ("sam", "sam_hq") else tiny_hf.SIDE
    )  # of padding there is none in a stretched image
    assert got["input_boxes"].flatten().tolist() == pytest.approx([0, 0, tiny_hf.SIDE, bottom], abs=1e-3)


PROMPTS = {
    "boxes": Prompts(BOXES),
    "points": Prompts(points=POINTS, labels=LABELS),
    "padded points": Prompts(points=POINTS, labels=torch.tensor([[1, -1], [0, 1], [1, -1]])),
    "boxes with points": Prompts(BOXES, POINTS, LABELS),
}


@pytest.mark.parametrize("multimask", [True, False], ids=["three", "one"])
@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)
def test_masks_are_those_of_the_plain_forward(segmenter, family, embedding, image, prompts, multimask):
    with torch.inference_mode():
        want = segmenter.model(**processed(family, image, prompts), multimask_output=multimask)
    got = segmenter.decode(embedding, prompts, multimask)
    assert got.logits.shape == (3, 3 if multimask else 1, 32, 32)
    assert same(got.logits, want.pred_masks[0])
    assert same(got.iou, want.iou_scores[0])


def test_masks_reach_the_image_as_the_processor_brings_them(segmenter, family, embedding):
    logits = segmenter.decode(embedding, Prompts(BOXES)).logits
    sizes = {"original_sizes": torch.tensor([SIZE])}
    if family in ("sam", "sam_hq"):
        sizes["reshaped_input_sizes"] = torch.tensor([[82, tiny_hf.SIDE]])
    (want,) = tiny_hf.processor(family).post_process_masks([logits], **sizes, binarize=False)
    assert difference(segmenter.upsample(logits[:, 1], SIZE), want[:, 1]) < 1e-4


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("fed_back", [False, True], ids=["without masks", "with masks"])
def test_a_prompt_does_not_see_the_others_of_its_batch(segmenter, embedding, prompts, fed_back):
    if fed_back:
        prompts = replace(prompts, masks=golden_masks())
    together = segmenter.decode(embedding, prompts)
    for i in range(3):
        alone = segmenter.decode(embedding, prompts[i : i + 1])
        assert same(alone.logits[0], together.logits[i])
        assert same(alone.iou[0], together.iou[i])


def golden_masks():
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(2)) * 4


def test_a_mask_is_taken_as_the_plain_forward_takes_it(segmenter, family, embedding, image):
    masks = golden_masks()
    inputs = processed(family, image, Prompts(BOXES))
    got = segmenter.decode(embedding, Prompts(BOXES, masks=masks))
    for i in range(3):
        one = inputs | {"input_boxes": inputs["input_boxes"][:, i : i + 1], "input_masks": masks[i : i + 1]}
        with torch.inference_mode():
            want = segmenter.model(**one).pred_masks[0, 0]
        assert same(got.logits[i], want)


def test_every_kind_of_prompt_that_is_said_to_be_taken_changes_the_answer(segmenter, embedding):
    box, point = Prompts(BOXES), Prompts(points=POINTS, labels=LABELS)
    pairs = [
        (box, Prompts(BOXES + 5)),
        (box, Prompts(BOXES, POINTS, LABELS)),
        (box, Prompts(BOXES, masks=golden_masks())),
        (point, Prompts(points=POINTS, labels=1 - LABELS)),
        (point, Prompts(points=POINTS, labels=torch.where(LABELS == 0, -1, LABELS))),
        (point, Prompts(points=POINTS, labels=LABELS, masks=golden_masks())),
    ]
    for a, b in pairs:
        assert segmenter.capabilities.refusal(b) is None
        one, other = segmenter.decode(embedding, a).logits, segmenter.decode(embedding, b).logits
        assert not same(one, other)


def test_what_a_model_does_not_take_is_refused(segmenter, embedding, monkeypatch):
    monkeypatch.setattr(segmenter, "capabilities", replace(segmenter.capabilities, mask_input=False))
    with pytest.raises(SambenchError, match="takes no mask"):
        segmenter.decode(embedding, Prompts(BOXES, masks=golden_masks()))


def test_images_of_a_batch_are_encoded_as_alone(segmenter):
    images = [golden.make_image(64, 100), golden.make_image(100, 64), golden.make_image(128, 128)]
    for image, got in zip(images, segmenter.encode(images), strict=True):
        (want,) = segmenter.encode([image])
        assert got.size == image.shape[:2]
        for a, b in zip((got.features, *got.maps), (want.features, *want.maps), strict=True):
            assert same(a, b)


@pytest.mark.parametrize("masks", [None, torch.zeros(0, 1, 32, 32)], ids=["no masks", "masks"])
def test_no_prompts_give_no_masks(segmenter, embedding, masks):
    prediction = segmenter.decode(embedding, Prompts(torch.zeros(0, 4), masks=masks), multimask=False)
    assert prediction.logits.shape == (0, 1, 32, 32)
    assert prediction.iou.shape == (0, 1)


# suites


@pytest.fixture(scope="module")
def samples(coco_mini):
    """Three images with few objects."""
    entries = [e for e in CocoDataset(*coco_mini).entries if 2 <= len(e.annotations) <= 4]
    return [load_sample(entry) for entry in entries[:3]]


def ious(suite, segmenter, samples, **axes):
    protocol = make_protocol({"preset": "strict", **axes})
    assert suite.refusal(segmenter.capabilities, protocol) is None
    rows = []
    for sample in samples:
        (embedding,) = segmenter.encode([sample.image])
        rows += suite.evaluate(segmenter, embedding, sample, protocol, Stopwatch())
    assert len(rows) == sum(not t.iscrowd for s in samples for t in s.targets)
    return np.array([row["iou"] for row in rows])


def test_boxes_are_scored_alike_whatever_the_batch(segmenter, samples, monkeypatch):
    scores = []
    for batch in (1, 8):
        monkeypatch.setattr(segmenter, "prompt_batch", batch)
        scores.append(ious(GtBox(), segmenter, samples))
    assert 0 < scores[0].mean() < 1
    assert np.abs(scores[0] - scores[1]).max() < 1e-2


@pytest.mark.parametrize("feedback", ["none", "previous"])
def test_clicks_are_scored_after_each_of_five_rounds(segmenter, samples, feedback):
    scores = ious(Click(), segmenter, samples, mask_feedback=feedback)
    assert scores.shape[1] == 5
    assert 0 < scores.mean() < 1


# SAM-HQ


def official_hq(model, embedding, prompts, *, multimask):
    """The authors' decoder (mask_decoder_hq.py) over the parts of a model: one mask a prompt."""
    decoder, n = model.mask_decoder, len(prompts)
    image, blocks = embedding.features[None], embedding.maps[0][None].permute(0, 3, 1, 2)
    early = decoder.compress_vit_conv2(F.gelu(decoder.compress_vit_norm(decoder.compress_vit_conv1(blocks))))
    late = decoder.encoder_conv2(F.gelu(decoder.encoder_norm(decoder.encoder_conv1(image))))
    height, width = 82 / HEIGHT, 128 / WIDTH
    boxes = prompts.boxes * torch.tensor([width, height, width, height])
    sparse, dense = model.prompt_encoder(
        input_points=None, input_labels=None, input_boxes=boxes[None], input_masks=None
    )
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
    tokens = torch.cat([own.expand(1, n, -1, -1), sparse], dim=2)
    tokens, image = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=(image + dense).repeat_interleave(n, 0),
        image_positional_embeddings=model.get_image_wide_positional_embeddings().repeat_interleave(n, 0),
        attention_similarity=None,
    )[:2]
    image = image.squeeze(1).transpose(1, 2).reshape(n, -1, 8, 8)
    fine = F.gelu(decoder.upscale_layer_norm(decoder.upscale_conv1(image)))
    fine = F.gelu(decoder.upscale_conv2(fine))
    sharp = decoder.mask_conv2(F.gelu(decoder.mask_norm(decoder.mask_conv1(fine)))) + early + late
    heads = [mlp(tokens[0, :, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
    masks = torch.einsum("mnc,nchw->nmhw", torch.stack(heads), fine)
    extra = torch.einsum("nc,nchw->nhw", decoder.hq_mask_mlp(tokens[0, :, 5]), sharp)
    iou = decoder.iou_prediction_head(tokens[0, :, 0])
    best = 1 + iou[:, 1:].argmax(dim=1) if multimask else torch.zeros(n, dtype=torch.long)
    return masks[torch.arange(n), best] + extra, iou[torch.arange(n), best]


@pytest.mark.parametrize("multimask", [True, False], ids=["three", "one"])
def test_sam_hq_decodes_as_its_authors_do(folders, image, multimask):
    segmenter = adapters.create(f"hf:{folders('sam_hq')}")
    (embedding,) = segmenter.encode([image])
    got = segmenter.decode(embedding, Prompts(BOXES), multimask)
    with torch.inference_mode():
        logits, iou = official_hq(segmenter.model, embedding, Prompts(BOXES), multimask=multimask)
    assert got.iou.argmax(dim=1).tolist() == [0, 0, 0]  # the authors return the best; here it comes first
    assert same(got.logits[:, 0], logits)
    assert same(got.iou[:, 0], iou)


def test_sam_hq_of_transformers_needs_the_repair(folders, image):
    """When this fails, transformers has mended its decoder: `upscale_transformed_image` can go."""
    segmenter = adapters.create(f"hf:{folders('sam_hq')}")
    inputs = processed("sam_hq", image, Prompts(BOXES))
    with torch.inference_mode():
        plain, repaired = (m(**inputs).pred_masks for m in (tiny_hf.build("sam_hq"), segmenter.model))
    assert (plain - repaired).norm() > 0.1 * repaired.norm()


# weights and folders


@pytest.mark.parametrize("kind", ["sam2_video", "edgetam_video", "sam3_tracker_video", "sam3_video"])
def test_a_video_checkpoint_gives_the_image_model_its_parameters(folders, kind):
    model = adapters.create(f"hf:{folders(kind)}").model
    assert type(model).__name__ == hf.FAMILIES[kind].model
    there = load_file(folders(kind) / "model.safetensors")
    for key, value in model.state_dict().items():
        names = (key, f"tracker_model.{key}", f"detector_model.{key}")
        if kind == "sam3_video" and ".neck." in key:  # the tracker's neck, not the detector's
            names = (key.replace("vision_encoder.neck", "tracker_neck"),)
        (name,) = [n for n in names if n in there]
        assert torch.equal(value, there[name]), key


def test_random_weights_are_seeded_and_need_the_configuration_alone(folders, family, tmp_path):
    config = (folders(family) / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    a, b = (adapters.create(f"hf:{tmp_path}", weights="random") for _ in range(2))
    assert a.weights == Weights("random", seed=0)
    for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(x, y)


def test_a_hub_name_is_taken_from_the_weights_folder(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "owner--name").symlink_to(folders("sam"))
    found = adapters.create("hf:owner/name").weights
    assert found.path == str(tmp_path / "owner--name")
    assert len(found.sha256) == 64


def test_a_hub_name_is_taken_from_the_cache_of_the_hub(folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "empty"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789" * 4
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / commit).symlink_to(folders("sam"))
    assert adapters.create("hf:owner/name").weights.path == str(repository / "snapshots" / commit)


def test_a_name_that_is_nowhere_is_an_error_with_both_remedies(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"owner--name.*weights fetch hf:owner/name.*=random"):
        adapters.create("hf:owner/name")


@pytest.fixture
def copy(folders, tmp_path):
    """A folder of a tiny SAM to damage."""
    for file in folders("sam").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_state(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


DAMAGE = {
    "no configuration": (lambda f: (f / "config.json").unlink(), "no .*config.json"),
    "no parameters": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "a configuration that is no JSON": (lambda f: (f / "config.json").write_text("{"), "not JSON"),
    "a configuration that is a list": (lambda f: (f / "config.json").write_text("[]"), "model_type None"),
    "another kind of model": (
        lambda f: change_config(f, model_type="bert"),
        "model_type 'bert' is not served",
    ),
    "a typing error": (lambda f: change_config(f, model_type="sam_qh"), "mean 'sam_hq'"),
    "parts of the wrong type": (
        lambda f: change_config(f, vision_config={"hidden_size": "x"}),
        "cannot be read",
    ),
    "another model's configuration": (lambda f: change_config(f, model_type="sam_hq"), "missing, first"),
    "a cut file": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1000]),
        "cannot be read",
    ),
    "an empty file": (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read"),
    "a parameter too few": (
        lambda f: change_state(f, lambda s: s.pop("mask_decoder.iou_token.weight")),
        "1 missing, first mask_decoder.iou_token.weight",
    ),
    "a parameter too many": (
        lambda f: change_state(f, lambda s: s.update({"head.weight": torch.zeros(2)})),
        "1 unexpected, first head.weight",
    ),
    "a parameter of another shape": (
        lambda f: change_state(f, lambda s: s.update({"mask_decoder.iou_token.weight": torch.zeros(1, 7)})),
        "1 mismatched, first .*mask_decoder.iou_token.weight",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_an_error_that_says_what_is_wrong(copy, damage, message):
    damage(copy)
    with pytest.raises(SambenchError, match=message) as error:
        adapters.create(f"hf:{copy}")
    assert str(copy) in str(error.value)


def test_a_pickle_in_place_of_safetensors_is_not_opened(copy):
    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(state, copy / "pytorch_model.bin")
    with pytest.raises(SambenchError, match=r"model\.safetensors"):
        adapters.create(f"hf:{copy}")


def test_a_file_in_place_of_a_folder_is_an_error(copy):
    with pytest.raises(SambenchError, match=r"no .*config\.json"):
        adapters.create("hf:owner/name", weights=str(copy / "model.safetensors"))


def test_a_library_that_is_missing_or_too_old_is_named_with_the_remedy(copy, monkeypatch):
    monkeypatch.setitem(hf.FAMILIES, "sam", replace(hf.FAMILIES["sam"], model="Sam9Model", since="9.1"))
    with pytest.raises(
        SambenchError, match=r"no Sam9Model; the first that has is 9\.1: pip install 'transformers>=9\.1'"
    ):
        adapters.create(f"hf:{copy}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[hf\]'"):
        adapters.create(f"hf:{copy}")


def test_a_backbone_whose_package_is_missing_is_named_with_the_remedy(folders, monkeypatch):
    import transformers.utils.import_utils as checks

    monkeypatch.setitem(checks.BACKENDS_MAPPING, "timm", (lambda: False, "{0} requires timm"))
    with pytest.raises(SambenchError, match=r"sambench\[hf\].*timm"):
        adapters.create(f"hf:{folders('edgetam')}")

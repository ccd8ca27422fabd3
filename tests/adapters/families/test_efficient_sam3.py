"""EfficientSAM3: ultralytics' SAM 3, of the same weights, is the oracle of layout and arithmetic."""

import pytest
import tiny_efficient_sam3 as tiny
import tiny_hf
import tiny_ultralytics
import torch
from fakes import CATEGORIES, evaluate, rectangle, sample_of, target

from sambench.adapters.base import Prompts, Weights
from sambench.adapters.concepts import Wanted
from sambench.adapters.families import efficient_sam3
from sambench.adapters.families.sam3_layout import SAM3
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.click.suite import Click
from sambench.suites.concept.suite import Concept
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import make_protocol
from tests.golden import golden

NAME = "efficient_sam3_efficientvit_s"
SIZE = (90, 141)
PHRASES = ("a cat", "dog", "red ball")
BOXES = torch.tensor([[10.0, 12, 100.5, 70], [60, 5.25, 90, 88]])
POINTS = torch.tensor([[[30.0, 40], [100, 20]], [[70, 45.5], [20, 80]]])
LABELS = torch.tensor([[1, 0], [1, 1]])

REAL = {
    "detector.transformer": (283, 21_047_605),
    "detector.segmentation_head": (28, 2_298_881),
    "detector.dot_prod_scoring": (10, 1_182_976),
    "detector.geometry_encoder": (76, 8_215_808),
    "tracker.sam_mask_decoder": (131, 4_215_109),
    "tracker.sam_prompt_encoder": (17, 6_476),
}
"""Keys and parameters of a released checkpoint, ``efficient_sam3_repvit-m0_9_mobileclip_s1.pth``, as counted
in WEIGHT_FILE_COMPONENTS.md of github.com/Kitemanul/efficientsam3. All but its text encoder is as here."""

POINT_KEYS = 6, 2 * 256 + 256 + 2 * (256 * 256 + 256)
"""Of them in the geometry encoder those of points, which no prompt here needs."""


@pytest.fixture(scope="module")
def theirs():
    with tiny_ultralytics.imported():
        yield tiny.theirs()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    """A checkpoint as the first stage is released, with parts that are not needed, and its words."""
    folder = tmp_path_factory.mktemp("weights")
    vision = "detector.backbone.vision_backbone."
    more = (
        f"{vision}trunk.blocks.0.attn.qkv.weight",
        f"{vision}trunk.pos_embed",
        f"{vision}trunk.model.backbone.model.norm_head.weight",
        "detector.geometry_encoder.points_direct_project.weight",
        "tracker.maskmem_tpos_enc",
        "tracker.transformer.encoder.norm.weight",
        "tracker.obj_ptr_proj.layers.0.weight",
    )
    torch.save({"model": theirs[2] | {key: torch.zeros(2) for key in more}}, folder / "efficient_sam3.pt")
    tiny_hf.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder):
    found = Weights("file", path=str(folder))
    return efficient_sam3.segmenter(NAME, tiny.network, found, torch.device("cpu"))


@pytest.fixture(scope="module")
def image():
    return golden.make_image(*SIZE)


@pytest.fixture(scope="module")
def embedding(segmenter, image):
    return segmenter.encode([image])[0]


def close(a, b, tolerance=3e-5):
    assert a.shape == b.shape
    return float((a - b).norm()) <= tolerance * float(b.norm())


@torch.inference_mode()
def test_phrases_find_what_the_authors_arithmetic_finds(segmenter, theirs, image, embedding):
    pixels = segmenter.prepare(image).pixels[None]
    said = theirs[0].ask(pixels, PHRASES)
    scores = said["pred_logits"][..., 0].sigmoid() * said["presence_logit_dec"].sigmoid()
    for i, found in enumerate(segmenter.find(embedding, PHRASES)):
        best = scores[i].argsort(descending=True)
        assert close(found.scores, scores[i, best])
        assert close(found.logits, said["pred_masks"][i, best])
        assert close(found.boxes, said["pred_boxes_xyxy"][i, best] * torch.tensor([141.0, 90, 141, 90]))


@torch.inference_mode()
def test_clicks_and_boxes_give_what_the_authors_arithmetic_gives(segmenter, theirs, image, embedding):
    detector, tracker, _ = theirs
    seen = detector.model.backbone.forward_image(segmenter.prepare(image).pixels[None])
    maps = seen["sam2_backbone_out"]["backbone_fpn"]
    corners = BOXES.reshape(-1, 2, 2)
    asked = {
        (POINTS, LABELS): Prompts(points=POINTS, labels=LABELS),
        (corners, torch.tensor([[2, 3]]).expand(2, -1)): Prompts(boxes=BOXES),
    }
    for (points, labels), prompts in asked.items():
        logits, iou = tracker.decode(maps, segmenter.to_frame(points, SIZE), labels)
        got = segmenter.decode(embedding, prompts)
        assert close(got.logits, logits)
        assert close(got.iou, iou)


def test_only_wanted_instances_are_given_and_a_phrase_is_answered_as_if_alone(segmenter, embedding):
    (alone,) = segmenter.find(embedding, PHRASES[1:2])
    (_, among, _) = segmenter.find(embedding, PHRASES, Wanted(above=float(alone.scores[2]), most=2))
    assert len(alone) == tiny_hf.QUERIES
    assert len(among) == 2
    assert close(among.logits, alone.logits[:2])


def test_it_takes_part_in_the_suites_of_all_its_prompts(segmenter, tmp_path):
    objects = [target(rectangle(SIZE, *corners), i) for i, corners in enumerate(BOXES.int().tolist())]
    sample, protocol = sample_of(*objects), make_protocol("strict")
    concept = Concept(Setting(tmp_path / "none.json", (7,), style="coco"))
    for suite in (GtBox(), Click(), concept):
        assert suite.refusal(segmenter.capabilities, protocol) is None
    (embedding,) = segmenter.encode([sample.image])
    instances = [
        r["score"] for r in evaluate(concept, segmenter, sample, protocol) if r["kind"] == "instance"
    ]
    found = segmenter.find(embedding, list(CATEGORIES.values()))
    assert instances == pytest.approx([score for one in found for score in one.scores.tolist()], rel=1e-4)
    boxes = evaluate(GtBox(), segmenter, sample, protocol)
    logits = segmenter.decode(embedding, Prompts(boxes=BOXES.int().float()), multimask=False).logits
    masks = segmenter.upsample(logits[:, 0], SIZE) > 0
    for row, one, mask in zip(boxes, objects, masks.numpy(), strict=True):
        truth = one.mask.full()
        assert row["iou"] == pytest.approx((mask & truth).sum() / (mask | truth).sum(), abs=1e-3)
    assert all(len(row["iou"]) == 5 for row in evaluate(Click(), segmenter, sample, protocol))


def test_what_is_said_of_the_weights_is_how_they_lay_in_the_file(segmenter):
    assert segmenter.weights.taken == "'model'"
    assert segmenter.capabilities.concepts


def test_the_student_is_computed_without_norms(segmenter):
    student = segmenter.model.vision_encoder.backbone.student.backbone
    assert not [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def checkpoint(state, folder):
    torch.save({"model": state}, folder / "changed.pt")
    return folder / "changed.pt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("tracker.no_mem_embed"), "1 missing keys, first tracker.no_mem_embed; 0 unexpected"),
        (lambda s: s.update({"detector.new": torch.zeros(1)}), "1 unexpected keys, first detector.new"),
        (
            lambda s: s.update({"tracker.sam_prompt_encoder.point_embeddings.2.weight": torch.zeros(1, 3)}),
            r"point_embeddings.2.weight is \(1, 3\), this model has \(1, 64\)",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_with_the_keys_that_differ(
    theirs, change, message, tmp_path
):
    state = dict(theirs[2])
    change(state)
    with pytest.raises(SambenchError, match=message):
        SAM3.load(tiny.network(), checkpoint(state, tmp_path))


def test_without_words_a_file_is_refused_and_a_random_one_takes_no_phrases(theirs, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "none"))
    found = Weights("file", path=str(checkpoint(theirs[2], tmp_path)))
    with pytest.raises(SambenchError, match=r"no tokenizer\.json"):
        efficient_sam3.segmenter(NAME, tiny.network, found, torch.device("cpu"))
    random = efficient_sam3.segmenter(NAME, tiny.network, Weights("random", seed=0), torch.device("cpu"))
    assert not random.capabilities.concepts
    assert random.capabilities.boxes


def test_a_folder_has_to_hold_one_checkpoint(tmp_path):
    for count, files in (("none", ()), ("a.pt, b.pth", ("a.pt", "b.pth"))):
        for file in files:
            (tmp_path / file).touch()
        with pytest.raises(SambenchError, match=f"there is {count}"):
            efficient_sam3.segmenter(
                NAME, tiny.network, Weights("file", path=str(tmp_path)), torch.device("cpu")
            )


@pytest.fixture(scope="module")
def shapes():
    """What of a full model a checkpoint has to have, by the names of its authors."""
    with torch.device("meta"):
        network = efficient_sam3.create_model("efficient_sam3_repvit_s")
    return SAM3.wanted({key: tuple(value.shape) for key, value in network.state_dict().items()})


@pytest.mark.parametrize("part", REAL)
def test_a_full_model_takes_as_many_parameters_as_a_released_checkpoint_has(shapes, part):
    own = [torch.Size(shape).numel() for key, shape in shapes.items() if key.startswith(f"{part}.")]
    keys, parameters = REAL[part]
    if part == "detector.geometry_encoder":
        keys, parameters = keys - POINT_KEYS[0], parameters - POINT_KEYS[1]
    assert (len(own), sum(own)) == (keys, parameters)


def test_the_text_encoder_is_sam3s_own(shapes):
    """Its 353.72 M parameters are those that the README prints of "SAM3 Text Encoder"."""
    own = [torch.Size(shape).numel() for key, shape in shapes.items() if ".language_backbone." in key]
    assert round(sum(own) / 1e6, 2) == 353.72


def test_every_variant_is_registered_with_the_file_of_its_authors():
    from sambench.adapters.models import REGISTRY
    from sambench.adapters.weights.upstream import upstreams

    names = {name for name in REGISTRY if name.startswith("efficient_sam3_")}
    assert names == set(efficient_sam3.VARIANTS)
    for name in names:
        file, words = upstreams()[name].files
        assert file.name.split("/")[1] == f"{name.replace('_ft', '_geo_ft')}.pt"
        assert words.name == f"{name}/tokenizer.json"


def test_another_name_is_an_error_that_names_the_nearest():
    with pytest.raises(SambenchError, match="Did you mean 'efficient_sam3_repvit_s'"):
        efficient_sam3.create_model("efficient_sam3_repvit")

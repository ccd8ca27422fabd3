"""SAM 3 of ultralytics on phrases: its own predictor is the oracle, on a small model of all its parts."""

import copy
import importlib
import sys
from types import SimpleNamespace

import pytest
import tiny_efficient_sam3
import tiny_hf
import tiny_ultralytics
import torch
from tiny_ultralytics import SIDE3

from sambench import adapters
from sambench.adapters.base import Prompts, Weights
from sambench.adapters.concepts import Wanted
from sambench.adapters.families import ultralytics_sam3
from sambench.evsam.errors import SambenchError
from tests.golden import golden

CPU = torch.device("cpu")
ASKED = ["dog", "a very small hot dog", "bear"]
IMAGES = [golden.make_image(200, 310), golden.make_image(160, 120)]
SIZE = (200, 310)


@pytest.fixture(scope="module")
def library():
    with tiny_ultralytics.imported() as library:
        yield library


@pytest.fixture(scope="module")
def network(library):
    """A small SAM 3, of which scores, boxes and masks differ from query to query."""
    torch.manual_seed(0)
    model = tiny_ultralytics.small_sam3(library)
    encoder = model.backbone.language_backbone.encoder
    torch.nn.init.normal_(encoder.positional_embedding, std=0.5)
    torch.nn.init.normal_(encoder.text_projection)  # torch.empty otherwise, as in the real one
    torch.nn.init.normal_(model.transformer.decoder.bbox_embed.layers[-1].weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    """A checkpoint laid out as Meta's: the detector, and a tracker beside it."""
    path = tmp_path_factory.mktemp("sam3") / "sam3.pt"
    state = {f"detector.{key}": value for key, value in network.state_dict().items()}
    torch.save({"model": state | {"tracker.maskmem_tpos_enc": torch.zeros(7)}}, path)
    return path


def loaded(library, path):
    found = Weights("file", path=str(path), sha256="0" * 64)
    model = ultralytics_sam3.load(library, found, tiny_ultralytics.small_sam3)
    return ultralytics_sam3.Sam3("sam3", model, found, CPU, library, side=SIDE3)


@pytest.fixture(scope="module")
def sam3(library, file):
    return loaded(library, file)


@pytest.fixture(scope="module")
def its(library, network):
    """ultralytics' predictor, with no threshold, and with no suppression."""
    kind = ("sam", "SAM3SemanticPredictor")
    settings = {"imgsz": SIDE3, "conf": 0.0, "iou": 1.0}
    predictor = tiny_ultralytics.predictor(library, kind, **settings)
    predictor.setup_model(model=copy.deepcopy(network), verbose=False)
    return predictor


def test_instances_are_those_of_ultralytics_predictor(sam3, its):
    its.set_image(IMAGES[0][..., ::-1])  # as OpenCV has it
    masks, rows = its.inference_features(its.features, SIZE, text=ASKED)
    (embedding,) = sam3.encode(IMAGES[:1])
    seen = 0
    for which, found in enumerate(sam3.find(embedding, ASKED)):
        own = rows[:, 5] == which
        order = rows[own, 4].sort(descending=True, stable=True).indices
        want, drawn = rows[own][order], masks[own][order]
        assert len(found) == len(want) == tiny_hf.QUERIES
        assert torch.allclose(found.scores, want[:, 4], atol=1e-5)
        assert torch.allclose(found.boxes, want[:, :4], atol=1e-2)
        ours = sam3.upsample(found.logits, SIZE) > 0
        assert float((ours != drawn).float().mean()) < 1e-4
        seen += int(drawn.any(dim=(1, 2)).sum())
    assert seen > 10


def test_a_phrase_is_answered_as_if_alone_and_an_image_too(sam3):
    both = sam3.encode(IMAGES)
    for image, embedding in zip(IMAGES, both, strict=True):
        (alone,) = sam3.encode([image])
        for phrase, one in zip(ASKED, sam3.find(embedding, ASKED), strict=True):
            (found,) = sam3.find(alone, [phrase])
            assert torch.allclose(found.scores, one.scores, atol=1e-5)
            assert torch.allclose(found.logits, one.logits, atol=1e-3)
            assert torch.allclose(found.boxes, one.boxes, atol=1e-2)


def test_the_wanted_are_given_the_best_first(sam3):
    (embedding,) = sam3.encode(IMAGES[:1])
    (every,) = sam3.find(embedding, ["dog"])
    (few,) = sam3.find(embedding, ["dog"], Wanted(above=float(every.scores[5]), most=3))
    assert torch.equal(few.scores, every.scores[:3])
    assert torch.equal(few.logits, every.logits[:3])
    (none,) = sam3.find(embedding, ["dog"], Wanted(above=1))
    assert none.logits.shape == (0, 32, 32)


def test_texts_are_encoded_once_for_all_images(sam3, monkeypatch):
    first, second = sam3.encode(IMAGES)
    list(sam3.find(first, ASKED))
    monkeypatch.setattr(sam3.model.backbone, "forward_text", None)
    assert len(list(sam3.find(second, ASKED))) == 3


def test_other_prompts_are_refused(sam3):
    (embedding,) = sam3.encode(IMAGES[:1])
    with pytest.raises(SambenchError, match="it takes no boxes"):
        sam3.decode(embedding, Prompts(boxes=torch.zeros(1, 4)))


def test_what_phrases_do_not_use_need_not_be_there(library, network, sam3, tmp_path):
    """SAM 3.1 has other necks for its tracker, and no coarsest map."""
    unused = ("backbone.vision_backbone.convs.3", "backbone.vision_backbone.sam2_convs", "geometry_encoder")
    state = {f"detector.{k}": v for k, v in network.state_dict().items() if not k.startswith(unused)}
    other = {"detector.backbone.vision_backbone.propagation_convs.0.conv_1x1.weight": torch.zeros(1)}
    torch.save(state | other, tmp_path / "sam3.1_multiplex.pt")
    its = loaded(library, tmp_path / "sam3.1_multiplex.pt")
    (one,), (same,) = (list(m.find(m.encode(IMAGES[:1])[0], ["dog"])) for m in (sam3, its))
    assert torch.allclose(one.logits, same.logits, atol=1e-5)


@pytest.mark.parametrize("change", ["missing", "shape", "no detector"])
def test_another_checkpoint_is_refused(library, network, tmp_path, change):
    state = {f"detector.{key}": value for key, value in network.state_dict().items()}
    key = "detector.transformer.decoder.presence_token.weight"
    message = {
        "missing": "1 keys are missing, first transformer.decoder.presence_token.weight",
        "shape": "shapes differ",
        "no detector": r"\d+ keys are missing",
    }
    if change == "missing":
        del state[key]
    elif change == "shape":
        state[key] = torch.zeros(1, 3)
    else:
        state = {key.removeprefix("detector."): value for key, value in state.items()}
    torch.save(state, tmp_path / "sam3.pt")
    with pytest.raises(SambenchError, match=message[change]):
        loaded(library, tmp_path / "sam3.pt")


def test_a_checkpoint_that_would_run_code_is_refused(library, tmp_path):
    torch.save({"model": SimpleNamespace(a=1)}, tmp_path / "sam3.pt")
    with pytest.raises(SambenchError, match="refused"):
        loaded(library, tmp_path / "sam3.pt")


def test_the_tokenizer_is_ultralytics_fork_of_clip(monkeypatch):
    tokens = tiny_efficient_sam3.Detector.tokens
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(SambenchError, match=r"pip install 'git\+https://github.com/ultralytics/CLIP.git'"):
        ultralytics_sam3._tokenize(["dog"], 32)
    module = SimpleNamespace(SimpleTokenizer=lambda: tokens)
    monkeypatch.setitem(sys.modules, "clip", SimpleNamespace(simple_tokenizer=module, __path__=[]))
    monkeypatch.setitem(sys.modules, "clip.simple_tokenizer", module)
    assert torch.equal(ultralytics_sam3._tokenize(["dog"], 5), tokens(["dog"], 5))
    monkeypatch.setitem(sys.modules, "clip.simple_tokenizer", SimpleNamespace())  # the registry's other clip
    with pytest.raises(SambenchError, match="fork of CLIP"):
        ultralytics_sam3._tokenize(["dog"], 5)


def test_an_older_ultralytics_is_refused():
    with pytest.raises(SambenchError, match=r"ultralytics>=8\.4\.148"):
        ultralytics_sam3.load(SimpleNamespace(__version__="8.4.100"), Weights("random", seed=0))


@pytest.mark.slow
def test_the_full_model_is_as_large_as_that_of_transformers_part_by_part(library, monkeypatch):
    """What can be said without the weights: the sizes are SAM 3's, and building it asks for nothing else."""
    for name in ("normal_", "trunc_normal_", "uniform_", "kaiming_uniform_", "xavier_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)  # takes 10 s
    model = adapters.create("ultralytics:sam3.pt", weights="random").model
    assert model.backbone.language_backbone.tokenizer is ultralytics_sam3._tokenize
    assert "clip" not in sys.modules
    transformers = importlib.import_module("transformers")
    with torch.device("meta"):
        theirs = transformers.Sam3Model(transformers.Sam3Config())

    def size(module):
        return sum(p.numel() for p in module.parameters())

    text, vision = model.backbone.language_backbone, model.backbone.vision_backbone
    width = theirs.config.vision_config.backbone_config.hidden_size
    assert size(vision.trunk) == size(theirs.vision_encoder.backbone) + width  # the place of a class token
    unread = theirs.text_encoder.text_projection
    assert size(text.encoder) == size(theirs.text_encoder) - size(unread)
    assert size(text.resizer) == size(theirs.text_projection)
    assert size(model.transformer.encoder) == size(theirs.detr_encoder)
    assert size(model.transformer.decoder) == size(theirs.detr_decoder)
    assert size(model.segmentation_head) == size(theirs.mask_decoder)
    assert size(model.dot_prod_scoring) == size(theirs.dot_product_scoring)

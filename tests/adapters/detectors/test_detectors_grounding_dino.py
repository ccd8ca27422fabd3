"""GroundingDINO: networks whose answer is known, the authors' own pieces, and small real networks."""

import contextlib
import importlib
import importlib.util
import io
import json
import sys

import numpy as np
import pytest
import torch

from sambench.adapters.base import Weights
from sambench.adapters.detectors import grounding_dino, grounding_dino_py, registry
from sambench.adapters.detectors.base import Category
from sambench.adapters.detectors.captions import captions, phrase
from sambench.evsam.errors import SambenchError
from sambench.suites.sginw import registry as sginw_registry
from tests.adapters import tiny_grounding
from tests.conftest import missing
from tests.golden import golden

CPU = torch.device("cpu")
SOME = ["dog", "hot dog", "teddy bear", "bear", "dogsled"]


@pytest.fixture(scope="module")
def vocabulary():
    return tiny_grounding.vocabulary()


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    return grounding_dino.load_tokenizer(vocabulary)


@pytest.fixture(scope="module")
def coco(coco_mini):
    return [Category(c["id"], c["name"]) for c in json.loads(coco_mini.annotations.read_text())["categories"]]


@pytest.fixture(scope="module")
def lvis(lvis_mini):
    return [Category(c["id"], c["name"]) for c in json.loads(lvis_mini.annotations.read_text())["categories"]]


def named(*names):
    return [Category(100 + i, name) for i, name in enumerate(names)]


def spelled(tokenizer, caption):
    """What a reader sees at each category's tokens."""
    words = tokenizer.convert_ids_to_tokens(caption.tokens.tolist())
    return [[words[i] for i in row.nonzero()[:, 0]] for row in caption.share]


# Captions


def test_coco_fits_one_caption_of_195_tokens(tokenizer, coco):
    """The number in the authors' comments (``groundingdino.py``: "bs, 195, d_model")."""
    (caption,) = captions(tokenizer, coco)
    assert caption.text.startswith("person. bicycle. car. ")
    assert caption.text.endswith("hair drier. toothbrush.")
    assert len(caption.tokens) == 195
    assert caption.category_ids.tolist() == [c.id for c in coco]


def test_a_categorys_tokens_spell_its_name_and_no_token_has_two_owners(tokenizer, coco, lvis):
    for caption in captions(tokenizer, coco) + captions(tokenizer, lvis):
        by_id = {c.id: c.name for c in coco if len(caption.category_ids) == 80} or {
            c.id: c.name for c in lvis
        }
        assert int((caption.share > 0).sum(dim=0).max()) == 1
        assert torch.allclose(caption.share.sum(dim=1), torch.ones(len(caption.share)))
        for category, tokens in zip(caption.category_ids.tolist(), spelled(tokenizer, caption), strict=True):
            own = tokenizer.tokenize(phrase(by_id[category]))
            assert tokens == own


def test_words_that_other_names_hold_too_are_told_apart(tokenizer):
    (caption,) = captions(tokenizer, named(*SOME))
    assert spelled(tokenizer, caption)[:4] == [["dog"], ["hot", "dog"], ["teddy", "bear"], ["bear"]]
    places = [row.nonzero()[:, 0].tolist() for row in caption.share]
    assert len({place for row in places for place in row}) == sum(len(row) for row in places)


def test_the_shares_are_the_authors_positive_map(tokenizer, coco):
    if importlib.util.find_spec("groundingdino") is None:
        missing("groundingdino-py is not installed")
    theirs = importlib.import_module("groundingdino.util.vl_utils")
    text, spans = theirs.build_captions_and_token_span([c.name for c in coco], True)
    want = theirs.create_positive_map_from_span(tokenizer(text), [spans[c.name.lower()] for c in coco])
    (caption,) = captions(tokenizer, coco)
    assert tokenizer(text)["input_ids"] == caption.tokens.tolist()
    assert torch.allclose(caption.share, want[:, :195], atol=1e-6)
    assert not want[:, 195:].any()


def test_sginws_captions_are_those_of_its_official_script(tokenizer):
    """``test_ap_on_seginw.py`` of SAM-HQ joins the names as they are by " . "; BERT's tokens are the same."""
    for categories in sginw_registry.registry().values():
        (caption,) = captions(tokenizer, named(*categories), names="as_given")
        assert tokenizer(" . ".join(categories) + " .")["input_ids"] == caption.tokens.tolist()


def test_lvis_goes_in_captions_of_40_names_that_all_fit(tokenizer, lvis):
    chunks = captions(tokenizer, lvis)
    assert [len(c.category_ids) for c in chunks] == [40] * 30 + [3]
    assert torch.cat([c.category_ids for c in chunks]).tolist() == [c.id for c in lvis]
    assert max(len(c.tokens) for c in chunks) <= 256


def test_a_caption_ends_before_it_is_too_long(tokenizer):
    names = named(*(f"{'very ' * 20}long thing number {i}" for i in range(30)))
    chunks = captions(tokenizer, names, chunk_size=30)
    assert 200 < max(len(c.tokens) for c in chunks) <= 256
    assert torch.cat([c.category_ids for c in chunks]).tolist() == [c.id for c in names]
    with pytest.raises(SambenchError, match="takes 301 tokens, and a caption has 254"):
        captions(tokenizer, named("very " * 300))


def test_names_lose_what_the_model_would_misread():
    assert phrase("Bow_(decorative_ribbons)") == "bow"
    assert phrase("St. Bernard?") == "st bernard"
    assert phrase("R_strawberry", "as_given") == "r_strawberry"  # SGinW's script keeps them
    assert phrase("St. (Bernard)", "as_given") == "st (bernard)"
    with pytest.raises(SambenchError, match="no words"):
        phrase("(?)")


def test_options_that_make_no_sense_are_refused(tokenizer, vocabulary, tmp_path):
    with pytest.raises(SambenchError, match="names is 'raw'; it can be cleaned or as_given"):
        captions(tokenizer, named("cat"), names="raw")
    with pytest.raises(SambenchError, match="at least 1 name"):
        captions(tokenizer, named("cat"), chunk_size=0)
    given = {"categories": named("cat"), "weights": "random", "tokenizer": str(vocabulary)}
    for name, value, message in (
        ("implementation", "transformer", "Did you mean 'transformers'"),
        ("top_k", 0, "at least 1 box"),
        ("tokenizer", str(tmp_path), "no BERT tokenizer.*--option tokenizer=FOLDER"),
    ):
        with pytest.raises(SambenchError, match=message):
            registry.create("grounding_dino_t", **given | {name: value})


def test_another_vocabulary_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "cat"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(words)}).save_pretrained(tmp_path)
    with pytest.raises(SambenchError, match="not of BERT's uncased vocabulary"):
        captions(grounding_dino.load_tokenizer(tmp_path), named("cat"))


# Networks whose answer is known


def detector_of(network, texts, top_k=300):
    return grounding_dino.GroundingDino(
        "grounding_dino_t",
        network=network,
        captions=texts,
        weights=Weights("random", seed=0),
        device=CPU,
        implementation="transformers",
        top_k=top_k,
    )


def seeing(tokenizer, *sights):
    """A network with a proposal for each sight (phrase, logit, box) wherever a caption has that phrase.

    The phrase is found between the caption's full stops, and its tokens by counting: not as the code does.
    """

    def network(pixels, caption):
        phrases = caption.text.rstrip(".").split(". ")
        starts = np.cumsum([1] + [len(tokenizer.tokenize(p)) + 1 for p in phrases])
        logits = torch.full((len(sights), 256), -float("inf"))
        logits[:, : len(caption.tokens)] = -20.0
        for row, (wanted, logit, _) in zip(logits, sights, strict=True):
            if wanted in phrases:
                at = starts[phrases.index(wanted)]
                row[at : at + len(tokenizer.tokenize(wanted))] = logit
        return logits, torch.tensor([box for *_, box in sights])

    return network


BOX = (0.5, 0.25, 0.5, 0.1)
IMAGE = np.zeros((100, 200, 3), np.uint8)


@pytest.mark.parametrize("chunk_size", [None, 7, 1])
@pytest.mark.parametrize("name", ["hot dog", "dog", "teddy bear", "bear", "person", "toothbrush", "tv"])
def test_a_high_logit_at_a_names_tokens_gives_its_category_and_box(tokenizer, coco, name, chunk_size):
    sight = (name, 2.0, BOX)
    (found,) = detector_of(seeing(tokenizer, sight), captions(tokenizer, coco, chunk_size)).detect([IMAGE])
    assert found.category_ids[0] == next(c.id for c in coco if c.name == name)
    assert found.scores[0] == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())
    assert found.boxes[0].tolist() == pytest.approx([50, 20, 150, 30])
    runner_up = 0.5 if name in ("dog", "bear") else 0
    assert found.scores[1] <= max(runner_up, 1e-6)


def test_a_score_is_the_mean_over_the_names_tokens_and_not_the_best(tokenizer):
    texts = captions(tokenizer, named(*SOME))

    def network(pixels, caption):
        logits = torch.full((1, 256), -float("inf"))
        logits[0, : len(caption.tokens)] = -100.0
        logits[0, caption.text.replace(".", " .").split().index("hot") + 1] = 0.0  # the first token is [CLS]
        return logits, torch.tensor([BOX])

    (found,) = detector_of(network, texts).detect([IMAGE])
    assert found.category_ids[0] == 101
    assert found.scores.tolist() == [0.25, 0, 0, 0, 0]


def test_the_best_of_all_captions_are_kept(tokenizer):
    """ "dog" and "hot dog" are in captions of their own; each proposal competes under every category."""
    sights = [("dog", 1.0, BOX), ("hot dog", 3.0, (0.1, 0.5, 0.2, 1.0)), ("bear", 2.0, (0.9, 0.5, 0.2, 1.0))]
    texts = captions(tokenizer, named(*SOME), chunk_size=1)
    (found,) = detector_of(seeing(tokenizer, *sights), texts, top_k=3).detect([IMAGE])
    assert found.category_ids.tolist() == [101, 103, 100]
    assert np.allclose(found.boxes, [[0, 0, 40, 100], [160, 0, 200, 100], [50, 20, 150, 30]])
    (all_,) = detector_of(seeing(tokenizer, *sights), texts).detect([IMAGE])
    assert len(all_) == 15


def test_one_proposal_is_kept_under_several_categories_as_in_the_authors_evaluation(tokenizer):
    def network(pixels, caption):
        return torch.zeros(1, len(caption.tokens)), torch.tensor([BOX])

    (found,) = detector_of(network, captions(tokenizer, named(*SOME))).detect([IMAGE])
    assert found.category_ids.tolist() == [100, 101, 102, 103, 104]  # equal scores keep their order
    assert found.scores.tolist() == [0.5] * 5


def test_boxes_and_scores_are_those_of_the_authors_post_processing(tokenizer, coco):
    """Their arithmetic, written out: probabilities times positive map, the 300 best of all pairs."""
    texts = captions(tokenizer, coco)
    generator = torch.Generator().manual_seed(0)
    logits, proposals = torch.randn(900, 256, generator=generator), torch.rand(900, 4, generator=generator)
    logits[:, 195:] = -float("inf")
    (found,) = detector_of(lambda pixels, caption: (logits, proposals), texts).detect([IMAGE])
    share = torch.zeros(80, 256)
    share[:, :195] = texts[0].share
    values, index = (logits.sigmoid() @ share.T).flatten().topk(300)
    cx, cy, w, h = (proposals[index // 80] * torch.tensor([200, 100, 200, 100])).unbind(dim=1)
    want = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=1)
    assert np.allclose(found.scores, values, atol=1e-6)
    assert np.allclose(found.boxes, want, atol=1e-3)
    assert found.category_ids.tolist() == [coco[i].id for i in index % 80]


# Pixels


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (100, 300), (801, 800), (333, 500)])
def test_pixels_are_those_of_the_authors_transforms(size):
    if importlib.util.find_spec("groundingdino") is None:
        missing("groundingdino-py is not installed")
    theirs = importlib.import_module("groundingdino.datasets.transforms")
    image = golden.make_image(*size)
    steps = [
        theirs.RandomResize([800], max_size=1333),
        theirs.ToTensor(),
        theirs.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    from PIL import Image

    want, _ = theirs.Compose(steps)(Image.fromarray(image), None)
    ours = grounding_dino.prepare(image)
    assert ours.shape == want.shape
    assert float((ours - want).abs().max()) < 1e-5


# Small real networks


@pytest.fixture(scope="module")
def small_folder(vocabulary, tmp_path_factory):
    return tiny_grounding.save(tmp_path_factory.mktemp("grounding_dino"), vocabulary)


@pytest.fixture
def small_input(monkeypatch):
    tiny_grounding.shrink(monkeypatch)


def test_a_folder_runs_and_its_numbers_are_those_of_the_model(small_folder, small_input):
    transformers = pytest.importorskip("transformers")
    image = golden.make_image(90, 141)
    categories = named(*SOME)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        detector = registry.create("grounding_dino_t", categories=categories, weights=str(small_folder))
        (found,) = detector.detect([image])
    assert out.getvalue() == ""
    assert detector.weights.source == "file"
    assert detector.settings["captions"] == ["dog. hot dog. teddy bear. bear. dogsled."]
    json.dumps(detector.settings)
    model = transformers.GroundingDinoForObjectDetection.from_pretrained(small_folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(small_folder)(
        detector.settings["captions"][0], return_tensors="pt"
    )
    with torch.no_grad():
        output = model(pixel_values=grounding_dino.prepare(image)[None], **tokens)
    assert found.scores[0] == pytest.approx(
        float(detector.captions[0].scores(output.logits[0]).max()), abs=1e-5
    )
    assert len(found) == 5 * 50


def test_a_folder_of_another_model_is_refused(small_folder, tmp_path):
    with pytest.raises(SambenchError, match="is no grounding_dino_b; its backbone is 24 channels wide"):
        registry.create("grounding_dino_b", categories=named("cat"), weights=str(small_folder))
    for file in small_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"decoder_ffn_dim": 32}))
    with pytest.raises(SambenchError, match="mismatched"):
        registry.create("grounding_dino_t", categories=named("cat"), weights=str(tmp_path))


def test_a_library_that_is_missing_is_named(vocabulary, monkeypatch):
    given = {"categories": named("cat"), "weights": "random", "tokenizer": str(vocabulary)}
    monkeypatch.setitem(sys.modules, "groundingdino", None)
    monkeypatch.setitem(sys.modules, "groundingdino.models", None)
    with pytest.raises(SambenchError, match=r"'sambench\[groundingdino\]'.*pip install --no-deps"):
        registry.create("grounding_dino_t", **given, implementation="groundingdino-py")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[hf\]'"):
        registry.create("grounding_dino_t", **given)


@pytest.fixture(scope="module")
def authors(vocabulary):
    """The authors' model with a small BERT and few layers, printing nothing; its backbone is of full size."""
    if importlib.util.find_spec("groundingdino") is None:
        missing("groundingdino-py is not installed")
    transformers = importlib.import_module("transformers")
    small = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(0)
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(transformers, "BertConfig", lambda: small)
        model = grounding_dino_py.build(
            "GroundingDINO_SwinT_OGC", vocabulary, enc_layers=1, dec_layers=1, num_queries=50
        )
    assert out.getvalue() == ""
    return model.eval()


def test_berts_stand_ins_do_what_bert_does(authors, tokenizer):
    """The authors' wrapper around BERT, with the methods given to it, against BERT itself."""
    transformers = importlib.import_module("transformers")
    bert = transformers.BertModel(authors.bert.config).eval()
    bert.load_state_dict(authors.bert.state_dict())
    tokens = tokenizer("dog. hot dog. bear.", return_tensors="pt")["input_ids"]
    masks = importlib.import_module("groundingdino.models.GroundingDINO.bertwarper")
    sees, places, _ = masks.generate_masks_with_special_tokens_and_transfer_map(
        {"input_ids": tokens}, [101, 102, 1012, 1029], tokenizer
    )
    with torch.no_grad(), grounding_dino_py._quiet():
        got = authors.bert(input_ids=tokens, attention_mask=sees, position_ids=places)["last_hidden_state"]
        want = bert(tokens, attention_mask=sees[:, None], position_ids=places).last_hidden_state
        alone = bert(tokens, position_ids=places).last_hidden_state
    assert torch.allclose(got, want, atol=1e-5)
    assert not torch.allclose(got, alone, atol=1e-2)  # the mask does something


@pytest.fixture
def few_layers(authors, monkeypatch, vocabulary):
    monkeypatch.setattr(grounding_dino_py, "build", lambda configuration, folder: authors)


@pytest.mark.slow
def test_the_authors_code_runs_from_their_checkpoint(authors, few_layers, small_input, vocabulary, tmp_path):
    state = {f"module.{k}": v.clone() for k, v in authors.state_dict().items()}
    left_over = {"module.label_enc.weight": torch.zeros(3)}
    path = tmp_path / "groundingdino_swint_ogc.pth"
    torch.save({"model": state | left_over}, path)
    given = {"categories": named(*SOME), "implementation": "groundingdino-py", "tokenizer": str(vocabulary)}
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        detector = registry.create("grounding_dino_t", **given, weights=str(path))
        (found,) = detector.detect([golden.make_image(90, 141)])
    assert out.getvalue() == ""
    assert len(found) == 5 * 50
    assert (np.diff(found.scores) <= 0).all()
    assert detector.settings["implementation"] == "groundingdino-py"
    assert set(detector.libraries) == {"transformers", "groundingdino-py"}
    torch.save({"model": {k: v for k, v in state.items() if "feat_map.bias" not in k}}, path)
    with pytest.raises(SambenchError, match=r"of another model.*feat_map\.bias"):
        registry.create("grounding_dino_t", **given, weights=str(path))
    path.write_bytes(b"no checkpoint")
    with pytest.raises(SambenchError, match="no checkpoint of GroundingDINO's authors"):
        registry.create("grounding_dino_t", **given, weights=str(path))

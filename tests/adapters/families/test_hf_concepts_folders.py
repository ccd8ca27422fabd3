"""Folders of models that take phrases: two models of one checkpoint, and a tokenizer beside them."""

import json
import shutil

import pytest
import tiny_hf
import torch
from safetensors.torch import load_file, save_file

from sambench import adapters
from sambench.adapters.families import hf
from sambench.adapters.families.hf_concepts import load_tokenizer
from sambench.adapters.profile import profile
from sambench.evsam.errors import SambenchError

PHRASES = ["cat", "A  big DOG's bone", "naïve 犬 🐕", "", "cat dog cat dog"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_hf.Folders(tmp_path_factory.mktemp("hf"))


def test_random_weights_need_configuration_and_tokenizer_alone(folders, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folders("sam3_video") / name, tmp_path)
    a, b = (adapters.create(f"hf:{tmp_path}", weights="random") for _ in range(2))
    assert a.detector.model.vision_encoder.backbone is a.model.vision_encoder.backbone
    for one, other in ((a.model, b.model), (a.detector.model, b.detector.model)):
        assert all(torch.equal(x, y) for x, y in zip(one.parameters(), other.parameters(), strict=True))


def test_the_profile_counts_the_backbone_once(folders):
    name = f"hf:{folders('sam3_video')}"
    made = hf.create_model(name)
    tracker, detector = made.model, made.detector
    assert detector.vision_encoder.backbone is tracker.vision_encoder.backbone
    parts = (tracker, *(part for key, part in detector.named_children() if key != "vision_encoder"))
    counted = sum(p.numel() for part in (*parts, detector.vision_encoder.neck) for p in part.parameters())
    found = profile(name)
    assert (found.params, found.input_size) == (counted, tiny_hf.SIDE)
    assert found.modules[0].params == sum(p.numel() for p in tracker.vision_encoder.parameters())


@pytest.fixture
def copy(folders, tmp_path):
    """Copy a tiny folder, to damage it."""

    def made(kind):
        return shutil.copytree(folders(kind), tmp_path / kind)

    return made


def test_a_tokenizer_may_be_clip_s_two_files(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps(tiny_hf.vocabulary()))
    merges = "\n".join(" ".join(pair) for pair in tiny_hf.MERGES)
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    assert load_tokenizer(tmp_path)(PHRASES)["input_ids"] == tiny_hf.tokenizer()(PHRASES)["input_ids"]


DAMAGE = {
    "none": (lambda file: file.unlink(), r"no tokenizer\.json.*weights fetch sam3"),
    "no JSON": (lambda file: file.write_text("{"), "tokenizer cannot be read"),
    "more words than the model": (
        lambda file: change(
            file, lambda t: t["added_tokens"].append({**t["added_tokens"][0], "id": 9000, "content": "x y"})
        ),
        "words, and the model by its config.json",
    ),
}


def change(file, how):
    content = json.loads(file.read_text())
    how(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_tokenizer_that_is_missing_or_damaged_is_an_error_with_the_remedy(copy, damage, message):
    folder = copy("sam3")
    damage(folder / "tokenizer.json")
    with pytest.raises(SambenchError, match=message) as error:
        adapters.create(f"hf:{folder}")
    assert str(folder) in str(error.value)


def remove(state):
    del state["detector_model.text_projection.bias"]
    state["detector_model.x"] = torch.zeros(1)
    state["detector_model.text_projection.weight"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            remove,
            r"Sam3Model .* 1 missing, first text_projection\.bias; 1 unexpected, first .*x; "
            r"1 mismatched, first .*text_projection\.weight",
        ),
        (
            lambda state: state.pop("tracker_model.no_memory_embedding"),
            "Sam3TrackerModel .* 1 missing, first no_memory_embedding",
        ),
    ],
    ids=["of the detector", "of the tracker"],
)
def test_parameters_that_do_not_fit_are_named(copy, how, message):
    folder = copy("sam3_video")
    state = load_file(folder / "model.safetensors")
    how(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SambenchError, match=message):
        adapters.create(f"hf:{folder}")


def test_two_backbones_that_differ_are_refused(copy):
    folder = copy("sam3_video")
    change(
        folder / "config.json",
        lambda c: c["detector_config"]["vision_config"]["backbone_config"].update(window_size=2),
    )
    with pytest.raises(SambenchError, match="do not have the same backbone"):
        adapters.create(f"hf:{folder}")


def test_a_registered_name_takes_its_own_kind_of_folder(folders):
    assert adapters.create("sam3_litetext_s0", weights=str(folders("sam3_lite_text"))).capabilities.concepts
    for name, kind in (("sam3", "sam3"), ("sam3_tracker", "sam3"), ("sam3_litetext_l", "sam3_video")):
        with pytest.raises(SambenchError, match=f"model_type is '{kind}', and {name} is a Sam3"):
            adapters.create(name, weights=str(folders(kind)))


def test_the_tracker_needs_no_tokenizer(copy):
    folder = copy("sam3_video")
    (folder / "tokenizer.json").unlink()
    assert not adapters.create("sam3_tracker", weights=str(folder)).capabilities.concepts

"""Folders of transformers' models: found, told apart, loaded strictly, and refused with a reason."""

import json
import sys
from dataclasses import replace

import pytest
import tiny_hf
import torch
from safetensors.torch import load_file, save_file

from sambench import adapters
from sambench.adapters.base import Weights
from sambench.adapters.families import hf
from sambench.evsam.errors import SambenchError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_hf.Folders(tmp_path_factory.mktemp("hf"))


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


@pytest.mark.parametrize("family", tiny_hf.FAMILIES)
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
    monkeypatch.setitem(hf.FAMILIES, "sam", replace(hf.FAMILIES["sam"], since="99.1"))
    with pytest.raises(
        SambenchError, match=r"not serve SamModel; 99\.1 is .*pip install 'transformers>=99\.1'"
    ):
        adapters.create(f"hf:{copy}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[hf\]'"):
        adapters.create(f"hf:{copy}")


def test_a_backbone_whose_package_is_missing_is_named_with_the_remedy(folders, monkeypatch):
    import transformers.utils.import_utils as checks

    monkeypatch.setitem(checks.BACKENDS_MAPPING, "timm", (lambda: False, "{0} requires timm"))
    with pytest.raises(SambenchError, match=r"timm.*sambench\[hf\]"):
        adapters.create(f"hf:{folders('edgetam')}")

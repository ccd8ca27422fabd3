"""Building models by name and loading their checkpoints, the wrong ones included."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from sambench.evsam.checkpoint import load_checkpoint
from sambench.evsam.errors import SambenchError
from sambench.evsam.zoo import create_model


@pytest.fixture(scope="module")
def model():
    return create_model("efficientvit_sam_l0")


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(1)
    return {k: v.clone() for k, v in create_model("efficientvit_sam_l0").state_dict().items()}


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(SambenchError, match="mean 'efficientvit_sam_xl1'"):
        create_model("efficientvit_xl1")


@pytest.mark.parametrize("wrap", ["bare", "state_dict", "model", "safetensors"])
def test_official_wrappings_load(wrap, model, state, tmp_path):
    path = tmp_path / ("w.safetensors" if wrap == "safetensors" else "w.pt")
    if wrap == "safetensors":
        save_file(state, path)
    else:
        torch.save(state if wrap == "bare" else {wrap: state, "epoch": 3}, path)
    for parameter in model.parameters():
        parameter.data.zero_()
    load_checkpoint(model, path)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_a_checkpoint_of_another_model_names_the_first_keys(model, state, tmp_path):
    other = {k: v for k, v in state.items() if not k.startswith("image_encoder.norm")} | {
        "extra": torch.ones(1)
    }
    torch.save(other, tmp_path / "w.pt")
    with pytest.raises(
        SambenchError, match=r"2 missing keys, first image_encoder\.norm\.weight.*first extra"
    ):
        load_checkpoint(model, tmp_path / "w.pt")


def test_a_wrong_shape_is_named(model, state, tmp_path):
    torch.save(state | {"image_encoder.norm.weight": torch.ones(7)}, tmp_path / "w.pt")
    with pytest.raises(SambenchError, match=r"image_encoder\.norm\.weight is \(7,\)"):
        load_checkpoint(model, tmp_path / "w.pt")


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_is_refused_and_not_run(model, tmp_path):
    torch.save({"state_dict": Bomb(tmp_path / "torch")}, tmp_path / "torch.pt")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "plain")))
    for name in ("torch.pt", "plain.pth"):
        with pytest.raises(SambenchError, match="refused"):
            load_checkpoint(model, tmp_path / name)
    assert not (tmp_path / "torch").exists()
    assert not (tmp_path / "plain").exists()


def test_a_damaged_file_is_an_error_that_names_it(model, state, tmp_path):
    torch.save(state, tmp_path / "cut.pt")
    content = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "junk.safetensors").write_bytes(b"\0" * 64)
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("cut.pt", "text.pt", "empty.pth", "junk.safetensors", "list.pt", "absent.pt"):
        with pytest.raises(SambenchError, match=name):
            load_checkpoint(model, tmp_path / name)

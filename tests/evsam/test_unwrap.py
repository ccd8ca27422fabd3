"""State dicts in the checkpoints that trainings write: found where they fit whole, and nothing else taken."""

import argparse
import collections
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sambench.evsam.checkpoint import OtherModelError, load_checkpoint, read_state
from sambench.evsam.errors import SambenchError


def small(seed=0, width=4):
    torch.manual_seed(seed)
    return nn.ModuleDict({"encoder": nn.Linear(3, width), "norm": nn.BatchNorm1d(width)})


STATE, OTHER = small(1).state_dict(), small(2).state_dict()


def before(prefix, state=STATE):
    return {prefix + key: value for key, value in state.items()}


def loaded(content, tmp_path):
    """What a fresh model has after a checkpoint was loaded, and how it says that it lay in the file."""
    path, model = tmp_path / "a.pt", small(9)
    torch.save(content, path)
    taken = load_checkpoint(model, path)
    return model.state_dict(), taken


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def optimiser():
    model = small(3)
    made = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    made.step()
    return made.state_dict()


BESIDE = {"epoch": 7, "optimizer": optimiser(), "args": argparse.Namespace(lr=0.1, out=pathlib.Path("a/b"))}
PREFIXES = ["module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.", "model.module.net."]
WRAPPERS = ["state_dict", "model", "ema", "model_state_dict", "ema_state_dict", "net", "params", "student"]


def test_a_bare_state_dict_is_taken_as_it_is(tmp_path):
    state, taken = loaded(STATE, tmp_path)
    assert (same(state, STATE), taken) == (True, None)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_before_every_key_is_taken_off(prefix, tmp_path):
    state, taken = loaded(before(prefix), tmp_path)
    assert same(state, STATE)
    assert all(part in taken for part in prefix.split(".") if part)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_wrapper_is_opened_and_what_lies_beside_it_left(wrapper, prefix, tmp_path):
    state, taken = loaded({**BESIDE, wrapper: before(prefix)}, tmp_path)
    assert same(state, STATE)
    assert taken.startswith(f"'{wrapper}'")


def test_wrappers_within_wrappers_are_opened(tmp_path):
    state, taken = loaded({"model": {"state_dict": collections.OrderedDict(before("net."))}}, tmp_path)
    assert same(state, STATE)
    assert taken == "'model.state_dict'; without 'net.'"


def test_what_compiling_a_part_leaves_in_the_middle_is_taken_off(tmp_path):
    keys = {key.replace("encoder.", "encoder._orig_mod."): value for key, value in STATE.items()}
    state, taken = loaded(before("module.", keys), tmp_path)
    assert same(state, STATE)
    assert taken == "without '_orig_mod.' 'module.'"


def test_torchs_own_average_is_read_without_its_counter(tmp_path):
    source = small(1)
    average = torch.optim.swa_utils.AveragedModel(source)
    assert same(loaded(average.state_dict(), tmp_path)[0], source.state_dict())


@pytest.mark.parametrize(
    "average", ["ema", "model_ema", "ema_state_dict", "state_dict_ema", "params_ema", "average"]
)
@pytest.mark.parametrize("trained", ["model", "state_dict", "params"])
def test_of_trained_and_averaged_parameters_the_average_is_taken_and_said(average, trained, tmp_path):
    for content in ({trained: OTHER, average: STATE}, {average: STATE, trained: OTHER}):
        state, taken = loaded({**content, **BESIDE}, tmp_path)
        assert same(state, STATE)
        assert taken.startswith(f"'{average}', not '{trained}' (the average")


def test_an_average_may_lie_deeper_or_be_none(tmp_path):
    assert same(loaded({"model": OTHER, "ema": {"decay": 0.9, "shadows": STATE}}, tmp_path)[0], STATE)
    assert same(loaded({"model": STATE, "ema": None}, tmp_path)[0], STATE)


def test_a_name_that_has_ema_in_it_is_no_average(tmp_path):
    assert same(loaded({"model": STATE, "schema": OTHER}, tmp_path)[0], STATE)


def test_two_of_which_none_comes_first_are_refused_unless_they_are_equal(tmp_path):
    with pytest.raises(SambenchError, match=r"a\.pt: it holds two .*'student' and 'teacher'"):
        loaded({"student": STATE, "teacher": OTHER}, tmp_path)
    assert same(loaded({"student": STATE, "teacher": small(1).state_dict()}, tmp_path)[0], STATE)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_another_precision_is_said(kind, tmp_path):
    given = {key: value.to(kind) if value.is_floating_point() else value for key, value in STATE.items()}
    state, taken = loaded(given, tmp_path)
    assert taken == f"{str(kind).removeprefix('torch.')} as float32"
    assert same(state, {key: value.to(STATE[key].dtype) for key, value in given.items()})


def test_whole_numbers_in_place_of_parameters_are_refused(tmp_path):
    with pytest.raises(SambenchError, match=r"encoder\.weight is int8, a quantised checkpoint"):
        loaded({**STATE, "encoder.weight": STATE["encoder.weight"].to(torch.int8)}, tmp_path)


PARTIAL = dict(list(before("module.").items())[:-1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**PARTIAL, "norm.num_batches_tracked": torch.tensor(1)}, "unexpected keys, first module."),
        (PARTIAL, "1 missing keys, first norm.num_batches_tracked; 0 unexpected"),
        (
            {"model": {**STATE, "head.weight": torch.ones(2)}},
            "0 missing keys; 1 unexpected keys, first head.",
        ),
        ({"model": small(1, width=5).state_dict()}, r"encoder.weight is \(5, 3\), this model has \(4, 3\)"),
        ({**STATE, "norm.bias": [1.0]}, "norm.bias is list, this model has"),
        ({"epoch": 3}, "6 missing|missing keys"),
        ({}, "missing keys"),
    ],
)
def test_what_fits_in_part_is_refused_with_what_is_nearest(content, words, tmp_path):
    with pytest.raises(OtherModelError, match=words) as caught:
        loaded(content, tmp_path)
    assert "a.pt: a checkpoint of another model" in str(caught.value)


def test_safetensors_are_told_by_name_and_by_what_is_in_them(tmp_path):
    for name in ("a.safetensors", "b.pt", "c.bin"):
        save_file(before("module."), tmp_path / name, metadata={"format": "pt", "note": "ours"})
        model = small(9)
        assert load_checkpoint(model, tmp_path / name) == "without 'module.'"
        assert same(model.state_dict(), STATE)


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(0.5),
        np.float32(0.5),
        np.int64(3),
        pathlib.PurePosixPath("a"),
        argparse.Namespace(a=[1, {"b": 2}]),
    ],
    ids=repr,
)
def test_values_that_do_nothing_may_lie_beside_the_parameters(beside, tmp_path):
    if isinstance(beside, pathlib.PurePath):
        beside = pathlib.Path(beside)
    torch.save({"model": STATE, "best": beside}, tmp_path / "a.pt")
    assert same(read_state(tmp_path / "a.pt")["model"], STATE)


class Unknown:
    pass


def test_what_a_refused_checkpoint_holds_is_named(tmp_path):
    torch.save({"model": STATE, "config": Unknown()}, tmp_path / "a.pt")
    with pytest.raises(SambenchError, match=r"a\.pt: refused\. It holds a test_unwrap\.Unknown\."):
        read_state(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*TorchScript")
def test_torchscript_is_named(tmp_path):
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "a.pt")
    with pytest.raises(SambenchError, match=r"a\.pt: is TorchScript"):
        read_state(tmp_path / "a.pt")

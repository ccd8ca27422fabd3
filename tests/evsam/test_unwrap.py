"""State dicts in the checkpoints that trainings write: found where they fit whole, and nothing else taken."""

import argparse
import collections
import pathlib
import re

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


def test_two_are_compared_whatever_their_types_are(tmp_path):
    half = {key: value.half() if value.is_floating_point() else value for key, value in STATE.items()}
    eight = {k: v.to(torch.float8_e5m2) if v.is_floating_point() else v for k, v in STATE.items()}
    with pytest.raises(SambenchError, match=r"a\.pt: it holds two .*'student' and 'teacher'"):
        loaded({"student": STATE, "teacher": half}, tmp_path)
    again = {key: value.clone() for key, value in eight.items()}
    assert loaded({"student": eight, "teacher": again}, tmp_path)[1].endswith("float8_e5m2 as float32")
    other = {**again, "encoder.bias": torch.ones(4).to(torch.float8_e5m2)}
    with pytest.raises(SambenchError, match="it holds two"):
        loaded({"student": eight, "teacher": other}, tmp_path)


@pytest.mark.parametrize(
    "name", ["non_ema", "no_ema", "model_without_ema", "raw_ema", "non-ema", "unaveraged", "not_averaged"]
)
def test_a_name_that_says_it_is_no_average_is_none(name, tmp_path):
    state, taken = loaded({name: OTHER, "model": STATE}, tmp_path)
    assert same(state, STATE)
    assert taken == f"'model', not '{name}'"


def test_what_is_said_innermost_counts(tmp_path):
    state, taken = loaded({"ema": {"raw": OTHER, "shadow": STATE}, "model": OTHER}, tmp_path)
    assert same(state, STATE)
    assert taken.startswith("'ema.shadow', not 'model', 'ema.raw' (the average")


WITHOUT_BUFFERS = {key: value for key, value in OTHER.items() if "running" not in key}


@pytest.mark.parametrize(
    "average",
    [
        WITHOUT_BUFFERS,
        list(OTHER.values()),
        {"decay": 0.9, "shadow_params": list(OTHER.values())},
        {"state_dict": WITHOUT_BUFFERS},
    ],
)
def test_an_average_that_does_not_fit_is_said(average, tmp_path):
    state, taken = loaded({"model": STATE, "ema": average}, tmp_path)
    assert same(state, STATE)
    assert taken == "'model'; 'ema', by name an average, does not fit this model"


@pytest.mark.parametrize("value", [None, 0.99, True, [0.3, 0.2], torch.tensor(0.3), {"decay": 0.9}])
def test_what_holds_no_parameters_is_no_average_that_does_not_fit(value, tmp_path):
    assert loaded({"model": STATE, "loss_ema": value}, tmp_path)[1] == "'model'"


def test_an_average_that_does_not_fit_is_not_said_beside_one_that_does(tmp_path):
    taken = loaded({"model": OTHER, "ema": STATE, "ema_slow": WITHOUT_BUFFERS}, tmp_path)[1]
    assert taken == "'ema', not 'model' (the average, as its training evaluates it)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weight: weight.to_sparse(), "stored as sparse_coo, not dense"),
        (lambda weight: weight.to("meta"), "'meta': a shape without values"),
        (lambda weight: weight.to(torch.complex64), "complex64, no real numbers"),
    ],
)
def test_tensors_that_are_not_dense_and_real_are_refused(change, words, tmp_path):
    odd = {**STATE, "encoder.weight": change(STATE["encoder.weight"])}
    with pytest.raises(SambenchError, match=rf"a\.pt: encoder\.weight is .*{words}"):
        loaded({"model": odd}, tmp_path)
    assert same(loaded({"model": STATE, "best": odd}, tmp_path)[0], STATE)


def test_nothing_of_torch_is_printed_on_the_way(tmp_path, recwarn):
    with pytest.raises(SambenchError):
        loaded({**STATE, "encoder.weight": STATE["encoder.weight"].to_sparse()}, tmp_path)
    assert not [one for one in recwarn if "sparse" in str(one.message)]


@pytest.mark.parametrize(
    "kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_another_precision_is_said(kind, tmp_path):
    given = {key: value.to(kind) if value.is_floating_point() else value for key, value in STATE.items()}
    state, taken = loaded(given, tmp_path)
    assert taken == f"{str(kind).removeprefix('torch.')} as float32"
    assert same(state, {key: value.to(STATE[key].dtype) for key, value in given.items()})


def test_whole_numbers_in_place_of_parameters_are_refused(tmp_path):
    with pytest.raises(SambenchError, match=r"encoder\.weight is int8, a quantised checkpoint"):
        loaded({**STATE, "encoder.weight": STATE["encoder.weight"].to(torch.int8)}, tmp_path)


def test_whole_numbers_are_refused_whatever_a_parameter_is_called(tmp_path):
    model, path = nn.ParameterDict({"pos_embed": torch.ones(3)}), tmp_path / "a.pt"
    torch.save({"pos_embed": torch.ones(3, dtype=torch.int8)}, path)
    with pytest.raises(SambenchError, match="pos_embed is int8, a quantised checkpoint"):
        load_checkpoint(model, path)


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


def _cut(tmp_path, kind):
    path = tmp_path / "whole"
    save_file(STATE, path) if kind == "safetensors" else torch.save(STATE, path)
    return path.read_bytes()[:-40]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04abc", "cut short, damaged"),
        (b"\x80\x02", "cut short, damaged"),
        ("torch", "cut short, damaged"),
        ("safetensors", "cut short, damaged"),
        (b"\xff" * 8 + b"{}", "cut short, damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<html>", "a web page"),
    ],
)
def test_files_that_are_none_are_refused_in_words_of_ours(content, words, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(_cut(tmp_path, content) if isinstance(content, str) else content)
    with pytest.raises(SambenchError, match=rf"a\.pt: .*{words}") as caught:
        read_state(path)
    assert not re.search("EOF|miniz|Pytorch|deserializ|Error", str(caught.value))


def test_a_header_whose_length_begins_as_a_web_page_does_is_read(tmp_path):
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(ord("<"))
    content = len(header).to_bytes(8, "little") + header + np.float32(0.5).tobytes()
    assert content.startswith(b"<")
    (tmp_path / "a.pt").write_bytes(content)
    assert read_state(tmp_path / "a.pt")["a"].tolist() == [0.5]

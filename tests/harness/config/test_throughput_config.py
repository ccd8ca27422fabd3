"""What a throughput is told to measure, and what it says of it."""

from __future__ import annotations

import pytest
from command import call

from sambench.evsam.errors import SambenchError
from sambench.harness.throughput.config import load_throughput
from sambench.harness.throughput.explain import explain, protocol_of
from sambench.suites.throughput.job import MODES, PAPER, QUICK, parse_scope

BASE = {"models": "efficientvit_sam_l0", "images": "a", "annotations": "b", "out": "c"}


def config(**more):
    return load_throughput(None, BASE | more)[0]


def test_a_cpu_is_quick_and_a_gpu_follows_the_protocol():
    assert config().rule == QUICK["cpu"]
    assert config(device="cuda").rule == PAPER
    assert config(preset="paper").rule == PAPER
    assert config(preset="quick", device="cuda:1").rule == QUICK["cuda"]
    assert (PAPER.min_batches, PAPER.min_seconds, PAPER.rounds, PAPER.gate_images) == (200, 60, 5, 200)
    assert (PAPER.warmup_s, PAPER.warmup_window, PAPER.warmup_tolerance) == (3, 50, 0.01)


def test_a_changed_rule_is_no_longer_the_preset():
    changed = config(rounds=2, seconds=0.5).rule
    assert (changed.rounds, changed.min_seconds, changed.preset) == (2, 0.5, "quick, changed")


def test_a_folder_that_is_not_named_is_called_after_the_file_or_else_the_data(tmp_path):
    flags = BASE | {"out": None}
    assert str(load_throughput(None, flags | {"dataset": "mine"})[0].out) == "runs/mine"
    (file := tmp_path / "speed.yaml").write_text("scopes: E\n")
    assert str(load_throughput(file, flags)[0].out) == "runs/speed"


def test_lists_may_be_text_or_lists_and_flags_win_over_the_file(tmp_path):
    file = tmp_path / "speed.yaml"
    file.write_text("models: [sam_vit_b, sam_vit_h]\nscopes: E,d7\nbatch_sizes: [2, 1]\nout: x\nimages: a\n")
    loaded, _ = load_throughput(
        file, {"annotations": "b", "models": "mobile_sam", "engines": "eager,openvino"}
    )
    assert loaded.models == ("mobile_sam",)
    assert [s.name for s in loaded.scopes] == ["E", "D7"]
    assert loaded.batch_sizes == (1, 2)
    assert loaded.engines == ("eager", "openvino")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"models": None}, "no models"),
        ({"out": ""}, "no output folder"),
        ({"models": "sam_vit_x"}, "no model 'sam_vit_x'"),
        ({"models": "box,box"}, "one twice"),
        ({"scopes": "E3"}, "scope 'E3'"),
        ({"scopes": "D0"}, "scope 'D0'"),
        ({"scopes": "E,e"}, "one twice"),
        ({"modes": "paralel"}, "no mode 'paralel'"),
        ({"engines": "onnx"}, "no engine 'onnx'"),
        ({"precisions": "fp8"}, "no precision 'fp8'"),
        ({"batch_sizes": "0"}, "batch_size must be a whole number from 1, not 0"),
        ({"batch_sizes": "a"}, "batch_size must be a whole number from 1, not 'a'"),
        ({"rounds": 0}, "rounds must be a whole number from 1"),
        ({"seconds": -1}, "seconds must be a number from 0"),
        ({"preset": "fast"}, "no preset 'fast'"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"weights": {"box": "x"}}, "not among the models"),
        ({"images": None}, "has no images"),
        ({"images": None, "annotations": None}, "real photographs"),
        ({"dataset": "shapes"}, "drawn"),
        ({"dataset": "shapes", "images": None, "annotations": None}, "drawn"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_value_is_named(flags, words):
    given = {k: v for k, v in (BASE | flags).items() if v is not None}
    with pytest.raises(SambenchError) as caught:
        load_throughput(None, given)
    assert words in str(caught.value)


def test_an_unknown_key_of_a_file_is_named(tmp_path):
    file = tmp_path / "speed.yaml"
    file.write_text("modles: [box]\n")
    with pytest.raises(SambenchError, match="no key 'modles'"):
        load_throughput(file, {})


@pytest.mark.parametrize(
    "flags",
    [
        ["--models", "box"],
        ["--models", "box", "--dataset", "shapes", "--out", "x"],
        ["--models", "sam_vit_h", "--images", "/nowhere", "--annotations", "/nowhere.json", "--out", "x"],
    ],
)
def test_the_command_ends_with_2_where_the_input_is_wrong(flags):
    done = call("throughput", *flags)
    assert (done.code, done.err[:6]) == (2, "error:")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--precision", "int8"], "does not compute in int8"),
        (["--weights", "efficientvit_sam_l0=/nowhere.pt"], "no checkpoint at /nowhere.pt"),
        (["--batch-sizes", "500", "--weights", "efficientvit_sam_l0=random"], "batches of 500"),
        (["--device", "cuda:7", "--weights", "efficientvit_sam_l0=random"], "cuda:7"),
    ],
)
def test_what_cannot_be_measured_at_all_is_refused_before_anything_runs(coco_mini, tmp_path, flags, words):
    data = ["--images", coco_mini.images, "--annotations", coco_mini.annotations, "--out", tmp_path / "out"]
    done = call("throughput", "--models", "efficientvit_sam_l0", *data, *flags)
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "out").exists()


def test_the_explanation_names_every_scope_mode_and_limit_of_the_plan():
    loaded = config(scopes="all", batch_sizes="1,3", precisions="fp32,bf16", seconds=7, rounds=4, seed=11)
    text = "\n".join(explain(loaded))
    for scope in loaded.scopes:
        assert f"{scope.name}, batch " in text
        for mode in MODES:
            said = f"{scope.name}, {mode}: "
            assert said in text
            assert (f"{said}not measured" in text) != scope.takes(mode)
    for words in ("4 rounds", "and 7 s", "seed 11", "0.999", "0.99;", "quick, changed", "batch 1, 3"):
        assert words in text
    assert "CUDA" not in text  # nothing of another device


def test_a_gpu_is_explained_by_what_it_does():
    text = "\n".join(explain(config(device="cuda")))
    for words in (
        "pinned memory",
        "three streams",
        "CUDA events",
        "cools down",
        "NVML",
        "200 batches and 60 s",
    ):
        assert words in text


def test_cells_are_told_apart_by_their_protocol_and_rounds_do_not_matter():
    loaded, more = config(scopes="E,D4"), config(scopes="E,D4", rounds=1)
    places = [("E", "serial", 1), ("E", "serial", 2), ("E", "compute", 1), ("D4", "serial", 1)]
    protocols = [protocol_of(loaded, "fp32", parse_scope(s), m, b) for s, m, b in places]
    assert all(a != b for i, a in enumerate(protocols) for b in protocols[i + 1 :])
    changed = protocol_of(more, "fp32", parse_scope("E"), "serial", 1)
    assert {k: v for k, v in changed.items() if k != "preset"} == {
        k: v for k, v in protocols[0].items() if k != "preset"
    }

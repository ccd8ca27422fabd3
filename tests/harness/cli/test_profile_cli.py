"""``sambench profile``: one object a model, the paper's values beside it, modules where asked."""

import json

import pytest
from command import call

from sambench.reports.published import models_of


def test_json_has_what_scripts_rely_on():
    done = call("profile", "efficientvit_sam_l0", "efficientvit_sam_xl1", "--json")
    assert done.code == 0, done.err
    l0, xl1 = json.loads(done.out)
    assert (l0["model"], l0["input_size"], xl1["input_size"]) == ("efficientvit_sam_l0", 512, 1024)
    assert round(l0["params_m"], 1) == l0["published"]["params_m"] == 34.8
    assert round(l0["encoder_params_m"], 2) == 30.73
    assert round(l0["encoder_macs_g"]) == l0["published"]["encoder_macs_g"] == 35
    assert round(xl1["encoder_macs_plain_g"], 2) == 321.87  # torch's own counter on the official code
    assert "Table 1" in l0["source"]
    assert "modules" not in l0


def test_modules_are_listed_down_to_the_depth():
    (l0,) = json.loads(call("profile", "efficientvit_sam_l0", "--depth", "1", "--json").out)
    names = [m["name"] for m in l0["modules"]]
    assert names == ["image_encoder", *(f"image_encoder.{part}" for part in ("backbone", "neck", "norm"))]
    whole, *parts = (m["macs_g"] for m in l0["modules"])
    assert abs(whole - sum(parts)) < 1e-9
    shown = call("profile", "efficientvit_sam_l0", "--depth", "1").out
    assert "image_encoder.backbone" in shown


@pytest.mark.slow
def test_without_a_name_the_models_of_table_1_are_shown_with_their_footnotes():
    done = call("profile")
    assert done.code == 0, done.err
    assert all(model in done.out for model in models_of("efficiency", "coco"))
    assert "mobile_sam [2]" in done.out
    assert "[3] EfficientSAM-S: The official checkpoint has 26.4 M parameters." in " ".join(done.out.split())


def test_what_cannot_be_profiled_is_said():
    assert "mean 'sam_vit_h'" in call("profile", "sam_vit_hh").err
    done = call("profile", "box")
    assert done.code == 2
    assert "box: cannot be profiled" in done.err

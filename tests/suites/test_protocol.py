"""The named choices: presets, changes to them, and what is refused."""

import dataclasses
import json

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.protocol import MEDIUM_AREA, PRESETS, SMALL_AREA, for_suite, make_protocol


def refused(spec):
    with pytest.raises(SambenchError) as caught:
        make_protocol(spec)
    assert str(caught.value).startswith("protocol: ")
    return str(caught.value)


def test_sizes_end_where_coco_says():
    assert (SMALL_AREA, MEDIUM_AREA) == (1024, 9216)


def test_the_preset_of_the_paper_does_what_the_authors_script_does():
    assert make_protocol("paper").to_json() == {
        "preset": "paper",
        "crowd": "keep",
        "leave_out": "area_below_1",
        "bins": "closed",
        "area_source": "ann",
        "perfect": "click_on",
        "select": "pred_iou",
        "mask_feedback": "none",
        "click_rule": "farthest_from_boundary",
        "threshold": "upsample_first",
        "average": "instances",
        "score": "det",
        "orientation": "stored",
        "box_source": "as_given",
        "void": "ignore",
        "names": "all",
        "phrases": "cleaned",
        "instances": "all",
        "gt_ids": "as_given",
    }


def test_the_strict_preset_differs_from_it_in_the_seven_marked_choices_alone():
    paper, strict = make_protocol("paper").to_json(), make_protocol("strict").to_json()
    assert {k: strict[k] for k in strict if strict[k] != paper[k]} == {
        "preset": "strict",
        "crowd": "drop",
        "leave_out": "empty_raster",
        "bins": "half_open",
        "perfect": "stop",
        "orientation": "stated_size",
        "box_source": "ann",
        "gt_ids": "from_one",
    }


def test_sginw_takes_the_single_mask_unless_an_axis_was_chosen():
    for preset in ("paper", "strict"):
        assert for_suite(make_protocol(preset), "sginw").select == "single"
        assert for_suite(make_protocol(preset), "det_box") == make_protocol(preset)
    chosen = make_protocol({"preset": "paper", "select": "stability"})
    assert for_suite(chosen, "sginw") == chosen


def test_strict_is_what_nothing_said_means():
    assert make_protocol({}) == make_protocol("strict") == PRESETS["strict"]


@pytest.mark.parametrize("preset", ["paper", "strict"])
def test_a_preset_said_as_a_mapping_is_the_preset(preset):
    assert make_protocol({"preset": preset}) == make_protocol(preset)
    assert make_protocol(make_protocol(preset).to_json()) == make_protocol(preset)


def test_a_changed_choice_is_kept_and_marks_the_protocol_custom():
    protocol = make_protocol({"preset": "paper", "crowd": "drop"})
    assert protocol.preset == "custom"
    assert protocol == dataclasses.replace(PRESETS["paper"], preset="custom", crowd="drop")


def test_a_choice_said_as_the_preset_has_it_changes_nothing():
    assert make_protocol({"preset": "paper", "crowd": "keep"}).preset == "paper"


def test_the_presets_themselves_are_never_changed():
    before = {name: protocol.to_json() for name, protocol in PRESETS.items()}
    make_protocol({"preset": "paper", "crowd": "drop", "select": "stability"})
    assert {name: protocol.to_json() for name, protocol in PRESETS.items()} == before


def test_the_given_mapping_is_left_as_it_was():
    spec = {"preset": "paper", "crowd": "drop"}
    make_protocol(spec)
    assert spec == {"preset": "paper", "crowd": "drop"}


def test_the_axes_are_plain_json():
    protocol = make_protocol({"select": "single"})
    assert json.loads(json.dumps(protocol.to_json())) == protocol.to_json()


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("crowd", ["keep", "drop"]),
        ("leave_out", ["area_below_1", "empty_raster"]),
        ("bins", ["closed", "half_open"]),
        ("area_source", ["ann", "mask"]),
        ("perfect", ["click_on", "stop"]),
        ("select", ["pred_iou", "single", "stability"]),
        ("mask_feedback", ["none", "previous"]),
    ],
)
def test_every_value_of_an_axis_is_taken_and_any_other_is_refused_with_all_of_them(axis, values):
    assert [getattr(make_protocol({axis: v}), axis) for v in values] == values
    for wrong in ("other", None, True, [values[0]]):
        message = refused({axis: wrong})
        assert f"{axis} is {wrong!r}" in message
        assert all(repr(v) in message for v in values)


def test_an_unknown_preset_is_refused_with_the_nearest_and_all():
    message = refused("papr")
    assert "no preset 'papr'; there are strict, paper." in message
    assert message.endswith("Did you mean 'paper'?")


def test_an_unknown_axis_is_refused_with_the_nearest():
    assert refused({"preset": "paper", "mask_feedbak": "none"}).endswith(
        "no axis 'mask_feedbak'. Did you mean 'mask_feedback'?"
    )


def test_a_word_like_no_other_gets_no_suggestion():
    assert "Did you mean" not in refused("zzzzzz")
    assert "Did you mean" not in refused({"zzzzzz": 1})


@pytest.mark.parametrize(
    "spec", [{"preset": ["paper"]}, {"preset": None}, {"preset": {}}, {1: "keep"}, {True: "keep"}]
)
def test_what_yaml_can_make_of_a_slip_is_refused_too(spec):
    refused(spec)

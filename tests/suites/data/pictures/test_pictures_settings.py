"""The keys of a data set's file that say what masks mean."""

from pathlib import Path

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.pictures.settings import Masks, read_masks


def test_all_keys_are_read_and_one_value_of_void_is_a_list():
    given = {"masks": "m", "mask_ids": "rgb", "void": [7, 3, 7], "components": True, "name": "other"}
    assert read_masks(given, "f.yaml") == Masks(Path("m"), "rgb", (3, 7), True)
    assert read_masks({"masks": "m", "void": 255}, "f.yaml") == Masks(Path("m"), None, (255,), False)


def test_no_void_and_nothing_said_of_it_are_two_things():
    assert read_masks({"masks": "m", "void": []}, "f").void == ()
    assert read_masks({"masks": "m"}, "f").void is None
    assert read_masks({"annotations": "a.json"}, "f") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"masks": "m", "mask_ids": "value"}, "mask_ids is 'value'; it can be binary, values, rgb. Did you"),
        ({"masks": "m", "void": "255"}, "void is '255'"),
        ({"masks": "m", "void": [True]}, "void is [True]"),
        ({"masks": "m", "void": [-1]}, "void is [-1]"),
        ({"masks": "m", "void": [2.5]}, "void is [2.5]"),
        ({"masks": "m", "components": "yes"}, "components is 'yes'"),
        ({"masks": 3}, "masks must be a path, not 3"),
        ({"masks": "m", "annotations": "a.json"}, "annotations and masks"),
        ({"annotations": "a.json", "void": [255]}, "void goes with masks"),
        ({"masks": "$NO_SUCH_PLACE/m"}, "NO_SUCH_PLACE is not set"),
    ],
)
def test_what_is_wrong_is_said(given, said):
    with pytest.raises(SambenchError) as caught:
        read_masks(given, "f.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("f.yaml: ")


def test_facts_make_the_same_again():
    for masks in (Masks(Path("m")), Masks(Path("m"), "values", (), True), Masks(Path("m"), "rgb", (1, 2))):
        assert Masks.of(Path("m"), masks.facts()) == masks

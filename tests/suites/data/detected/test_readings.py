"""Boxes that lie on the annotated ones of another image speak for another reading of its number."""

import numpy as np
import pytest

from sambench.suites.data.detected.box_kinds import Seen
from sambench.suites.data.detected.readings import read_otherwise

OBJECTS = np.array([[10.0 * k, 5, 8, 20] for k in range(10)])


def meeting(number):
    """An image of ten objects, with ten boxes of which so many lie on one."""
    boxes = OBJECTS.copy()
    boxes[number:, 1] += 50
    return [Seen((100, 100), boxes, OBJECTS)]


@pytest.mark.parametrize(
    ("taken", "other", "is_said"),
    [(0, 10, True), (5, 10, True), (6, 10, False), (0, 4, True), (0, 3, False), (2, 4, True), (10, 0, False)],
)
def test_the_other_reading_is_named_where_it_meets_twice_as_many(taken, other, is_said):
    said = read_otherwise(meeting(taken), meeting(other), by_name=False)
    assert (said is not None) == is_said
    if said:
        assert said == (
            f"image_id looks like the names of files: {other}0% of the annotated boxes are met so, "
            f"{taken}0% as ids".replace(" 00%", " 0%")
        )


def test_names_that_look_like_ids_are_said_too_and_nothing_is_said_of_nothing():
    said = read_otherwise(meeting(0), meeting(10), by_name=True)
    assert said.startswith("image_id looks like ids: 100% of ")
    assert said.endswith(", 0% as the names of files")
    none = np.zeros((0, 4))
    assert read_otherwise([], [], by_name=False) is None
    assert read_otherwise(meeting(0), [Seen((9, 9), OBJECTS, none)], by_name=False) is None

"""What results say of a suite survives being written and read."""

import json

import pytest

from sambench.suites.scoring.scores import About, Metric

ABOUT = About(
    "Recall",
    (
        Metric("ar", "All objects", group="Sizes", brief=True),
        Metric("masks", "Masks an image", "masks", higher_is_better=None, optional=True),
    ),
)


def test_it_comes_back_from_json_as_it_was():
    assert About.from_json(json.loads(json.dumps(ABOUT.to_json()))) == ABOUT


def test_what_a_later_version_adds_is_passed_over_and_what_an_earlier_one_lacked_has_its_default():
    content = {"title": "T", "more": 1, "metrics": [{"name": "ap", "title": "AP", "colour": "red"}]}
    assert About.from_json(content) == About("T", (Metric("ap", "AP"),))


@pytest.mark.parametrize(
    "content", [{}, {"title": "T"}, {"title": "T", "metrics": [{"name": "ap"}]}, [], None]
)
def test_something_else_is_an_error(content):
    with pytest.raises((KeyError, TypeError)):
        About.from_json(content)

"""All that is wrong with a file of detections is said at once, by kind, the first twenty entries of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detected.kinds import CHANGES, FAULTS
from sambench.suites.data.detections import Detections

GOOD = {"image_id": 7, "category_id": 3, "bbox": [10.5, 20.0, 30.25, 40.0], "score": 0.5}


def said(file, entries):
    file.write_text(json.dumps(entries))
    with pytest.raises(SambenchError) as caught:
        Detections(file)
    return str(caught.value)


def test_each_kind_has_a_line_with_its_entries_and_a_remedy(tmp_path):
    entries = [GOOD, GOOD | {"score": "0.9"}, GOOD | {"bbox": [1, 2, 3]}, GOOD, GOOD | {"score": None}, 5]
    first, *lines = said(tmp_path / "boxes.json", entries).splitlines()
    assert first == f"{tmp_path / 'boxes.json'}: 4 faults."
    assert lines == [
        '  entry 1: score is "0.9", not a number; entry 4: score is null, not a number. Write the score as a '
        "plain number, such as 0.9.",
        "  entry 2: bbox is [1, 2, 3], not four numbers. bbox is [x, y, width, height] in pixels.",
        "  entry 5: 5 is not a detection with image_id, category_id, bbox, score. "
        "Write an object for each box.",
    ]


def test_all_that_is_wrong_with_an_entry_is_said(tmp_path):
    text = said(tmp_path / "boxes.json", [{"image_id": None, "bbox": [1, 2, float("nan"), 4], "score": True}])
    for what in (
        "has no category_id",
        "image_id is null, no id",
        "[1, 2, NaN, 4], not finite",
        "score is true",
    ):
        assert what in text
    assert ": 4 faults." in text


@pytest.mark.parametrize(
    "text",
    [
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": "x", "more": %s}]',
        '[{"image_id": 1, "category_id": 1, "bbox": %s, "score": 1}]',
        '{"images": %s, "annotations": [{"image_id": 1, "category_id": 1, "bbox": "x", "score": 1}]}',
        '{"a": %s, "b": [{"image_id": 1}]}',
    ],
)
def test_lists_within_lists_however_deep_are_refused_in_our_words(tmp_path, text):
    file = tmp_path / "boxes.json"
    for depth in (5, 400, *range(900, 1001, 4), 100_000):
        file.write_text(text % ("[" * depth + "]" * depth))
        with pytest.raises(SambenchError, match=r"boxes\.json: "):
            Detections(file)


def test_what_can_be_changed_or_wrong_is_described():
    for kind in (*CHANGES.values(), *FAULTS.values()):
        assert kind.what
        assert kind.remedy.endswith((".", "?"))


def test_twenty_are_named_and_the_others_counted(tmp_path):
    entries = [GOOD | {"score": "x"}] * 1000 + [GOOD | {"bbox": [1, 2, -3, 4]}] * 5
    text = said(tmp_path / "boxes.json", entries)
    assert ": 1,005 faults." in text
    assert text.count("entry ") == 21  # and the first of another kind
    assert "; and 980 more such. Write" in text
    assert "entry 1000: bbox is [1, 2, -3, 4], of negative width or height; and 4 more such" in text


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.floats(), st.integers(-9, 9)), max_size=5),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@given(st.lists(st.tuples(st.sampled_from([*GOOD, "more"]), values), min_size=1, max_size=6))
def test_a_good_file_that_is_changed_anywhere_is_read_or_refused_in_our_words(tmp_path_factory, changes):
    file = tmp_path_factory.mktemp("changed") / "boxes.json"
    file.write_text(json.dumps([GOOD | {key: value} for key, value in changes]))
    try:
        found = Detections(file)
    except SambenchError as error:
        text = str(error)
        assert text.startswith(f"{file}: ")
        assert not any(word in text for word in ("Expected `", "object of type", "NoneType", "Traceback"))
    else:
        assert len(found) == len(changes)
        assert found.score_range[0] <= found.score_range[1]  # no NaN

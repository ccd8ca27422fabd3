"""Ids as they are meant."""

import pytest

from sambench.suites.data.ids import Ids, as_id


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        ("7.0", 7),
        (" 7 ", 7),
        ("0007", 7),
        ("-7", -7),
        (-7.0, -7),
        (2**64, 2**64),
        (str(2**64), 2**64),
        ("0000001_02999_d", "0000001_02999_d"),
        ("7.5", "7.5"),
        ("1e3", "1e3"),
        ("NaN", None),
        ("\u0667", "\u0667"),
        (7.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("", None),
        ("  ", None),
        ([7], None),
        ({"id": 7}, None),
    ],
)
def test_an_id_is_what_it_is_meant_as(value, meant):
    found = as_id(value)
    assert (type(found), found) == (type(meant), meant)


def test_whole_numbers_of_64_bits_stand_for_themselves():
    ids = Ids.of([5, -3, 2**63 - 1, -(2**63)])
    assert not ids.anew
    assert ids.texts == {}
    assert [ids.number(one) for one in (5, -3, 99, "a")] == [5, -3, 99, None]


@pytest.mark.parametrize("odd", ["a", 2**63, -(2**63) - 1])
def test_one_other_numbers_all_of_them_anew_in_their_order(odd):
    ids = Ids.of([5, odd, 3])
    assert [ids.number(one) for one in (5, odd, 3, 1)] == [1, 2, 3, None]
    assert ids.texts == {1: "5", 2: str(odd), 3: "3"}

"""Thirteen models are told apart without colour, and their colours by readers who see fewer of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sambench.reports.figures.style import SERIES, model_looks, row_looks

# How colours look to eyes without red or green cones, in linear RGB (Machado et al. 2009, severity 1).
SIGHTS = {
    "all cones": np.eye(3),
    "no red ones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green ones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    part = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    share = XYZ @ np.clip(rgb, 0, 1) / (0.9505, 1, 1.089)
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_colours_are_far_apart(sight):
    seen = [lab(SIGHTS[sight] @ linear(color)) for color in SERIES]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 25


def test_each_colour_stands_out_from_paper():
    luminance = [XYZ[1] @ linear(color) for color in SERIES]
    assert min(1.05 / (y + 0.05) for y in luminance) >= 3  # WCAG 2.1, 1.4.11


def test_thirteen_models_have_thirteen_markers():
    looks = model_looks([f"m{n}" for n in range(13)] + ["m3"])
    assert len(looks) == 13
    assert len({str(look.marker) for look in looks.values()}) == 13
    assert len({(look.color, str(look.line)) for look in looks.values()}) == 13


def test_rows_of_one_model_share_colour_and_marker_and_differ_by_their_lines():
    looks = model_looks(["a", "b"])
    one, other, two = row_looks(["a", "b", "a"], looks)
    assert (one.color, one.marker) == (two.color, two.marker) != (other.color, other.marker)
    assert one.line != two.line

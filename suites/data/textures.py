"""How the things of ``shapes`` look: outlines, materials, light, and the ground they lie on.

Everything is seen from straight above. Images are float32 RGB, about 0 to 1, so that light can be multiplied
in; fields are (H, W) float32 from 0 to 1. All chance comes from the generator that a function is given.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Rng = np.random.Generator

SUPERSAMPLE = 4
MARGIN = 1.5  # half a tile, in radii: leaves room for the shadow
THINNEST = 1.6  # pixels; a thinner stroke would drop out of the mask


# Outlines ---------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """One step of drawing an outline, in units of the object's radius around (0, 0), x right and y down."""

    points: NDArray[np.float64]
    """(N, 2) corners of a filled polygon, or of an open line where ``width`` is not 0."""
    width: float = 0.0
    ink: int = 255
    """255 adds to the silhouette, 0 cuts out of it."""


def _polar(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place ``radii`` at equal steps of one turn: (N, 2) points."""
    turn = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return radii[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)


_CIRCLE = _polar(np.ones(96))


def _disc(rng: Rng) -> list[Part]:
    return [Part(_CIRCLE)]


def _ring(rng: Rng) -> list[Part]:
    return [Part(_CIRCLE), Part(_CIRCLE * rng.uniform(0.4, 0.75), ink=0)]


def _star(rng: Rng) -> list[Part]:
    return [Part(_polar(np.tile([1.0, rng.uniform(0.4, 0.6)], rng.integers(5, 9))))]


def _blob(rng: Rng) -> list[Part]:
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    waves = [rng.normal(0, 0.5 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in range(2, 8)]
    radii = np.maximum(1 + np.sum(waves, axis=0), 0.2)
    return [Part(_polar(radii / radii.max()))]


def _gear(rng: Rng) -> list[Part]:
    teeth = np.tile([1.0, 1.0, 0.8, 0.8], rng.integers(8, 14))
    hub = Part(_CIRCLE * rng.uniform(0.15, 0.3), ink=0)
    windows = _polar(np.full(rng.integers(3, 6), 0.53)) if rng.random() < 0.5 else np.empty((0, 2))
    return [Part(_polar(teeth)), hub, *(Part(_CIRCLE * 0.14 + centre, ink=0) for centre in windows)]


def _leaf(rng: Rng) -> list[Part]:
    along = np.linspace(0, 1, 60)
    half = rng.uniform(0.3, 0.48) * np.sin(np.pi * along**0.75) * (1 - 0.15 * (along * 12 % 1))
    rib = rng.uniform(-0.3, 0.3) * np.sin(np.pi * along)
    x = 1.5 * along - 0.5
    sides = [np.stack([x, rib + half], axis=1), np.stack([x, rib - half], axis=1)[::-1]]
    stalk = np.array([[-0.95, -rib[15]], [-0.7, -rib[8] / 2], [-0.45, 0.0]])
    return [Part(np.concatenate(sides)), Part(stalk, width=0.07)]


def _branch(rng: Rng) -> list[Part]:
    parts: list[Part] = []

    def grow(start: NDArray[np.float64], heading: float, length: float, depth: int) -> None:
        bend = heading + rng.normal(0, 0.25)
        middle = start + length / 2 * np.array([np.cos(heading), np.sin(heading)])
        end = middle + length / 2 * np.array([np.cos(bend), np.sin(bend)])
        parts.append(Part(np.stack([start, middle, end]), width=0.03 * (1 + depth)))
        if depth:
            for fork in (rng.uniform(-0.9, -0.3), rng.uniform(-0.15, 0.25), rng.uniform(0.4, 0.9)):
                grow(end if rng.random() < 0.6 else middle, bend + fork, length * 0.68, depth - 1)

    grow(np.array([-0.95, 0.0]), 0.0, 0.75, 3)
    return parts


def _ladder(rng: Rng) -> list[Part]:
    side, bar = rng.uniform(0.3, 0.5), rng.uniform(0.09, 0.15)
    rails = [Part(np.array([[-0.9, y], [0.9, y]]), width=bar) for y in (-side, side)]
    rungs = np.linspace(-0.72, 0.72, rng.integers(3, 7))
    return rails + [Part(np.array([[x, -side], [x, side]]), width=bar * 0.8) for x in rungs]


def _chain(rng: Rng) -> list[Part]:
    count = int(rng.integers(4, 8))
    half = 1.25 / count
    link = np.concatenate([_CIRCLE, _CIRCLE[:1]]) * [half, half * rng.uniform(0.5, 0.75)]
    x = np.linspace(half - 0.95, 0.95 - half, count)
    y = rng.uniform(-0.4, 0.4) * np.cos(2 * x) + rng.uniform(-0.15, 0.15) * np.sin(4 * x)
    return [Part(link + at, width=0.3 * half) for at in np.stack([x, y], axis=1)]


def _fork(rng: Rng) -> list[Part]:
    spread, neck = rng.uniform(0.16, 0.28), rng.uniform(0.1, 0.25)
    root = np.array([[neck, 0.0], [neck + 0.2, -spread], [neck + 0.2, spread]])
    tines = [np.array([[neck + 0.2, y], [0.93, y]]) for y in np.linspace(-spread, spread, rng.integers(3, 6))]
    return [
        Part(np.array([[-0.95, 0.0], [-0.6, 0.0]]), width=0.2),
        Part(np.array([[-0.6, 0.0], [neck, 0.0]]), width=0.11),
        Part(root),
        Part(root[1:], width=0.12),
        *(Part(tine, width=0.07) for tine in tines),
    ]


OUTLINES: dict[str, Callable[[Rng], list[Part]]] = {
    "disc": _disc,
    "ring": _ring,
    "star": _star,
    "blob": _blob,
    "gear": _gear,
    "leaf": _leaf,
    "branch": _branch,
    "ladder": _ladder,
    "chain": _chain,
    "fork": _fork,
}
"""Class name -> the parts of one random individual, unturned, inside the circle of radius 1."""


def outline(name: str, rng: Rng) -> list[Part]:
    """Return the parts of one individual of class ``name``, squashed a little and turned at random."""
    angle, squash = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1)
    pose = np.array([[np.cos(angle), np.sin(angle)], [-squash * np.sin(angle), squash * np.cos(angle)]])
    return [part._replace(points=part.points @ pose) for part in OUTLINES[name](rng)]


def coverage(parts: list[Part], radius: float) -> Field:
    """Draw an outline at ``radius`` pixels: a square tile of how much of each pixel it covers, 0 to 1."""
    half = int(np.ceil(MARGIN * radius)) + 3
    canvas = np.zeros((2 * half * SUPERSAMPLE, 2 * half * SUPERSAMPLE), np.uint8)
    for part in parts:
        # 4 fractional bits, so that small objects keep their form
        corners = [np.round((part.points * radius + half) * SUPERSAMPLE * 16).astype(np.int32)]
        if part.width:
            thickness = round(max(part.width * radius, THINNEST) * SUPERSAMPLE)
            cv2.polylines(canvas, corners, False, part.ink, thickness, shift=4)
        else:
            cv2.fillPoly(canvas, corners, part.ink, shift=4)
    shrunk = cv2.resize(canvas, (2 * half, 2 * half), interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.float32) / np.float32(255)


def radius_for(parts: list[Part], area: float) -> float:
    """Return the radius in pixels at which an outline covers about ``area`` pixels."""
    trial = 32.0
    return float(trial * np.sqrt(area / np.count_nonzero(coverage(parts, trial) > 0.5)))


def window(centre: NDArray[np.float64], half: int, size: NDArray[np.int64]) -> tuple[Any, Any]:
    """Cut the square of 2 ``half`` pixels around ``centre`` (y, x) at the image's border.

    Returns the slices of what is left, in the image and in the square.
    """
    corner = np.round(centre).astype(int) - half
    low, high = np.maximum(corner, 0), np.minimum(corner + 2 * half, size)
    high = np.maximum(low, high)
    here, tile = zip(low, high, strict=True), zip(low - corner, high - corner, strict=True)
    return tuple(slice(*ends) for ends in here), tuple(slice(*ends) for ends in tile)


# Patterns ---------------------------------------------------------------------------------------------------


def fractal(rng: Rng, size: tuple[int, int], cell: float, octaves: int = 5, stretch: float = 1.0) -> Field:
    """Return noise of several octaves, the coarsest ``cell`` pixels high and ``stretch`` times as wide."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((int(size[0] / step) + 2, int(size[1] / (step * stretch)) + 2), np.float32)
        total += 0.55**octave * cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
    return _stretched(total)


def _stretched(field: Field) -> Field:
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def _ramp(field: Field, low: float, high: float) -> Field:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((field - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _axes(size: tuple[int, int]) -> tuple[Field, Field]:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return y, x


def mottled(rng: Rng, size: tuple[int, int]) -> Field:
    """Clouds and stains."""
    return fractal(rng, size, cell=max(size) / rng.uniform(3, 12), octaves=6)


def banded(rng: Rng, size: tuple[int, int]) -> Field:
    """Wavy stripes, as of wood or agate."""
    y, x = _axes(size)
    angle, count = rng.uniform(0, np.pi), rng.uniform(4, 14)
    across = (x * np.cos(angle) + y * np.sin(angle)) / max(size) * count
    waves = np.sin(2 * np.pi * (across + 1.2 * fractal(rng, size, max(size) / 2, octaves=3)))
    return _stretched(waves.astype(np.float32) + 1.2 * fractal(rng, size, cell=8, octaves=3))


def spotted(rng: Rng, size: tuple[int, int]) -> Field:
    """Soft-edged patches of two tones."""
    patches = _ramp(fractal(rng, size, max(size) / rng.uniform(5, 12), octaves=2), 0.45, 0.55)
    return _stretched(patches + 0.8 * fractal(rng, size, cell=12))


def pebbled(rng: Rng, size: tuple[int, int]) -> Field:
    """Rounded cells, each with a tone of its own, dark between."""
    cell = rng.uniform(6, 22)
    count = max(int(size[0] * size[1] / cell**2), 2)
    seeds = np.ones(size, np.uint8)
    seeds[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = 0
    away, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tone = rng.random(count + 1, np.float32)[label]
    return _stretched(tone - 0.8 * (away / cell) ** 2 + 0.5 * fractal(rng, size, cell=10))


def planks(rng: Rng, size: tuple[int, int]) -> Field:
    """Boards with grain and dark seams, lying along or across."""
    if rng.random() < 0.5:
        return np.ascontiguousarray(_boards(rng, size[::-1]).T)
    return _boards(rng, size)


def _boards(rng: Rng, size: tuple[int, int]) -> Field:
    board = int(rng.integers(70, 190))
    row = np.arange(size[0])
    shift = rng.random(size[0] // board + 1)[row // board][:, None]  # each board is cut from another place
    rings = np.sin(2 * np.pi * (7 * fractal(rng, size, cell=160, octaves=3, stretch=5) + 3 * shift))
    grain = fractal(rng, size, cell=5, octaves=3, stretch=25)
    seam = np.minimum(row % board, 3)[:, None] / 3
    return _stretched(((0.35 * rings + 1.5 * grain + shift) * (0.4 + 0.6 * seam)).astype(np.float32))


def woven(rng: Rng, size: tuple[int, int]) -> Field:
    """Plaid cloth with folds and threads."""
    y, x = _axes(size)
    bend = 25 * fractal(rng, size, cell=180, octaves=2)
    pitch, thread = rng.uniform(30, 110), rng.uniform(3, 5)
    plaid = np.sin(2 * np.pi * (x + bend) / pitch) + np.sin(2 * np.pi * (y - bend) / pitch)
    threads = np.sin(2 * np.pi * (x + bend) / thread) * np.sin(2 * np.pi * (y - bend) / thread)
    folds = fractal(rng, size, cell=120, octaves=3)
    return _stretched(_ramp(plaid, -0.6, 0.6) * rng.uniform(0.2, 1) + 0.2 * threads + 2 * folds)


# Colour and light -------------------------------------------------------------------------------------------


def any_hue(rng: Rng) -> float:
    """Return a hue (0 to 1) as nature has them: often brown or green, at times blue, hardly ever violet."""
    common = (0.02, 0.06, 0.09, 0.12, 0.15, 0.24, 0.32, 0.57, 0.62, 0.95)
    return float(rng.choice(common) + rng.normal(0, 0.025))


def painted(rng: Rng, field: Field, hue: float, vivid: float) -> Field:
    """Colour a field: (H, W, 3) along a random palette around ``hue``, dark to light or light to dark.

    ``vivid`` is the highest mean saturation, 0 to 1.
    """
    saturation, dark, light = rng.uniform(0.08, vivid), rng.uniform(0.12, 0.45), rng.uniform(0.5, 0.92)
    values = np.linspace(dark, light, 4)[:: rng.choice([-1, 1])]
    hues = (hue + rng.normal(0, 0.03, 4)) % 1
    saturations = np.clip(saturation + rng.normal(0, 0.08, 4), 0, 0.85)
    palette = np.array([colorsys.hsv_to_rgb(*c) for c in zip(hues, saturations, values, strict=True)])
    stops = np.linspace(0, 1, 4)
    return np.stack([np.interp(field, stops, palette[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def background(rng: Rng, size: tuple[int, int], hue: float) -> Field:
    """Return (H, W, 3) ground: table, cloth, gravel or land, stained in a second colour and unevenly lit."""
    patterns = (mottled, banded, pebbled, planks, woven)
    ground = painted(rng, patterns[rng.integers(len(patterns))](rng, size), hue, vivid=0.4)
    stain = _ramp(fractal(rng, size, cell=200), 0.45, rng.uniform(0.6, 0.9))[..., None] * rng.uniform(0, 0.9)
    ground += stain * (painted(rng, fractal(rng, size, cell=20), any_hue(rng), vivid=0.4) - ground)
    y, x = _axes(size)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
    plane = ((x / size[1] - 0.5) * np.cos(angle) + (y / size[0] - 0.5) * np.sin(angle)) * slope
    dapple = rng.uniform(0, 0.5) * (fractal(rng, size, cell=max(size) / 3, octaves=3) - 0.5)
    return ground * (1 + plane + dapple)[..., None]


def material(rng: Rng, side: int, hue: float) -> Field:
    """Return (side, side, 3) of a random stuff to cut an object from."""
    patterns = (mottled, banded, spotted, pebbled)
    return painted(rng, patterns[rng.integers(len(patterns))](rng, (side, side)), hue, vivid=0.7)


def relief(rng: Rng, cover: Field, light: NDArray[np.float64]) -> tuple[Field, Field]:
    """Light an object as if its edges were rounded.

    ``cover`` is the tile of :func:`coverage`, ``light`` the (x, y, z) unit vector to the lamp. Returns two
    fields of the tile's size: what to multiply the material by, and the gloss to add.
    """
    depth = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    bevel = max(float(depth.max()) * rng.uniform(0.3, 1), 1.5)
    height = bevel * np.sqrt(1 - (1 - np.clip(depth / bevel, 0, 1)) ** 2)
    height = cv2.GaussianBlur(height + fractal(rng, cover.shape, cell=10) * rng.uniform(0, 1.5), (0, 0), 1.2)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    facing = (light[2] - slope_x * light[0] - slope_y * light[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
    lit = np.clip(facing, 0, 1).astype(np.float32)
    return 0.45 + 0.7 * lit, rng.choice([0.0, 0.15, 0.4]) * lit**24


def shadow(rng: Rng, cover: Field, light: NDArray[np.float64], radius: float) -> Field:
    """Return the share of light, 0 to 1, that an object keeps from what lies under its tile."""
    reach = np.clip(radius * rng.uniform(0.08, 0.28), 2, 2 + 0.3 * radius)
    move = np.array([[1, 0, -light[0] * reach], [0, 1, -light[1] * reach]], np.float32)
    cast = cv2.GaussianBlur(cv2.warpAffine(cover, move, cover.shape[::-1]), (0, 0), 0.8 + reach / 3)
    contact = cv2.GaussianBlur(cover, (0, 0), 1.2)
    return 1 - (1 - rng.uniform(0.3, 0.7) * cast) * (1 - 0.3 * contact)


def photographed(rng: Rng, scene: Field) -> NDArray[np.uint8]:
    """Take the picture: vignette, a slightly soft lens, a noisy sensor. Returns (H, W, 3) uint8 RGB."""
    height, width = scene.shape[:2]
    y, x = _axes((height, width))
    corner = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * rng.uniform(0.1, 0.6)
    seen = cv2.GaussianBlur(scene * (1 - corner)[..., None], (0, 0), rng.uniform(0.45, 0.9))
    seen = np.clip(seen, 0, 1)
    noise = rng.standard_normal(scene.shape, np.float32) * rng.uniform(0.008, 0.025)
    seen += noise * (0.4 + np.sqrt(seen))  # more photons, more shot noise
    return np.round(np.clip(seen, 0, 1) * 255).astype(np.uint8)

"""``shapes``: a small COCO-format data set drawn from a seed, so that everything runs without a download.

Textured things of ten classes lie on lit, textured ground, seen from above: they cover each other, have holes
and thin parts, come in all three COCO sizes, and now and then as a crowd. Masks are exact: the pixels that
show an object. Image i depends on the seed and i alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sambench.adapters.files import remove_leftovers, scratch
from sambench.evsam.errors import SambenchError
from sambench.suites.data import textures as look
from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA

VERSION = 1  # of the drawings and the files: raise it with any change that alters a byte
MOST_IMAGES = 100_000
LEAST_PIXELS = 12  # of an object that is annotated
EMPTY_EVERY, CROWD_EVERY = 8, 5  # images
SIZES = ((480, 640), (480, 640), (640, 480), (375, 500), (640, 427), (500, 333), (428, 640))  # (H, W)


@dataclass(frozen=True)
class Category:
    """A class of objects."""

    id: int
    """Sparse on purpose, as COCO's are."""
    name: str
    """Also the key of its outline in :data:`suites.data.textures.OUTLINES`."""
    kind: str
    """COCO's supercategory: ``solid``, ``holed`` or ``thin``."""
    weight: int
    """How often it is drawn, relative to the others: some classes are rare, for LVIS."""
    synonym: str
    meaning: str


CATEGORIES = (
    Category(1, "disc", "solid", 9, "disk", "a flat round plate"),
    Category(2, "ring", "holed", 7, "hoop", "a round band around a hole"),
    Category(4, "star", "solid", 6, "asterisk", "a flat figure with pointed arms"),
    Category(7, "blob", "solid", 12, "lump", "a smooth thing of no particular form"),
    Category(11, "gear", "holed", 4, "cogwheel", "a toothed wheel with a bored hub"),
    Category(13, "leaf", "solid", 9, "foliage", "a leaf with a serrated edge and a stalk"),
    Category(18, "branch", "thin", 4, "twig", "a forked stick"),
    Category(27, "ladder", "holed", 4, "rack", "two rails joined by rungs"),
    Category(31, "chain", "holed", 1, "links", "a row of linked rings"),
    Category(44, "fork", "thin", 2, "pitchfork", "a handle that ends in tines"),
)
"""Every class, by id."""


@dataclass(frozen=True)
class ShapesSummary:
    """What :func:`make_shapes` made or found."""

    out: Path
    """The folder of the data set."""
    images: int
    annotations: int
    """All of them: small + medium + large + crowds."""
    small: int
    """Objects of fewer than 32^2 visible pixels."""
    medium: int
    large: int
    """Objects of more than 96^2 visible pixels."""
    crowds: int
    """Regions with ``iscrowd`` 1; not among the sizes."""
    reused: bool
    """The folder held this very data set, and nothing was written."""


@dataclass(frozen=True)
class Thing:
    """One annotation to be: an object, or a crowd of small ones."""

    category: Category
    area: float
    """Pixels, of each member, before anything covers it."""
    members: int = 1
    """More than one make a crowd."""

    @property
    def reach(self) -> float:
        """About how far it extends, in pixels."""
        return float(np.sqrt(self.area * self.members))


@dataclass(frozen=True)
class Scene:
    """A drawn image and what each of its pixels shows."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    owner: NDArray[np.int32]
    """(H, W): 0 for the ground, k where ``things[k - 1]`` is seen."""
    things: tuple[Thing, ...]
    """In the order of drawing; later ones cover earlier ones."""


class _Canvas:
    """A scene in the making."""

    def __init__(self, rng: look.Rng, size: tuple[int, int]) -> None:
        self.rng = rng
        self.size = np.array(size)
        self.hue = look.any_hue(rng)
        self.pixels = look.background(rng, size, self.hue)
        self.owner = np.zeros(size, np.int32)
        turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.1)
        self.light = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])

    def add(self, number: int, thing: Thing) -> None:
        """Paint a thing over what is there and make it the owner of the pixels it mostly covers."""
        # a third of the things take the hue of the ground: contrast must vary
        hue = self.hue + self.rng.normal(0, 0.05) if self.rng.random() < 0.35 else look.any_hue(self.rng)
        spread = thing.reach / 2 if thing.members > 1 else 0.0
        centre = self._spot(thing.reach)
        for _ in range(thing.members):
            self._paint(number, thing, centre + self.rng.normal(0, spread, 2), hue)

    def _spot(self, reach: float) -> NDArray[np.float64]:
        """Choose a centre (y, x): mostly the emptiest of a few, sometimes any, so that things overlap."""
        edge = min(0.6 * reach, 0.4 * self.size.min())
        spots = self.rng.uniform(edge, self.size - edge, (8, 2))
        if self.rng.random() < 0.4:
            return spots[0]
        windows = [look.window(spot, int(0.8 * reach) + 1, self.size)[0] for spot in spots]
        return spots[np.argmin([np.mean(self.owner[window] > 0) for window in windows])]

    def _paint(self, number: int, thing: Thing, centre: NDArray[np.float64], hue: float) -> None:
        parts = look.outline(thing.category.name, self.rng)
        radius = min(look.radius_for(parts, thing.area), 0.48 * self.size.min())
        cover = look.coverage(parts, radius)
        half = len(cover) // 2
        shade, gloss = look.relief(self.rng, cover, self.light)
        body = look.material(self.rng, 2 * half, hue) * shade[..., None] + gloss[..., None]
        dark = look.shadow(self.rng, cover, self.light, radius)
        here, tile = look.window(centre, half, self.size)
        under = self.pixels[here] * (1 - dark[tile][..., None])
        self.pixels[here] = under + cover[tile][..., None] * (body[tile] - under)
        self.owner[here][cover[tile] > 0.5] = number


def _plan(rng: look.Rng, pixels: int, crowd: bool) -> list[Thing]:
    """Choose what an image of so many pixels shows: a few classes, all sizes, the big ones mostly below."""
    weights = np.array([c.weight for c in CATEGORIES]) / sum(c.weight for c in CATEGORIES)
    kinds = rng.choice(len(CATEGORIES), rng.integers(3, 7), replace=False, p=weights)
    bins = [(60.0, 900.0)] * rng.integers(2, 6) + [(1300.0, 8000.0)] * rng.integers(2, 5)
    bins += [(1.3 * MEDIUM_AREA, 0.17 * pixels)] * rng.integers(1, 4)
    things = [Thing(CATEGORIES[rng.choice(kinds)], np.exp(rng.uniform(*np.log(ends)))) for ends in bins]
    if crowd:
        solid = [category for category in CATEGORIES if category.kind == "solid"]
        category = solid[rng.integers(len(solid))]
        things.append(Thing(category, rng.uniform(60, 220), members=int(rng.integers(25, 50))))
    depth = [2 * np.log(thing.reach) + rng.normal(0, 1.2) for thing in things]
    return [things[i] for i in np.argsort(depth)[::-1]]


def draw_scene(seed: int, index: int) -> Scene:
    """Draw image ``index`` (from 0) of the data set of ``seed``; every eighth shows no object at all."""
    rng = np.random.default_rng([seed, index])
    size = SIZES[rng.integers(len(SIZES))]
    canvas = _Canvas(rng, size)
    empty = index % EMPTY_EVERY == EMPTY_EVERY - 1
    things = [] if empty else _plan(rng, size[0] * size[1], crowd=index % CROWD_EVERY == 1)
    for number, thing in enumerate(things, start=1):
        canvas.add(number, thing)
    return Scene(look.photographed(rng, canvas.pixels), canvas.owner, tuple(things))


def annotate(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return the COCO annotations, numbered from ``first_id``, of the things with 12 or more visible pixels.

    Crowds have uncompressed RLE, nearly convex objects a polygon where it is exact, others compressed RLE.
    """
    annotations: list[dict[str, Any]] = []
    for number, thing in enumerate(scene.things, start=1):
        mask = np.asfortranarray(scene.owner == number, dtype=np.uint8)
        if (area := int(mask.sum())) < LEAST_PIXELS:
            continue
        rle = coco_mask.encode(mask)
        packed = {"size": list(mask.shape), "counts": rle["counts"].decode()}
        annotations.append(
            {
                "id": first_id + len(annotations),
                "image_id": image_id,
                "category_id": thing.category.id,
                "iscrowd": int(thing.members > 1),
                "area": area,
                "bbox": coco_mask.toBbox(rle).tolist(),
                "segmentation": _runs(mask) if thing.members > 1 else _polygon(mask) or packed,
            }
        )
    return annotations


def _runs(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """Return uncompressed RLE: lengths down the columns, zeros first."""
    column = mask.ravel(order="F")
    ends = [0, *(np.flatnonzero(np.diff(column)) + 1), len(column)]
    counts = [0] * int(column[0]) + np.diff(ends).tolist()
    return {"size": list(mask.shape), "counts": counts}


def _polygon(mask: NDArray[np.uint8]) -> list[list[float]] | None:
    """Return the polygon along a nearly convex mask's pixel edges, if pycocotools makes that mask of it."""
    # at double size the contour runs through a pixel's two halves, which tell its near edge from its far one
    doubled = mask.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    contour = contours[0]
    if len(contours) > 1 or cv2.contourArea(contour) < 0.9 * cv2.contourArea(cv2.convexHull(contour)):
        return None
    polygon = [((contour.ravel() + 1) // 2).astype(float).tolist()]
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygon, *mask.shape)))
    return polygon if np.array_equal(drawn, mask) else None


LICENCES = [{"id": 1, "name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}]

README = """# shapes: {images} drawn images, seed {seed}, version {version}

Textured things of ten classes, seen from above, with exact masks of what is visible. Made by

    sambench data make shapes --out DIR --images {images} --seed {seed}

which gives the same bytes again with the same versions of the program, numpy and OpenCV.

- `images/`: the pictures (JPEG).
- `annotations/instances.json`: COCO format, with crowds; some images show nothing.
- `annotations/lvis_v1.json`: the same objects in LVIS v1 format. Crowds are left out, their classes marked as
  not exhaustively annotated. Rare classes are in up to 20% of the images, common ones in up to 50%.
- `shapes.json`: what decided the drawings, and what they hold.

The drawings are dedicated to the public domain: CC0 1.0.
"""


def make_shapes(
    out: Path, images: int = 24, seed: int = 0, on_image: Callable[[int], None] | None = None
) -> ShapesSummary:
    """Draw the data set into the folder ``out``, which appears whole or not at all.

    ``on_image`` is called after each image with the number of images written so far. The same arguments and
    library versions give the same bytes; an ``out`` that already holds this data set is left as it is.

    Raises:
        SambenchError: ``images`` is not in 1 to 100,000, ``seed`` is negative, ``out`` holds something else,
            or it cannot be written.
    """
    if not 1 <= images <= MOST_IMAGES:
        raise SambenchError(f"shapes has 1 to {MOST_IMAGES} images, not {images}: choose another --images.")
    if seed < 0:
        raise SambenchError(f"the seed of shapes is 0 or more, not {seed}: choose another --seed.")
    out = out.resolve()
    try:
        if found := _existing(out, images, seed):
            return found
        remove_leftovers(out.parent)
        with scratch(out) as made:
            counts = _write(made, images, seed, on_image or (lambda done: None))
            if found := _existing(out, images, seed):  # another command was first
                return found
            made.replace(out)
    except OSError as error:
        raise SambenchError(f"cannot write {out}: {error}. Make room, or choose another --out.") from error
    return ShapesSummary(out=out, images=images, reused=False, **counts)


def _existing(out: Path, images: int, seed: int) -> ShapesSummary | None:
    """Return the summary of this very data set in ``out``, None for a free place; else raise."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    with suppress(OSError, ValueError, TypeError, KeyError):  # shapes.json is missing or not ours
        note = json.loads((out / "shapes.json").read_text())
        same = (note["version"], note["seed"], note["images"]) == (VERSION, seed, images)
        files = ["README.md", "annotations/instances.json", "annotations/lvis_v1.json"]
        files += [f"images/{_file_name(number)}" for number in range(1, images + 1)]
        if same and all((out / file).is_file() for file in files):
            return ShapesSummary(out=out, images=images, reused=True, **note["counts"])
    raise SambenchError(
        f"{out} exists and does not hold shapes version {VERSION} with {images} images of seed {seed}: "
        "remove it, or choose another --out."
    )


def _write(folder: Path, images: int, seed: int, on_image: Callable[[int], None]) -> dict[str, int]:
    """Write all files into the empty ``folder``. Returns the counts of :class:`ShapesSummary`."""
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    coco = _header()
    drawn: list[set[int]] = []
    for number in range(1, images + 1):
        scene = draw_scene(seed, number - 1)
        _, jpeg = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        (folder / "images" / _file_name(number)).write_bytes(jpeg.tobytes())
        height, width = scene.owner.shape
        coco["images"].append(
            {"id": number, "file_name": _file_name(number), "height": height, "width": width, "license": 1}
        )
        coco["annotations"] += annotate(scene, number, first_id=len(coco["annotations"]) + 1)
        drawn.append({thing.category.id for thing in scene.things})
        on_image(number)
    counts = _counts(coco["annotations"])
    note = {"version": VERSION, "seed": seed, "images": images, "counts": counts}
    _write_json(folder / "annotations" / "instances.json", coco)
    _write_json(folder / "annotations" / "lvis_v1.json", _lvis(coco, drawn))
    _write_json(folder / "shapes.json", note)
    (folder / "README.md").write_text(README.format(version=VERSION, seed=seed, images=images))
    return counts


def _file_name(number: int) -> str:
    return f"{number:012d}.jpg"


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")


def _counts(annotations: list[dict[str, Any]]) -> dict[str, int]:
    def kind(annotation: dict[str, Any]) -> str:
        if annotation["iscrowd"]:
            return "crowds"
        small, large = annotation["area"] < SMALL_AREA, annotation["area"] > MEDIUM_AREA
        return "small" if small else "large" if large else "medium"

    found = Counter(map(kind, annotations))
    return {"annotations": len(annotations)} | {k: found[k] for k in ("small", "medium", "large", "crowds")}


def _header() -> dict[str, Any]:
    """Return a COCO file without images."""
    return {
        "info": {"description": "sambench shapes", "version": str(VERSION), "contributor": "sambench"},
        "licenses": LICENCES,
        "images": [],
        "annotations": [],
        "categories": [{"supercategory": c.kind, "id": c.id, "name": c.name} for c in CATEGORIES],
    }


def _lvis(coco: dict[str, Any], drawn: list[set[int]]) -> dict[str, Any]:
    """Return the LVIS v1 file of a COCO file; ``drawn``: the classes of each image, hidden ones too."""
    crowds: dict[int, list[int]] = {}
    for annotation in coco["annotations"]:
        if annotation["iscrowd"]:
            crowds.setdefault(annotation["image_id"], []).append(annotation["category_id"])
    ids = {c.id for c in CATEGORIES}
    kept = [a for a in coco["annotations"] if not a["iscrowd"]]
    annotations = [{key: value for key, value in a.items() if key != "iscrowd"} for a in kept]
    images = [
        {
            **{key: value for key, value in image.items() if key != "file_name"},
            "coco_url": f"http://shapes.invalid/images/{image['file_name']}",
            # LVIS verifies only some of the absent classes: here every other one
            "neg_category_ids": [i for i in sorted(ids - here) if (i + image["id"]) % 2 == 0],
            "not_exhaustive_category_ids": crowds.get(image["id"], []),
        }
        for image, here in zip(coco["images"], drawn, strict=True)
    ]
    categories = _lvis_categories(kept, len(images))
    return {**coco, "images": images, "annotations": annotations, "categories": categories}


def _lvis_categories(annotations: list[dict[str, Any]], images: int) -> list[dict[str, Any]]:
    instances = Counter(a["category_id"] for a in annotations)
    shown = Counter(category for _, category in {(a["image_id"], a["category_id"]) for a in annotations})
    return [
        {
            "id": c.id,
            "name": c.name,
            "synset": f"{c.name}.n.01",
            "synonyms": [c.name, c.synonym],
            "def": c.meaning,
            "image_count": shown[c.id],
            "instance_count": instances[c.id],
            # LVIS's own bounds, 10 and 100 images, would leave a small set without frequent classes
            "frequency": "r" if shown[c.id] <= 0.2 * images else "c" if shown[c.id] <= 0.5 * images else "f",
        }
        for c in CATEGORIES
    ]

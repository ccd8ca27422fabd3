"""Pairs of image and phrase as SA-Co's files have them, drawn: three annotators, and a model's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

HEIGHT, WIDTH = 40, 60
PHRASES = ("red cup", "dog", "Café (window)", "toy_car", "sky")


@dataclass(frozen=True)
class DrawnPairs:
    """Where they lie."""

    images: Path
    annotators: tuple[Path, Path, Path]
    answers: Path
    """JSON: image's number (its pixels' value), then phrase, to instances of ``score``, ``box``, ``mask``."""

    @property
    def flags(self) -> list[str]:
        """The flags of ``sambench run`` that name this data set."""
        first, *others = map(str, self.annotators)
        flags = ["--dataset", "drawn", "--images", str(self.images), "--annotations", first]
        return flags + [part for other in others for part in ("--annotators", other)]


def disc(x: int, y: int, radius: int) -> np.ndarray:
    """Mask (H, W) of a disc."""
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def coded(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths as JSON has them."""
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": code["size"], "counts": code["counts"].decode()}


def drawn(folder: Path, images: int = 6, seed: int = 0) -> DrawnPairs:
    """Draw images, each a plain grey of its number, and ask some phrases of each, others of others."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    pairs: list[dict[str, Any]] = []
    objects: list[list[dict[str, Any]]] = [[], [], []]
    answers: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for number in range(images):
        name = f"im{number}.png"
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), number, np.uint8)).save(folder / "images" / name)
        answers[number] = {}
        for phrase in rng.permutation(PHRASES)[: rng.integers(2, 5)].tolist():
            pair = 1000 - len(pairs)  # ids need not rise
            size = {"file_name": name, "height": HEIGHT, "width": WIDTH}
            pairs.append({"id": pair, "text_input": phrase, "is_instance_exhaustive": 1, **size})
            places = [rng.integers((8, 8), (WIDTH - 8, HEIGHT - 8)) for _ in range(rng.integers(0, 4))]
            for mine in objects:
                for x, y in places:
                    if rng.random() < 0.85:
                        mine.append(_object(len(mine) + 1, pair, disc(x, y, 6 + rng.integers(0, 2))))
            found = [(x + rng.integers(-2, 3), y + rng.integers(-2, 3)) for x, y in places]
            if rng.random() < 0.4:
                found.append((rng.integers(8, WIDTH - 8), rng.integers(8, HEIGHT - 8)))
            answers[number][phrase] = [
                _answer(x, y, float(rng.choice([0.2, 0.45, 0.5, 0.7, 0.9]))) for x, y in found
            ]
    files = []
    for letter, mine in zip("abc", objects, strict=True):
        stated = [dict(pair, is_instance_exhaustive=int(rng.random() < 0.9)) for pair in pairs]
        content = {"images": stated, "annotations": mine, "categories": [{"id": 1, "name": "object"}]}
        files.append(folder / f"{letter}.json")
        files[-1].write_text(json.dumps(content))
    (folder / "answers.json").write_text(json.dumps(answers))
    first, second, third = files
    return DrawnPairs(folder / "images", (first, second, third), folder / "answers.json")


def _object(number: int, pair: int, mask: np.ndarray) -> dict[str, Any]:
    """An annotation; box and area are fractions of the image."""
    x, y, w, h = rle.toBbox(rle.encode(np.asfortranarray(mask, np.uint8))).tolist()
    return {
        **{"id": number, "image_id": pair, "category_id": 1, "iscrowd": int(number % 17 == 0)},
        "bbox": [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT],
        "area": float(mask.sum()) / (WIDTH * HEIGHT),
        "segmentation": coded(mask),
    }


def _answer(x: int, y: int, score: float) -> dict[str, Any]:
    x, y = int(x), int(y)
    return {"score": score, "box": [x - 6, y - 6, x + 7, y + 7], "disc": [x, y, 6]}

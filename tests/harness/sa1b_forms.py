"""SA-1B's files of a test's own, and the layouts that they come in."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

HEIGHT, WIDTH = 30, 40
Files = Mapping[int, tuple[bytes, bytes]]
"""By id: picture and annotations."""


def picture(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    """A JPEG of noise."""
    content = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(content, "JPEG")
    return content.getvalue()


def description(number: int, objects: int = 2, size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    """What an image's JSON file says; its objects are rectangles."""
    image = {"image_id": number, "width": size[1], "height": size[0], "file_name": f"sa_{number}.jpg"}
    return {"image": image, "annotations": [thing(100 * number + k, 3 + k, size) for k in range(objects)]}


def thing(number: int, left: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    """One entry of ``annotations``, with all keys of SA-1B."""
    mask = np.zeros(size, np.uint8, order="F")
    mask[5:15, left : left + 8] = 1
    coded = rle.encode(mask)
    return {
        "id": number,
        "segmentation": {"size": list(size), "counts": coded["counts"].decode()},
        "bbox": [left, 5, 8, 10],
        "area": 80,
        "predicted_iou": 0.9,
        "stability_score": 0.95,
        "crop_box": [0, 0, size[1], size[0]],
        "point_coords": [[left + 4.0, 10.0]],
    }


def pair(number: int, **kinds: Any) -> tuple[bytes, bytes]:
    """A picture and its annotations."""
    return picture(number), json.dumps(description(number, **kinds)).encode()


def as_folder(root: Path, files: Files, into: int = 1) -> Path:
    """Write files as they are unpacked, into so many folders of the root, or into itself with 1."""
    for place, (number, contents) in enumerate(files.items()):
        folder = root if into == 1 else root / f"sa_{place % into:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        for kind, content in zip(("jpg", "json"), contents, strict=True):
            (folder / f"sa_{number}.{kind}").write_bytes(content)
    return root


def as_authors(root: Path, files: Files) -> Path:
    """Write files as the authors of EfficientViT-SAM have them."""
    for number, contents in files.items():
        for name, content in zip(
            (f"images/sa_{number}.jpg", f"masks/sa_{number}.json"), contents, strict=True
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    (root / "sa_images_ids.txt").write_text("".join(f"{number}\n" for number in files))
    return root


def as_tars(root: Path, files: Files, into: int = 1) -> Path:
    """Write files as SA-1B is released, into so many tar files."""
    root.mkdir(parents=True, exist_ok=True)
    for k in range(into):
        with tarfile.open(root / f"sa_{k:06d}.tar", "w") as tar:
            for number, contents in list(files.items())[k::into]:
                for kind, content in zip(("jpg", "json"), contents, strict=True):
                    add(tar, f"./sa_{number}.{kind}", content)
    return root


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar file."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))

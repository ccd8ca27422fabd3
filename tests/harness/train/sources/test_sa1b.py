"""SA-1B in its three layouts: equal samples, judged by pycocotools; and what is damaged is named."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from sa1b_forms import WIDTH, Files, as_authors, as_folder, as_tars, description, pair, picture, thing

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.recipe import Finetune
from sambench.harness.train.config import Data
from sambench.harness.train.loader import Finetuning, Item, Positions, Skipped
from sambench.harness.train.order import Order
from sambench.harness.train.sources import Source, open_source
from tests.conftest import missing

FORMS: dict[str, Callable[[Path, Files], Path]] = {
    "folder": as_folder,
    "folders": lambda root, files: as_folder(root, files, into=3),
    "authors": as_authors,
    "tar": as_tars,
    "tars": lambda root, files: as_tars(root, files, into=3),
}
each_form = pytest.mark.parametrize("form", FORMS)


def opened(root: Path, **more: Any) -> Source:
    return open_source(Data(format="sa1b", root=root, **more))


def refusal(root: Path | None, **more: Any) -> str:
    with pytest.raises(SambenchError) as caught:
        open_source(Data(format="sa1b", root=root, **more))
    return str(caught.value)


def ids(source: Source) -> list[int]:
    return [source.load(i).image_id for i in range(len(source))]


@pytest.fixture(scope="session")
def mini(data_root: Path) -> Path:
    """24 images in the authors' layout."""
    root = data_root / "sa1b-mini"
    if not root.is_dir():
        missing(f"{root}: not in the data folder")
    return root


def files_of(mini: Path) -> dict[int, tuple[bytes, bytes]]:
    numbers = [int(line) for line in (mini / "sa_images_ids.txt").read_text().split()]
    return {
        n: ((mini / f"images/sa_{n}.jpg").read_bytes(), (mini / f"masks/sa_{n}.json").read_bytes())
        for n in numbers
    }


@each_form
def test_samples_are_equal_in_every_layout(form: str, mini: Path, tmp_path: Path) -> None:
    files = files_of(mini)
    source = pickle.loads(pickle.dumps(opened(FORMS[form](tmp_path / "root", files))))
    assert ids(source) == sorted(files)
    for index, number in enumerate(sorted(files)[:6]):
        found, said = source.load(index), json.loads(files[number][1])["annotations"]
        np.testing.assert_array_equal(found.image, np.array(Image.open(mini / f"images/sa_{number}.jpg")))
        assert [one.id for one in found.annotations] == [a["id"] for a in said]
        assert {one.category_id for one in found.annotations} == {1}
        assert [one.area for one in found.annotations] == [a["area"] for a in said]
        for i, annotation in enumerate(said):
            np.testing.assert_array_equal(found.mask(i), rle.decode(annotation["segmentation"]).astype(bool))
            x, y, w, h = annotation["bbox"]
            assert found.box(i) == (x, y, x + w, y + h)
        assert len(found.for_suites().targets) == len(said)


@each_form
def test_parts_and_limit_are_of_the_ids_in_order(form: str, tmp_path: Path) -> None:
    files = {number: pair(number) for number in (30, 4, 200, 17)}
    root = FORMS[form](tmp_path, files)
    order = list(files) if form == "authors" else sorted(files)
    assert ids(opened(root)) == order
    assert ids(opened(root, part="train")) == order[:3]
    assert ids(opened(root, part="validation")) == order[3:]
    assert ids(opened(root, part="train", limit=2)) == order[:2]
    assert ids(opened(root, limit=99)) == order


def test_the_authors_split_is_at_99_percent(mini: Path) -> None:
    whole = ids(opened(mini))
    assert ids(opened(mini, part="train")) == whole[:23]
    assert ids(opened(mini, part="validation")) == whole[23:]


@each_form
def test_identity_changes_with_what_decides_the_images(form: str, tmp_path: Path) -> None:
    files = {number: pair(number) for number in range(1, 5)}
    root = FORMS[form](tmp_path / "a", files)
    seen = [opened(root, **more).identity() for more in ({}, {"part": "train"}, {"limit": 3})]
    seen.append(opened(FORMS[form](tmp_path / "b", {n + 1: files[n] for n in files})).identity())
    assert len({json.dumps(one) for one in seen}) == 4
    assert opened(root).identity() == seen[0]
    assert opened(FORMS[form](tmp_path / "elsewhere", files)).identity() == seen[0]


def with_changed(number: int, **changes: Any) -> tuple[bytes, bytes]:
    """A pair whose JSON says something else."""
    said = description(number)
    return picture(number), json.dumps(said | changes).encode()


OTHER = (30, WIDTH + 1)
DAMAGED = {
    "no JSON": ((picture(2), pair(2)[1][:200]), "sa_2.json", "JSON"),
    "another JSON": ((picture(2), b'{"images": []}'), "sa_2.json", "SA-1B's format"),
    "no picture": ((b"<html>", pair(2)[1]), "sa_2.jpg", "not an image"),
    "half a picture": ((picture(2)[:500], pair(2)[1]), "sa_2.jpg", "cut off"),
    "another size": (
        (picture(2, OTHER), pair(2)[1]),
        "sa_2.jpg",
        "is 41 x 30 pixels, but its annotations are for 40 x 30",
    ),
    "masks of another size": (with_changed(2, annotations=[thing(7, 3, OTHER)]), "sa_2.json", "annotation 7"),
    "a polygon": (
        with_changed(2, annotations=[thing(7, 3) | {"segmentation": [[1, 1, 5, 5, 1, 5]]}]),
        "sa_2.json",
        "annotation 7",
    ),
    "runs too short": (
        with_changed(2, annotations=[thing(7, 3) | {"segmentation": {"size": [30, 40], "counts": "12"}}]),
        "sa_2.jpg",
        "annotation 7",
    ),
}


@pytest.mark.parametrize("form", ["folder", "authors", "tars"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_damaged_is_skipped_by_name(damage: str, form: str, tmp_path: Path) -> None:
    contents, file, what = DAMAGED[damage]
    source = opened(FORMS[form](tmp_path, {1: pair(1), 2: contents, 3: pair(3)}))
    skipped = skips(source)
    assert [one.kind for one in skipped] == ["damaged"]
    assert str(tmp_path) in skipped[0].reason
    assert file in skipped[0].reason
    assert re.search(what, skipped[0].reason)


@pytest.mark.parametrize("form", ["folder", "authors", "tars"])
def test_an_image_without_objects_is_empty(form: str, tmp_path: Path) -> None:
    source = opened(FORMS[form](tmp_path, {1: pair(1), 2: pair(2, objects=0)}))
    (skipped,) = skips(source)
    assert skipped.kind == "empty"
    assert "sa_2.jpg" in skipped.reason


def skips(source: Source) -> list[Skipped]:
    """What an epoch leaves out; all else must be there."""
    dataset = Positions(source, Order(len(source), 0), Finetuning(Finetune(masks_per_image=4), 32))
    found = [dataset[i] for i in range(len(source))]
    assert all(isinstance(one, Item | Skipped) for one in found)
    return [one for one in found if isinstance(one, Skipped)]


@pytest.mark.parametrize("kind", ["jpg", "json"])
def test_a_file_that_is_missing_is_named(kind: str, tmp_path: Path) -> None:
    root = as_folder(tmp_path / "folder", {1: pair(1), 2: pair(2)})
    (root / f"sa_2.{kind}").unlink()
    (skipped,) = skips(opened(root))
    assert f"sa_2.{kind}: no such file" in skipped.reason
    root = as_authors(tmp_path / "authors", {1: pair(1), 2: pair(2)})
    next(root.glob(f"*/sa_2.{kind}")).unlink()
    (skipped,) = skips(opened(root))
    assert "take 2 out of sa_images_ids.txt" in skipped.reason


def test_other_files_beside_them_do_not_count(tmp_path: Path) -> None:
    root = as_folder(tmp_path, {1: pair(1)}, into=2)
    for name in ("sa_1.png", "README.md", "sa_007.jpg", "sa_000000/sa_x.json", "sa_000000/notes.txt"):
        (root / name).write_text("")
    assert ids(opened(root)) == [1]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    assert "no images" in refusal(tmp_path)
    as_folder(tmp_path / "one", {1: pair(1)})
    assert "single image" in refusal(tmp_path / "one", part="train")
    assert ids(opened(tmp_path / "one")) == [1]
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "sa_images_ids.txt").write_text("\n")
    assert "no images" in refusal(tmp_path / "none", part="train")


def test_a_root_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "needs root" in refusal(None)
    assert str(tmp_path / "absent") in refusal(tmp_path / "absent")


def test_an_id_in_two_places_is_refused(tmp_path: Path) -> None:
    root = as_folder(tmp_path / "folders", {1: pair(1), 2: pair(2), 3: pair(3)}, into=2)
    as_folder(root / "sa_000001", {3: pair(3)})
    assert re.search(r"sa_3 is in .*sa_000000 and in .*sa_000001", refusal(root))
    root = as_authors(tmp_path / "authors", {1: pair(1), 2: pair(2)})
    (root / "sa_images_ids.txt").write_text("1\n2\n1\n")
    assert "1 is there twice" in refusal(root)


def test_two_layouts_at_once_are_refused(tmp_path: Path) -> None:
    as_tars(tmp_path, {1: pair(1)})
    as_folder(tmp_path / "sa_000000", {1: pair(1)})
    assert "1 tar files and 1 images that are unpacked" in refusal(tmp_path)


def test_a_list_of_ids_that_is_damaged_or_missing_is_named(tmp_path: Path) -> None:
    root = as_authors(tmp_path, {1: pair(1), 2: pair(2)})
    ids_file = root / "sa_images_ids.txt"
    for content in ("1\nsa_2\n", "1\n2.5\n", f"1\n{10**30}\n"):
        ids_file.write_text(content)
        assert str(ids_file) in refusal(root)
    ids_file.unlink()
    assert "no sa_images_ids.txt" in refusal(root)

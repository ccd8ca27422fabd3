"""Verifying data sets: each kind of problem is found, and it alone; real data has none but its own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.kinds import KINDS
from sambench.suites.data.checks.problems import EXAMPLES, FAULTS
from sambench.suites.data.checks.verify import verify
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.reading import Reading
from sambench.suites.data.sample import draw, load_sample
from sambench.suites.data.shapes import make_shapes

HEIGHT, WIDTH = 40, 60
X, Y, W, H = 5, 10, 20, 12
CORNERS = [X, Y, X + W, Y, X + W, Y + H, X, Y + H]


class Data:
    """Two images, each with one rectangle; a test breaks it in one place and looks at what is found."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "instances.json"
        self.images = [
            {"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH, "license": 1} for i in (1, 2)
        ]
        self.annotations = [
            {
                "id": 10 + i,
                "image_id": i,
                "category_id": i,
                "bbox": [X, Y, W, H],
                "area": float(W * H),
                "segmentation": [list(CORNERS)],
                "iscrowd": 0,
            }
            for i in (1, 2)
        ]
        self.categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        for i in (1, 2):
            pixels = np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.jpg")

    @property
    def first(self):
        return self.annotations[0]

    def content(self):
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}

    def verify(self, **options):
        self.file.write_text(json.dumps(self.content()))
        return verify(self.file, options.pop("images", self.folder), **options)

    def found(self, **options):
        return {p.name: p.count for p in self.verify(**options).problems}


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path)


def mask_of(left=X, top=Y, width=W, height=H, size=(HEIGHT, WIDTH)):
    mask = np.zeros(size, np.uint8, order="F")
    mask[top : top + height, left : left + width] = 1
    return mask


def compressed(mask):
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def rle_runs(mask):
    """Lengths of runs down the columns, the first of them outside."""
    flat = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(np.diff(np.concatenate([flat, [not flat[-1]]])))
    return [int(n) for n in np.diff(np.concatenate([[0], ends]))]


def floats(mask):
    """Runs and sizes as pandas writes whole numbers."""
    return {"size": [float(n) for n in mask.shape], "counts": [float(n) for n in rle_runs(mask)]}


def test_a_sound_data_set_is_clean(data):
    report = data.verify()
    assert report.problems == ()
    assert (report.images, report.annotations, report.categories, report.looked_at) == (2, 2, 2, 2)


def test_what_the_format_allows_is_clean(data):
    crowd = data.first | {"id": 20, "iscrowd": 1, "area": 9.0}
    crowd["segmentation"] = {
        "size": [HEIGHT, WIDTH],
        "counts": [HEIGHT * X, HEIGHT * W, HEIGHT * (WIDTH - X - W)],
    }
    crowd["bbox"] = [X, 0, W, HEIGHT]
    data.annotations += [crowd, data.first | {"id": 21, "segmentation": compressed(mask_of())}]
    del data.annotations[1]["iscrowd"]
    data.annotations = [a for a in data.annotations if a["image_id"] == 1]  # the second image stays, empty
    assert data.found() == {}


def change(**fields):
    return lambda data: data.first.update(fields)


def change_image(**fields):
    return lambda data: data.images[0].update(fields)


def drop(key):
    return lambda data: data.first.pop(key)


def cut_off(data):
    file = data.folder / "1.jpg"
    file.write_bytes(file.read_bytes()[:-300])


def no_masks(data):
    data.annotations = [data.first | {"segmentation": None}]


def outside(data):
    (data.folder.parent / f"{data.folder.name}.jpg").write_bytes(b"")
    data.images[0]["file_name"] = f"../{data.folder.name}.jpg"


def in_a_folder(name, file):
    def change(data):
        (data.folder / file).parent.mkdir(exist_ok=True)
        (data.folder / "1.jpg").rename(data.folder / file)
        data.images[0]["file_name"] = name

    return change


def turned(size, tag):
    def change(data):
        exif = Image.Exif()
        exif[0x0112] = tag
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(data.folder / "1.jpg", exif=exif)

    return change


def deep(data):
    noise = np.random.default_rng(0).integers(0, 4096, (HEIGHT, WIDTH), np.uint16)
    Image.fromarray(noise).save(data.folder / "1.png")
    data.images[0]["file_name"] = "1.png"


def centres(data):
    """Four objects an image, whose boxes as centre and size touch their masks."""
    data.annotations = []
    for i in range(8):
        x, y, w, h = 4 + 12 * (i % 4), 5 + i, 10, 20
        box = [x + w / 2, y + h / 2, w, h]
        polygon = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        data.annotations.append(
            {"id": i + 1, "image_id": 1 + i // 4, "category_id": 1, "bbox": box, "area": w * h}
            | {"segmentation": polygon}
        )


def as_pairs(first, second, **changes):
    def change(data):
        for image, phrase in zip(data.images, (first, second), strict=True):
            image["text_input"] = phrase
        data.images[1].update(changes)

    return change


def pair_without_a_mask(data):
    as_pairs("cat", "dog")(data)
    data.first["segmentation"] = None


def fractions(data):
    as_pairs("cat", "dog")(data)
    for one in data.annotations:
        one.update(bbox=[X / WIDTH, Y / HEIGHT, W / WIDTH, H / HEIGHT], area=W * H / FULL)


def blank(data):
    Image.new("RGB", (WIDTH, HEIGHT), 90).save(data.folder / "1.jpg")


def frames(data):
    noise = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
    first, second = map(Image.fromarray, noise)
    first.save(data.folder / "1.gif", save_all=True, append_images=[second])
    data.images[0]["file_name"] = "1.gif"


NAN = float("nan")
FULL = HEIGHT * WIDTH
BROKEN = {
    "images_are_none": ("nothing", lambda d: (d.images.clear(), d.annotations.clear())),
    "id_is_a_fraction": ("malformed", change(id=1.5)),
    "crowd_is_two": ("malformed", change(iscrowd=2)),
    "width_nan": ("not_a_number", change_image(width=NAN)),
    "box_is_a_mapping": ("box_form", change(bbox={"x": X, "y": Y, "width": W, "height": H})),
    "masks_are_none": ("no_masks", no_masks),
    "annotations_by_id": ("keyed", lambda d: setattr(d, "annotations", {a["id"]: a for a in d.annotations})),
    "image_in_another_folder": ("name_elsewhere", change_image(file_name="upload/1.jpg")),
    "image_above_its_folder": ("outside_image", outside),
    "image_with_a_backslash": ("name_slashes", in_a_folder("deep\\1.jpg", "deep/1.jpg")),
    "image_as_in_an_address": ("name_decoded", in_a_folder("a%20b.jpg", "a b.jpg")),
    "image_of_decomposed_letters": ("name_unicode", in_a_folder("u\u0308.jpg", "\u00fc.jpg")),
    "image_is_turned": ("turned", turned((HEIGHT, WIDTH), 6)),
    "image_of_16_bits": ("deep_pixels", deep),
    "image_of_two_frames": ("several_frames", frames),
    "image_is_blank": ("low_contrast", blank),
    "annotations_are_none": ("nothing_annotated", lambda d: d.annotations.clear()),
    "annotation_is_text": ("malformed", lambda d: d.annotations.append("x")),
    "image_is_null": ("malformed", lambda d: d.images.append(None)),
    "category_is_text": ("malformed", lambda d: d.categories.append("bird")),
    "image_id_is_text": ("id_form", change_image(id="1")),
    "category_id_is_text": ("id_form", lambda d: d.categories.append({"id": "3", "name": "bird"})),
    "annotation_id_is_text": ("id_form", change(id="11")),
    "annotation_id_is_true": ("malformed", change(id=True)),
    "category_of_annotation_is_float": ("id_form", change(category_id=1.0)),
    "image_of_annotation_is_text": ("id_form", change(image_id="1")),
    "crowd_is_null": ("crowd_form", change(iscrowd=None)),
    "box_of_three": ("box_unusable", change(bbox=[1, 2, 3])),
    "box_of_text": ("box_unusable", change(bbox=["5", "10", "20", "12"])),
    "box_missing": ("box_from_mask", drop("bbox")),
    "area_is_text": ("area_from_mask", change(area="240")),
    "area_missing": ("area_from_mask", drop("area")),
    "height_is_text": ("size_form", change_image(height="40")),
    "height_is_negative": ("malformed", change_image(height=-40)),
    "size_is_absurd": ("malformed", change_image(height=10**9, width=10**9)),
    "no_file_name": ("no_file_name", lambda d: d.images[0].pop("file_name")),
    "file_name_is_number": ("no_file_name", change_image(file_name=3)),
    "box_nan": ("box_unusable", change(bbox=[NAN, 10, 20, 12])),
    "area_infinite": ("area_from_mask", change(area=float("inf"))),
    "polygon_nan": ("not_a_number", change(segmentation=[[NAN, *CORNERS[1:]]])),
    "area_beyond_floats": ("area_from_mask", change(area=10**400)),
    "image_twice": ("duplicate_image_id", lambda d: d.images.append(d.images[0])),
    "annotation_twice": ("duplicate_annotation_id", lambda d: d.annotations.append(d.first)),
    "category_twice": ("duplicate_category_id", lambda d: d.categories.append({"id": 1, "name": "bird"})),
    "annotation_zero": ("annotation_id_zero", change(id=0)),
    "image_unknown": ("unknown_image", change(image_id=99)),
    "category_unknown": ("unknown_category", change(category_id=99)),
    "category_without_name": ("category_name", lambda d: d.categories[0].pop("name")),
    "category_with_empty_name": ("category_name", lambda d: d.categories[0].update(name=" ")),
    "category_name_twice": ("duplicate_category_name", lambda d: d.categories[1].update(name="cat")),
    "no_categories": ("no_categories", lambda d: d.categories.clear()),
    "image_missing": ("missing_image", lambda d: (d.folder / "1.jpg").unlink()),
    "image_cut_off": ("damaged_image", cut_off),
    "image_of_no_bytes": ("damaged_image", lambda d: (d.folder / "1.jpg").write_bytes(b"")),
    "image_is_text": ("damaged_image", lambda d: (d.folder / "1.jpg").write_text("not found")),
    "image_is_a_folder": ("missing_image", change_image(file_name=".")),
    "image_of_another_size": ("image_size", lambda d: Image.new("RGB", (70, 40)).save(d.folder / "1.jpg")),
    "image_turned_without_exif": ("image_size", lambda d: Image.new("L", (40, 60)).save(d.folder / "1.jpg")),
    "file_twice": ("duplicate_file", lambda d: d.images[1].update(file_name="1.jpg")),
    "phrases": ("fractions", fractions),
    "phrase_empty": ("no_phrase", as_pairs("cat", "")),
    "phrase_twice": ("pair_twice", as_pairs("cat", "cat", file_name="1.jpg")),
    "pair_without_a_mask": ("pair_no_mask", pair_without_a_mask),
    "pair_of_another_size": ("pair_size", as_pairs("cat", "dog", file_name="1.jpg", width=61)),
    "no_size": ("no_size", lambda d: d.images[0].pop("height")),
    "segmentation_missing": ("no_mask", drop("segmentation")),
    "segmentation_null": ("no_mask", change(segmentation=None)),
    "polygon_of_two_points": ("bad_polygon", change(segmentation=[[1, 2, 3, 4]])),
    "part_of_two_points": ("part_dropped", change(segmentation=[CORNERS, [1, 2, 3, 4]])),
    "polygon_of_odd_length": ("bad_polygon", change(segmentation=[CORNERS[:-1]])),
    "polygon_of_pairs": ("bad_polygon", change(segmentation=[[[1, 2], [3, 4], [5, 6]] * 2])),
    "polygon_flat": ("flat_polygon", change(segmentation=CORNERS)),
    "polygon_of_text": ("bad_polygon", change(segmentation=[[str(c) for c in CORNERS]])),
    "polygon_far_away": ("bad_polygon", change(segmentation=[[1e9, *CORNERS[1:]]])),
    "polygon_far_outside": ("bad_polygon", change(segmentation=[[2 * WIDTH + 1, *CORNERS[1:]]])),
    "polygon_beyond_floats": ("bad_polygon", change(segmentation=[[10**400, *CORNERS[1:]]])),
    "segmentation_is_text": ("damaged_rle", change(segmentation="mask.png")),
    "rle_without_counts": ("damaged_rle", change(segmentation={"size": [HEIGHT, WIDTH]})),
    "rle_of_null": ("damaged_rle", change(segmentation={"size": [HEIGHT, WIDTH], "counts": None})),
    "rle_too_short": ("damaged_rle", change(segmentation={"size": [HEIGHT, WIDTH], "counts": [5, 9]})),
    "rle_negative": ("damaged_rle", change(segmentation={"size": [HEIGHT, WIDTH], "counts": [-5, FULL + 5]})),
    "rle_of_fractions": (
        "damaged_rle",
        change(segmentation={"size": [HEIGHT, WIDTH], "counts": [1.5, 2398.5]}),
    ),
    "rle_of_floats": ("rle_numbers", change(segmentation=floats(mask_of()))),
    "rle_transposed": ("damaged_rle", change(segmentation=compressed(mask_of(size=(WIDTH, HEIGHT))))),
    "rle_cut_off": (
        "damaged_rle",
        change(segmentation={"size": [HEIGHT, WIDTH], "counts": compressed(mask_of())["counts"][:-3]}),
    ),
    "rle_not_ascii": ("damaged_rle", change(segmentation={"size": [HEIGHT, WIDTH], "counts": "é"})),
    "mask_of_no_polygon": ("no_mask", change(segmentation=[])),
    "mask_of_a_point": ("empty_mask", change(segmentation=[[6, 11] * 4], bbox=[6, 11, 1, 1])),
    "rle_of_nothing": ("empty_mask", change(segmentation={"size": [HEIGHT, WIDTH], "counts": [FULL]})),
    "shares_of_the_image": (
        "empty_mask",
        change(segmentation=[[0.1, 0.1, 0.4, 0.1, 0.4, 0.4]], bbox=[0.1, 0.1, 0.3, 0.3]),
    ),
    "polygon_outside": (
        "mask_outside",
        change(segmentation=[[45, Y, 65, Y, 65, Y + H, 45, Y + H]], bbox=[45, Y, 15, H]),
    ),
    "polygon_outside_with_its_box": (
        "mask_outside",
        change(segmentation=[[45, Y, 65, Y, 65, Y + H, 45, Y + H]], bbox=[45, Y, 16, H]),
    ),
    "polygon_partly_outside": ("mask_outside", change(segmentation=[[-9, 10, 25, 10, 25, 22, -9, 22]])),
    "crowd_of_polygons": ("crowd_polygon", change(iscrowd=1)),
    "box_of_corners": ("box_corners", change(bbox=[X, Y, X + W, Y + H])),
    "box_beside": ("box_elsewhere", change(bbox=[30, 2, 20, 12])),
    "boxes_of_centres": ("boxes_of_another_kind", centres),
    "box_shifted": ("box_mask", change(bbox=[20, 12, 20, 12])),
    "box_too_large": ("box_mask", change(bbox=[0, 0, 40, 36])),
    "box_of_no_width_around_a_line": (
        "thin_box",
        change(bbox=[X, Y, 0, H], segmentation=[[X, Y, X + 1, Y, X + 1, Y + H, X, Y + H]], area=H),
    ),
    "box_of_no_width": ("empty_box", change(bbox=[X, Y, 0, H])),
    "box_of_negative_height": ("empty_box", change(bbox=[X, Y, W, -H])),
    "box_outside": (
        "box_outside",
        change(bbox=[X, Y, 60, 15], segmentation=[[X, Y, 60, Y, 60, 25, X, 25]], area=825),
    ),
    "area_of_the_box": (
        "area",
        change(bbox=[0, 0, 40, 40], segmentation=[[0, 0, 40, 0, 0, 40]], area=1600.0),
    ),
    "area_negative": ("area_from_mask", change(area=-1.0)),
    "lvis_in_part": ("lvis_fields", change_image(neg_category_ids=[], not_exhaustive_category_ids=[]), 4),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_problem_is_found_and_it_alone(data, case):
    kind, breaking, *count = BROKEN[case]
    breaking(data)
    also = {
        "images_are_none": {"nothing_annotated": 1},
        "boxes_of_centres": {"box_mask": 8},
        "pair_without_a_mask": {"no_mask": 1},
    }.get(case, {})
    assert data.found() == {kind: count[0] if count else 1} | also


PICTURE_KINDS = (
    *("missing_mask", "ambiguous_mask", "unused_mask", "bad_mask", "mask_size", "mask_ids", "mask_colours"),
    *("mask_alpha", "mask_palette", "palette_255", "alpha_dropped", "smooth_mask", "lossy_mask", "no_object"),
)
ELSEWHERE = {
    "unreadable": "test_a_file_that_cannot_be_read_is_described_in_the_readers_words",
    **dict.fromkeys(("packed", "encoding", "lines"), "test_content"),
    **dict.fromkeys(("name_base", "ambiguous_name"), "test_locate, and below"),
    **dict.fromkeys(("turned_ambiguous", "turned_masks"), "below"),
    "large_image": "too large to be drawn here",
    **dict.fromkeys(PICTURE_KINDS, "tests of suites.data.pictures"),
}


def test_every_kind_is_broken_once_above():
    assert {case[0] for case in BROKEN.values()} | set(ELSEWHERE) == set(KINDS)


@pytest.mark.parametrize("case", sorted(set(BROKEN) - {"image_cut_off"}))  # which a header does not tell
def test_a_run_refuses_what_is_an_error_and_takes_the_rest(data, case):
    BROKEN[case][1](data)
    report = data.verify(thorough=False)
    try:
        dataset = CocoDataset(data.folder, data.file)
        entries = dataset.checked(dataset.entries)
        dataset.refuse()
    except SambenchError:
        assert report.errors
    else:
        assert not report.errors
        for sample in map(load_sample, entries):
            for target in sample.targets:
                assert all(map(math.isfinite, (*target.box, target.area)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'{"images": []}',
        b'{"a": "caf\xe9"}',
        None,
    ],
)
def test_a_file_that_cannot_be_read_is_described_in_the_readers_words(tmp_path, content):
    file = tmp_path / "a.json"
    if content is not None:
        file.write_bytes(content)
    (problem,) = verify(file, tmp_path).problems
    with pytest.raises(SambenchError) as refusal:
        CocoDataset(tmp_path, file)
    assert (problem.name, problem.examples) == ("unreadable", [str(refusal.value)])


def test_all_problems_are_found_at_once_and_errors_come_first(data):
    data.first.update(id=0, bbox=[1, 2, -3, 4], area=9999)
    data.annotations[1].update(segmentation=[[1, 2, 3, 4]], category_id=7)
    data.images[0]["file_name"] = "gone.jpg"
    report = data.verify()
    assert [p.name for p in report.problems] == [
        "missing_image", "bad_polygon", "empty_box", "annotation_id_zero", "unknown_category", "area",
    ]  # fmt: skip
    assert [p.name for p in report.errors] == [p.name for p in report.problems][:3]


def test_an_example_names_ids_and_values(data):
    data.first["area"] = 2000.0
    (problem,) = data.verify().problems
    assert problem.examples == ["annotation 11 of image 1: area is 2000, its mask has 240 pixels"]


def test_many_of_a_kind_are_counted_and_the_first_are_shown(data):
    data.annotations += [data.first | {"id": i, "image_id": 99} for i in range(100, 120)]
    (problem,) = data.verify().problems
    assert problem.count == 20
    assert len(problem.examples) == FAULTS
    assert len(problem.to_json()["examples"]) == EXAMPLES
    assert "annotation 100:" in problem.examples[0]


def test_without_a_folder_the_files_are_not_looked_at(data):
    (data.folder / "1.jpg").unlink()
    assert data.found(images=None) == {}


def test_a_missing_folder_is_one_problem_and_the_masks_are_looked_at(data):
    data.first["segmentation"] = []
    assert data.found(images=data.folder / "none") == {"missing_image": 1, "no_mask": 1}


def test_without_decoding_only_the_header_is_read(data):
    cut_off(data)
    assert data.found(thorough=False) == {}
    Image.new("RGB", (70, 40)).save(data.folder / "1.jpg")
    assert data.found(thorough=False) == {"image_size": 1}


@pytest.mark.parametrize("tag", [2, 3, 4])
def test_a_size_that_fits_both_ways_is_warned_of(data, tag):
    turned((WIDTH, HEIGHT), tag)(data)
    assert data.found() == {"turned": 1, "turned_ambiguous": 1}


def test_masks_that_fit_the_turned_image_alone_are_refused_though_the_stored_size_is_stated(data):
    turned((HEIGHT, WIDTH), 6)(data)
    data.images[0].update(height=WIDTH, width=HEIGHT)
    assert data.found() == {"turned": 1}  # the rectangle fits both ways
    data.first.update(segmentation=[[30, 10, 55, 10, 55, 22, 30, 22]], bbox=[30, 10, 25, 12], area=300)
    assert data.found() == {"turned": 1, "turned_masks": 1, "mask_outside": 1, "box_outside": 1, "area": 1}


def test_boxes_that_are_no_prompts_may_lie_anywhere(data):
    data.first["bbox"] = [30, 2, 20, 12]
    data.file.write_text(json.dumps(data.content()))
    for tolerated in (
        Reading().tolerated("scored"),
        Reading(box_source="as_given").tolerated("prompts"),
    ):
        dataset = CocoDataset(data.folder, data.file, tolerated=tolerated)
        (first, _) = dataset.checked(dataset.entries)
        dataset.refuse()
        assert first.annotations[0].bbox == (30, 2, 20, 12)
        assert dataset.problems.counts("warning") == {"box_elsewhere": 1}
    dataset = CocoDataset(data.folder, data.file, tolerated=Reading().tolerated("prompts"))
    dataset.checked(dataset.entries)
    with pytest.raises(SambenchError, match="box does not touch its mask"):
        dataset.refuse()


def test_by_their_last_part_names_are_found(data):
    data.images[0]["file_name"] = "C:\\photos\\1.jpg"
    assert data.found(match="basename") == {"name_base": 1}


def test_masks_of_an_image_without_a_stated_size_are_held_against_its_file(data):
    del data.images[0]["width"]
    data.first.update(segmentation=[[45, Y, 65, Y, 65, Y + H, 45, Y + H]], bbox=[45, Y, 15, H])
    assert data.found() == {"no_size": 1, "mask_outside": 1}
    assert data.found(images=None) == {"no_size": 1}


def test_a_limit_looks_at_the_images_that_a_run_takes(data):
    data.images = [data.images[0] | {"id": i, "file_name": f"{i}.png"} for i in range(30, 0, -1)]
    data.annotations.clear()
    report = data.verify(limit=4, seed=3)
    entries = CocoDataset(data.folder, data.file, lenient=True).entries
    missing = next(p for p in report.problems if p.name == "missing_image")
    assert report.looked_at == 4
    assert missing.examples == [f"image {e.record.id}: {e.file}" for e in draw(entries, 4, 3)]


def test_progress_is_told_image_by_image(data):
    told = []
    data.verify(on_image=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_lvis_is_recognised_or_asked_for_or_left_out(data):
    assert data.found(lvis=True) == {"lvis_fields": 6}  # two lists of two images, two categories
    for image in data.images:
        image.update(neg_category_ids=[2], not_exhaustive_category_ids=[])
    for category in data.categories:
        category["frequency"] = "f"
    assert data.found() == {}
    data.categories[0]["frequency"] = "often"
    data.images[0]["neg_category_ids"] = [2, 77]
    assert data.found() == {"lvis_fields": 1, "unknown_category": 1}
    assert data.found(lvis=False) == {"unknown_category": 1}


@pytest.mark.parametrize("files", ["coco_mini", "coco_mini_train", "lvis_mini"])
def test_real_data_is_clean(files, request):
    images, annotations = request.getfixturevalue(files)
    report = verify(annotations, images)
    assert report.problems == ()
    assert report.looked_at == report.images > 50


def test_coco_of_2014_is_clean_without_its_images(data_root):
    report = verify(data_root / "cocoapi-oracle" / "instances_val2014_100.json")
    assert (report.problems, report.annotations) == ((), 839)


def test_the_drawn_data_is_clean(tmp_path):
    make_shapes(tmp_path / "shapes", 6)
    for file in sorted((tmp_path / "shapes" / "annotations").glob("*.json")):
        assert verify(file, tmp_path / "shapes" / "images").problems == ()


def test_every_data_set_that_counts_from_0_as_roboflow_does_has_that_alone(data_root):
    files = sorted(data_root.glob("sginw-mini/seginw/*/*/_annotations_min1cat.coco.json"))
    assert len(files) == 12
    for file in files:
        assert {p.name: p.count for p in verify(file, file.parent).problems} == {"annotation_id_zero": 1}


def test_boxes_of_turned_images_in_lvis_0_5_are_found(data_root):
    file = data_root / "lvis-mini" / "annotations" / "lvis_v0.5_val_100_full_annotations_only.json"
    assert {p.name: p.count for p in verify(file).problems} == {"box_elsewhere": 10, "box_mask": 3}
    oracle = {a["id"]: a for a in json.loads(file.read_text())["annotations"]}
    x = oracle[448]["bbox"][0]
    corners = np.concatenate([np.reshape(p, (-1, 2)) for p in oracle[448]["segmentation"]])
    assert corners[:, 0].max() < x  # the polygon lies wholly to the left of its box

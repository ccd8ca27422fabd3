"""``sambench show``: the picture, what stands in it, and what a user may get wrong."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from command import call
from PIL import Image

from sambench.adapters import registry
from sambench.evsam.errors import SambenchError
from sambench.reports import pictures
from sambench.reports.pictures import Cell, Row, distinct_colors, draw, paint

WIDTH, HEIGHT = 120, 80
NO_POINTS = """
from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Box

class BoxAlone(Box):
    capabilities = Capabilities(points=False)
"""


@pytest.fixture
def photo(tmp_path):
    """A dark image with a bright rectangle."""
    pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    pixels[20:60, 30:90] = (200, 180, 60)
    file = tmp_path / "photo.png"
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def drawn(monkeypatch):
    """The rows of every picture that is drawn."""
    seen = []

    def spy(image, rows):
        seen.append(rows)
        return draw(image, rows)

    monkeypatch.setattr(pictures, "draw", spy)
    return seen


def show(photo, *more, models="box", out=None):
    return call(
        "show",
        photo,
        "--models",
        models,
        "--points-per-side",
        2,
        "--out",
        out or photo.with_name("o.png"),
        *more,
    )


@pytest.mark.slow
def test_a_picture_has_a_row_a_model_and_a_column_a_mode(photo, drawn):
    done = show(
        photo, "--weights", "efficientvit_sam_l0=random", models="grabcut,efficientvit_sam_l0,ellipse"
    )
    assert done.code == 0, done.err
    assert done.out.strip() == str(photo.with_name("o.png"))
    assert "efficientvit_sam_l0: everything, 4 clicks" in done.err
    with Image.open(photo.with_name("o.png")) as picture:
        assert picture.format == "PNG"
        assert picture.width > 3 * 400
    (rows,) = drawn
    labels = [row.label.splitlines() for row in rows]
    assert [lines[0] for lines in labels] == [
        "GrabCut (baseline)",
        "EfficientViT-SAM-L0",
        "Ellipse (baseline)",
    ]
    assert [lines[1:-1] for lines in labels] == [[], ["random weights"], []]
    for row in rows:
        assert [cell.title.partition(":")[0] for cell in row.cells] == ["point", "box", "everything"]
        for cell in row.cells[:2]:
            assert len(cell.masks) == 1
            assert cell.masks[0].shape == (HEIGHT, WIDTH)


def test_the_prompts_are_those_asked_for(photo, drawn):
    assert show(photo, "--mode", "box,point", "--point", "5,70.5", "--box", "30,20,90,60").code == 0
    ((row,),) = drawn
    box, point = row.cells
    assert (box.box, box.point) == ((30, 20, 90, 60), None)
    assert (point.box, point.point) == (None, (5, 70.5))
    assert np.argwhere(box.masks[0]).min(axis=0).tolist() == [20, 30]
    assert box.masks[0].sum() == 60 * 40
    assert point.masks[0][70, 5]
    assert not point.masks[0][20, 60]


def test_without_prompts_the_centre_is_asked(photo, drawn):
    assert show(photo, "--mode", "point,box").code == 0
    ((row,),) = drawn
    assert row.cells[0].point == (60, 40)
    assert row.cells[1].box == pytest.approx((24, 16, 96, 64))


def test_a_phones_photo_is_turned_as_viewers_do_and_points_are_in_what_they_show(photo, drawn):
    """Lying on its side in the file; a viewer shows it 80 wide and 120 high."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.asarray(Image.open(photo))).save(photo, exif=exif)
    assert show(photo, "--mode", "box,point", "--point", "5,110", "--box", "20,30,60,90").code == 0
    ((row,),) = drawn
    mask = row.cells[0].masks[0]
    assert mask.shape == (WIDTH, HEIGHT)
    assert mask[30:90, 20:60].all()
    assert mask.sum() == 60 * 40
    assert row.cells[1].masks[0][110, 5]
    assert "80 x 120 pixels" in show(photo, "--mode", "point", "--point", "110,5").err


@pytest.mark.slow
def test_of_three_masks_the_one_of_the_highest_predicted_iou_is_shown(photo, drawn):
    show(photo, "--mode", "point", "--weights", "efficientvit_sam_l0=random", models="efficientvit_sam_l0")
    ((row,),) = drawn
    import torch

    from sambench.adapters import create
    from sambench.adapters.base import Prompts

    segmenter = create("efficientvit_sam_l0", weights="random")
    (embedding,) = segmenter.encode([np.asarray(Image.open(photo))])
    prompts = Prompts(points=torch.tensor([[[60.0, 40.0]]]), labels=torch.ones(1, 1))
    three = segmenter.decode(embedding, prompts)
    best = int(three.iou[0].argmax())
    mask = segmenter.upsample(three.logits[0], (HEIGHT, WIDTH))[best] > 0
    assert (row.cells[0].masks[0] == mask.numpy()).all()
    assert f"predicted IoU {three.iou[0, best]:.2f}" in row.cells[0].title


def test_what_a_model_cannot_do_is_said_in_its_place(photo, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_added", {})
    (tmp_path / "mine.py").write_text(NO_POINTS)
    registry.add(f"{tmp_path / 'mine.py'}:BoxAlone")
    done = show(photo, models="BoxAlone")
    assert done.code == 0, done.err
    ((row,),) = drawn
    assert [cell.note for cell in row.cells] == ["n/a: it takes no points", "", "n/a: it takes no points"]


def test_the_count_of_masks_is_told(photo, drawn, monkeypatch):
    from sambench.suites.everything import generator

    loose = generator.GeneratorSettings(points_per_side=2, stability_score_thresh=0)
    monkeypatch.setattr(generator, "GeneratorSettings", lambda **_: loose)
    show(photo, "--mode", "everything")
    ((row,),) = drawn
    assert row.cells[0].title.startswith("everything: 4 masks, ")
    assert len(row.cells[0].masks) == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--point", "120,3"], "--point 120,3: outside of the image, which is 120 x 80 pixels"),
        (["--point", "-1,3"], "outside of the image"),
        (["--point", "3"], "--point 3: say X,Y"),
        (["--point", "a,b"], "say X,Y"),
        (["--point", "nan,3"], "say X,Y"),
        (["--box", "30,20,30,60"], "--box 30,20,30,60: has no area"),
        (["--box", "30,20,10,60"], "has no area"),
        (["--box", "30,20,121,60"], "reaches out of the image, which is 120 x 80"),
        (["--box", "1,2,3"], "say X0,Y0,X1,Y1"),
        (["--mode", "evrything"], "Did you mean 'everything'?"),
        (["--mode", ","], "--mode ',': names nothing"),
        (["--weights", "x.pt"], "box has no parameters"),
        (["--weights", "elipse=random"], "weights for 'elipse', which is not among the models"),
        (["--weights", "box=random"], "box has no parameters"),
        (["--device", "abacus"], "no device 'abacus'"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_a_user_gets_wrong_is_said(photo, more, said):
    done = show(photo, *more)
    assert done.code == 2
    assert said in done.err
    assert not photo.with_name("o.png").exists()


def test_unknown_models_and_missing_weights_are_said_before_anything_runs(photo):
    assert "Did you mean 'ellipse'?" in show(photo, models="box,elipse").err
    missing = show(photo, "--weights", "sam_vit_b=/nowhere.pt", models="box,sam_vit_b")
    assert "no checkpoint at /nowhere.pt" in missing.err
    assert "everything" not in missing.err


def test_files_that_cannot_be_read_or_written_are_said(photo, tmp_path):
    assert "no such image" in show(tmp_path / "none.png").err
    (tmp_path / "text.png").write_text("hello")
    assert "not an image" in show(tmp_path / "text.png").err
    assert "ends in .png" in show(photo, out=tmp_path / "o.jpg").err
    (tmp_path / "file").write_text("")
    assert "cannot be written" in show(photo, "--mode", "box", out=tmp_path / "file" / "o.png").err


def test_the_help_teaches_by_an_example_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom sambench.harness.cli import main\nsys.argv = ['sambench', 'show', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'cv2', 'matplotlib') if m in sys.modules])"
    )
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "sambench show street.jpg --models" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mask_tints_its_pixels_and_outlines_them():
    image = np.full((40, 40, 3), 100, np.uint8)
    large, small = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    large[5:35, 5:35] = True
    small[15:25, 15:25] = True
    for masks, colors in (([large, small], [(1, 0, 0), (0, 0, 1)]), ([small, large], [(0, 0, 1), (1, 0, 0)])):
        painted = paint(image, masks, colors)
        assert painted[0, 0].tolist() == [100, 100, 100]
        assert painted[10, 10].tolist() == [177, 50, 50]
        assert painted[20, 20].tolist() == [50, 50, 177]
        assert painted[5, 20].tolist() == [255, 153, 153]
        assert painted[15, 20].tolist() == [153, 153, 255]
    assert (image == 100).all()


def test_a_mask_that_fills_the_image_has_no_outline():
    painted = paint(np.full((9, 9, 3), 100, np.uint8), [np.ones((9, 9), bool)], [(1, 0, 0)])
    assert (painted == [177, 50, 50]).all()


def test_colours_are_apart_and_always_the_same():
    colors = distinct_colors(50)
    assert len(set(colors)) == 50
    assert colors == distinct_colors(50)
    assert distinct_colors(0) == []


@pytest.mark.parametrize("size", [(30, 40), (1250, 2501)])
def test_the_same_masks_give_the_same_picture_at_any_size(size):
    mask = np.zeros(size, bool)
    mask[:10, :10] = True
    rows = [
        Row(
            "m $x$",
            (
                Cell("box", [mask], box=(1, 1, 9, 9)),
                Cell("none", note="n/a: $"),
            ),
        )
    ]
    image = np.zeros((*size, 3), np.uint8)
    first = draw(image, rows)
    assert first == draw(image, rows)
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.width < 2000


def test_without_matplotlib_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[report\]'"):
        draw(np.zeros((4, 4, 3), np.uint8), [Row("a", (Cell("b"),))])

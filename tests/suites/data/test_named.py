"""Files that name data sets: those of masks as pictures, the ones that come along among them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sambench.evsam.errors import SambenchError
from sambench.suites.data.named import find, known, read
from sambench.suites.data.pictures.settings import Masks

FOLDERS = {
    "grabcut": ("GRABCUT", "data_GT", "boundary_GT", "binary", (128,)),
    "berkeley": ("BERKELEY", "images", "masks", "binary", (128,)),
    "davis": ("DAVIS", "img", "gt", "binary", ()),
    "sbd": ("SBD", "val/img", "val/inst", "values", ()),
    "hqseg_dis": ("HQSEG", "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt", "binary", ()),
    "hqseg_coift": (
        "HQSEG",
        "thin_object_detection/COIFT/images",
        "thin_object_detection/COIFT/masks",
        "binary",
        (),
    ),
    "hqseg_hrsod": (
        "HQSEG",
        "thin_object_detection/HRSOD/images",
        "thin_object_detection/HRSOD/masks_max255",
        "binary",
        (),
    ),
    "hqseg_thin": (
        "HQSEG",
        "thin_object_detection/ThinObject5K/images_test",
        "thin_object_detection/ThinObject5K/masks_test",
        "binary",
        (),
    ),
}
"""As RITM's loaders and HQ-SAM's train.py have them: folders, and which value they call neither."""


@pytest.mark.parametrize("name", FOLDERS)
def test_sets_of_the_field_lie_where_they_unpack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, images, masks, ids, void = FOLDERS[name]
    monkeypatch.setenv(variable, "/data/here")
    file = find(name)
    assert file.paths() == (Path("/data/here") / images, Path("/data/here") / masks)
    assert file.pictures() == Masks(Path("/data/here") / masks, ids, void)  # type: ignore[arg-type]
    assert "http" in file.note
    assert f"${variable}" in file.note


def test_every_set_with_masks_is_named_here() -> None:
    assert set(FOLDERS) == {name for name in known() if find(name).masks}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"masks": None}, "has no annotations, nor masks"),
        ({"annotations": "a.json"}, "annotations and masks"),
        ({"void": ["x"]}, r"void is \['x'\]"),
        ({"mask_ids": "colour"}, "mask_ids is 'colour'"),
        ({"components": 1}, "components is 1"),
        ({"mask_id": "rgb"}, "no key 'mask_id'. Did you mean 'mask_ids'"),
    ],
)
def test_what_is_wrong_is_said_as_the_file_is_read(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    content = {"name": "mine", "images": "i", "masks": "$NOT_SET/m"} | change
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(SambenchError, match=said):
        read(file)

"""What masks mean is told from all files, or not at all."""

import cv2
import numpy as np
import pytest
from mask_pictures import ids, palette, save
from PIL import Image

from sambench.suites.data.pictures.telling import tell

IDS = ids()
BINARY = (IDS > 0).astype(np.uint8)
CITY = np.choose(IDS, [7, 26001, 26002, 24001]).astype(np.uint16)
"""As Cityscapes' instanceIds: a class for the background, class times 1000 and a number for objects."""
SMOOTH = cv2.GaussianBlur(BINARY * 255, (5, 5), 1)


def written(root, pictures):
    endings = [".jpg" if isinstance(p, tuple) else ".png" for p in pictures]
    return [
        save(root / f"{n}{ending}", p[0] if isinstance(p, tuple) else p)
        for n, (p, ending) in enumerate(zip(pictures, endings, strict=True))
    ]


@pytest.mark.parametrize(
    ("pictures", "void", "ids_"),
    [
        ([BINARY.astype(bool)], None, "binary"),
        ([BINARY * 255, BINARY * 0], None, "binary"),
        ([BINARY, BINARY * 255, BINARY * 128], None, "binary"),
        ([np.stack([BINARY * 255] * 3, axis=2)], None, "binary"),
        ([palette(BINARY), palette(BINARY * 0)], None, "binary"),
        ([palette(BINARY * 255)], None, "binary"),
        ([np.where(IDS == 2, 128, BINARY * 255).astype(np.uint8)], (128,), "binary"),
        ([palette(IDS), palette(BINARY)], None, "values"),
        ([palette(np.where(IDS == 2, 255, IDS))], (255,), "values"),
        ([palette(np.where(IDS == 2, 255, IDS))], (), "values"),
        ([IDS, BINARY], None, "values"),
        ([np.where(IDS == 3, 255, IDS)], (255,), "values"),
        ([IDS], (2,), "values"),
        ([IDS.astype(np.uint16) * 1001], None, "values"),
        ([CITY], (7,), "values"),
    ],
)
def test_where_it_is_certain(tmp_path, pictures, void, ids_):
    assert tell(written(tmp_path, pictures), void) == ids_


@pytest.mark.parametrize(
    ("pictures", "void", "said"),
    [
        ([SMOOTH, BINARY], None, "2 of 8-bit grey; values above 0:"),
        ([IDS * 40], None, "values above 0: 40, 80, 120, more than one in 1 of 1 files"),
        ([IDS, np.where(IDS == 2, 255, IDS)], None, "values above 0: 1, 2, 3, 255"),
        ([palette(np.where(IDS == 2, 255, IDS))], None, "palettes have index 255, which VOC calls void"),
        ([palette(BINARY), palette(BINARY * 255)], None, "palettes have index 255"),
        ([np.dstack([IDS, IDS, BINARY])], None, "Seen: 1 of RGB"),
        ([BINARY * 255, np.dstack([IDS, IDS, BINARY])], (), "1 of 8-bit grey, 1 of RGB; values"),
        ([palette(IDS), IDS], None, "several kinds"),
        ([IDS.astype(np.uint16) * 21_845], None, "what smoothing left"),
        ([(BINARY * 255,)], None, "JPEGs"),
        ([CITY], None, "those up to 255 may be classes beside the ids of objects. Seen: 1 of deep grey"),
        ([np.where(CITY > 7, CITY, 0), np.where(CITY < 8, CITY, CITY // 1000)], None, "may be classes"),
    ],
)
def test_where_it_is_not_all_that_was_seen_is_said(tmp_path, pictures, void, said):
    ((kind, message),) = tell(written(tmp_path, pictures), void)
    assert kind == "mask_ids"
    assert said in message
    assert "np." not in message


def test_masks_that_cannot_be_read_are_named_each_for_its_own_reason(tmp_path):
    grey = np.full_like(IDS, 255)
    alpha = [np.dstack([grey, BINARY * 255]), np.dstack([grey] * 3 + [BINARY * 255])]
    files = written(tmp_path, alpha)
    assert [Image.open(file).mode for file in files] == ["LA", "RGBA"]
    files.append(tmp_path / "page.png")
    files[-1].write_bytes(b"<html>")
    found = tell(files, None)
    assert [kind for kind, _ in found] == ["mask_alpha", "mask_alpha", "bad_mask"]
    assert all(str(file) in example for file, (_, example) in zip(files, found, strict=True))
    (tmp_path / "of").mkdir()
    doubtful = written(tmp_path / "of", [IDS * 40])
    assert [kind for kind, _ in tell(files + doubtful, None)] == ["mask_ids", *(kind for kind, _ in found)]
    plain = written(tmp_path / "of", [BINARY])
    assert tell(files + plain, None) == "binary"  # where these are used they are refused

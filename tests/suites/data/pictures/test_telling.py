"""What masks mean is told from all files, or not at all."""

import cv2
import numpy as np
import pytest
from mask_pictures import ids, palette, save

from sambench.suites.data.pictures.telling import tell
from sambench.suites.data.pictures.values import MaskError

IDS = ids()
BINARY = (IDS > 0).astype(np.uint8)
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
    ],
)
def test_where_it_is_not_all_that_was_seen_is_said(tmp_path, pictures, void, said):
    with pytest.raises(MaskError) as caught:
        tell(written(tmp_path, pictures), void)
    kind, message = caught.value.finding
    assert kind == "mask_ids"
    assert said in message
    assert "np." not in message

"""The digest over images, spelled out."""

import hashlib

from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.fingerprints import images_sha256


def test_it_is_over_ids_names_and_contents_in_the_order_of_the_images(coco_mini):
    entries = CocoDataset(*coco_mini).entries[:7]
    lines = [
        f"{e.record.id} {e.record.file_name} {hashlib.sha256(e.file.read_bytes()).hexdigest()}\n"
        for e in entries
    ]
    assert images_sha256(entries) == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert images_sha256(entries[::-1]) != images_sha256(entries)
    assert images_sha256([]) == hashlib.sha256().hexdigest()

"""What is changed in a file of detections to read it, and what can be wrong with its entries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A kind of change, which is counted."""

    what: str
    remedy: str


CHANGES = {
    "packed": Change("the file is packed by gzip", "It was unpacked."),
    "encoding": Change("the text is not plain UTF-8", "It was converted."),
    "lines": Change("JSON in lines", "They were put together."),
    "wrapped": Change("the list lies within an object", "It was taken out."),
    "keyed": Change("a list for each image", "Each was given its image."),
    "ids_as_text": Change(
        "an id as text or with a fraction", "It was taken for the whole number that it says."
    ),
    "by_file_name": Change("an image by its file's name", "It was given the image's id."),
    "by_category_name": Change("a category by its name", "It was given the category's id."),
    "own_ids": Change(
        "a file that numbers images or categories by itself", "They were matched by file and name."
    ),
}
"""Counted under their names, ``detections_`` before them, in a result's counts. The first five are 1, or the
number of lists; the others are numbers of ids."""


@dataclass(frozen=True)
class Fault:
    """A kind of entry that cannot be read."""

    what: str
    remedy: str


FAULTS = {
    "no_detection": Fault(
        "is not a detection with image_id, category_id, bbox, score", "Write an object for each box."
    ),
    "whole_image": Fault(
        "has the boxes of a whole image, as torchvision returns them",
        "Write an entry for each box: corners x0, y0, x1, y1 become [x0, y0, x1 - x0, y1 - y0].",
    ),
    "missing": Fault("has no", "Every detection needs image_id, category_id, bbox, score."),
    "not_finite": Fault("not finite", "Remove the detection or mend the detector."),
    "id": Fault("no id", "Ids are the whole numbers of the annotation file, or an image's file name."),
    "bbox": Fault("not four numbers", "bbox is [x, y, width, height] in pixels."),
    "score": Fault("not a number", "Write the score as a plain number, such as 0.9."),
    "negative": Fault(
        "of negative width or height",
        "COCO's boxes are [x, y, width, height]; were corners written as x1, y1?",
    ),
    "huge": Fault("a thousand million pixels away", "Remove the detection or mend the detector."),
    "two_images": Fault(
        "fits two images",
        "Write the images' ids as the annotation file has them, or their whole file names, "
        'such as "000139.jpg".',
    ),
    "not_own": Fault(
        "which its own list lacks, while that list numbers otherwise than the annotations",
        "List it with its name, or remove the list if ids are the annotations'.",
    ),
    "two_categories": Fault("fits two categories", "Write the categories' ids."),
    "no_category": Fault(
        "is not a category of the annotation file, by id or by name",
        "Are the boxes of another data set, or numbered otherwise (COCO's ids run to 90)?",
    ),
}

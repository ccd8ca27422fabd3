"""What can be odd about a data set: each kind with how bad it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "mended"]


@dataclass(frozen=True)
class Kind:
    """A kind of problem."""

    severity: Severity
    """``error``: a run would fail, or some of its numbers would be false. ``warning``: worth knowing.
    ``mended``: read as it was meant, and counted."""
    what: str
    remedy: str


def _error(what: str, remedy: str) -> Kind:
    return Kind("error", what, remedy)


def _warning(what: str, remedy: str) -> Kind:
    return Kind("warning", what, remedy)


def _mended(what: str, remedy: str) -> Kind:
    return Kind("mended", what, remedy)


FROM_MASKS = (
    "Boxes are taken from the masks with 'box_source: mask' in the protocol, or for good with "
    "'sambench data verify --fix'."
)

KINDS: dict[str, Kind] = {
    # the file
    "packed": _mended("the file is packed by gzip", "It was unpacked; COCO's own tools do not."),
    "encoding": _mended("the text is not plain UTF-8", "It was converted; look at names that are not ASCII."),
    "lines": _mended("JSON in lines", "They were put together."),
    "keyed": _mended("a mapping where a list belongs", "Its values were taken, in their order."),
    "unreadable": _error("the annotation file cannot be read", "Get or export the file again."),
    "nothing": _error("there is no image", "Is it the right file, and the export complete?"),
    "nothing_annotated": _warning(
        "there is no object to score", "Is it the right file, and the export complete?"
    ),
    "malformed": _error(
        "a field is missing or of the wrong type", "Export again, or write the value as COCO's format has it."
    ),
    "not_a_number": _error(
        "NaN or infinity, where a number is needed",
        "Mend what wrote them, or remove these entries.",
    ),
    "id_form": _mended(
        "an id is a text or has a decimal point", "The whole number was taken that it is meant as."
    ),
    "size_form": _mended(
        "a height or width is a text or has a decimal point",
        "The whole number was taken that it is meant as.",
    ),
    "crowd_form": _mended("iscrowd is not written as 0 or 1", "false and null were taken as 0, true as 1."),
    "box_form": _mended("a bbox is a mapping", "Its x, y, width and height were taken."),
    "box_from_mask": _mended("an annotation has no bbox", "The box around its mask was taken."),
    "area_from_mask": _mended(
        "an area is missing or no number from 0", "The number of pixels of the mask was taken."
    ),
    # ids
    "duplicate_image_id": _error("an image id is there twice", "Number the images anew."),
    "duplicate_annotation_id": _error("an annotation id is there twice", "Number the annotations anew."),
    "duplicate_category_id": _error(
        "a category id is there twice", "Number the categories anew; only the last of an id would be kept."
    ),
    "annotation_id_zero": _warning(
        "an annotation has the id 0",
        "Add 1 to every annotation id: COCOeval notes matches by id and takes 0 for 'no match', so that a "
        "perfect mask counts as missed. The protocol 'strict' numbers anew, 'paper' does not.",
    ),
    "unknown_image": _error(
        "an image_id that the file does not list", "Add the image, or remove its annotations."
    ),
    "unknown_category": _warning(
        "a category that the file does not list",
        "Add the category, or remove its annotations: AP passes over them, as COCOeval does.",
    ),
    # categories
    "category_name": _mended(
        "a category's name is missing or no text", "It goes by what there is, or its id."
    ),
    "duplicate_category_name": _warning(
        "two categories have one name", "Merge them if they mean the same; by class they stay apart."
    ),
    "no_categories": _warning(
        "the file has no categories", "Good enough for boxes and clicks; detections need them."
    ),
    "lvis_fields": _warning(
        "fields of LVIS are missing",
        "LVIS's AP needs neg_category_ids and not_exhaustive_category_ids of images, frequency (r, c or f) "
        "of categories. Boxes and clicks do without.",
    ),
    # pairs of an image and a phrase
    "fractions": _mended("boxes are fractions of their image", "They were multiplied by its size."),
    "no_phrase": _error("a pair without a phrase", "Write what is asked, as a text, into text_input."),
    "pair_twice": _warning("an image is asked one phrase twice", "Each counts by itself."),
    "pair_no_mask": _error(
        "an object of a pair has no mask, without which nothing can be matched with it",
        "Give it a segmentation, or set is_instance_exhaustive of its pair to 0 and remove it.",
    ),
    "pair_size": _error("pairs of one file state two sizes", "Write the image's size into each."),
    # image files
    "name_slashes": _mended("a file name with backslashes", "They were read as slashes."),
    "name_decoded": _mended("a file name is written as in an address", "It was decoded (%20 is a space)."),
    "name_unicode": _mended(
        "a file name has other Unicode forms than the file",
        "The same letters, written otherwise, were taken.",
    ),
    "name_base": _mended("a file name has folders that are not there", "Its last part was taken, as asked."),
    "name_elsewhere": _error(
        "an image is in the folder, but not under the folders of its name",
        "With '--match basename' images are found by the last part of their names alone.",
    ),
    "ambiguous_name": _error(
        "two files have the last part of an image's name",
        "Give --images the folder that the names begin in, without '--match basename'.",
    ),
    "outside_image": _error(
        "a file name leads out of the image folder", "Give --images the folder above all images."
    ),
    "turned": _mended(
        "an image is stored turned, and says so",
        "It was taken as the annotations' size says, or as the protocol's axis 'orientation' does.",
    ),
    "turned_ambiguous": _warning(
        "the annotations' size fits an image as stored and as its EXIF orientation turns it",
        "It was turned, as annotation tools and viewers show it. Were they drawn on the stored pixels? Then "
        "'orientation: stored' in the protocol.",
    ),
    "turned_masks": _error(
        "masks fit an image as it is shown, and not the size that is stated, which is of the stored pixels",
        "Some tools state the stored size beside annotations of the turned image: 'orientation: exif' in the "
        "protocol takes it as it is shown.",
    ),
    "deep_pixels": _mended(
        "an image has more than 8 bits a channel",
        "It was scaled by the range of its own values (docs/data.md).",
    ),
    "several_frames": _warning("an image file has several frames or pages", "The first was taken."),
    "large_image": _warning("a very large image", "Mind the memory; a model's masks come to as much again."),
    "low_contrast": _warning(
        "an image has hardly any contrast", "Is it black, blank, or of a range that was not scaled?"
    ),
    "no_file_name": _error("an image names no file", "Write its name, as a text, into file_name."),
    "missing_image": _error(
        "an image file is missing",
        "Is --images the folder that the file names begin in? For LVIS it lies above train2017 and val2017.",
    ),
    "damaged_image": _error("an image file cannot be read", "Each line says why, and what helps."),
    "image_size": _error(
        "an image's size is not what the annotations say",
        "Use the images that were annotated: resized ones do not fit their masks.",
    ),
    "duplicate_file": _warning(
        "two images have one file", "Merge their annotations, unless it is meant so: each counts by itself."
    ),
    "no_size": _warning(
        "an image without height and width", "They are seen from its file; COCO's own tools fail."
    ),
    # masks
    "no_mask": _warning(
        "an annotation without a mask",
        "It is left out of every result, and counted: a box alone has no mask to compare with.",
    ),
    "no_masks": _error(
        "no annotation has a mask",
        "There is nothing to compare masks with. Boxes alone are good for 'sambench throughput' (prompts) "
        "and 'sambench detect' (categories); to measure masks, annotate them.",
    ),
    "bad_polygon": _error(
        "a polygon that cannot be drawn",
        "It needs x and y of three points or more in one list, in pixels of its image.",
    ),
    "flat_polygon": _mended(
        "a polygon that is no list of polygons", "It was taken as one, as VIA writes it; COCO's tools fail."
    ),
    "part_dropped": _mended(
        "parts of fewer than three points",
        "They were dropped: pycocotools draws no pixel of them, or fails where one comes first.",
    ),
    "rle_numbers": _mended(
        "whole numbers of an RLE written as 7.0", "They were read as 7, as pycocotools does."
    ),
    "damaged_rle": _error(
        "an RLE that does not decode, or not to the image's size",
        "Encode the mask again; size is [height, width], and the runs go down the columns.",
    ),
    "empty_mask": _warning(
        "a mask without a pixel",
        "It is left out of the results under the protocol 'strict'. If there are many: are the coordinates "
        "in pixels, and not shares of the image?",
    ),
    "mask_outside": _warning(
        "a polygon leaves its image",
        "What is outside is cut off. If there are many: were the images resized after annotation?",
    ),
    "crowd_polygon": _warning(
        "a crowd drawn as polygons",
        "COCO's crowds are RLE. Is it one object? Then iscrowd is 0; crowds are dropped under 'strict'.",
    ),
    # boxes and areas
    "box_unusable": _error(
        "a bbox is not four finite numbers", f"It is x, y, width and height in pixels. {FROM_MASKS}"
    ),
    "box_corners": _error(
        "a box reads as corners x0, y0, x1, y1", f"COCO's bbox is x, y, width, height. {FROM_MASKS}"
    ),
    "empty_box": _error("a box of no or negative size", f"It is the prompt of gt_box. {FROM_MASKS}"),
    "boxes_of_another_kind": _error(
        "the boxes are not COCO's", f"COCO's bbox is x, y, width, height in pixels. {FROM_MASKS}"
    ),
    "box_elsewhere": _error(
        "a box does not touch its mask",
        "Take the box around the mask, or box_source: mask in the protocol. Were the images turned?",
    ),
    "thin_box": _warning(
        "a box of no width or height around a mask that hardly has any",
        "Take the box around the mask: some models find nothing in a box without area.",
    ),
    "box_outside": _warning("a box leaves its image", "Cut it at the image's border: it is a prompt."),
    "box_mask": _warning(
        "a box is not around its mask",
        "Take the box around the mask: as a prompt it points at something else. Published data has a few.",
    ),
    "area": _warning(
        "an area is not that of its mask",
        "Set it to the mask's number of pixels: it decides whether the object counts as small, medium or "
        "large. Some exporters write width x height.",
    ),
    # masks as pictures
    "missing_mask": _error("an image without a mask", "Add one of its name, or take the image away."),
    "ambiguous_mask": _error(
        "images and masks that do not belong together one to one",
        "Leave one mask an image, or end masks: in a pattern of their names, such as masks/*_mask.png.",
    ),
    "unused_mask": _warning("a mask without an image", "It is not used. Is --images the whole folder?"),
    "bad_mask": _error(
        "a mask that cannot be read as values", "Write it as a PNG of one channel, or get the file again."
    ),
    "mask_size": _error("a mask of another size than its image", "Use the images that were annotated."),
    "mask_ids": _error(
        "what the pixels' values mean cannot be told",
        "Say mask_ids in the data set's file: binary (what is not 0 is one object), values (each value above "
        "0 is one) or rgb (R + 256 G + 65536 B is the id); and void, the values that count nowhere.",
    ),
    "mask_colours": _error(
        "a mask in colours, which are no values",
        "Say mask_ids: rgb where R + 256 G + 65536 B is an id; else write indices or values.",
    ),
    "mask_alpha": _error(
        "a mask that is in a picture's transparency alone", "Write it as a picture of one channel."
    ),
    "mask_palette": _error(
        "a palette of greys whose index 0 is not black", "Indices are read. Write the mask in grey."
    ),
    "palette_255": _error(
        "a palette with index 255, which VOC calls void",
        "Say void: [255] in the data set's file, or void: [] where it is an object.",
    ),
    "alpha_dropped": _warning("a mask with transparency", "Its colours were read, its transparency was not."),
    "smooth_mask": _warning(
        "a binary mask of several values, as smoothing leaves them",
        "All that is not 0 is the object. If they are ids, say mask_ids: values; else cut them at 128.",
    ),
    "lossy_mask": _warning(
        "a binary mask as JPEG, whose values are blurred", "It was cut at 128. Write masks as PNG."
    ),
    "no_object": _warning("a mask without an object", "Its image counts, without an object to score."),
}


MENDABLE = ("box_unusable", "box_corners", "box_elsewhere", "empty_box")
"""Errors that `data verify --fix` mends, by the box around the mask."""
BOXES = (*MENDABLE, "boxes_of_another_kind")
"""Errors that are none to whoever uses no box."""

"""What can be wrong with a data set: each kind with its severity and remedy, and a list of what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

EXAMPLES = 5
"""Kept of each kind: enough to see a pattern, few enough to read."""

Severity = Literal["error", "warning", "mended"]
Finding = tuple[str, str]
"""A name in `KINDS`, and which record it is about with the values that show it."""


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


KINDS: dict[str, Kind] = {
    # the file
    "packed": _mended("the file is packed by gzip", "It was unpacked; COCO's own tools do not."),
    "encoding": _mended("the text is not plain UTF-8", "It was converted; look at names that are not ASCII."),
    "lines": _mended("JSON in lines", "They were put together."),
    "unreadable": _error("the annotation file cannot be read", "Get or export the file again."),
    "nothing": _error("there is nothing to evaluate", "Is it the right file, and the export complete?"),
    "malformed": _error(
        "a field is missing or of the wrong type", "Export again, or write the value as COCO's format has it."
    ),
    "not_a_number": _error(
        "NaN or infinity, which JSON does not know", "Remove these annotations, or mend what wrote them."
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
    "unknown_category": _error(
        "a category that the file does not list",
        "Add the category, or remove its annotations: COCOeval would pass over them silently.",
    ),
    # categories
    "category_name": _error("a category has no name", "Name it: results are listed by name."),
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
    # image files
    "missing_image": _error(
        "an image file is missing",
        "Is --images the folder that the file names begin in? For LVIS it lies above train2017 and val2017.",
    ),
    "damaged_image": _error("an image file is damaged, cut off or not an image", "Get the file again."),
    "image_size": _error(
        "an image's size is not what the annotations say",
        "Use the images that were annotated: resized ones do not fit their masks.",
    ),
    "duplicate_file": _warning(
        "two images have one file", "Merge their annotations, unless it is meant so: each counts by itself."
    ),
    "no_size": _warning(
        "an image without height and width", "Add both: sambench reads them from the file, COCO's tools fail."
    ),
    # masks
    "no_segmentation": _error(
        "an annotation without a mask", "Remove it: boxes alone have no mask to compare with."
    ),
    "bad_polygon": _error(
        "a polygon that cannot be drawn",
        "It needs x and y of three points or more, as a flat list. Four numbers would be taken for a box.",
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
    "box_corners": _error(
        "a box reads as corners x0, y0, x1, y1", "COCO's bbox is x, y, width, height; convert them."
    ),
    "empty_box": _error(
        "a box of no or negative size", "Take the box around the mask: it is the prompt of gt_box."
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
    "missing_mask": _error(
        "an image without a mask",
        "A mask lies below its folder as the image below its own, by the same name, with or without a "
        "suffix. Add it, or take the image out of the folder.",
    ),
    "ambiguous_mask": _error(
        "images and masks that do not belong together one to one",
        "Leave one mask an image, or end masks: in a pattern of their names, such as masks/*_mask.png.",
    ),
    "unused_mask": _warning("a mask without an image", "It is not used. Is --images the whole folder?"),
    "bad_mask": _error(
        "a mask that cannot be read as values", "Write it as a PNG of one channel, or get the file again."
    ),
    "mask_size": _error(
        "a mask of another size than its image",
        "Use the images that were annotated: resized ones do not fit their masks.",
    ),
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
        "a mask whose colours are all one: what it says is in its transparency",
        "Write the transparency as a picture of one channel.",
    ),
    "mask_palette": _error(
        "a palette of greys that is not in order: index 0 is not black",
        "Indices are read, not colours. Write the mask as a grey picture.",
    ),
    "palette_255": _error(
        "a palette with index 255, which VOC calls void",
        "Say void: [255] in the data set's file, or void: [] where it is an object.",
    ),
    "alpha_dropped": _warning("a mask with transparency", "Its colours were read, its transparency was not."),
    "smooth_mask": _warning(
        "a binary mask of several values, as smoothing leaves them",
        "All that is not 0 is the object. If that is too much, cut the mask at 128 and write 0 and 255; if "
        "the values are ids, say mask_ids: values.",
    ),
    "lossy_mask": _warning(
        "a binary mask as JPEG, whose values are blurred", "It was cut at 128. Write masks as PNG."
    ),
    "no_object": _warning("a mask without an object", "Its image counts, without an object to score."),
}

REFUSED = frozenset(
    [
        "malformed",
        "not_a_number",
        "duplicate_image_id",
        "duplicate_annotation_id",
        "unknown_image",
        "category_name",
        "no_segmentation",
    ]
)
"""Kinds for which `suites.data.coco` refuses the file: after one of them, its refusal is no news."""


@dataclass
class Problem:
    """All that was found of one kind."""

    name: str
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first `EXAMPLES`."""

    @property
    def kind(self) -> Kind:
        """What it is, how bad, and what to do."""
        return KINDS[self.name]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"kind": self.name, **vars(self.kind), "count": self.count, "examples": self.examples}


class Problems:
    """What was found, by kind."""

    def __init__(self) -> None:
        self._found: dict[str, Problem] = {}

    def add(self, name: str, example: str) -> None:
        """Count a finding, and keep it if it is among the first of its kind."""
        problem = self._found.setdefault(name, Problem(name))
        problem.count += 1
        if len(problem.examples) < EXAMPLES:
            problem.examples.append(example)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def listed(self) -> tuple[Problem, ...]:
        """Return one problem a kind: errors first, then in the order of `KINDS`."""
        found = [self._found[name] for name in KINDS if name in self._found]
        return tuple(sorted(found, key=lambda p: p.kind.severity))

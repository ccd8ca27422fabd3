"""The figures of a page in few letters: a drawing of matplotlib's is half as long where looks are classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

COORDINATES = ("d", "x", "y", "transform", "points")
UNSEEN = "fill: none"
"""The whole look of what is behind a figure and its axes."""


@dataclass(frozen=True)
class Slimmed:
    """Drawings and the style that they need."""

    drawings: dict[str, str]
    """As they were drawn, to what goes into the page."""
    style: str
    """A rule for each look that an element of them has."""


def slim(drawings: Iterable[str]) -> Slimmed:
    """Shorten SVG: looks become classes, names short, coordinates are to a tenth of a unit."""
    looks, names = Short("l"), Short("i")
    found = {svg: _slim(svg, looks, names) for svg in drawings if svg}
    return Slimmed(found, "".join(f".{name}{{{look}}}" for look, name in looks.given.items()))


class Short:
    """Gives texts short names, equal ones the same."""

    def __init__(self, letter: str) -> None:
        self.letter = letter
        self.given: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Return the name of a text."""
        return self.given.setdefault(text, f"{self.letter}{len(self.given)}")


def _slim(svg: str, looks: Short, names: Short) -> str:
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    _unwrap(root)
    for element in root.iter():
        _shorten(element.attrib, looks, names)
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _shorten(attributes: dict[str, str], looks: Short, names: Short) -> None:
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for key in COORDINATES:
        if key in attributes:
            attributes[key] = _shorter(attributes[key])
    if "id" in attributes:
        attributes["id"] = names(attributes["id"])
    if attributes.get("href", "").startswith("#"):
        attributes["href"] = f"#{names(attributes['href'][1:])}"
    look = attributes.pop("style", "").replace("font-family: 'DejaVu Sans'; ", "")  # the page sets its own
    clip = attributes.pop("clip-path", "")
    both = [look.replace("; ", ";").replace(": ", ":"), clip and f"clip-path:url(#{names(clip[5:-1])})"]
    if any(both):
        attributes["class"] = " ".join(looks(text) for text in both if text)


def _shorter(coordinates: str) -> str:
    tenths = re.sub(r"(\.\d)\d+", r"\1", " ".join(coordinates.split()))
    return re.sub(r"\.0(?!\d)", "", tenths)


def _unwrap(parent: ElementTree.Element) -> None:
    """Put the children of groups that say nothing in their place, and leave out what cannot be seen."""
    children: list[ElementTree.Element] = []
    for child in parent:
        if child.attrib.get("style") == UNSEEN:
            continue
        _unwrap(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = children

"""Why a file is no image that can be read, told from its first bytes, and what to do."""

from __future__ import annotations

from PIL import features

from sambench.adapters.images.orientation import TIFF

_AGAIN = "Get the file again."
_CONVERT = "Convert it to PNG or JPEG."

_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"mif1": "HEIF",
    b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF", b"jxl ": "JPEG XL", b"crx ": "a camera's raw CR3",
}  # fmt: skip
"""Of the first box of an ISO base media file (https://mp4ra.org/registered-types/brands)."""

_OTHERS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"8BPS", "a Photoshop document of a kind that Pillow cannot read"),
    (b"\x89HDF", "an HDF5 file"),
    (b"FUJIFILM", "a camera's raw file"),
)

_IMAGES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"RIFF", "WebP"),
    (b"BM", "BMP"),
)

NOT_READ = {
    "EPS": "PostScript",
    "WMF": "a drawing of Windows",
    "MPEG": "a film",
    "GRIB": "GRIB",
    "BUFR": "BUFR",
    "HDF5": "HDF5",
}
"""Formats that Pillow opens, and then has no pixels of or leaves to another program."""


def cause(content: bytes) -> str:
    """Say what a file is that Pillow cannot open, and what to do: a sentence without its subject.

    Args:
        content: the first bytes of the file.
    """
    known = _text(content) or _other(content) or _image(content)
    return known or f"not an image that Pillow can read. {_AGAIN}"


def _text(content: bytes) -> str | None:
    """Say which text, or which nothing, is in the place of an image."""
    start = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not content.strip(b"\0"):
        what = "zeros, as an interrupted copy leaves" if content else "the file is empty (0 bytes)"
        return f"not an image that Pillow can read: {what}. {_AGAIN}"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not an image. Get the file with: git lfs pull"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return f"a web page, not an image: the download was answered by a page, such as a login. {_AGAIN}"
    if b"<svg" in start:
        return f"a drawing (SVG), not an image of pixels. {_CONVERT}"
    if start.startswith((b"<?xml", b"<error", b"{", b"[")):
        return f"XML or JSON, not an image: perhaps a server's refusal. {_AGAIN}"
    return None


def _other(content: bytes) -> str | None:
    """Say which file this is that is none of Pillow's images."""
    name = next((name for start, name in _OTHERS if content.startswith(start)), None)
    if content[4:8] == b"ftyp":
        name = _BRANDS.get(content[8:12], "a film (MP4 or the like)")
    if name is None or (name == "AVIF" and features.check("avif")):
        return None
    return f"{name}, not an image that Pillow can read. {_CONVERT}"


def _image(content: bytes) -> str | None:
    """Say which image of Pillow's this is the beginning of."""
    if content[:4] in TIFF:
        return (
            "a TIFF that Pillow cannot read: cut off, or of a pixel format that it does not know, such as "
            "several channels of float. Get the file again, or convert it to 8 or 16 bits a channel."
        )
    avif = content[4:8] == b"ftyp"  # what else begins so was named before
    name = "AVIF" if avif else next((name for start, name in _IMAGES if content.startswith(start)), None)
    return name and f"begins as {name}, but is damaged or cut off. {_AGAIN}"

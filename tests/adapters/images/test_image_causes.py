"""What is in the place of an image is named, with what to do."""

import image_bytes as files
import pytest
from PIL import Image, features

from sambench.adapters.images import decode_image
from sambench.evsam.errors import SambenchError

WHOLE = Image.effect_noise((64, 64), 60).convert("RGB")

FOUND = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "zeros": (b"\0" * 5000, "zeros, as an interrupted copy leaves"),
    "a web page": (b"\n<!DOCTYPE html>\n<html><body>Sign in", "a web page"),
    "a page with a mark": (b"\xef\xbb\xbf<HTML>", "a web page"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "git lfs pull"),
    "a refusal": (
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "perhaps a server's refusal",
    ),
    "json": (b'{"message": "Not Found"}', "perhaps a server's refusal"),
    "svg": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "a drawing (SVG)"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, not an image that Pillow can read. Convert it"),
    "a film": (b"\0\0\0\x18ftypisom\0\0\0\0", "a film"),
    "jpeg xl": (b"\xff\x0a\0\0", "JPEG XL"),
    "pdf": (b"%PDF-1.7\n", "a PDF document"),
    "zip": (b"PK\x03\x04 ...", "a zip archive"),
    "numpy": (b"\x93NUMPY\x01\0", "a NumPy array"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", "PostScript"),
    "text": (b"this is text\n" * 20, "not an image that Pillow can read. Get the file again."),
}


def refused(content):
    with pytest.raises(SambenchError, match=r"^image\.jpg: ") as caught:
        decode_image(content, "image.jpg")
    return str(caught.value)


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_no_image_is_named(kind):
    content, said = FOUND[kind]
    assert said in refused(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_an_image_that_was_cut_off_is_told_from_no_image(form, share):
    content = files.encoded(WHOLE, form)
    message = refused(content[: int(len(content) * share)])
    assert "cut off" in message
    assert "not an image" not in message


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_a_damaged_avif_is_not_called_unknown():
    content = files.encoded(WHOLE, "AVIF")
    assert "begins as AVIF, but is damaged or cut off" in refused(content[:60])

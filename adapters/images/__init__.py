"""Image files: read as the pixels that were annotated, or looked at without decoding. All are read here.

Deep images (`pixels`), those that a tag turns (`orientation`), very large ones (`header`) and files that are
no image at all (`causes`) each have a module.
"""

from sambench.adapters.images.header import Look, look
from sambench.adapters.images.opening import LARGEST
from sambench.adapters.images.orientation import Orientation
from sambench.adapters.images.pixels import low_contrast
from sambench.adapters.images.reading import decode_image, read_image

__all__ = ["LARGEST", "Look", "Orientation", "decode_image", "look", "low_contrast", "read_image"]

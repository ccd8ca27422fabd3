"""One word for (height, width) in pixels, in this order everywhere."""

Size = tuple[int, int]
